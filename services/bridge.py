"""The bridge: records of foreign producers, moved into the partitions where riverrun looks for their keys.

A label has to reach the partition of its event. Producers on librdkafka partition by CRC-32 unless told otherwise,
Java's by murmur2: what the one sends, the other does not meet. The bridge reads any topic and produces into a
pipeline's input topic by murmur2, at least once: offsets are committed when what they stand for is acknowledged.
"""

import logging
import time
from collections.abc import Callable, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from schemas import cloudevents as ce
from schemas.errors import BrokerError, ConfigurationError
from schemas.record import Headers, Record
from services.topics import log as kafka_log
from services.topics import require_topic
from streams.pipeline import Pipeline
from streams.worker.commits import is_refused_for_now
from streams.worker.settings import Settings

log = logging.getLogger("riverrun.bridge")

COMMIT_RECORDS = 5_000
COMMIT_SECONDS = 1.0
_POLL_SECONDS = 0.2
_FLUSH_SECONDS = 60.0


def bridged_headers(record: Record, *, sets_id: bool) -> Headers:
    """Return the headers a record is passed on with.

    Parameters
    ----------
    record
        Of the foreign topic.
    sets_id
        Give an event without ``ce_id`` one from its position there, so that a repeated delivery is told as a duplicate.

    Returns
    -------
    Its own headers; ``ce_id`` for events as said; ``ce_time`` from the Kafka timestamp where there is none, since the
    time of an event is not that of its bridging. A timestamp that is no time, as of microseconds, is left out.

    Examples
    --------
    >>> bridged_headers(Record("orders", 1, 7, 0, b"k", b"{}"), sets_id=True)
    [('ce_id', b'orders-1-7'), ('ce_time', b'1970-01-01T00:00:00.000Z')]
    """
    headers = list(record.headers or ())
    values = {name: value for name, value in headers if value is not None}
    kind = values.get("ce_type", ce.EVENT.encode())
    is_event = kind == ce.EVENT.encode() or not kind.startswith(b"riverrun.")  # as `streams.decoding` tells them
    if sets_id and "ce_id" not in values and is_event:
        headers.append(("ce_id", record.position.event_id.encode()))
    if "ce_time" not in values and (time := ce.time_text(record.timestamp_ms)) is not None:
        headers.append(("ce_time", time.encode()))
    return headers


