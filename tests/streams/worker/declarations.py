"""Pipelines that the tests' workers run: named recipes, made anew in each process."""

import os
import signal
from datetime import timedelta
from typing import Any

from river import base, compose, forest, linear_model, metrics, naive_bayes, preprocessing, tree

from streams.feature import Feature
from streams.label import Label
from streams.pipeline import Pipeline
from streams.policy import ObserveOnly

PHISHING = {
    "empty_server_form_handler": float,
    "popup_window": float,
    "https": float,
    "request_from_other_domain": float,
    "anchor_from_other_domain": float,
    "is_popular": float,
    "long_url": float,
    "age_of_domain": int,
    "ip_in_url": int,
}


class Slow(base.Classifier):
    """Counts, and keeps the processor busy while it does."""

    def __init__(self, milliseconds: float = 1.0) -> None:
        self.milliseconds = milliseconds
        self.seen = 0

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        """Count."""
        self.seen += 1

    def predict_proba_one(self, x: dict[str, Any]) -> dict[bool, float]:
        """Answer after some arithmetic: about `milliseconds` of it, without looking at a clock."""
        total = 0
        for i in range(round(self.milliseconds * 20_000)):
            total += i
        return {False: 0.25, True: 0.75} if total >= 0 else {}


class Broken(base.Classifier):
    """Learns a while, then raises at each record."""

    def __init__(self, good: int = 100) -> None:
        self.good = good
        self.seen = 0

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        """Count, as long as all is well."""
        if self.seen >= self.good:
            raise ZeroDivisionError("the river runs dry")
        self.seen += 1

    def predict_proba_one(self, x: dict[str, Any]) -> dict[bool, float]:
        """Answer the same always."""
        return {False: 0.25, True: 0.75}


class Deadly(naive_bayes.GaussianNB):
    """A good model, but for one number: then the process is gone, as when a library falls over."""

    def predict_proba_one(self, x: dict[str, Any]) -> dict[bool, float]:
        """Answer, or die."""
        if x["a"] == 666.0:
            os.kill(os.getpid(), signal.SIGKILL)
        answer: dict[bool, float] = super().predict_proba_one(x)
        return answer


NUMBERS = compose.SelectType(int, float)
MODELS: dict[str, Any] = {
    "lr": lambda: NUMBERS | preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    "hat": lambda: tree.HoeffdingAdaptiveTreeClassifier(grace_period=50, seed=7),
    "nb": naive_bayes.GaussianNB,
    "arf": lambda: forest.ARFClassifier(n_models=3, seed=7),
    "slow": Slow,
    "broken": Broken,
    "deadly": Deadly,
}


def small(
    name: str, model: str = "lr", ttl_seconds: float | None = None, *, wider: bool = False, **further: Any
) -> Pipeline:
    """Return a pipeline of two numbers, a word and a binary label, inline unless there is a time to live.

    A wider one has one more feature.
    """
    ttl = None if ttl_seconds is None else timedelta(seconds=ttl_seconds)
    features: dict[str, Any] = {"a": float, "b": Feature(int, nullable=True), "c": Feature(str, nullable=True)}
    return Pipeline(
        name,
        features=features | ({"d": Feature(float, nullable=True)} if wider else {}),
        label=Label("y", type=bool, ttl=ttl),
        model=MODELS[model](),
        metrics=[metrics.Accuracy(), metrics.LogLoss()],
        **further,
    )


def phishing(name: str, model: str) -> Pipeline:
    """Return a pipeline for River's Phishing that never exchanges its model."""
    return Pipeline(
        name,
        features=PHISHING,
        label=Label("is_phishing", type=bool),
        model=MODELS[model](),
        metrics=[metrics.Accuracy()],
        policy=ObserveOnly(),
    )


RECIPES = {"small": small, "phishing": phishing}
