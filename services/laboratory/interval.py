"""A mean with an interval that is honest where neighbouring values are alike: batch means."""

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt

from msgspec import Struct

BATCHES = 20
_LEVEL = 0.95
_LEAST_EVENTS = 200
_NORMAL_95 = 1.645


class Interval(Struct, frozen=True):
    """A mean and where it may lie.

    Parameters
    ----------
    mean
        Sum of the values by their number.
    low, high
        Bounds of the 95 % interval; None where there are too few values to tell.
    correlated
        Whether neighbouring batches still go together, so that the interval is too narrow.
    """

    mean: float
    low: float | None = None
    high: float | None = None
    correlated: bool = False

    @property
    def is_decided(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low is not None and self.high is not None and not self.low <= 0.0 <= self.high


def batches(counts: Sequence[int], sums: Sequence[float], most: int = BATCHES) -> list[tuple[int, float]]:
    """Return counts and sums of consecutive batches that hold about as many values each.

    Parameters
    ----------
    counts, sums
        Of consecutive bins.
    most
        Batches wanted. Fewer are longer, hence less alike, and make a wider interval.

    Examples
    --------
    >>> batches([2, 2, 0, 2, 2], [1.0, 0.0, 0.0, 2.0, 0.0], 2)
    [(4, 1.0), (4, 2.0)]
    """
    total = sum(counts)
    made: list[tuple[int, float]] = []
    count, value, before = 0, 0.0, 0
    for n, s in zip(counts, sums, strict=True):
        count, value = count + n, value + s
        if n and (before + count) * most >= (len(made) + 1) * total:
            made.append((count, value))
            before += count
            count, value = 0, 0.0
    return made


def interval(strata: Sequence[Sequence[tuple[int, float]]]) -> Interval | None:
    """Return the mean of all values and its 95 % interval by the method of batch means.

    The means of long stretches of a stream are nearly independent even where its values are not; their spread tells
    how far the mean of all may be off. Batches of unequal size are weighed by a ratio estimator.

    Parameters
    ----------
    strata
        Batches (number of values, sum of values) of each partition, in their order.

    Returns
    -------
    None where there are no values.

    References
    ----------
    Schmeiser: Batch size effects in the analysis of simulation output, Operations Research 30 (1982): 10 to 30 batches
    are enough. Cochran: Sampling Techniques, 3rd edition (1977), section 6.3: the variance of a ratio.

    Examples
    --------
    >>> found = interval([[(100, 10.0 + i % 2) for i in range(20)]])
    >>> round(found.mean, 4), round(found.low, 4), round(found.high, 4)
    (0.105, 0.1026, 0.1074)
    """
    total = sum(count for batch in strata for count, _ in batch)
    if not total:
        return None
    mean = sum(value for batch in strata for _, value in batch) / total
    many = sum(map(len, strata))
    if total < _LEAST_EVENTS or many < BATCHES // 2:
        return Interval(mean)
    from scipy.stats import t

    rests = [[value - mean * count for count, value in batch] for batch in strata]
    squares = sum(rest * rest for batch in rests for rest in batch)
    half = float(t.ppf((1 + _LEVEL) / 2, many - 1)) * sqrt(many / (many - 1) * squares) / total
    neighbours = sum(a * b for batch in rests for a, b in pairwise(batch))
    correlated = squares > 0 and neighbours / squares > _NORMAL_95 / sqrt(many)
    return Interval(mean, mean - half, mean + half, correlated)


def show(found: Interval | None, sign: str = "") -> str:
    """Return a mean and its interval as text.

    Parameters
    ----------
    found
        None is a dash.
    sign
        ``"+"`` shows the sign of positive numbers.

    Examples
    --------
    >>> show(Interval(0.25, 0.2, 0.3)), show(Interval(-0.5), "+"), show(None)
    ('0.2500 [0.2000, 0.3000]', '-0.5000', '-')
    """
    if found is None:
        return "-"
    places = ".4f" if max(abs(found.mean), abs(found.high or 0.0)) < 1000 else ".5g"
    if found.low is None or found.high is None:
        return f"{found.mean:{sign}{places}}"
    return f"{found.mean:{sign}{places}} [{found.low:{sign}{places}}, {found.high:{sign}{places}}]"