class Bridge:
    """Re-keys records of other topics into the input topic of a pipeline.

    Parameters
    ----------
    pipeline
        The declaration.
    settings
        Of the deployment. Several bridges of one pipeline share the load as one consumer group.
    sources
        Topics to read, from their beginning the first time.

    Raises
    ------
    ConfigurationError
        When a source is missing, or one of the pipeline's own topics: it would go round in circles.
    BrokerError
        When no broker answers, or the input topic is missing.
    """

    def __init__(self, pipeline: Pipeline, settings: Settings, sources: Sequence[str]) -> None:
        own = [topic.name for topic in pipeline.topics]
        for source in sources:
            if source in own:
                raise ConfigurationError(f"--from: got {source}, expected a topic that is none of {', '.join(own)}")
        require_topic(settings, pipeline.source_topic)
        for source in sources:
            require_topic(
                settings,
                source,
                "--from reads a topic that exists; riverrun makes none for other producers.",
                missing=ConfigurationError,
            )
        self.moved = self.without_key = 0
        self.target = pipeline.source_topic
        self.group_id = f"riverrun-{pipeline.name}-bridge"
        self._sources = list(sources)
        self._sets_id = pipeline.id_field is None
        self._settings = settings
        self._earned: dict[tuple[str, int], int] = {}
        self._uncommitted = 0
        self._failure: str | None = None
        self._lost: KafkaException | BrokerError | None = None
        self._producer = Producer(self._producer_config(), logger=kafka_log)

    def run(self, should_stop: Callable[[], bool]) -> None:
        """Move records until told to stop, then deliver and commit what is under way.

        Parameters
        ----------
        should_stop
            Asked several times a second.

        Raises
        ------
        BrokerError
            When a record was not delivered; nothing is committed for it, the next start sends it again.
        """
        consumer = Consumer(self._consumer_config(), logger=kafka_log)
        consumer.subscribe(self._sources, on_revoke=self._revoked, on_lost=self._forget)
        committed_at = time.monotonic()
        try:
            while not should_stop():
                message = consumer.poll(_POLL_SECONDS)
                if self._lost is not None:
                    raise self._lost
                if message is not None:
                    self._take(message)
                    for further in consumer.consume(500, 0):
                        self._take(further)
                self._producer.poll(0)
                self._check()
                if self._uncommitted >= COMMIT_RECORDS or time.monotonic() - committed_at >= COMMIT_SECONDS:
                    self._commit(consumer)
                    committed_at = time.monotonic()
            self._commit(consumer)
        finally:
            consumer.close()

    def _consumer_config(self) -> dict[str, object]:
        further = {}
        if self._settings.worker_id:
            further["group.instance.id"] = f"{self.group_id}-{self._settings.worker_id}"
        return self._settings.client(
            **{
                "group.id": self.group_id,
                "client.id": "riverrun-bridge",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "partition.assignment.strategy": "range",
                "session.timeout.ms": 30_000,
                "heartbeat.interval.ms": 1000,
                "fetch.wait.max.ms": 100,
                "topic.metadata.refresh.interval.ms": 60_000,
            },
            **further,
        )

    def _producer_config(self) -> dict[str, object]:
        return self._settings.client(
            **{
                "client.id": "riverrun-bridge",
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "linger.ms": 5,
                "message.max.bytes": 64 * 1024 * 1024,
                "delivery.timeout.ms": round(_FLUSH_SECONDS * 1000),
                "delivery.report.only.error": True,
                "on_delivery": self._delivered,
            }
        )

    # ------------------------------------------------------------------ records

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            if error.retriable():
                return
            raise BrokerError(f"{message.topic()}[{message.partition()}]: {error.str()}")
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        time_ms = message.timestamp()[1]
        record = Record(topic, partition, offset, time_ms, message.key(), message.value(), message.headers())
        headers = bridged_headers(record, sets_id=self._sets_id)
        while True:
            try:
                self._producer.produce(self.target, record.value, record.key, headers=headers)
                break
            except BufferError:
                self._producer.poll(0.5)
            except KafkaException as refusal:
                reason = refusal.args[0].str()
                raise BrokerError(f"{record.position}: not taken into {self.target}: {reason}") from None
        self.moved += 1
        self.without_key += record.key is None
        self._earned[topic, partition] = offset + 1
        self._uncommitted += 1

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None and self._failure is None:
            ids = [value.decode() for name, value in message.headers() or () if name == "ce_id" and value]
            which = f"the record {ids[0]}" if ids else f"a record of {len(message.value() or b'')} bytes"
            self._failure = (
                f"{self.target}: {which} was not delivered: {error.str()}. Nothing was committed for it. When it is "
                f"too large, raise max.message.bytes of {self.target}."
            )

    def _check(self) -> None:
        if self._failure is not None:
            raise BrokerError(self._failure)

    # ------------------------------------------------------------------ offsets

    def _commit(self, consumer: Consumer) -> None:
        """Wait until all is acknowledged, then commit where it came from; in the thread that polls."""
        if not self._earned:
            return
        left = self._producer.flush(_FLUSH_SECONDS)
        self._check()
        if left:
            raise BrokerError(f"{self.target}: {left} records not acknowledged after {_FLUSH_SECONDS:g} s")
        offsets = [TopicPartition(topic, partition, next) for (topic, partition), next in self._earned.items()]
        try:
            consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            if not is_refused_for_now(error.args[0]):
                raise
            log.warning("commit refused, records may be sent twice: %s", error.args[0].str())
        self._earned.clear()
        self._uncommitted = 0

    def _revoked(self, consumer: Consumer, _: list[TopicPartition]) -> None:
        try:
            self._commit(consumer)
        except (KafkaException, BrokerError) as error:  # librdkafka's callback: told where records are taken
            self._lost = error
        self._earned.clear()

    def _forget(self, _: Consumer, __: list[TopicPartition]) -> None:
        self._earned.clear()
