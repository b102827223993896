"""A reference: how much a few statistics differ from window to window while the world stands still."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from scipy.special import stdtr

#: Windows with fewer values than this say nothing about a statistic.
_LEAST_VALUES = 20
_TREND = 0.05
#: What differs by fewer standard errors is no news, however many windows there are: no need to look it up.
_PLAIN = 1.5


class Statistic(NamedTuple):
    """A mean over the values of one window.

    Parameters
    ----------
    value
        The mean.
    size
        Over how many values.
    floor
        Variance that a single value has when values are independent: autocorrelation makes windows differ by more.
    """

    value: float
    size: int
    floor: float


def share_of(part: int, whole: int) -> Statistic:
    """Return a share on the scale on which its variance does not depend on it: the arcsine of its root.

    Examples
    --------
    >>> share_of(25, 100)
    Statistic(value=0.5235987755982989, size=100, floor=0.25)
    """
    return Statistic(math.asin(math.sqrt(part / whole)) if whole else 0.0, whole, 0.25)


class Reference:
    """Mean and spread of statistics over windows, against which further windows are held.

    The spread is measured from window to window, not from value to value: values that resemble their neighbours make
    windows differ by more than their number suggests, and that is in the measure (the method of batch means).

    Examples
    --------
    >>> reference = Reference()
    >>> for mean in (0.1, -0.1, 0.0, 0.05, -0.05, 0.1, -0.1, 0.0):
    ...     reference.add([Statistic(mean, 100, 1.0)])
    >>> [round(p, 4) for p in reference.p_values([Statistic(0.9, 100, 1.0)])]
    [0.0001]
    >>> [round(p, 4) for p in reference.p_values([Statistic(0.25, 100, 1.0)])]
    [0.0506]

    References
    ----------
    Law, Carson: A sequential procedure for determining the length of a steady-state simulation, Operations Research
    1979, section 1 (batch means).
    """

    def __init__(self) -> None:
        self.windows = 0
        # For each statistic: windows, values, mean, sum of squares around it weighted by the number of values.
        self._sums: list[list[float]] = []

    def add(self, statistics: Sequence[Statistic]) -> None:
        """Take a window in."""
        self.windows += 1
        if not self._sums:
            self._sums = [[0, 0.0, 0.0, 0.0] for _ in statistics]
        for sums, (value, size, _) in zip(self._sums, statistics, strict=True):
            if size < _LEAST_VALUES:
                continue
            sums[0] += 1
            sums[1] += size
            before = value - sums[2]
            sums[2] += before * size / sums[1]
            sums[3] += size * before * (value - sums[2])

    def p_values(self, statistics: Sequence[Statistic]) -> list[float]:
        """Return for each statistic how often a window like the reference's would differ from them as much (t-test)."""
        return [_p_value(sums, statistic) for sums, statistic in zip(self._sums, statistics, strict=True)]

    def snapshot(self) -> Any:
        """Return the state."""
        return self.windows, self._sums

    def restore(self, state: Any) -> None:
        """Become what `snapshot` was taken of."""
        self.windows, self._sums = state


def _p_value(sums: list[float], statistic: Statistic) -> float:
    windows, values, mean, squares = sums
    value, size, floor = statistic
    if windows < 3 or size < _LEAST_VALUES:
        return 1.0
    spread = max(squares / (windows - 1), floor) * (1.0 / size + 1.0 / values)
    t = (value - mean) / spread**0.5
    return 1.0 if abs(t) < _PLAIN else _two_sided(t, windows - 1)


def _two_sided(t: float, freedom: float) -> float:
    return min(1.0, 2.0 * float(stdtr(freedom, -abs(t))))


def has_trend(windows: Sequence[Sequence[Statistic]]) -> bool:
    """Tell whether a statistic rises or falls through windows: then they are no reference (5 % of those that are).

    Examples
    --------
    >>> has_trend([[Statistic(value, 100, 1.0)] for value in (0.0, 0.3, 0.5, 0.8, 0.9, 1.2, 1.3, 1.5)])
    True
    >>> has_trend([[Statistic(value, 100, 1.0)] for value in (0.2, 0.1, 0.0, 0.1, 0.2, 0.1, 0.0, 0.1)])
    False
    """
    tests = [_slope_p_value([statistic.value for statistic in column]) for column in zip(*windows, strict=True)]
    return min(tests, default=1.0) * len(tests) < _TREND


def _slope_p_value(values: Sequence[float]) -> float:
    """Return the p-value of a line's slope through values at 0, 1, 2, ..."""
    n = len(values)
    middle, mean = (n - 1) / 2, sum(values) / n
    spread = n * (n * n - 1) / 12
    slope = sum((i - middle) * (value - mean) for i, value in enumerate(values)) / spread
    rest = sum((value - mean - slope * (i - middle)) ** 2 for i, value in enumerate(values))
    if rest <= 1e-12 * slope * slope * spread:
        return 0.0 if slope else 1.0
    return _two_sided(slope / (rest / (n - 2) / spread) ** 0.5, n - 2)
