"""A window of numbers in short, and what of it is held against a reference."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from operator import mul
from typing import Any

from streams.watching.reference import Statistic, share_of

#: Points in which a window is kept while a reference is gathered.
_POINTS = 128
_EDGES = 15
#: So many values of each window might have been otherwise where a reference knows but one value.
_GUARD = 4.0
_LEAST_SPREAD = 0.02


class Numbers:
    """A window of numbers, sorted.

    Parameters
    ----------
    values
        The numbers, NaN where one is missing.

    Examples
    --------
    >>> window = Numbers([3.0, 1.0, math.nan, 2.0])
    >>> window.count, window.missing, window.summary()
    (3, 1, {'mean': 2.0, 'q10': 1.0, 'q50': 2.0, 'q90': 3.0})
    """

    __slots__ = ("_mean", "count", "missing", "values")

    def __init__(self, values: Sequence[float]) -> None:
        total = sum(values)
        present = sorted(values if total == total else [value for value in values if value == value])
        self.count, self.missing = len(present), len(values) - len(present)
        self._mean: float | None = None
        self.values = present

    @property
    def mean(self) -> float:
        """Mean of the numbers; 0 where all are missing."""
        if self._mean is None:
            self._mean = math.fsum(self.values) / max(1, len(self.values))
        return self._mean

    def thin(self) -> None:
        """Keep no more than 128 points, evenly spaced in rank, and the mean of all."""
        n, self._mean = len(self.values), self.mean
        if n > _POINTS:
            self.values = [self.values[(2 * i + 1) * n // (2 * _POINTS)] for i in range(_POINTS)]

    def summary(self) -> dict[str, float]:
        """Return mean and quantiles, nothing where all are missing."""
        values = self.values
        if not values:
            return {}
        return {"mean": self.mean, **{f"q{q}": values[q * len(values) // 100] for q in (10, 50, 90)}}

    @classmethod
    def pooled(cls, windows: Sequence["Numbers"]) -> "Numbers":
        """Return several windows as one."""
        pooled = cls([value for window in windows for value in window.values])
        pooled.count, pooled.missing = sum(w.count for w in windows), sum(w.missing for w in windows)
        pooled._mean = math.fsum(w.mean * w.count for w in windows) / max(1, pooled.count)
        return pooled

    def snapshot(self) -> Any:
        """Return the state."""
        return self.count, self.missing, self.mean, self.values

    @classmethod
    def restored(cls, state: Any) -> "Numbers":
        """Return what `snapshot` was taken of."""
        window = cls(())
        window.count, window.missing, window._mean, window.values = state
        return window


class NumberScale:
    """Ranks within a reference: their mean tells where numbers lie, their distance from the middle how widely.

    A change that leaves both as they are is not seen: two humps in place of one, as wide.

    Parameters
    ----------
    reference
        The windows of the reference as one.
    windows
        How many they are.

    Examples
    --------
    >>> scale = NumberScale(Numbers.pooled([Numbers(range(100))] * 8), 8)
    >>> [round(statistic.value, 2) for statistic in scale.statistics(Numbers(range(50, 150)))]
    [0.72, -0.47, 0.0]

    References
    ----------
    Lepage: A combination of Wilcoxon's and Ansari-Bradley's statistics, Biometrika 1971, section 2. Mood: On the
    asymptotic efficiency of certain nonparametric two-sample tests, Annals of Mathematical Statistics 1954, section 4.
    """

    names = ("location", "spread", "missing")

    def __init__(self, reference: Numbers, windows: int) -> None:
        values = reference.values
        n = len(values)
        edges = sorted({values[(i + 1) * n // (_EDGES + 1)] for i in range(_EDGES)}) if n else []
        self._set(edges, _cells(values, edges), max(1.0, reference.count / windows))

    def _set(self, edges: list[float], shares: list[float], count: float) -> None:
        self._edges, self._shares, self._count = edges, shares, count
        self._ranks, below = [], 0.0
        for share in shares:
            self._ranks.append(2.0 * below + share - 1.0)
            below += share
        self._squares = [rank * rank for rank in self._ranks]
        doubt, middle = _GUARD / count, _mean(shares, self._squares) + _LEAST_SPREAD
        self._floors = (
            _variance(shares, self._ranks) + doubt,
            (_variance(shares, self._squares) + doubt) / (middle * middle),
        )

    def statistics(self, window: Numbers) -> list[Statistic]:
        """Return what of a window is held against the reference, in the order of `names`.

        The logarithm makes the spread of windows whose values resemble their neighbours as likely to lie below its
        mean as above it, as the t-test takes it to be.
        """
        shares = _cells(window.values, self._edges)
        location, spread = _mean(shares, self._ranks), math.log(_mean(shares, self._squares) + _LEAST_SPREAD)
        return [
            Statistic(location, window.count, self._floors[0]),
            Statistic(spread, window.count, self._floors[1]),
            share_of(window.missing, window.count + window.missing),
        ]

    @staticmethod
    def compared(before: Numbers, after: Numbers) -> tuple[dict[str, float], dict[str, float]]:
        """Return what is said of a reference and of a window: mean and quantiles."""
        return before.summary(), after.summary()

    def snapshot(self) -> Any:
        """Return the state."""
        return self._edges, self._shares, self._count

    @classmethod
    def restored(cls, state: Any) -> "NumberScale":
        """Return what `snapshot` was taken of."""
        scale = cls.__new__(cls)
        scale._set(*state)
        return scale


def _cells(values: list[float], edges: list[float]) -> list[float]:
    """Return the shares of sorted values below the first edge, at it, between it and the next, ..."""
    n = len(values)
    if not n:
        return [0.0] * (2 * len(edges) + 1)
    shares, low = [], 0
    for edge in edges:
        left = bisect_left(values, edge, low)
        right = bisect_right(values, edge, left) if left < n and values[left] == edge else left
        shares += [(left - low) / n, (right - left) / n]
        low = right
    return [*shares, (n - low) / n]


def _mean(shares: list[float], values: list[float]) -> float:
    return float(sum(map(mul, shares, values)))


def _variance(shares: list[float], values: list[float]) -> float:
    mean = _mean(shares, values)
    return _mean(shares, [(value - mean) ** 2 for value in values])
