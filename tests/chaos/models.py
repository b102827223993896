"""Pipelines for the trials, besides those of the worker's tests."""

from typing import Any

from river import base, linear_model, metrics

from streams.feature import Feature
from streams.label import Label
from streams.pipeline import Pipeline
from tests.streams.worker import declarations

#: Values of ``b`` at which `Fragile` raises: it answers no such event, or learns half of it.
NO_ANSWER, HALF_LEARNED = 1_000_013, 1_000_014


class Fragile(base.Classifier):
    """Logistic regression that raises at certain values, in the second case with its weights ruined already."""

    def __init__(self) -> None:
        self.inner = linear_model.LogisticRegression()

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        """Learn, or learn nonsense and raise."""
        if x["b"] == HALF_LEARNED:
            self.inner.learn_one({"a": 1e3, "b": -1e3}, not y)
            raise ZeroDivisionError("half learned")
        self.inner.learn_one(x, y)

    def predict_proba_one(self, x: dict[str, Any]) -> dict[bool, float]:
        """Answer, or raise."""
        if x["b"] == NO_ANSWER:
            raise ZeroDivisionError("no answer")
        return self.inner.predict_proba_one(x)


def fragile(name: str, **further: Any) -> Pipeline:
    """Return a pipeline whose model raises at certain events."""
    return Pipeline(
        name,
        features={"a": float, "b": Feature(int, nullable=True)},
        label=Label("y", type=bool),
        model=Fragile(),
        metrics=[metrics.Accuracy()],
        **further,
    )


RECIPES: dict[str, Any] = {**declarations.RECIPES, "fragile": fragile}
