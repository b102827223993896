"""The backtest is River's own progressive validation, to the last digit."""

import itertools
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import orjson
import pytest
from river import (
    base,
    datasets,
    evaluate,
    forest,
    linear_model,
    metrics,
    multiclass,
    naive_bayes,
    optim,
    preprocessing,
    stream,
    tree,
)

from riverrun import Label, ObserveOnly, Pipeline
from schemas import cloudevents as ce
from schemas.record import Record
from services.backtest import Backtest

Rows = list[tuple[dict[str, Any], Any]]


def rows(dataset: Any, limit: int) -> Rows:
    """Return the first rows of a dataset, its features as floats."""
    return [({name: float(value) for name, value in x.items()}, y) for x, y in itertools.islice(dataset, limit)]


PHISHING = rows(datasets.Phishing(), 700)
BANANAS = rows(datasets.Bananas(), 800)
SEGMENTS = rows(datasets.ImageSegments(), 600)
NUMBERED = [(x, sorted({y for _, y in SEGMENTS}).index(y)) for x, y in SEGMENTS]
TRUMP = rows(datasets.TrumpApproval(), 1001)
CHICKS = [(x, float(y)) for x, y in rows(datasets.ChickWeights(), 578)]


def logistic() -> Any:
    """Return scaled logistic regression."""
    return preprocessing.StandardScaler() | linear_model.LogisticRegression()


BINARY = {
    "logistic": logistic,
    "hat": lambda: tree.HoeffdingAdaptiveTreeClassifier(grace_period=50, seed=7),
    "gaussian_nb": naive_bayes.GaussianNB,
    "arf": lambda: forest.ARFClassifier(n_models=3, seed=7),
}
MULTICLASS = {
    **BINARY,
    "logistic": lambda: (
        preprocessing.StandardScaler() | multiclass.OneVsRestClassifier(linear_model.LogisticRegression())
    ),
    "softmax": lambda: preprocessing.StandardScaler() | linear_model.SoftmaxRegression(),
}
REGRESSION = {
    "linear": lambda: (
        preprocessing.StandardScaler()
        | preprocessing.TargetStandardScaler(linear_model.LinearRegression(optim.SGD(0.01)))
    ),
    "tree": lambda: tree.HoeffdingTreeRegressor(grace_period=50),
    "passive_aggressive": lambda: preprocessing.StandardScaler() | linear_model.PARegressor(),
}


def inline_records(data: Rows) -> Iterator[Record]:
    """Return a log in which each event brings its label."""
    for offset, (x, y) in enumerate(data):
        yield Record("oracle.raw", 0, offset, 0, None, orjson.dumps({**x, "y": y}))


def delayed_records(data: Rows, delay: int) -> Iterator[Record]:
    """Return a log of questions and answers in the order of River's `simulate_qa`; every second id is a header."""
    for offset, (i, x, y) in enumerate(stream.simulate_qa(data, moment=None, delay=delay)):
        key = b"k%d" % i
        if y is not None:
            value, headers = {"id": f"q{i}", "y": y}, [("ce_type", ce.LABEL.encode())]
        elif i % 2:
            value, headers = {"qid": "unused", **x}, [("ce_id", b"q%d" % i)]
        else:
            value, headers = {"qid": f"q{i}", **x}, None
        yield Record("oracle.raw", 0, offset, 0, key, orjson.dumps(value), headers)


def backtested(model: base.Estimator, data: Rows, kind: type, scores: list[Any], delay: int | None) -> list[float]:
    """Return the metrics of a backtest."""
    pipeline = Pipeline(
        "oracle",
        features=dict.fromkeys(data[0][0], float),
        label=Label("y", type=kind, ttl=None if delay is None else timedelta(days=1)),
        model=model,
        metrics=scores,
        policy=ObserveOnly(),
        id_field=None if delay is None else "qid",
    )
    backtest = Backtest(pipeline)
    for _ in backtest.run(inline_records(data) if delay is None else delayed_records(data, delay)):
        pass
    assert not backtest.dead_letters
    assert backtest.task.books.balanced
    assert backtest.digest.count == backtest.task.lifecycle.champion.learned == len(data)
    return list(backtest.task.evaluation.values.values())


def validated(model: base.Estimator, data: Rows, metric: Any, delay: int | None) -> float:
    """Return what River's progressive validation gives."""
    return float(evaluate.progressive_val_score(data, model, metric, delay=delay).get())


def assert_equal_to_river(build: Any, data: Rows, kind: type, metric_types: Iterable[type], delay: int | None) -> None:
    """Hold that each metric is River's, with `==`."""
    names = [metric_type.__name__ for metric_type in metric_types]
    ours = backtested(build(), data, kind, [metric_type() for metric_type in metric_types], delay)
    rivers = [validated(build(), data, metric_type(), delay) for metric_type in metric_types]
    assert dict(zip(names, ours, strict=True)) == dict(zip(names, rivers, strict=True))


@pytest.mark.parametrize("delay", [None, 1, 50])
@pytest.mark.parametrize("model", BINARY)
def test_backtest_of_phishing_gives_rivers_metrics(model: str, delay: int | None) -> None:
    """Binary metrics of answers and of probabilities are equal to River's, with labels inline and delayed."""
    wanted = (metrics.Accuracy, metrics.F1, metrics.LogLoss, metrics.ROCAUC)
    assert_equal_to_river(BINARY[model], PHISHING, bool, wanted, delay)


@pytest.mark.parametrize("delay", [None, 30])
@pytest.mark.parametrize("model", BINARY)
def test_backtest_of_bananas_gives_rivers_metrics(model: str, delay: int | None) -> None:
    """Two features named "1" and "2" give the same answers, and the same metrics."""
    assert_equal_to_river(BINARY[model], BANANAS, bool, (metrics.Accuracy, metrics.LogLoss), delay)


@pytest.mark.parametrize("delay", [None, 20])
@pytest.mark.parametrize("model", MULTICLASS)
def test_backtest_of_image_segments_gives_rivers_metrics(model: str, delay: int | None) -> None:
    """Seven classes: accuracy and macro F1 are equal to River's.

    River's adaptive tree walks through a set of its classes, so its result is another in every process, but the
    same in one.
    """
    assert_equal_to_river(MULTICLASS[model], SEGMENTS, str, (metrics.Accuracy, metrics.MacroF1), delay)


@pytest.mark.parametrize("delay", [None, 10])
@pytest.mark.parametrize("model", REGRESSION)
@pytest.mark.parametrize("name", ["trump", "chicks"])
def test_backtest_of_a_regression_gives_rivers_metrics(name: str, model: str, delay: int | None) -> None:
    """Errors of a regression are equal to River's."""
    data = {"trump": TRUMP, "chicks": CHICKS}[name]
    assert_equal_to_river(REGRESSION[model], data, float, (metrics.MAE, metrics.RMSE), delay)


def test_backtest_with_whole_numbers_as_classes_gives_rivers_accuracy() -> None:
    """Classes that are ints stay ints through the wait for their labels."""
    assert_equal_to_river(naive_bayes.GaussianNB, NUMBERED[:500], int, (metrics.Accuracy, metrics.MicroF1), 15)
