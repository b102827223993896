"""How long a signal's memory is, measured when somebody asks."""

from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from math import sqrt
from typing import Any

#: Values a unit: the past is kept in sums of so many.
UNIT = 8
_UNITS = 1024
_WHOLE_UNITS = 128
#: Blocks that a size needs to be judged by.
_BLOCKS = 9
#: Largest differences that are left out, of many: a change point makes one, or two when it lies within a block.
_LEFT_OUT = 6
#: Growth of the variance beyond which blocks are too short, and standard errors that growth must be beyond.
_GROWTH, _ERRORS = 1.5, 4.0


class Autocorrelation:
    """The recent past of a signal, and how long blocks of it have to be for their means to be nearly independent.

    Of independent blocks, b times half the mean squared difference of neighbouring means is the same for every size b.
    While neighbours resemble each other it grows with b. The smallest size after which it does not grow any more is
    the answer; when it grows up to the last size that can be measured, that one. Differences of neighbours see little
    of a change point: one, or two. The largest are left out: a fifth, at least two and at most six. A mean that goes up
    and down all the time is autocorrelation, too.

    Taking a unit of eight values costs next to nothing; all the work is done when somebody asks. It remembers the last
    8,192 values, as sums of eight and of how much they differ, and the last thousand as they were.

    References
    ----------
    von Neumann, Kent, Bellinson, Hart: The Mean Square Successive Difference, Annals of Mathematical Statistics 1941.
    Allan: Statistics of Atomic Frequency Standards, Proceedings of the IEEE 1966.

    Examples
    --------
    >>> import random
    >>> rng, near, far = random.Random(1), Autocorrelation(), Autocorrelation()
    >>> value = 0.0
    >>> for i in range(4000):
    ...     value = 0.9 * value + rng.gauss(0, 1)
    ...     near.add(rng.gauss(0, 1), i)
    ...     far.add(value, i)
    >>> near.block_size(), far.block_size()
    (1, 32)
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        #: Sum of each unit, and the offset of its last value.
        self.units: deque[tuple[float, int]] = deque(maxlen=_UNITS)
        #: Values that make no unit yet.
        self.open: list[float] = []
        self._whole: deque[list[float]] = deque(maxlen=_WHOLE_UNITS)
        #: Sum of the squared differences of neighbours within each unit.
        self._squares: deque[float] = deque(maxlen=_UNITS)

    def add(self, value: float, offset: int) -> None:
        """Take the next value, of the event at an offset."""
        self.open.append(value)
        if len(self.open) == UNIT:
            self.close(offset)

    def close(self, offset: int) -> None:
        """Make a unit of the open values, of which there are as many as a unit has."""
        self.units.append((sum(self.open), offset))
        self._whole.append(self.open)
        self._squares.append(sum((after - before) ** 2 for before, after in pairwise(self.open)))
        self.open = []

    def block_size(self) -> int:
        """Return the smallest size at which means of neighbouring blocks are nearly independent: 1, 8, 32, 64, …"""
        measured = self._measured()
        for i, (size, variance, _) in enumerate(measured):
            if not any(_grows(variance, later, count) for _, later, count in measured[i + 1 :]):
                return size
        return 1

    def short_block_size(self, most: int) -> int:
        """Return the same of sizes up to a bound: change points some hundred values long hardly count.

        Each size is compared with larger ones over the same values, and 1 with 8 alone.
        """
        measured = [one for one in self._measured() if UNIT <= one[0] <= most]
        stable = (
            size
            for i, (size, variance, _) in enumerate(measured)
            if not any(_grows(variance, later, count) for _, later, count in measured[i + 1 :])
        )
        if (size := next(stable, 1)) != UNIT:
            return size
        last = [value for unit in self._whole for value in unit]
        means = [sum(last[i : i + UNIT]) / UNIT for i in range(0, len(last), UNIT)]
        variance, count = _variance(means)
        return UNIT if _grows(_variance(last)[0], variance * UNIT, count) else 1

    def _measured(self) -> list[tuple[int, float, int]]:
        """Return for each size that can be measured: size, variance a value, and number of differences."""
        values = [value for unit in self._whole for value in unit]
        if len(values) < _BLOCKS:
            return []
        # Where hardly any value is not 0, the last thousand can be all alike, and what came before them is not.
        variance, count = _variance(values)
        found = [(1, max(variance, sum(self._squares) / len(self._squares) / (UNIT - 1) / 2), count)]
        means, size = [total / UNIT for total, _ in self.units], UNIT
        while len(means) >= _BLOCKS:
            variance, count = _variance(means)
            found.append((size, variance * size, count))
            factor = 4 if size == UNIT else 2
            size *= factor
            means = [sum(means[i : i + factor]) / factor for i in range(0, len(means) - factor + 1, factor)]
        return found

    def snapshot(self) -> Any:
        """Return the state."""
        return list(self.units), self.open, list(self._whole), list(self._squares)

    def restore(self, state: Any) -> None:
        """Become what `snapshot` was taken of."""
        units, self.open, whole, squares = state
        self.units, self._whole = deque(units, _UNITS), deque(whole, _WHOLE_UNITS)
        self._squares = deque(squares, _UNITS)


def _grows(variance: float, later: float, count: int) -> bool:
    """Tell whether a later variance, of so many differences, is more than chance makes of a variance."""
    return later > variance * (_GROWTH + _ERRORS / sqrt(count))


def _variance(means: Sequence[float]) -> tuple[float, int]:
    """Return half the mean squared difference of neighbours, the largest left out, and the number of differences."""
    squares = sorted((after - before) ** 2 for before, after in pairwise(means))
    kept = squares[: -min(_LEFT_OUT, max(2, len(squares) // 5))]
    return sum(kept) / len(kept) / 2, len(squares)
