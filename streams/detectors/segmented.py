"""Detectors beside the one on the whole stream: one for each class, or for each value of a feature."""

from collections.abc import Callable, Mapping
from typing import Any

from streams.detectors.detector import Change, Detector
from streams.feature import OTHER

#: Most segments that have a detector of their own; the rest share one.
LIMIT = 32
#: What `by` says for the label.
CLASS = "class"
_RANK = {"fall": 0, "warning": 1, "drift": 2}


class Segmented:
    """A detector for each segment of a stream, at most 32, and one for all the others together.

    A change that hits one class in twenty moves the mean of all by a twentieth of its size: by itself it is seen.
    Each segment gets its detector when it is seen first, so those of the first 32 values have their own.

    Parameters
    ----------
    by
        ``"class"`` for the label, else the name of a feature. Events without a value belong to no segment.
    make
        Returns a fresh detector for a segment.

    Examples
    --------
    >>> from streams.detectors.adwin_pair import AdwinPair
    >>> segments = Segmented("class", lambda segment: AdwinPair(0.001, 0.025))
    >>> changes = [segments.update(float(i > 990 and i % 10 == 0), i, {}, i % 10 == 0, None) for i in range(2000)]
    >>> [(i, change.segment, change.before) for i, change in enumerate(changes) if change]
    [(1270, 'True', 0.0)]
    """

    def __init__(self, by: str, make: Callable[[str], Detector]) -> None:
        self._by = by
        self._make = make
        self._detectors: dict[str, Detector] = {}

    def update(self, loss: float, offset: int, x: Mapping[str, Any], y: Any, overall: Change | None) -> Change | None:
        """Feed one loss, and return what weighs more: what is seen of all, or of its segment.

        Parameters
        ----------
        loss
            In [0, 1].
        offset
            Offset of the event it belongs to.
        x, y
            The event's features and its label.
        overall
            What the detector on the whole stream says.
        """
        value = y if self._by == CLASS else x.get(self._by)
        if value is None:
            return overall
        segment = str(value)
        if segment not in self._detectors:
            if len(self._detectors) >= LIMIT:
                segment = OTHER
            if segment not in self._detectors:
                self._detectors[segment] = self._make(segment)
        change = self._detectors[segment].update(loss, offset)
        if change is None or (overall is not None and _RANK[overall.level] >= _RANK[change.level]):
            return overall
        return change._replace(segment=segment)

    def snapshot(self) -> Any:
        """Return the state."""
        return {segment: detector.snapshot() for segment, detector in self._detectors.items()}

    def restore(self, state: Any) -> None:
        """Become what `snapshot` was taken of."""
        self._detectors = {segment: self._make(segment) for segment in state}
        for segment, detector in self._detectors.items():
            detector.restore(state[segment])
