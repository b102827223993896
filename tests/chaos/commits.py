"""The committed offsets of a group, as they move."""

import itertools
import threading
import time
from collections.abc import Collection

from confluent_kafka import Consumer, KafkaException, TopicPartition

_LOOK_SECONDS = 0.05
_ANSWER_SECONDS = 3.0


class Commits(threading.Thread):
    """Looks at a group's committed offsets some twenty times a second.

    It asks as a consumer of the group that never joins: an admin client crashes the process (librdkafka 2.16,
    `rd_kafka_handle_OffsetFetch` without a consumer group) when the group's coordinator has just moved.

    Attributes
    ----------
    moves
        By partition, the times at which a new offset was seen first, and the offset.

    Parameters
    ----------
    bootstrap
        The broker's servers.
    group
        The consumer group.
    topic, partitions
        What it reads.
    """

    def __init__(self, bootstrap: str, group: str, topic: str, partitions: int) -> None:
        super().__init__(name=f"commits of {group}", daemon=True)
        self.moves: dict[int, list[tuple[float, int]]] = {}
        self._places = [TopicPartition(topic, partition) for partition in range(partitions)]
        # A reader of committed records would wait for the end of each transaction that is about to commit offsets.
        config = {"group.id": group, "isolation.level": "read_uncommitted", "log_level": 2}
        self._consumer = Consumer({"bootstrap.servers": bootstrap, **config})
        self._stopped = threading.Event()

    def run(self) -> None:
        """Look until stopped."""
        while not self._stopped.wait(_LOOK_SECONDS):
            try:
                found = self._consumer.committed(self._places, timeout=_ANSWER_SECONDS)
            except KafkaException:  # no broker, no coordinator: looked at again
                continue
            now = time.monotonic()
            for place in found:
                moves = self.moves.setdefault(place.partition, [])
                if place.offset >= 0 and (not moves or moves[-1][1] != place.offset):
                    moves.append((now, place.offset))

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
        if self.is_alive():
            self.join(30)
            self._consumer.close()

    def setbacks(self) -> int:
        """Return how often a committed offset went back."""
        return sum(
            later < earlier for moves in self.moves.values() for (_, earlier), (_, later) in itertools.pairwise(moves)
        )

    def first_after(self, moment: float, partitions: Collection[int]) -> float | None:
        """Return when each of the partitions had moved after a moment; None while one has not."""
        firsts = [next((at for at, _ in self.moves.get(p, ()) if at > moment), None) for p in partitions]
        return None if None in firsts else max((at for at in firsts if at is not None), default=None)

    def longest_gap(self, begin: float, end: float) -> float:
        """Return the longest time without a commit of some partition, between two moments."""
        longest = 0.0
        for moves in self.moves.values():
            inside = [begin, *(at for at, _ in moves if begin < at < end), end]
            longest = max(longest, *(b - a for a, b in itertools.pairwise(inside)))
        return longest
