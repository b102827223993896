"""Ends a worker that has stopped working: a thread of its own, for the event loop may be what hangs."""

import logging
import threading
import time
from typing import Any

from faust.types import TP

from streams.worker.assignment import Assignment
from streams.worker.last_resort import LastResort
from streams.worker.log_ends import LogEnds
from streams.worker.stall import Stall, Standing, Watch

log = logging.getLogger("riverrun.worker")

_LOOK_SECONDS = 5.0
_UNWELL = 0.5
_JOIN_SECONDS = 60.0


class Watchdog(threading.Thread):
    """Looks every few seconds whether the work that waits moves, and ends the process when it does not.

    It ends it hard: an orderly end may hang as well, and the next start restores the state in either case.

    Attributes
    ----------
    stall
        The work that stood still the longest when it last looked.

    Parameters
    ----------
    assignment
        What is watched.
    ends
        Tells where the logs end.
    limit_seconds
        How long work may stand still. Raising it gives slow models and brokers more time, and a dead worker too.
    last_resort
        Ends the process.
    """

    def __init__(self, assignment: Assignment, ends: LogEnds, limit_seconds: float, last_resort: LastResort) -> None:
        super().__init__(name="riverrun-watchdog", daemon=True)
        self.stall: Stall | None = None
        self._assignment = assignment
        self._ends = ends
        self._limit_seconds = limit_seconds
        self._last_resort = last_resort
        self._watch = Watch(limit_seconds)
        #: When to say that the group has not answered; None when it has, or when that has been said.
        self._patient_until: float | None = time.monotonic() + _JOIN_SECONDS
        self._stopped = threading.Event()

    def run(self) -> None:
        """Look until stopped."""
        while not self._stopped.wait(min(_LOOK_SECONDS, self._limit_seconds / 10)):
            self._last_resort.arm(2 * self._limit_seconds)
            self._tell_of_silence()
            self.stall = self._watch.look(time.monotonic(), self._standings())
            if self.stall is not None and self.stall.share > 1 and not self._stopped.is_set():
                # Unless it hangs within a step, no record is to blame.
                blameless = (lambda: None) if self._assignment.stepping else self._assignment.forgive
                self._last_resort.end(self._words(self.stall), blameless)

    def _tell_of_silence(self) -> None:
        """Say once that the group has not answered: who waits for it does no work, and nothing is wrong with that."""
        if self._assignment.rebalances:
            self._patient_until = None
        elif self._patient_until is not None and time.monotonic() > self._patient_until:
            self._patient_until = None
            log.warning(
                "the group has not answered for %g s: it waits for a member that is gone, or busy. Kafka misses one "
                "after half a minute; the embedded broker never does: riverrun broker stop, then start. A worker with "
                "RIVERRUN_WORKER_ID that was killed comes back at once",
                _JOIN_SECONDS,
            )

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
        self._last_resort.disarm()

    def report(self) -> dict[str, Any]:
        """Return how the worker is, as ``/health`` tells it: ``stalled`` from half the limit on."""
        stall = self.stall
        ill = {} if stall is None or stall.share < _UNWELL else {"reason": str(stall)}
        return {
            "status": "stalled" if ill else "ok",
            **ill,
            "last_commit_age_seconds": round(self._last_commit_age(), 3),
            "partitions": sorted(tp.partition for tp in dict(self._assignment.shards)),
            "waiting": sorted(tp.partition for tp in self._assignment.waiting),
        }

    def _standings(self) -> list[Standing]:
        shards = dict(self._assignment.shards)
        stepped = {tp: max(s.position, s.task.next_offset) for tp, s in shards.items()}
        ends = self._log_ends(stepped)
        # Where another declaration begins there is nothing more to read: who waits there is well.
        ends |= {tp: stepped[tp] for tp, shard in shards.items() if shard.ended and tp in ends}
        return [Standing(tp, stepped[tp], s.position, s.committed, ends.get(tp)) for tp, s in shards.items()]

    def _log_ends(self, positions: dict[TP, int]) -> dict[TP, int]:
        try:
            return self._ends.beyond(positions)
        except Exception:
            log.warning("watchdog: the ends of the logs are not known this time", exc_info=True)
            return {}

    def _words(self, stall: Stall) -> str:
        return (
            f"stalled: {stall}; all that was done was committed {self._last_commit_age():.1f} s ago. The worker ends, "
            f"and the next start restores its state; RIVERRUN_STALL_LIMIT={self._limit_seconds:g} is the time allowed"
        )

    def _last_commit_age(self) -> float:
        return time.monotonic() - self._assignment.last_commit
