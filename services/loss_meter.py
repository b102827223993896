"""The loss of an answer as reports tell it."""

from typing import Literal

from streams.label_join import Settled
from streams.prequential import Loss

_LOSSES = {
    "binary": {"zero_one": "zero-one loss", "log": "log loss (clipped at 4, by 4)"},
    "multiclass": {"zero_one": "zero-one loss", "log": "log loss (clipped at 4, by 4)"},
    "regression": dict.fromkeys(("zero_one", "log"), "absolute error"),
    "anomaly": dict.fromkeys(("zero_one", "log"), "zero-one loss"),
}


class LossMeter:
    """The loss by which combinations are compared: whatever a pipeline declares for its detectors, the same for all.

    Parameters
    ----------
    kind
        Task kind. A regression's loss is the absolute error in units of the label: the scale by which the detectors
        measure it is another for each model.
    form
        For classes.

    Examples
    --------
    >>> LossMeter("regression", "zero_one").of(Settled(3.0, 2.5, None, 1))
    0.5
    """

    def __init__(self, kind: str, form: Literal["zero_one", "log"]) -> None:
        self.name = _LOSSES[kind][form]
        self._is_regression = kind == "regression"
        self._of = Loss(kind, form).of  # type: ignore[arg-type]

    def of(self, settled: Settled) -> float | None:
        """Return the loss of an answer, None when there is none to speak of."""
        if settled.y is None:
            return None
        if self._is_regression:
            return None if settled.prediction is None else abs(settled.y - settled.prediction)
        return self._of(settled.y, settled.prediction, settled.score)
