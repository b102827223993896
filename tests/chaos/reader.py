"""A reader of a pipeline's outputs that is there from beginning to end."""

import hashlib
import threading
import time
from collections.abc import Sequence

from confluent_kafka import Consumer, Message, TopicPartition

from tests.streams.worker.kafka import LARGE, header

#: Topic, partition, offset.
Place = tuple[str, int, int]


class Reader(threading.Thread):
    """Keeps what a consumer is given, while it is given.

    Attributes
    ----------
    seen
        Id and digest of the value of each record, by its place.
    repeated
        Places that were given twice, or behind a later one.

    Parameters
    ----------
    bootstrap
        The broker's servers.
    partitions
        What to read, by topic the number of partitions.
    isolation
        ``read_committed``, or ``read_uncommitted``: that one sees what was aborted, too.
    """

    def __init__(self, bootstrap: str, partitions: dict[str, int], isolation: str = "read_committed") -> None:
        super().__init__(name=f"reader ({isolation})", daemon=True)
        self.seen: dict[Place, tuple[bytes | None, str]] = {}
        self.repeated = 0
        self._places = [(topic, partition) for topic, count in partitions.items() for partition in range(count)]
        self._reached = dict.fromkeys(self._places, -1)
        self._positions = dict.fromkeys(self._places, 0)
        self._stopped = threading.Event()
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "chaos-reader",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": isolation,
                "fetch.message.max.bytes": LARGE + 1024 * 1024,
                "log_level": 2,
            }
        )

    def run(self) -> None:
        """Read until stopped."""
        wanted = [TopicPartition(topic, partition, 0) for topic, partition in self._places]
        self._consumer.assign(wanted)
        while not self._stopped.is_set():
            for message in self._consumer.consume(1000, 0.1):
                if message.error() is None:
                    self._take(message)
            for position in self._consumer.position(wanted):
                self._positions[position.topic, position.partition] = position.offset
        self._consumer.close()

    def _take(self, message: Message) -> None:
        place = message.topic(), message.partition()
        self.repeated += message.offset() <= self._reached[place]
        self._reached[place] = max(self._reached[place], message.offset())
        digest = hashlib.sha256(message.value() or b"").hexdigest()[:16]
        self.seen[(*place, message.offset())] = header(message, "ce_id"), digest

    def finish(self, expected: Sequence[Place], seconds: float = 60.0) -> None:
        """Wait until the last of what is expected has come, or the time is over; then stop."""
        ends = {(topic, partition): -1 for topic, partition, _ in expected}
        for topic, partition, offset in expected:
            ends[topic, partition] = max(ends[topic, partition], offset)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and any(self._positions[tp] <= end for tp, end in ends.items()):
            time.sleep(0.1)
        self.stop()

    def stop(self) -> None:
        """Stop reading."""
        self._stopped.set()
        if self.is_alive():
            self.join(30)
