"""Records of a topic, read without a consumer group."""

import re
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING

from schemas.errors import BrokerError

if TYPE_CHECKING:
    from confluent_kafka import Consumer, TopicPartition

    from schemas.record import Record
    from streams.worker.settings import Settings

_BROKER_SECONDS = 15.0
_POLL_SECONDS = 0.5


def is_offset(text: str) -> bool:
    """Tell whether a bound is an offset, or -N.

    Examples
    --------
    >>> [is_offset(text) for text in ("20", "-5", "--5", "", "²")]
    [True, True, False, False, False]
    """
    return re.fullmatch("-?[0-9]+", text) is not None


def first_offset(start: str, low: int, high: int) -> int:
    """Return where to begin in a partition.

    Parameters
    ----------
    start
        ``beginning``, ``end``, an offset, or ``-N`` for the newest N.
    low, high
        First offset there is, and the one after the last.

    Raises
    ------
    ValueError
        When it is none of these.

    Examples
    --------
    >>> [first_offset(start, 10, 50) for start in ("beginning", "end", "20", "-5", "-100", "7", "99")]
    [10, 50, 20, 45, 10, 10, 50]
    """
    if start in ("beginning", "end"):
        return low if start == "beginning" else high
    if not is_offset(start):
        raise ValueError(f"--from: got {start!r}, expected beginning, end, an offset, or -N for the newest N")
    offset = int(start)
    return max(low, high + offset if offset < 0 else min(offset, high))


def read(
    settings: "Settings", topic: str, start: str | Mapping[int, int], *, follow: bool
) -> "Generator[Record, None, None]":
    """Yield the records of all partitions of a topic, as a `TopicReader` does, once.

    Raises
    ------
    BrokerError
        When no broker answers, or there is no such topic.
    """
    with closing(TopicReader(settings, topic)) as reader:
        yield from reader.read(start, follow=follow)


class TopicReader:
    """Reads all partitions of a topic, again and again, with one client.

    Parameters
    ----------
    settings
        Of the deployment.
    topic
        An existing topic.

    Raises
    ------
    BrokerError
        When no broker answers, or there is no such topic.
    """

    def __init__(self, settings: "Settings", topic: str) -> None:
        from confluent_kafka import Consumer

        from services.topics import log, require_topic

        self._topic, self._partitions = topic, require_topic(settings, topic)
        config = settings.client(
            **{
                "group.id": "riverrun-tail",
                "client.id": "riverrun-tail",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 100,
                "enable.partition.eof": True,
            }
        )
        self._consumer = Consumer(config, logger=log)

    def read(self, start: str | Mapping[int, int], *, follow: bool) -> "Generator[Record, None, None]":
        """Yield the records from a place on.

        Parameters
        ----------
        start
            As `first_offset` takes it, for each partition; or an offset by partition, where others are read from their
            beginning.
        follow
            Go on with what comes; else stop at what was the end when reading began.

        Raises
        ------
        BrokerError
            When the broker does not answer any more.
        """
        from confluent_kafka import TopicPartition

        consumer, topic = self._consumer, self._topic
        places, ends = [], {}
        for partition in range(self._partitions):
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_BROKER_SECONDS)
            where = start if isinstance(start, str) else str(start.get(partition, "beginning"))
            place = first_offset(where, low, high)
            if where.startswith("-"):
                place = _newest(consumer, TopicPartition(topic, partition, place), -int(where), low, high)
            if follow or place < high:
                places.append(TopicPartition(topic, partition, place))
                ends[partition] = high
        consumer.assign(places)
        yield from _follow(consumer) if follow else _until(consumer, ends)
        consumer.unassign()  # else it goes on fetching

    def close(self) -> None:
        """Let go of the broker."""
        self._consumer.close()


def _newest(consumer: "Consumer", place: "TopicPartition", count: int, low: int, high: int) -> int:
    """Return the offset of the newest but `count` records: the markers of transactions lie between them."""
    while low < place.offset < high:
        consumer.assign([place])
        offsets = [record.offset for record in _until(consumer, {place.partition: high})]
        if len(offsets) >= count:
            return offsets[-count]
        place.offset = max(low, high - 4 * (high - place.offset))
    return int(place.offset)


def _follow(consumer: "Consumer") -> "Iterator[Record]":
    while True:
        record, _ = _next(consumer)
        if record is not None:
            yield record


def _until(consumer: "Consumer", ends: dict[int, int]) -> "Iterator[Record]":
    """Yield records until each partition has come to its end; records above it belong to the next reader."""
    heard = time.monotonic()
    while ends:
        record, ended = _next(consumer)
        if record is None and ended < 0 and time.monotonic() - heard > _BROKER_SECONDS:
            raise BrokerError(
                f"partitions {sorted(ends)}: Kafka answers no more after {_BROKER_SECONDS:g} s: try again"
            )
        if record is None:
            ends.pop(ended, None)
            continue
        heard = time.monotonic()
        end = ends.get(record.partition, 0)
        if record.offset >= end - 1:
            ends.pop(record.partition, None)
        if record.offset < end:
            yield record


def _next(consumer: "Consumer") -> "tuple[Record | None, int]":
    """Return a record, or the partition that has come to its end, or neither (-1)."""
    from confluent_kafka import KafkaError

    from schemas.record import Record

    message = consumer.poll(_POLL_SECONDS)
    if message is None:
        return None, -1
    error = message.error()
    if error is not None:
        if error.code() == KafkaError._PARTITION_EOF:
            return None, message.partition()
        if error.retriable():
            return None, -1
        raise BrokerError(f"{message.topic()}[{message.partition()}]: {error.str()}")
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    time_ms = message.timestamp()[1]
    return Record(topic, partition, offset, time_ms, message.key(), message.value(), message.headers()), partition
