"""Whether the work that waits still moves: the watchdog's rule, without clock, thread or broker."""

from collections.abc import Iterable, Iterator
from typing import Literal

from faust.types import TP
from msgspec import Struct
from msgspec.structs import replace

Work = Literal["read", "commit"]

# Those who talk to a broker that does not answer end the worker themselves, after a minute and a half at most.
_BROKER_GONE_SECONDS = 120.0


class Standing(Struct, frozen=True):
    """How far a partition is at some moment.

    Parameters
    ----------
    tp
        Topic and partition.
    stepped
        Next offset to be stepped through; it moves with each record, in a replay too.
    position
        Next offset after the batches that are done.
    committed
        Offset committed, or below which records are replayed.
    end
        Offset behind the last record there is to read, None when the broker did not say.
    """

    tp: TP
    stepped: int
    position: int
    committed: int
    end: int | None

    def waiting(self) -> Iterator[tuple[Work, int, int]]:
        """Yield the work that waits: what is to be done, where it stands, and up to where it goes."""
        if self.end is not None and self.end > self.stepped:
            yield "read", self.stepped, self.end
        if self.position > self.committed:
            yield "commit", self.committed, self.position


class Stall(Struct, frozen=True):
    """Work that waits without moving.

    Parameters
    ----------
    tp
        Topic and partition.
    work
        What is to be done.
    at
        Offset at which it stands.
    to, to_then
        Offset up to which there is work, and up to which there was when it came to stand there.
    since
        When it came to stand there.
    seconds, allowed_seconds
        How long it has stood there, and how long it may.
    answered
        Whether the broker said where the log ends.
    """

    tp: TP
    work: Work
    at: int
    to: int
    to_then: int
    since: float
    seconds: float
    allowed_seconds: float
    answered: bool

    @property
    def share(self) -> float:
        """Part of the time allowed that is used up: above 1 the worker has stopped."""
        return self.seconds / self.allowed_seconds

    def __str__(self) -> str:
        where = f"{self.tp.topic}[{self.tp.partition}]"
        lag = f"{self.to - self.at} now, {self.to_then - self.at} then"
        if self.work == "read":
            return (
                f"{where}@{self.at}: no record stepped through for {self.seconds:.1f} s, with records to read ({lag})"
            )
        return f"{where}@{self.at}: nothing committed for {self.seconds:.1f} s, with records done ({lag})"


class Watch:
    """Compares how far the partitions are from look to look, and finds the work that has stood still the longest.

    Two kinds of work have to move: records to read move the step, records done move the commit. Nothing to do is fine
    for any time. Work is judged by itself, not by the age of the last commit: that stays young in a worker whose
    loop lives and whose consumer does not fetch, and grows old in a replay. A batch that takes longer than from one
    look to the next keeps the loop from committing, so that time does not count against the commit.

    Parameters
    ----------
    limit_seconds
        How long work may stand still. While the broker does not say where a log ends, two minutes at least; when it
        begins or ceases to say so, time begins anew.

    Examples
    --------
    >>> watch, tp = Watch(limit_seconds=60.0), TP("p.raw", 0)
    >>> watch.look(0.0, [Standing(tp, stepped=300, position=300, committed=300, end=300)])
    >>> watch.look(1000.0, [Standing(tp, stepped=300, position=300, committed=300, end=320)]).share
    0.0
    >>> print(watch.look(1090.0, [Standing(tp, stepped=300, position=300, committed=300, end=700)]))
    p.raw[0]@300: no record stepped through for 90.0 s, with records to read (400 now, 20 then)
    >>> watch.look(1091.0, [Standing(tp, stepped=301, position=300, committed=300, end=700)]).share
    0.0
    """

    def __init__(self, limit_seconds: float) -> None:
        self._limit_seconds = limit_seconds
        self._seen: dict[TP, Standing] = {}
        self._stalls: dict[tuple[TP, Work], Stall] = {}

    def look(self, now: float, standings: Iterable[Standing]) -> Stall | None:
        """Return the work that is nearest to its limit, or beyond it; None when there is nothing to do.

        Parameters
        ----------
        now
            Seconds of a clock that never goes back.
        standings
            The partitions that are ours.
        """
        seen = {standing.tp: standing for standing in standings}
        in_batch = any(self._within_batch(standing) for standing in seen.values())
        stalls = {}
        for standing in seen.values():
            for work, at, to in standing.waiting():
                key = standing.tp, work
                stall = self._stalls.get(key)
                moves = stall is None or (stall.at, stall.answered) != (at, standing.end is not None)
                if stall is None or moves or (in_batch and work == "commit"):
                    stall = self._new(standing, work, at, to, now)
                stalls[key] = replace(stall, to=to, seconds=now - stall.since)
        self._seen, self._stalls = seen, stalls
        return max(stalls.values(), key=lambda stall: stall.share, default=None)

    def _within_batch(self, standing: Standing) -> bool:
        """Tell whether a partition is at work on the batch that it was at when last looked at."""
        before = self._seen.get(standing.tp)
        return before is not None and before.position == standing.position and before.stepped < standing.stepped

    def _new(self, standing: Standing, work: Work, at: int, to: int, now: float) -> Stall:
        answered = standing.end is not None
        allowed = self._limit_seconds if answered else max(self._limit_seconds, _BROKER_GONE_SECONDS)
        return Stall(standing.tp, work, at, to, to, now, 0.0, allowed, answered)
