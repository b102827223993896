"""How right answers are that have no label yet: the estimate follows the inputs, before the labels come."""

import math
import random
from datetime import timedelta
from statistics import fmean
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given
from river import metrics, naive_bayes, utils

from riverrun import Label, ObserveOnly, Pipeline, Watch
from streams.watching.performance import EstimatedAccuracy
from tests.streams.logs import Fold, Log

LATE, CHANGE, EVENTS = 1000, 5000, 6000


def followed(truth: Any, kind: type, *, shift: float, turned: bool = False, seed: int = 1) -> tuple[float, ...]:
    """Return the estimate, the accuracy of the newest thousand answers, and the one of the newest thousand labels.

    Labels come 1,000 events late. At 5,000 the inputs move to where classes overlap, or their meaning turns; a
    thousand events later, no label has told of it.
    """
    pipeline = Pipeline(
        "p",
        features={"a": float, "b": float},
        label=Label("y", type=kind, ttl=timedelta(days=1)),
        model=naive_bayes.GaussianNB(),
        policy=ObserveOnly(),
        metrics=[utils.Rolling(metrics.Accuracy, LATE)],
        watch=Watch(),
    )
    rng, log, fold, labels = random.Random(seed), Log(), Fold(pipeline), []
    for i in range(EVENTS):
        spread = shift if i >= CHANGE else 1.0
        x = {"a": rng.gauss(0, spread), "b": rng.gauss(0, spread)}
        sign = -1.0 if turned and i >= CHANGE else 1.0
        labels.append(truth(rng, sign * (2.0 * x["a"] - 1.5 * x["b"])))
        fold.step(log.event(x, f"e{i}", time_ms=i))
        if i >= LATE:
            fold.step(log.label(f"e{i - LATE}", labels[i - LATE], time_ms=i))
    newest = zip(fold.predictions[-LATE:], labels[-LATE:], strict=True)
    right = fmean(made.prediction == y for made, y in newest)
    assert fold.task.watcher is not None
    return fold.task.watcher.estimated["estimated_accuracy"], right, fold.metrics["accuracy_1000"]


def either(rng: random.Random, z: float) -> bool:
    """Return one of two classes, the surer the larger z is."""
    return rng.random() < 1.0 / (1.0 + math.exp(-z))


def one_of_three(rng: random.Random, z: float) -> str:
    """Return one of three classes."""
    place = z + rng.gauss(0, 1)
    return "low" if place < -1 else "top" if place > 1 else "mid"


@pytest.mark.parametrize("seed", range(3))
def test_estimate_follows_inputs_that_moved_before_labels_come(seed: int) -> None:
    """To .03, the error of an accuracy over 1,000 answers included, where the labels that came know nothing of it."""
    estimate, right, rolling = followed(either, bool, shift=0.35, seed=seed)
    assert rolling - right > 0.1
    assert estimate == pytest.approx(right, abs=0.03)


def test_estimate_of_many_classes_follows_too() -> None:
    """The confidence is the probability of the class that is predicted."""
    estimate, right, rolling = followed(one_of_three, str, shift=0.35)
    assert rolling - right > 0.1
    assert estimate == pytest.approx(right, abs=0.04)


def test_estimate_cannot_see_that_the_same_inputs_mean_something_else() -> None:
    """Concept drift without a shift of the inputs is for labels to tell."""
    estimate, right, _ = followed(either, bool, shift=1.0, turned=True)
    assert right < 0.3
    assert estimate > 0.7


def test_confidence_is_calibrated_by_labels() -> None:
    """A model that says .99 and is right in half the cases is worth a half."""
    rng, estimate = random.Random(1), EstimatedAccuracy(200)
    for i in range(1000):
        estimate.learn(i, "a", {"a": 0.99, "b": 0.01}, rng.choice("ab"))
    for i in range(200):
        estimate.ask(i, "a", {"a": 0.99, "b": 0.01})
    assert estimate.value == pytest.approx(0.5, abs=0.05)


def test_old_labels_count_less() -> None:
    """After a few windows what has been is forgotten, however large the weights have grown."""
    estimate = EstimatedAccuracy(50)
    for i in range(20_000):
        estimate.learn(i, True, {True: 0.8}, i < 19_000)
    for i in range(50):
        estimate.ask(i, True, {True: 0.8})
    assert estimate.value is not None
    assert estimate.value < 0.05


def test_estimate_is_of_answers_without_a_label_and_of_the_newest() -> None:
    """A label ends the wait; there is no estimate of next to nothing, nor by next to no labels."""
    estimate = EstimatedAccuracy(100)
    for i in range(150):
        estimate.ask(i, True, {True: 0.9, False: 0.1})
    estimate.ask(150, None, None)
    assert (estimate.waiting, estimate.value) == (100, None)
    for i in range(120):
        estimate.learn(i, True, {True: 0.9, False: 0.1}, True)
    assert estimate.waiting == 30
    assert estimate.value is not None
    estimate.learn(120, True, {True: 0.9, False: 0.1}, True)
    assert (estimate.waiting, estimate.value) == (29, None)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 1), st.sampled_from("abc"), st.booleans()), max_size=300),
    st.integers(0, 300),
)
def test_restored_estimate_continues_identically(told: list[tuple[str, float, str, bool]], cut: int) -> None:
    """It stays in [0, 1], whatever it was told."""
    straight, resumed = EstimatedAccuracy(40), EstimatedAccuracy(40)
    for i, (prediction, confidence, y, asks) in enumerate(told):
        if i == cut:
            state, resumed = resumed.snapshot(), EstimatedAccuracy(40)
            resumed.restore(state)
        for estimate in (straight, resumed):
            if asks:
                estimate.ask(i, prediction, {prediction: confidence})
            else:
                estimate.learn(i - 1, prediction, {prediction: confidence}, y)
    assert straight.value == resumed.value
    assert straight.value is None or 0.0 <= straight.value <= 1.0


def test_classes_without_end_share_a_place() -> None:
    """Memory is bounded."""
    estimate = EstimatedAccuracy(40)
    for i in range(500):
        estimate.learn(i, f"class {i}", {f"class {i}": 0.5}, f"class {i}")
    cells = estimate.snapshot()[2]
    assert len(cells) <= 33
