"""Metrics of answers whose labels have become known, and put right when the labels were wrong."""

import random
from collections.abc import Iterable
from datetime import timedelta
from statistics import fmean
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given
from river import anomaly, metrics, utils

from riverrun import Label, MajorityClass, Pipeline
from streams.prequential import Loss, Prequential
from tests.streams.kept import Kept
from tests.streams.logs import Fold, Log

ANSWERS = st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(0.01, 0.99)), min_size=1, max_size=30)


def fresh() -> Prequential:
    """Return cumulative and rolling metrics of answers and of probabilities."""
    return Prequential(
        [
            metrics.Accuracy(),
            metrics.F1(),
            metrics.LogLoss(),
            utils.Rolling(metrics.Accuracy, 5),
            utils.Rolling(metrics.ROCAUC, 7),
        ]
    )


@given(answers=ANSWERS)
def test_metrics_are_those_of_river_fed_by_hand(answers: list[tuple[bool, bool, float]]) -> None:
    """Rolling ones included, which are computed from the window when somebody looks."""
    evaluation = fresh()
    plain = [metrics.Accuracy(), metrics.F1(), utils.Rolling(metrics.Accuracy, 5)]
    scored = [metrics.LogLoss(), utils.Rolling(metrics.ROCAUC, 7)]
    for y, prediction, probability in answers:
        evaluation.update(y, prediction, {True: probability, False: 1 - probability})
        for metric in plain:
            metric.update(y, prediction)
        for metric in scored:
            metric.update(y, {True: probability, False: 1 - probability})
    values = evaluation.values
    assert list(values) == ["accuracy", "f1", "log_loss", "accuracy_5", "rocauc_7"]
    rivers = [plain[0].get(), plain[1].get(), scored[0].get(), plain[2].get(), scored[1].get()]
    assert list(values.values()) == pytest.approx(rivers)


@given(answers=ANSWERS, corrections=st.lists(st.integers(0, 29), max_size=10))
def test_metrics_after_corrections_are_those_of_the_right_labels(
    answers: list[tuple[bool, bool, float]], corrections: list[int]
) -> None:
    """Whichever labels are corrected, in whatever order, the result is as if they had been right at once."""
    evaluation, numbers, labels = fresh(), [], [y for y, _, _ in answers]
    for y, prediction, probability in answers:
        numbers.append(evaluation.update(y, prediction, {True: probability, False: 1 - probability}))
    for i in (i for i in corrections if i < len(answers)):
        _, prediction, probability = answers[i]
        score = {True: probability, False: 1 - probability}
        evaluation.correct(numbers[i] or 0, labels[i], not labels[i], prediction, score)
        labels[i] = not labels[i]
    right = fresh()
    for y, (_, prediction, probability) in zip(labels, answers, strict=True):
        right.update(y, prediction, {True: probability, False: 1 - probability})
    assert evaluation.values == pytest.approx(right.values)


def test_answer_of_a_model_that_could_not_say_does_not_count() -> None:
    """No prediction and no score is no answer."""
    evaluation = Prequential([metrics.Accuracy()])
    assert evaluation.update(True, None, None) is None
    assert evaluation.update(True, None, {}) is None
    assert evaluation.update(True, True, None) == 1


def test_metrics_given_are_copied() -> None:
    """Two partitions do not feed one metric."""
    metric = metrics.Accuracy()
    Prequential([metric]).update(True, False, None)
    assert metric.cm.n_samples == 0


def test_majority_class_is_right_as_often_as_the_most_frequent_class() -> None:
    """The baseline answers what is most frequent."""
    baseline = MajorityClass()
    rng = random.Random(3)
    labels = [rng.random() < 0.8 for _ in range(1000)]
    for y in labels:
        baseline.update(y, None)
    assert baseline.get() == pytest.approx(0.8, abs=0.03)


