"""Single stretches of a partition, read without a group."""

import logging
import time
from collections.abc import Iterator, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.errors import StoreError

_SECONDS = 30.0
_READING = {
    "group.id": "riverrun-ranges",
    "enable.auto.commit": False,
    "isolation.level": "read_committed",
    "auto.offset.reset": "earliest",
    "enable.partition.eof": True,
    "fetch.wait.max.ms": 10,
    "queued.max.messages.kbytes": 16 * 1024,
}


class RangeReader:
    """Reads the committed records between two offsets of a partition.

    Parameters
    ----------
    config
        Configuration of a librdkafka client.
    topic, partition
        What to read.
    """

    def __init__(self, config: Mapping[str, Any], topic: str, partition: int) -> None:
        self._consumer = Consumer({**config, **_READING}, logger=logging.getLogger("riverrun.kafka"))
        self._topic, self._partition = topic, partition
        self._next = -1

    def close(self) -> None:
        """Let go of the broker."""
        self._consumer.close()

    def extent(self) -> tuple[int, int]:
        """Return the first offset and the one after the last.

        Raises
        ------
        StoreError
            When the broker does not answer.
        """
        try:
            low, high = self._consumer.get_watermark_offsets(
                TopicPartition(self._topic, self._partition), timeout=_SECONDS
            )
        except KafkaException as error:
            raise StoreError(f"{self._topic}[{self._partition}]: {error.args[0].str()}") from None
        return low, high

    def at(self, offset: int) -> Message | None:
        """Return the record at an offset, None when there is none.

        Raises
        ------
        StoreError
            As `between` does.
        """
        return next(iter(self.between(offset, offset + 1)), None)

    def between(self, start: int, end: int) -> Iterator[Message]:
        """Yield the committed records from one offset to another.

        Parameters
        ----------
        start, end
            The first offset, and the one after the last.

        Raises
        ------
        StoreError
            When the broker refuses, or nothing comes for half a minute.
        """
        if start != self._next:
            self._consumer.assign([TopicPartition(self._topic, self._partition, start)])
        deadline = time.monotonic() + _SECONDS
        while True:
            message = self._consumer.poll(0.1)
            if message is None:
                if time.monotonic() > deadline:
                    raise StoreError(f"{self._topic}[{self._partition}]@{start}: nothing came in {_SECONDS:g} s")
                continue
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                if error.retriable():
                    continue
                raise StoreError(f"{self._topic}[{self._partition}]@{start}: {error.str()}")
            self._next = message.offset() + 1 if error is None else -1
            if error is not None or message.offset() >= end:
                self._next = -1
                return
            yield message
            if message.offset() == end - 1:
                return
