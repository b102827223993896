"""A River model that remembers what it was asked and taught, and breaks on request."""

from typing import Any

from river import base


class RecordingClassifier(base.Classifier):
    """Answers the share of true labels so far; notes every call; raises or answers NaN where a feature says so.

    Parameters
    ----------
    trap
        Feature that, when it is 1, makes `learn_one` raise after half of its update; 2 makes `predict_proba_one`
        raise; 3 makes it answer NaN.
    """

    def __init__(self, trap: str = "trap") -> None:
        self.trap = trap
        self.asked: list[dict[str, Any]] = []
        self.taught: list[tuple[dict[str, Any], Any]] = []
        self.total = 0
        self.positive = 0

    @property
    def _multiclass(self) -> bool:
        return True

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        """Learn, or raise in the middle of it."""
        self.total += 1
        if x.get(self.trap) == 1:
            raise ArithmeticError("trapped while learning")
        self.positive += bool(y)
        self.taught.append((dict(x), y))

    def predict_proba_one(self, x: dict[str, Any]) -> dict[Any, float]:
        """Answer, raise, or answer NaN."""
        self.asked.append(dict(x))
        if x.get(self.trap) == 2:
            raise ArithmeticError("trapped while predicting")
        if x.get(self.trap) == 3:
            return {True: float("nan"), False: 0.5}
        share = (self.positive + 1) / (self.total + 2)
        return {False: 1 - share, True: share}