@given(labels=st.lists(st.sampled_from("abc"), min_size=1, max_size=30), corrections=st.lists(st.integers(0, 29)))
def test_majority_class_knows_corrected_labels_only(labels: list[str], corrections: list[int]) -> None:
    """Where labels were put right, it is the baseline of the right ones: a share of them, whatever was first said."""
    evaluation = Prequential([MajorityClass()])
    numbers = [evaluation.update(y, "a", None) for y in labels]
    for i in (i for i in corrections if i < len(labels)):
        evaluation.correct(numbers[i] or 0, labels[i], right := "bca"["abc".index(labels[i])], "a", None)
        labels[i] = right
    share = max(labels.count(y) for y in "abc") / len(labels)
    assert evaluation.values == {"majority_class": pytest.approx(share)}


class Buggy(metrics.MAE):
    """Raises what no metric of River's raises."""

    def update(self, y_true: Any, y_pred: Any, w: float = 1.0) -> None:
        """Take an answer, unless it is beyond 2."""
        if y_pred > 2:
            raise AttributeError("'float' object has no attribute 'foo'")
        super().update(y_true, y_pred, w)


class Strict(metrics.MAE):
    """Takes no negative labels, but would take them back."""

    def update(self, y_true: Any, y_pred: Any, w: float = 1.0) -> None:
        """Take an answer, unless the label is negative."""
        if y_true < 0:
            raise ValueError(y_true)
        super().update(y_true, y_pred, w)


class NoWayBack(metrics.MAE):
    """Takes nothing back."""

    def revert(self, y_true: Any, y_pred: Any, w: float = 1.0) -> None:
        """Raise."""
        raise NotImplementedError


def test_metric_that_raises_is_counted_and_stops_nothing() -> None:
    """What it was not fed is no secret, and the other metrics have it; a rolling one is computed without it."""
    count = {"metric_error": 0}
    evaluation = Prequential([Buggy(), utils.Rolling(Buggy, 2), metrics.MSE()], count)
    for prediction in (2.0, 3.0):
        evaluation.update(1.0, prediction, None)
    assert evaluation.values == {"buggy": 1.0, "buggy_2": 1.0, "mse": 2.5}
    assert count == {"metric_error": 1}


@pytest.mark.parametrize("rolling", [False, True])
def test_metric_that_raises_when_it_is_asked_is_missing_and_the_others_are_there(*, rolling: bool) -> None:
    """Whoever looks changes nothing: it has a value again as soon as it can say one."""
    betas: dict[str, Any] = {"betas": {"sky": 1}, "weights": None}
    odd = utils.Rolling(metrics.MultiFBeta, 1, **betas) if rolling else metrics.MultiFBeta(**betas)
    count = {"metric_error": 0}
    evaluation = Prequential([odd, metrics.Accuracy()], count)
    evaluation.update("sky", "sky", None)
    assert list(evaluation.values) == ["multi_fbeta_1" if rolling else "multi_fbeta", "accuracy"]
    evaluation.update("sky", "path", None)
    assert (evaluation.values, count) == ({"accuracy": 0.5}, {"metric_error": 0})
    assert evaluation.failures == {"multi_fbeta_1" if rolling else "multi_fbeta": "KeyError('path')"}
    evaluation.correct(2, "sky", "grass", "path", None)
    assert list(evaluation.values) == ["accuracy"]
    evaluation.update("sky", "sky", None)
    assert len(evaluation.values) == (2 if rolling else 1)


