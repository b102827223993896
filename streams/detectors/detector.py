"""What a detector is: values go in, one by one, and now and then a change point comes out."""

from typing import Any, Literal, NamedTuple, Protocol

Level = Literal["warning", "drift", "fall"]


class Change(NamedTuple):
    """A change point.

    Parameters
    ----------
    level
        ``"warning"`` or ``"drift"`` for a rise, ``"fall"`` for a change to the better.
    before, after
        Mean before and after the change point.
    offset
        Offset of the newest record known to lie before it.
    width
        Number of values since.
    delta
        Confidence of the detector that fired: bound on the chance of a false alarm at one look, where it has such a
        bound; else 0.
    segment
        Part of the stream in which it was seen, such as a class; empty for all of it.
    """

    level: Level
    before: float
    after: float
    offset: int
    width: int
    delta: float
    segment: str = ""


class Detector(Protocol):
    """Looks for change points in a signal. What it answers is a function of the values, and its state can be taken."""

    def update(self, value: float, offset: int) -> Change | None:
        """Feed one value and return the change point it reveals, if any.

        Parameters
        ----------
        value
            The signal, finite; a loss is in [0, 1].
        offset
            Offset of the event it belongs to.
        """

    def snapshot(self) -> Any:
        """Return the state."""

    def restore(self, state: Any) -> None:
        """Become what `snapshot` was taken of."""
