"""The task of one assigned partition, and where it stands."""

from schemas.attempts import CAREFUL_RECORDS, Attempts
from schemas.events import Event
from schemas.manifest import Manifest
from schemas.record import Record
from streams.task import Task


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
    """

    def __init__(
        self,
        task: Task,
        position: int,
        emit_from: int,
        snapshot: Manifest | None = None,
        attempts: Attempts | None = None,
    ) -> None:
        self.task = task
        self.position = position
        #: Where a recovery without a snapshot would begin.
        self.start = position
        self.emit_from = emit_from
        self.committed = emit_from
        self.snapshot = snapshot
        #: Whether another declaration begins at `position`.
        self.ended = False
        self.begin(attempts)

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
            return self.task.skip(record)
        return self.task.step(record)
