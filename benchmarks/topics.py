"""What the driver does on the broker: create topics, fill one, watch another grow, read it back."""

from __future__ import annotations

import time
from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.records import key_of
from benchmarks.verdict import Output

REQUEST_TIMEOUT_SECONDS = 10.0
READ_TIMEOUT_SECONDS = 15.0
#: The development broker answers a fetch with all it has, whatever was asked for.
READER_SETTINGS = {"isolation.level": "read_committed", "receive.message.max.bytes": 2_000_000_000}
PRODUCER_SETTINGS = {"partitioner": "murmur2_random", "queue.buffering.max.messages": 1_000_000, "log_level": 3}


def create(bootstrap: str, names: Sequence[str], partitions: int) -> None:
    """Create topics and wait for the broker's answer."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    created = admin.create_topics([NewTopic(name, partitions, 1) for name in names])
    for future in created.values():
        future.result(REQUEST_TIMEOUT_SECONDS)


class Feed:
    """Produces records keyed by their id, one slice after the other.

    Parameters
    ----------
    payloads
        The records, in order.
    """

    def __init__(self, bootstrap: str, topic: str, payloads: Sequence[bytes]) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap, **PRODUCER_SETTINGS})
        self._topic, self._payloads = topic, payloads
        self.sent = 0

    def up_to(self, count: int) -> None:
        """Produce until `count` records, or all, were sent, and wait until the broker has them."""
        upcoming = self._payloads[self.sent : count]
        for payload in upcoming:
            self._producer.produce(self._topic, payload, key_of(payload))
        if left := self._producer.flush(60.0):
            raise RuntimeError(f"{self._topic}: {left} of {len(upcoming)} records were not acknowledged within 60 s")
        self.sent += len(upcoming)


def fill(bootstrap: str, topic: str, payloads: Sequence[bytes]) -> None:
    """Produce records keyed by their id and wait until the broker has them all."""
    Feed(bootstrap, topic, payloads).up_to(len(payloads))


class Watch:
    """Counts the records of a topic by its end offsets (control records of transactions included).

    Parameters
    ----------
    bootstrap, topic, partitions
        What to watch.
    level
        Isolation level: whether records count when they are written, or when their transaction is committed.
    """

    def __init__(self, bootstrap: str, topic: str, partitions: int, level: str = "read_committed") -> None:
        settings = {"bootstrap.servers": bootstrap, "group.id": "bench-watch", "isolation.level": level}
        self._consumer = Consumer(settings)
        self._partitions = [TopicPartition(topic, partition) for partition in range(partitions)]

    def count(self) -> int:
        """Ask the broker for the sum of the end offsets."""
        total = 0
        for partition in self._partitions:
            total += self._consumer.get_watermark_offsets(partition, timeout=REQUEST_TIMEOUT_SECONDS)[1]
        return total

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()


def read(bootstrap: str, topic: str, partitions: int, count: int) -> list[Output]:
    """Read committed records until `count` are there or none has come for `READ_TIMEOUT_SECONDS`."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench-read", **READER_SETTINGS})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
    outputs: list[Output] = []
    deadline = time.monotonic() + READ_TIMEOUT_SECONDS
    while len(outputs) < count and time.monotonic() < deadline:
        for message in consumer.consume(5_000, 0.1):
            if error := message.error():
                raise KafkaException(error)
            outputs.append((message.partition(), message.key(), message.value()))
            deadline = time.monotonic() + READ_TIMEOUT_SECONDS
    consumer.close()
    return outputs
