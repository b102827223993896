"""What the tests do to Kafka around a worker: make topics, write the log, read back what came out."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import orjson
from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from schemas.operators import EVERYBODY, Operators
from schemas.record import Headers, Record
from services.backtest import Backtest, PredictionDigest
from streams.pipeline import Pipeline
from streams.worker.batch import timestamp_ms

_SECONDS = 20.0
LARGE = 12 * 1024 * 1024
#: What brokers answer about a topic that not all of them know yet; only producers' errors tell whether to ask again.
_NEW_TOPIC = {KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART}


class Event(msgspec.Struct, frozen=True):
    """A record to be written; a partition of None leaves it to murmur2 over the key."""

    value: bytes | None
    key: bytes | None = None
    headers: Headers = []
    timestamp_ms: int = 0
    partition: int | None = None


class Kafka:
    """A broker, seen by a test.

    Parameters
    ----------
    bootstrap
        Its bootstrap servers.
    """

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.admin = AdminClient({"bootstrap.servers": bootstrap})
        self._producers: dict[str, Producer] = {}

    # ------------------------------------------------------------------ write

    def create(self, pipeline: Pipeline, limits: dict[str, int] | None = None) -> None:
        """Make the topics of a pipeline; `limits` are `max.message.bytes` by the end of the topic's name."""
        wanted = []
        for topic in pipeline.topics:
            config = dict(topic.config)
            for end, limit in (limits or {}).items():
                if topic.name.endswith(end):
                    config["max.message.bytes"] = str(limit)
            partitions = 1 if topic.name.endswith(".lifecycle") else pipeline.partitions
            wanted.append(NewTopic(topic.name, partitions, 1, config=config))
        self._create(wanted)

    def _create(self, wanted: list[NewTopic]) -> None:
        for made in self.admin.create_topics(wanted).values():
            made.result(_SECONDS)

    def recreate(self, pipeline: Pipeline, names: list[str]) -> None:
        """Delete topics of a pipeline, and make others of their names."""
        for gone in self.admin.delete_topics(names).values():
            gone.result(_SECONDS)
        until(lambda: not set(names) & set(self.admin.list_topics(timeout=_SECONDS).topics), _SECONDS)
        self._create([NewTopic(topic.name, pipeline.partitions, 1) for topic in pipeline.topics if topic.name in names])

    def produce(self, topic: str, events: Iterable[Event], partitioner: str = "murmur2_random") -> int:
        """Write records and wait until they are there; return how many."""
        if partitioner not in self._producers:
            config = {
                "bootstrap.servers": self.bootstrap,
                "partitioner": partitioner,
                "linger.ms": 5,
                "enable.idempotence": True,
                "message.max.bytes": LARGE + 1024 * 1024,
                "queue.buffering.max.messages": 500_000,
            }
            self._producers[partitioner] = Producer(config)
        producer, failures, count, ends = self._producers[partitioner], [], 0, Counter[int]()
        # What is produced before the client knows of a new topic may come behind what is produced when it does.
        producer.list_topics(topic, timeout=_SECONDS)

        def delivered(error: Any, message: Message) -> None:
            if error is not None:
                failures.append(error)
            else:  # where an answer was lost, all that is known is that it comes behind the one before it
                partition, offset = message.partition(), message.offset()
                ends[partition] = ends[partition] + 1 if offset is None else max(ends[partition], offset + 1)

        for event in events:
            further: dict[str, Any] = {} if event.partition is None else {"partition": event.partition}
            if event.timestamp_ms:
                further["timestamp"] = event.timestamp_ms
            headers = event.headers or None
            producer.produce(topic, event.value, event.key, headers=headers, on_delivery=delivered, **further)
            count += 1
            if count % 1000 == 0:
                producer.poll(0)
        assert producer.flush(_SECONDS) == 0
        assert not failures, failures[0]
        # What is acknowledged is there, but a broker that is asked for the end of a log may not have heard of it yet.
        until(lambda: all(self.extents(topic)[partition][1] >= end for partition, end in ends.items()), _SECONDS)
        return count

    # ------------------------------------------------------------------ look

    def partitions(self, topic: str) -> int:
        """Return the number of partitions of a topic."""
        return len(self.admin.list_topics(topic, timeout=_SECONDS).topics[topic].partitions)

    def extents(self, topic: str) -> dict[int, tuple[int, int]]:
        """Return begin and end of the log of each partition."""
        tps = [TopicPartition(topic, partition) for partition in range(self.partitions(topic))]
        lows, highs = self._offsets(tps, OffsetSpec.earliest()), self._offsets(tps, OffsetSpec.latest())
        return {partition: (lows[partition], highs[partition]) for partition in lows}

    def _offsets(self, tps: list[TopicPartition], spec: OffsetSpec) -> dict[int, int]:
        """Ask for offsets, again where a topic is so new that its leader is not known everywhere."""
        deadline = time.monotonic() + _SECONDS
        while True:
            answers = self.admin.list_offsets(dict.fromkeys(tps, spec), request_timeout=_SECONDS)
            try:
                return {tp.partition: answer.result().offset for tp, answer in answers.items()}
            except KafkaException as error:
                if error.args[0].code() not in _NEW_TOPIC or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def reach(self, topic: str) -> int:
        """Return how far a topic reaches: its records, and the markers of transactions."""
        return sum(high - low for low, high in self.extents(topic).values())

    def count(self, topic: str) -> int:
        """Return how many records a reader of committed ones finds in a topic."""
        return sum(map(len, self.read(topic).values()))

    def committed(self, pipeline: Pipeline) -> dict[int, int]:
        """Return the offset committed for each partition of the input; where none is, none is there."""
        group = f"riverrun-{pipeline.name}"
        request = [ConsumerGroupTopicPartitions(group)]
        answer = self.admin.list_consumer_group_offsets(request, request_timeout=_SECONDS)[group].result()
        return {tp.partition: tp.offset for tp in answer.topic_partitions if tp.offset >= 0}

    def set_back(self, pipeline: Pipeline) -> None:
        """Let the group begin at the first record of the input, as Kafka's own command does: nobody may be in it."""
        tps = [TopicPartition(pipeline.source_topic, partition, 0) for partition in range(pipeline.partitions)]
        request = [ConsumerGroupTopicPartitions(f"riverrun-{pipeline.name}", tps)]
        for answer in self.admin.alter_consumer_group_offsets(request).values():
            assert not any(tp.error for tp in answer.result(_SECONDS).topic_partitions)

    # ------------------------------------------------------------------ read

    def read(self, topic: str) -> dict[int, list[Message]]:
        """Return all that a topic holds now, by partition."""
        extents = self.extents(topic)
        messages: dict[int, list[Message]] = {partition: [] for partition in extents}
        left = {partition for partition, (low, high) in extents.items() if high > low}
        config = {
            "bootstrap.servers": self.bootstrap,
            "group.id": "tests",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.message.max.bytes": LARGE + 1024 * 1024,
        }
        consumer = Consumer(config)
        try:
            consumer.assign([TopicPartition(topic, partition, extents[partition][0]) for partition in left])
            deadline = time.monotonic() + _SECONDS
            while left and time.monotonic() < deadline:
                for message in consumer.consume(2000, 0.1):
                    error = message.error()
                    if error is None:
                        messages[message.partition()].append(message)
                    else:
                        assert error.code() == KafkaError._PARTITION_EOF, error
                        left.discard(message.partition())
        finally:
            consumer.close()
        assert not left, f"{topic}: partitions {left} did not come to their ends within {_SECONDS} s"
        return messages

    def records(self, topic: str) -> dict[int, list[Record]]:
        """Return a topic as the records that a task steps through, by partition."""
        return {partition: [to_record(m) for m in messages] for partition, messages in self.read(topic).items()}

    # ------------------------------------------------------------------ judge

    def digests(self, pipeline: Pipeline, *, distinct: bool = False) -> dict[int, tuple[str, int]]:
        """Return digest and number of the predictions of each partition; `distinct` takes each event once."""
        found = {}
        for partition, messages in self.read(pipeline.topics[1].name).items():
            digest, seen = PredictionDigest(), set()
            for message in messages:
                key = header(message, "ce_id")
                if distinct and key in seen:
                    continue
                seen.add(key)
                take(digest, orjson.loads(message.value()))
            found[partition] = digest.hexdigest(), digest.count
        return found

    def backtest(self, pipeline: Pipeline, operators: Operators = EVERYBODY) -> dict[int, Backtest]:
        """Return a finished backtest of each partition of the input, over what the log holds."""
        finished = {}
        for partition, records in self.records(pipeline.source_topic).items():
            backtest = Backtest(pipeline, partition=partition, partitions=pipeline.partitions, operators=operators)
            for _ in backtest.run(records):
                pass
            finished[partition] = backtest
        return finished

    def expected(self, pipeline: Pipeline, operators: Operators = EVERYBODY) -> dict[int, tuple[str, int]]:
        """Return what `digests` has to return: what a backtest says of each partition."""
        return {p: (b.digest.hexdigest(), b.digest.count) for p, b in self.backtest(pipeline, operators).items()}


def to_record(message: Message) -> Record:
    """Return a message as a record."""
    key, value, headers = message.key(), message.value(), message.headers()
    return Record(message.topic(), message.partition(), message.offset(), timestamp_ms(message), key, value, headers)


def take(digest: PredictionDigest, fields: dict[str, Any]) -> None:
    """Add a prediction that was read back."""
    digest.add_fields(fields["id"], fields["prediction"], fields["score"], fields["version"], fields["learned"])


def header(message: Message, name: str) -> bytes | None:
    """Return the last header of a name."""
    return dict(message.headers() or ()).get(name)


def until(condition: Callable[[], Any], seconds: float = 30.0, what: str = "") -> Any:
    """Return the first true answer of a condition.

    Raises
    ------
    TimeoutError
        When it does not come true in time.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what or condition} was not so within {seconds} s, it was {answer!r}")
        time.sleep(0.05)
