"""What this worker has done with each partition, as Prometheus counts: from zero, and without what it only replayed."""

from collections import Counter
from collections.abc import Mapping

from faust.types import TP

from streams.worker.shard import Shard

_Counts = Mapping[TP, Counter[str]]


class Tally:
    """Counts of the shards that are here, and of those that were.

    What a transaction took back and did again counts twice, as any work does.

    Examples
    --------
    >>> Tally().done
    {}
    """

    def __init__(self) -> None:
        left: _Counts = {}
        here: Mapping[TP, Shard] = {}
        #: Both at once: another thread reads them, and a counter that falls would be taken for a reset.
        self._now = left, here

    def hold(self, shards: Mapping[TP, Shard]) -> None:
        """Take the shards that are here from now on; what was done with others before is kept."""
        left, here = self._now
        gone = {tp: shard.done for tp, shard in here.items() if shards.get(tp) is not shard}
        self._now = _sum(left, gone), dict(shards)

    @property
    def done(self) -> _Counts:
        """What was done with each partition."""
        left, here = self._now
        return _sum(left, {tp: shard.done for tp, shard in here.items()})


def _sum(some: _Counts, more: _Counts) -> _Counts:
    total = {tp: Counter(counts) for tp, counts in some.items()}
    for tp, counts in more.items():
        total.setdefault(tp, Counter()).update(counts)
    return total
