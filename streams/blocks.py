"""Means of blocks: values of a signal that hangs together, made such that a detector can take them for independent."""

from math import sqrt
from typing import Any


class Blocks:
    """Means of blocks of values, stretched about a centre by the square root of their size.

    A detector's bound holds for independent values. Neighbours of an autocorrelated signal are not; means of blocks
    that are longer than its memory are, nearly. The mean of b independent values has a standard deviation 1/√b as
    large as theirs, so stretched by √b a signal without autocorrelation has the variance that it had. Means may leave
    the range of the values.

    Parameters
    ----------
    size
        Values a block, 1 or more; with 1 they stay as they are. Raising it costs delay: nothing is said within a block.
    centre
        What stays where it is; the mean of the first block when it is None. Where it lies makes no difference to
        detectors that look at differences.

    References
    ----------
    Glynn, Whitt: Estimating the Asymptotic Variance with Batch Means, Operations Research Letters 1991.

    Examples
    --------
    >>> blocks = Blocks(4, centre=0.5)
    >>> [blocks.update(value) for value in (1.0, 1.0, 0.0, 1.0)]
    [None, None, None, 1.0]
    >>> blocks.mean_of(1.0)
    0.75
    """

    def __init__(self, size: int, centre: float | None = None) -> None:
        self.size = size
        self._centre = centre
        self._stretch = sqrt(size)
        self._total, self._count = 0.0, 0

    def update(self, value: float) -> float | None:
        """Take the next value; return the stretched mean when it closes a block."""
        return self.add(value, 1)

    def add(self, total: float, count: int) -> float | None:
        """Take the sum of the next so many values, of a number that divides the size of a block."""
        self._total += total
        self._count += count
        if self._count < self.size:
            return None
        mean = self._total / self._count
        self._total, self._count = 0.0, 0
        if self._centre is None:
            self._centre = mean
        return self._centre + self._stretch * (mean - self._centre)

    def mean_of(self, stretched: float) -> float:
        """Return the mean of the values behind a stretched one."""
        centre = self._centre or 0.0
        return centre + (stretched - centre) / self._stretch

    def snapshot(self) -> Any:
        """Return the state."""
        return self._centre, self._total, self._count

    def restore(self, state: Any) -> None:
        """Become what `snapshot` was taken of."""
        self._centre, self._total, self._count = state
