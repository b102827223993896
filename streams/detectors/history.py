"""Where a signal's mean has changed last, from a bounded summary of its past."""

from math import sqrt
from typing import Any, NamedTuple

from streams.detectors.marks import Marks

#: A stretch of fewer values says nothing.
_SHORTEST = 4
#: What lies before a change is judged by so many times the values after it: older ones may be of another world.
_BEFORE = 4
#: Standard errors that make a difference.
_CLEAR = 3.0


class Step(NamedTuple):
    """A step of the mean.

    Parameters
    ----------
    before, after
        Mean of the stretch before the step, at most four times as long as the one after it, and of that.
    offset
        Offset of the newest value known to lie before it.
    width
        Number of values since.
    errors
        Size of the step in standard errors, negative when the mean fell.
    """

    before: float
    after: float
    offset: int
    width: int
    errors: float


class History:
    """A summary of a signal's past, at most 512 notes long.

    Parameters
    ----------
    every
        Values between two notes, 1 or more; a step lies at a note. Raising it saves time.

    Examples
    --------
    >>> history = History()
    >>> for i in range(1000):
    ...     history.add(float(i % 10 == 0 or i >= 960), i)
    >>> step = history.newest_step()
    >>> round(step.before, 3), step.after, step.offset, step.width
    (0.1, 1.0, 959, 40)
    """

    def __init__(self, every: int = 4) -> None:
        self._every = every
        self.clear()

    def clear(self) -> None:
        """Forget all: a change point lies between what was and what comes."""
        self._marks = Marks(most=512)
        self._count = 0
        self._total = self._squares = 0.0

    def add(self, value: float, offset: int) -> None:
        """Take the next value, of the event at an offset."""
        self._count += 1
        self._total += value
        self._squares += value * value
        if not self._count % self._every:
            self._marks.add(self._count, offset, self._total, self._squares)

    def newest_step(self, *, up_only: bool = False) -> Step | None:
        """Return the newest step of more than three standard errors, or else the largest.

        Stretches of twice the length of the one before are looked at, from the end backwards. Where one is found, the
        place near it where the step is largest is taken.

        Parameters
        ----------
        up_only
            Whether rises are looked for first, because the alarm can mean nothing else.

        Returns
        -------
        The step, None after fewer than eight values.
        """
        steps, width = [], _SHORTEST
        while width <= self._count - _SHORTEST:
            steps.append(self._step(self._count - width))
            width *= 2
        rises = [step for step in steps if step.errors > 0]
        if up_only and rises:
            steps = rises
        if not steps:
            return None
        clear = (step for step in steps if abs(step.errors) >= _CLEAR)
        found = next(clear, max(steps, key=lambda step: abs(step.errors)))
        return self._refined(found)

    def _refined(self, found: Step) -> Step:
        """Return the largest step near one, in the same direction."""
        first, last = self._count - 4 * found.width, self._count - found.width // 2
        near = [self._step(mark[0]) for mark in self._marks.marks if first <= mark[0] <= last]
        sign = 1 if found.errors > 0 else -1
        return max((found, *near), key=lambda step: sign * step.errors)

    def _step(self, count: int) -> Step:
        """Return the step after the first so many values, or after the mark before them."""
        at, offset, total, _ = self._marks.at_or_before(count)
        width = self._count - at
        began, _, total_then, squares_then = self._since(at - _BEFORE * width)
        length = at - began
        if width < 1 or length < 1:
            return Step(self._total / self._count, self._total / self._count, offset, self._count, 0.0)
        before, after = (total - total_then) / length, (self._total - total) / width
        mean = (self._total - total_then) / (length + width)
        variance = max(0.0, (self._squares - squares_then) / (length + width) - mean * mean)
        error = sqrt(variance * (1 / length + 1 / width))
        return Step(before, after, offset, width, (after - before) / error if error else 0.0)

    def _since(self, count: int) -> tuple[Any, ...]:
        mark = self._marks.at_or_before(count)
        return mark if mark[0] <= count else (0, 0, 0.0, 0.0)

    def snapshot(self) -> Any:
        """Return the state."""
        return self._marks.marks, self._count, self._total, self._squares

    def restore(self, state: Any) -> None:
        """Become what `snapshot` was taken of."""
        self._marks.marks, self._count, self._total, self._squares = state