def test_rolling_rocauc_tells_how_well_any_anomaly_scores_rank() -> None:
    """Whatever their scale, after a restart and after corrections, too: what ROCAUC cannot tell of such scores."""
    rng, labels = random.Random(7), list[bool]()
    label = Label("y", ttl=timedelta(days=1))
    model = anomaly.LocalOutlierFactor(n_neighbors=5)
    ranks = metrics.RollingROCAUC(window_size=500)
    pipeline = Pipeline("p", features={"a": float}, label=label, model=model, task="anomaly", metrics=[ranks])
    log = Log()
    for i in range(300):
        y = rng.random() < 0.2
        log.event({"a": rng.gauss(2 * y, 1)}, f"e{i}")
        log.label(f"e{i}", y if i >= 50 else not y)
        labels.append(y)
    fold, kept = Fold(pipeline, log.records), Kept()
    kept.take(fold.task)
    fold.task = kept.restored(pipeline)
    for i, y in enumerate(labels[:50]):
        fold.step(log.label(f"e{i}", y))
    assert fold.counts == {"scored": 300, "label_joined": 300, "label_corrected": 50}
    scores = [prediction.score for prediction in fold.predictions]
    of = {known: [s for y, s in zip(labels, scores, strict=True) if y is known] for known in (True, False)}
    wins = sum((high > low) + (high == low) / 2 for high in of[True] for low in of[False])
    assert max(scores) > 1
    assert fold.metrics == {"rolling_rocauc": pytest.approx(wins / (len(of[True]) * len(of[False])), abs=1e-3)}


def test_answer_that_a_metric_refused_is_not_taken_out_of_it() -> None:
    """It knows nothing of the answer when its label is corrected: there is nothing to take back."""
    count = {"metric_error": 0}
    evaluation = Prequential([Strict(), metrics.MAE()], count)
    evaluation.update(1.0, 2.0, None)
    number = evaluation.update(-1.0, 2.0, None) or 0
    assert (evaluation.values, count) == ({"strict": 1.0, "mae": 2.0}, {"metric_error": 1})
    evaluation.correct(number, -1.0, -2.0, 2.0, None)
    assert evaluation.values == {"strict": 1.0, "mae": 2.5}
    evaluation.correct(number, -2.0, 4.0, 2.0, None)
    assert evaluation.values == {"strict": 1.5, "mae": 1.5}
    evaluation.correct(number, 4.0, -1.0, 2.0, None)
    assert evaluation.values == {"strict": 1.0, "mae": 2.0}


def test_answer_that_a_metric_cannot_take_back_is_not_there_twice() -> None:
    """Its corrected label would be a second answer."""
    evaluation = Prequential([NoWayBack()])
    evaluation.update(1.0, 2.0, None)
    evaluation.correct(evaluation.update(1.0, 4.0, None) or 0, 1.0, 3.0, 4.0, None)
    assert evaluation.values == {"no_way_back": 2.0}


@pytest.mark.parametrize(
    ("kind", "form", "y", "prediction", "score", "expected"),
    [
        ("binary", "zero_one", True, True, {True: 0.6}, 0.0),
        ("binary", "zero_one", True, False, {True: 0.4}, 1.0),
        ("binary", "zero_one", True, None, None, None),
        ("binary", "log", True, True, {True: 1.0}, 0.0),
        ("binary", "log", True, True, {True: 0.0}, 1.0),
        ("binary", "log", True, True, {False: 1.0}, 1.0),
        ("binary", "log", True, None, {}, None),
        ("multiclass", "zero_one", "x", "y", {"x": 0.1}, 1.0),
        ("multiclass", "log", "x", "y", {"x": 1.5}, 0.0),
        ("anomaly", "zero_one", True, None, 0.75, 0.25),
        ("anomaly", "zero_one", False, None, 7.0, 1.0),
        ("anomaly", "zero_one", True, False, 0.75, 1.0),
        ("anomaly", "zero_one", True, None, None, None),
        ("regression", "zero_one", 1.0, None, None, None),
    ],
)  # fmt: skip
def test_loss_of_an_answer_lies_between_none_and_all(
    kind: Any, form: Any, y: Any, prediction: Any, score: Any, expected: float | None
) -> None:
    """Each kind of task has a loss in [0, 1], or none to speak of."""
    assert Loss(kind, form).of(y, prediction, score) == expected


@given(st.lists(st.tuples(st.floats(-1e30, 1e30), st.floats(-1e300, 1e300)), min_size=1, max_size=20))
def test_loss_of_a_regression_has_a_unit_once_that_is_known(pairs: list[tuple[float, float]]) -> None:
    """It is 3.5 median residuals of 200 answers, whoever gave them; then the loss lies in [0, 1]."""
    loss = Loss("regression", "zero_one")
    assert loss.of(1.0, 0.0, None) is None
    assert not measured(loss, [1.0] * 200)
    assert loss.of(3.0, 1.25, None) == 0.5
    assert all(0 <= (loss.of(y, prediction, None) or 0) <= 1 for y, prediction in pairs)
    loss.new_champion()
    assert loss.of(3.0, 1.25, None) == 0.5


