"""What topics hold: stretches of their partitions, committed records only, read without a group."""

from collections.abc import Iterator
from typing import Protocol

from schemas.record import Record
from services.topics import require_topic
from streams.worker.batch import timestamp_ms
from streams.worker.metadata import topic_id
from streams.worker.range_reader import RangeReader
from streams.worker.settings import Settings


class Logs(Protocol):
    """What topics hold. Of a partition, one stretch is read at a time: asking for another one ends it."""

    def partitions(self, topic: str) -> int:
        """Return how many partitions an existing topic has."""

    def topic_id(self, topic: str) -> str:
        """Return Kafka's id of a topic, empty where that is not known."""

    def extent(self, topic: str, partition: int) -> tuple[int, int]:
        """Return the first offset there is, and the one after the last."""

    def between(self, topic: str, partition: int, start: int, end: int) -> Iterator[Record]:
        """Yield the records from `start` on that stand before `end`; offsets have gaps.

        Raises
        ------
        SnapshotError
            When the log does not answer any more.
        """


class KafkaLogs:
    """The topics of a Kafka.

    Parameters
    ----------
    settings
        Of the deployment.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._readers: dict[tuple[str, int], RangeReader] = {}

    def close(self) -> None:
        """Let go of the broker."""
        for reader in self._readers.values():
            reader.close()

    def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has.

        Raises
        ------
        BrokerError
            When no broker answers, or there is no such topic.
        """
        return require_topic(self._settings, topic)

    def topic_id(self, topic: str) -> str:
        """Return Kafka's id of a topic, empty where that is not known."""
        return topic_id(self._settings, topic)

    def extent(self, topic: str, partition: int) -> tuple[int, int]:
        """Return the first offset there is, and the one after the last.

        Raises
        ------
        SnapshotError
            When no broker answers.
        """
        return self._reader(topic, partition).extent()

    def between(self, topic: str, partition: int, start: int, end: int) -> Iterator[Record]:
        """Yield the records from `start` on that stand before `end`.

        Raises
        ------
        SnapshotError
            When the broker answers no more.
        """
        if start >= end:
            return
        for message in self._reader(topic, partition).between(start, end):
            key, value, headers = message.key(), message.value(), message.headers()
            yield Record(topic, partition, message.offset(), timestamp_ms(message), key, value, headers)

    def _reader(self, topic: str, partition: int) -> RangeReader:
        if (topic, partition) not in self._readers:
            self._readers[topic, partition] = RangeReader(self._settings.client(), topic, partition)
        return self._readers[topic, partition]
