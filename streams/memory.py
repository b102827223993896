"""How long a champion's losses resemble each other: asked where labels come late."""

from typing import Any

from streams.autocorrelation import Autocorrelation

#: Losses that have to be known before anything is said, and after which it is measured again.
_LEAST, _AGAIN = 1024, 256
#: Longest blocks: six of them are enough for an advantage that is plain. What takes longer is a change, not memory.
_MOST = 64


class Memory:
    """The memory of a champion's losses, by the size of blocks whose means are nearly independent.

    Where labels are late, neighbouring losses that resemble each other deceive in two ways. Models differ for stretches
    and not by chance, so that evidence grows of nothing; and by the time it is there, it speaks of what is over.

    Examples
    --------
    >>> memory = Memory()
    >>> for i in range(1100):
    ...     memory.add(float(i % 80 < 40), i)
    >>> memory.is_known, memory.block > 1
    (True, True)
    """

    def __init__(self) -> None:
        self._losses = Autocorrelation()
        #: Smallest number of neighbours whose means are nearly independent; 1 where losses have no memory, or
        #: while it is not known.
        self.block = 1
        self._count = 0

    @property
    def is_known(self) -> bool:
        """Whether enough losses are known."""
        return self._count >= _LEAST

    def add(self, loss: float, offset: int) -> None:
        """Take the loss of an answer that a champion has given to the event at an offset."""
        self._losses.add(loss, offset)
        self._count += 1
        if self._count % _AGAIN == 0 and self.is_known:
            self.block = self._losses.short_block_size(_MOST)

    def snapshot(self) -> Any:
        """Return the state."""
        return self._losses.snapshot(), self.block, self._count

    def restore(self, state: Any) -> None:
        """Become what `snapshot` was taken of."""
        losses, self.block, self._count = state
        self._losses.restore(losses)
