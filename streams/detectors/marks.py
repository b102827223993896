"""What is remembered of some past values, ever sparser as they age."""

from bisect import bisect_right
from typing import Any

_LARGEST = 1 << 62


class Marks:
    """Notes on some of the values of a signal: the old ones are thinned out, so their number is bounded.

    Parameters
    ----------
    most
        Largest number of marks. Raising it makes places in the far past known more exactly, and costs memory.

    Examples
    --------
    >>> marks = Marks(most=4)
    >>> for count in range(8):
    ...     marks.add(count, 10 * count)
    >>> marks.marks
    [(0, 0), (5, 50), (6, 60), (7, 70)]
    >>> marks.at_or_before(4)
    (0, 0)
    """

    def __init__(self, most: int = 1024) -> None:
        self._most = most
        self.marks: list[tuple[Any, ...]] = []

    def add(self, count: int, *notes: Any) -> None:
        """Mark the value before which there were so many."""
        self.marks.append((count, *notes))
        if len(self.marks) > self._most:
            old, new = self.marks[: self._most // 2], self.marks[self._most // 2 :]
            self.marks = old[::2] + new

    def at_or_before(self, count: int) -> tuple[Any, ...]:
        """Return the newest mark of the first so many values, or the oldest mark there is."""
        return self.marks[max(0, bisect_right(self.marks, (count, _LARGEST)) - 1)]