def measured(loss: Loss, residuals: Iterable[float]) -> list[int]:
    """Let a loss take residuals; return the places of those at which its unit became another one."""
    return [place for place, residual in enumerate(residuals, 1) if loss.measure(residual, 0.0, place)]


@pytest.mark.parametrize(
    ("later", "changed"),
    [(1.0, False), (0.51, False), (0.49, True), (0.01, True), (3.4, False), (3.51, True), (1e9, True)],
)
def test_unit_follows_where_losses_would_tell_nothing(later: float, changed: bool) -> None:
    """Where they were less than half of it, or most were 1; else a rise is a rise, however long it lasts."""
    loss = Loss("regression", "zero_one")
    assert measured(loss, [1.0] * 200) == []
    assert measured(loss, [later] * 400) == ([200] if changed else [])
    assert loss.of(later, 0.0, None) == pytest.approx(1 / 3.5 if changed else min(1.0, later / 3.5))


def test_losses_of_the_measured_answers_are_told_in_the_new_unit() -> None:
    """Whoever remembers losses would else be blind for what comes next."""
    loss = Loss("regression", "zero_one")
    told = [again for offset in range(400) if (again := loss.measure(1.0 if offset < 200 else 0.1, 0.0, offset))]
    assert told == [[(pytest.approx(1 / 3.5), offset) for offset in range(200, 400)]]


def test_answers_of_the_champion_before_do_not_count() -> None:
    """The next one's unit is measured on its own."""
    loss = Loss("regression", "zero_one")
    measured(loss, [1.0] * 399)
    loss.new_champion()
    assert measured(loss, [0.1] * 200) == [200]


@pytest.mark.parametrize("wild", [1e3, 1e9, 1e300])
def test_wild_label_leaves_the_unit_of_residuals_where_it_is(wild: float) -> None:
    """By the mean, one label of a million among the first 200 hid each drift from a champion."""
    normal = random.Random(1)
    residuals = [abs(normal.gauss(0, 1)) for _ in range(200)]
    units = []
    for first in (residuals, [*residuals[:100], wild, *residuals[101:]]):
        loss = Loss("regression", "zero_one")
        measured(loss, first)
        units.append(0.1 / (loss.of(0.1, 0.0, None) or 1.0))
    assert units[0] == pytest.approx(3 * fmean(residuals), rel=0.1)
    assert units[1] == pytest.approx(units[0], rel=0.02)


def test_unit_is_that_of_the_answers_that_were_not_exact() -> None:
    """Or one, where all were; and a restart within the first 200 changes nothing."""
    loss, exact = Loss("regression", "zero_one"), Loss("regression", "zero_one")
    for number in range(200):
        restarted = Loss("regression", "zero_one")
        restarted.restore(loss.snapshot())
        loss = restarted
        assert measured(loss, [2.0 if number % 4 == 0 else 0.0]) == measured(exact, [0.0]) == []
    assert loss.of(3.5, 0.0, None) == 0.5
    assert exact.of(0.5, 0.0, None) == 0.5


@pytest.mark.parametrize(("metric", "prediction"), [(metrics.MSE(), 1e200), (metrics.RMSLE(), -7.0)])
def test_metric_that_is_not_defined_for_an_answer_passes_it_over(metric: Any, prediction: float) -> None:
    """A regression that diverges is no reason to stop the stream, and the metrics that can say so do."""
    evaluation = Prequential([metric, metrics.MAE()])
    evaluation.update(1.0, prediction, None)
    evaluation.update(1.0, 2.0, None)
    assert evaluation.values["mae"] == (abs(prediction - 1.0) + 1.0) / 2
    assert 0 < next(iter(evaluation.values.values())) <= 1.0
