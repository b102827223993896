"""The task of one assigned partition, and where it stands."""

import logging
from collections import Counter

from schemas.attempts import CAREFUL_RECORDS, Attempts
from schemas.events import Event
from schemas.manifest import Manifest
from schemas.record import Record
from streams.task import Task

log = logging.getLogger("riverrun.worker")


class Shard:
    """The task of one assigned partition.

    Parameters
    ----------
    task
        The task.
    position
        Next position to be stepped through.
    emit_from
        Records before this position are replayed: their events were emitted already and are suppressed.
    snapshot
        The newest snapshot of it.
    attempts
        The workers that began at the committed offset, and what is to be passed over.
    topic_id
        Kafka's id of the topic, empty where that is not known.
    """

    def __init__(
        self,
        task: Task,
        position: int,
        emit_from: int,
        snapshot: Manifest | None = None,
        attempts: Attempts | None = None,
        topic_id: str = "",
    ) -> None:
        self.task = task
        self.topic_id = topic_id
        self.position = position
        #: Where a recovery without a snapshot would begin.
        self.start = position
        self.emit_from = emit_from
        self.committed = emit_from
        self.snapshot = snapshot
        #: Whether another declaration begins at `position`.
        self.ended = False
        self.note_replayed()
        self.begin(attempts)

    def note_replayed(self) -> None:
        """Take note that all the task has done so far was done before, by whoever it was."""
        self._before = self.task.books.snapshot()

    @property
    def done(self) -> Counter[str]:
        """What this worker has done with the partition: outcomes and remarks, and records as ``read``."""
        (read, counts), books = self._before, self.task.books
        if self.position < self.emit_from:
            read, counts = books.read, books.count
        done = Counter({name: count - counts[name] for name, count in list(books.count.items())})
        done["read"] = books.read - read
        return done

    def begin(self, attempts: Attempts | None) -> None:
        """Take note of those who began here before."""
        self.attempts = attempts
        self.skips = attempts.skips if attempts is not None else ()
        self._to_skip = [skip for skip in self.skips if skip >= self.position]
        careful = attempts is not None and attempts.is_careful
        self.careful_until = self.emit_from + CAREFUL_RECORDS if careful else 0

    def step(self, record: Record) -> list[Event]:
        """Step the task, or pass over the record at which workers have died."""
        if self._to_skip and record.offset >= self._to_skip[0]:
            del self._to_skip[0]
            if record.offset >= self.emit_from:
                log.warning("%s: passed over, a dead letter now: workers have died at it", record.position)
            return self.task.skip(record)
        return self.task.step(record)
