"""Small quick models, one of which raises in the middle of learning."""

import math
from typing import Any

from river import base


class Slope(base.Classifier):
    """A logistic regression.

    Parameters
    ----------
    rate
        Step of the descent.
    """

    def __init__(self, rate: float = 0.1) -> None:
        self.rate = rate
        self.weights: dict[str, float] = {}

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        """Step down."""
        step = self.rate * (y - self._probability(x))
        for name, value in x.items():
            self.weights[name] = self.weights.get(name, 0.0) + step * value

    def predict_proba_one(self, x: dict[str, Any]) -> dict[bool, float]:
        """Return the probabilities of both classes."""
        probability = self._probability(x)
        return {False: 1.0 - probability, True: probability}

    def _probability(self, x: dict[str, Any]) -> float:
        weights = self.weights
        return 1.0 / (1.0 + math.exp(-sum(weights.get(name, 0.0) * value for name, value in x.items())))


class Moody(Slope):
    """Raises at some examples when it has half learned them."""

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        """Learn half of it, then look what it is."""
        self.weights["a"] = self.weights.get("a", 0.0) + 0.25
        if is_too_much(x):
            raise ZeroDivisionError("too much")
        self.weights["a"] -= 0.25
        super().learn_one(x, y)


class Killed(BaseException):
    """A process was killed; nothing of it may run any more."""


class Deadly(Slope):
    """Kills its process at some examples, as a segmentation fault does."""

    def predict_proba_one(self, x: dict[str, Any]) -> dict[bool, float]:
        """Answer, or die."""
        if is_deadly(x):
            raise Killed
        return super().predict_proba_one(x)


def is_deadly(x: dict[str, Any]) -> bool:
    """Tell whether `Deadly` kills its process at these features."""
    return bool(x["a"] > 2.8)


def is_too_much(x: dict[str, Any]) -> bool:
    """Tell whether `Moody` raises at these features."""
    return bool(x["a"] > 2.0)
