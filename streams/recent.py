"""The newest labelled examples of a partition, as they were learned."""

from collections import deque
from itertools import islice
from typing import Any

#: How many are kept: a copy of the champion that has learned fewer since can be brought up to any of them.
_KEPT = 2000

#: Offset of an event, its features as models see them, and its label.
Example = tuple[int, dict[str, Any], Any]


class Recent:
    """The newest examples, the oldest first.

    Examples
    --------
    >>> recent = Recent()
    >>> for offset in range(5000):
    ...     recent.add((offset, {}, True))
    >>> [offset for offset, _, _ in recent.newest(3)], len(recent.newest(4000))
    ([4997, 4998, 4999], 2000)
    """

    def __init__(self) -> None:
        self._examples: deque[Example] = deque(maxlen=_KEPT)
        #: Takes the next example that the champion has learned.
        self.add = self._examples.append

    def newest(self, count: int) -> list[Example]:
        """Return so many of them, or as many as there are."""
        newest = list(islice(reversed(self._examples), count))
        newest.reverse()
        return newest

    def snapshot(self) -> Any:
        """Return the state."""
        return list(self._examples)

    def restore(self, state: Any) -> None:
        """Become what `snapshot` was taken of."""
        self._examples.extend(state)
