"""A detector that is fed means of blocks, as long as the signal's memory asks for."""

from collections.abc import Callable
from typing import Any, Literal

from streams.autocorrelation import UNIT, Autocorrelation
from streams.blocks import Blocks
from streams.detectors.detector import Change, Detector


class Blocked:
    """A detector behind blocks of a fixed size, or of one that is chosen.

    With ``"auto"`` it begins as the bare detector. An alarm makes it look: where the signal's recent past says that
    blocks have to be longer, the alarm is withdrawn and the past is fed once more, in longer blocks, to a fresh
    detector; what that one sees at the end of it is reported. So a signal without autocorrelation is treated as if
    there were no blocks.

    Parameters
    ----------
    make
        Returns a fresh detector for blocks of a size.
    size
        Values a block, 1 or more, or ``"auto"``.

    Examples
    --------
    An AR(1) with φ = .9 and no change at all, by itself and in blocks:

    >>> import random
    >>> from streams.detectors.adwin_pair import AdwinPair
    >>> def alarms(size):
    ...     detector = Blocked(lambda b: AdwinPair(0.002, 0.05, max(1, 32 // b)), size)
    ...     rng, value, count = random.Random(1), 0.0, 0
    ...     for i in range(10_000):
    ...         value = 0.9 * value + rng.gauss(0, 1)
    ...         change = detector.update(value, i)
    ...         count += change is not None and change.level == "drift"
    ...     return count
    >>> alarms(1), alarms("auto")
    (53, 0)
    """

    def __init__(self, make: Callable[[int], Detector], size: int | Literal["auto"]) -> None:
        self._make = make
        self._past = Autocorrelation() if size == "auto" else None
        self._begin(1 if size == "auto" else size)

    def _begin(self, size: int) -> None:
        """Go on with a fresh detector and blocks of a size."""
        self._blocks = Blocks(size)
        self._inner = self._make(size)
        self._bare = size == 1

    @property
    def size(self) -> int:
        """Values a block."""
        return self._blocks.size

    def update(self, value: float, offset: int) -> Change | None:
        """Feed one value and return the change point it reveals, if any.

        Parameters
        ----------
        value
            Finite.
        offset
            Offset of the event it belongs to.
        """
        past = self._past
        if past is not None:  # as `add` does, without a call: this is the way of every value
            past.open.append(value)
            if len(past.open) == UNIT:
                past.close(offset)
        if self._bare:
            change = self._inner.update(value, offset)
        else:
            mean = self._blocks.update(value)
            change = None if mean is None else self._inner.update(mean, offset)
        if change is None:
            return None
        if past is not None:
            change = self._judged(change, past)
        return None if change is None else self._by_value(change)

    def _judged(self, change: Change, past: Autocorrelation) -> Change | None:
        """Believe an alarm, or look again with longer blocks."""
        wanted = past.block_size()
        judged: Change | None = change
        if wanted > self.size:
            judged = self._replayed(wanted, past)
        if judged is not None and judged.level == "drift":
            past.clear()
        return judged

    def _replayed(self, size: int, past: Autocorrelation) -> Change | None:
        """Feed the past once more; return what is seen at the end of it. What was seen on the way is over."""
        self._begin(size)
        change = None
        for total, offset in past.units:
            mean = self._blocks.add(total, UNIT)
            if mean is not None:
                change = self._inner.update(mean, offset)
        for value in past.open:
            self._blocks.update(value)
        return change

    def _by_value(self, change: Change) -> Change:
        """Return a change of means as one of values."""
        if self._bare:
            return change
        before, after = self._blocks.mean_of(change.before), self._blocks.mean_of(change.after)
        return change._replace(before=before, after=after, width=change.width * self.size)

    def snapshot(self) -> Any:
        """Return the state."""
        past = None if self._past is None else self._past.snapshot()
        return self.size, self._blocks.snapshot(), self._inner.snapshot(), past

    def restore(self, state: Any) -> None:
        """Become what `snapshot` was taken of."""
        size, blocks, inner, past = state
        self._begin(size)
        self._blocks.restore(blocks)
        self._inner.restore(inner)
        if self._past is not None:
            self._past.restore(past)
