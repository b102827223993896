"""The detectors on one champion's loss: on all of it, and on parts of it."""

from collections.abc import Sequence
from typing import Any

from streams.detectors.detector import Change
from streams.label_join import Asked
from streams.pipeline import Pipeline


class LossWatch:
    """What the declaration wants to look at the loss of one champion.

    Parameters
    ----------
    pipeline
        The declaration.
    version
        The champion's.
    """

    def __init__(self, pipeline: Pipeline, version: str) -> None:
        drift, path = pipeline.drift, (pipeline.name, version, "drift")
        self._detector = drift.new_detector(*path)
        self._segments = drift.new_segments(*path, kind=pipeline.kind, features=pipeline.features)

    def update(self, loss: float, asked: Asked, y: Any) -> Change | None:
        """Feed the loss of an answer and return the change point it reveals, if any.

        Parameters
        ----------
        loss
            In [0, 1].
        asked, y
            The event and its label.
        """
        change = self._detector.update(loss, asked.offset)
        if self._segments is not None:
            change = self._segments.update(loss, asked.offset, asked.x, y, change)
        return None if change is None else _rounded(change)

    def remember(self, losses: Sequence[tuple[float, int]]) -> None:
        """Begin with losses that were told of before, and their offsets: what they reveal is no news."""
        for loss, offset in losses:
            self._detector.update(loss, offset)

    def snapshot(self) -> Sequence[Any]:
        """Return the state."""
        overall = self._detector.snapshot()
        return (overall,) if self._segments is None else (overall, self._segments.snapshot())

    def restore(self, state: Sequence[Any]) -> None:
        """Become what `snapshot` was taken of."""
        overall, *segments = state
        self._detector.restore(overall)
        if self._segments is not None:
            self._segments.restore(*segments)


def _rounded(change: Change) -> Change:
    """Return a change whose means are in [0, 1] as the losses are, whatever sums of floats say."""
    before, after = (min(1.0, max(0.0, mean)) for mean in (change.before, change.after))
    return change._replace(before=before, after=after)
