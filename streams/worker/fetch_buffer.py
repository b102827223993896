"""Records that were fetched and wait to be taken, partition by partition."""

import time
from collections.abc import Mapping
from itertools import groupby
from operator import methodcaller

from confluent_kafka import Message
from faust.types import TP

from streams.worker.batch import Batch

_partition = methodcaller("partition")


class FetchBuffer:
    """Fetched records of the current assignment, and the position at which the next batch of each partition begins.

    What waits in a partition when somebody takes is one batch: the longer the taker was busy, the larger the next
    one, and the way of a batch through Faust is paid for once.

    Parameters
    ----------
    topic
        Name of the topic.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._waiting: dict[int, list[Message]] = {}
        self._positions: dict[int, int] = {}
        #: When the oldest record of a partition that waits was added.
        self._arrived: dict[int, float] = {}
        self.epoch = 0
        self.records = 0
        self.size_bytes = 0

    def start(self, positions: Mapping[TP, int], epoch: int) -> None:
        """Begin an assignment: forget what waits, and read each partition from its position.

        Parameters
        ----------
        positions
            Where the first batch of each partition begins.
        epoch
            Number of the assignment; it goes with each batch.
        """
        self._positions = {tp.partition: position for tp, position in positions.items()}
        self._waiting, self._arrived = {}, {}
        self.epoch, self.records, self.size_bytes = epoch, 0, 0

    def add(self, messages: list[Message]) -> None:
        """Append records in the order in which they were fetched."""
        now = time.perf_counter()
        for partition, run in groupby(messages, _partition):
            self._waiting.setdefault(partition, []).extend(run)
            self._arrived.setdefault(partition, now)
        self.records += len(messages)
        self.size_bytes += sum(map(len, messages))

    def take(self, max_records: int) -> dict[TP, Batch]:
        """Remove and return one batch of each partition in which something waits, at most `max_records` long."""
        taken = {}
        for partition, messages in list(self._waiting.items()):
            arrived = self._arrived[partition]
            if len(messages) <= max_records:
                del self._waiting[partition], self._arrived[partition]
            else:
                messages, self._waiting[partition] = messages[:max_records], messages[max_records:]
            tp = TP(self._topic, partition)
            # Offsets have gaps: where the next batch begins is taken from the log, never counted.
            start, self._positions[partition] = self._positions[partition], messages[-1].offset() + 1
            taken[tp] = Batch(tp, self.epoch, start, self._positions[partition], messages, arrived)
            self.records -= len(messages)
            self.size_bytes -= sum(map(len, messages))
        return taken
