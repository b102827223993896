"""What a worker has done lately, in one line of its log: what became of the records, and how good the answers are."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from faust.types import TP

from streams.accounting import OUTCOMES
from streams.worker.shard import Shard
from streams.worker.tally import Tally

#: Champions that are named; there may be one for each partition.
_NAMED = 5
Ends = Callable[[Mapping[TP, int]], Mapping[TP, int]]


class Progress:
    """Tells what has been done since it was asked last.

    Parameters
    ----------
    tally
        Counts what is done.
    ends
        Tells where the logs of partitions end, given where they stand, as far as that is known.
    clock
        Seconds, monotonic.
    """

    def __init__(self, tally: Tally, ends: Ends, clock: Callable[[], float] = time.monotonic) -> None:
        self._tally = tally
        self._ends = ends
        self._clock = clock
        self._told, self._done = clock(), _total(tally)
        self._to_replay = 0

    def line(self, shards: Mapping[TP, Shard]) -> str:
        """Return what there is to say of the partitions that are here, nothing when no record was read or replayed."""
        now, done = self._clock(), _total(self._tally)
        news, seconds = done - self._done, now - self._told
        self._told, self._done = now, done
        parts = [*self._replay(shards, seconds), *(self._work(news, seconds, shards) if news["read"] else ())]
        return "; ".join(parts)

    def _replay(self, shards: Mapping[TP, Shard], seconds: float) -> Iterator[str]:
        """Yield how much of what was answered before has to be done again, and how long that takes at this pace."""
        left = sum(max(0, shard.emit_from - shard.position) for shard in shards.values())
        before, self._to_replay = self._to_replay, left
        if left:
            more = f", {left * seconds / (before - left):.0f} s more at this pace" if before > left else ""
            yield f"replays what was answered before: {left:,} records left{more}"

    def _work(self, news: Counter[str], seconds: float, shards: Mapping[TP, Shard]) -> Iterator[str]:
        outcomes = [f"{name} {news[name]:,}" for name in OUTCOMES if news[name]]
        positions = {tp: shard.position for tp, shard in shards.items()}
        ends = self._ends(positions)
        left = f", {sum(max(0, end - positions[tp]) for tp, end in ends.items()):,} left" if ends else ""
        models = sorted({shard.task.lifecycle.champion.version for shard in shards.values()})
        serving = f"champion {models[0]}" if len(models) == 1 else f"champions {', '.join(models[:_NAMED])}"
        more = f" and {len(models) - _NAMED} more" if len(models) > _NAMED else ""
        yield f"{news['read']:,} records in {seconds:.0f} s ({', '.join(outcomes)}){left}"
        yield from _metrics(shards)
        if models:
            yield serving + more


def _total(tally: Tally) -> Counter[str]:
    total = Counter[str]()
    for counts in tally.done.values():
        total.update(counts)
    return total


def _metrics(shards: Mapping[TP, Shard]) -> Iterator[str]:
    """Yield each metric with its value, the lowest and the highest where partitions differ."""
    values: dict[str, list[float]] = {}
    for shard in shards.values():
        if shard.task.evaluation.count:
            for name, value in shard.task.evaluation.values.items():
                values.setdefault(name, []).append(value)
    for name, found in values.items():
        low, high = f"{min(found):.4g}", f"{max(found):.4g}"
        yield f"{name} {low}" if low == high else f"{name} {low} to {high}"
