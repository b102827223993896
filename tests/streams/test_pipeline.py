"""Declarations that cannot work are refused at once, by the name of the field."""

import math
from datetime import timedelta
from typing import Any, Optional, Union

import pytest
from river import (
    active,
    anomaly,
    base,
    compose,
    ensemble,
    imblearn,
    linear_model,
    metrics,
    multiclass,
    naive_bayes,
    neighbors,
    preprocessing,
    tree,
    utils,
)
from river import drift as river_drift

from riverrun import (
    BackgroundChallenger,
    ChampionVersions,
    Drift,
    Feature,
    Label,
    MajorityClass,
    ObserveOnly,
    Pipeline,
    Race,
    ResetOnDrift,
)
from schemas.errors import DeclarationError
from streams.task import Task

LOGISTIC = linear_model.LogisticRegression()


class Unpicklable(base.DriftDetector):
    """A user's detector that could not be written into a snapshot."""

    def __init__(self) -> None:
        super().__init__()
        self.rule = lambda value: value > 0

    def update(self, x: float) -> None:
        """Take a value."""


class Told(base.Classifier):
    """A user's classifier that tells no probabilities."""

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        """Learn nothing."""

    def predict_one(self, x: dict[str, Any]) -> bool:
        """Answer."""
        return True


def learned(model: Any) -> Any:
    """Return a model that has learned something."""
    model.learn_one({"a": 1.0}, True)
    return model


def declared(**changes: Any) -> Pipeline:
    """Return a pipeline that works but for the changes."""
    arguments: dict[str, Any] = {"name": "p", "features": {"a": float}, "label": Label("y"), "model": LOGISTIC}
    return Pipeline(**{**arguments, **changes})


def updated(detector: Any) -> Any:
    """Return a detector that has seen a value."""
    detector.update(1)
    return detector


class Bounded(anomaly.OneClassSVM):
    """A user's detector that brings its scores between 0 and 1."""

    def score_one(self, x: dict[str, Any]) -> float:
        """Squeeze the score."""
        return 1 / (1 + math.exp(-super().score_one(x)))


REGRESSION: dict[str, Any] = {"label": Label("y", type=float), "model": linear_model.LinearRegression()}
ANOMALIES: dict[str, Any] = {"label": Label("y"), "task": "anomaly"}
SCALED_SVM = preprocessing.StandardScaler() | anomaly.OneClassSVM()
FILTERED_SVM = preprocessing.StandardScaler() | anomaly.ThresholdFilter(anomaly.OneClassSVM(), threshold=0.1)
WRONG: list[tuple[str, dict[str, Any]]] = [
    ("name", {"name": ""}),
    ("name", {"name": "a/b"}),
    ("name", {"name": ".p"}),
    ("name", {"name": "p" * 101}),
    ("name", {"name": None}),
    ("features", {"features": {}}),
    ("features", {"features": None}),
    ("features", {"features": ["a"]}),
    ("features[1]", {"features": {1: float}}),
    ("features['']", {"features": {"": float}}),
    ("features['a']", {"features": {"a": "float"}}),
    ("features['a']", {"features": {"a": float | int}}),
    ("features['a']", {"features": {"a": float | int | None}}),
    ("features['a']", {"features": {"a": Union[float, int, None]}}),  # noqa: UP007
    ("features['a'].type", {"features": {"a": Optional[list]}}),  # noqa: UP045
    ("features['a'].type", {"features": {"a": list}}),
    ("features['a'].ge", {"features": {"a": Feature(float, ge=2, le=1)}}),
    ("label", {"label": "y"}),
    ("label", {"label": None, "task": "binary"}),
    ("label.name", {"label": Label("")}),
    ("label.name", {"label": Label("a")}),
    ("label.name", {"label": Label("id", ttl=timedelta(1))}),
    ("label.name", {"label": Label(7)}),  # type: ignore[arg-type]
    ("label.type", {"label": Label("y", type=list)}),  # type: ignore[arg-type]
    ("label.type", {"label": Label("y", type=[])}),  # type: ignore[arg-type]
    ("label.type", {"label": Label("y", type=float), "task": "binary"}),
    ("label.type", {"label": Label("y", type=float), "task": "anomaly"}),
    ("label.ttl", {"label": Label("y", ttl=timedelta(0))}),
    ("label.ttl", {"label": Label("y", ttl=timedelta(seconds=-1))}),
    ("label.ttl", {"label": Label("y", ttl=3600)}),  # type: ignore[arg-type]
    ("label.on_expiry", {"label": Label("y", on_expiry=False)}),
    ("label.on_expiry", {"label": Label("y", ttl=timedelta(1), on_expiry=0)}),
    ("label.on_expiry", {"label": Label("y", ttl=timedelta(1), on_expiry=None)}),
    ("label.on_expiry", {"label": Label("y", type=float, ttl=timedelta(1), on_expiry=float("nan"))}),
    ("task", {"task": "clustering"}),
    ("task", {"task": []}),
    ("model", {"model": linear_model.LogisticRegression}),
    ("model", {"model": None}),
    ("model", {"model": learned(preprocessing.StandardScaler() | LOGISTIC.clone())}),
    ("race.models[0]", {"race": Race([learned(naive_bayes.GaussianNB())])}),
    ("model", {"model": linear_model.LinearRegression()}),
    ("model", {"model": preprocessing.StandardScaler()}),
    ("model", {"model": active.EntropySampler(LOGISTIC, seed=1)}),
    ("model", {"model": tree.ISOUPTreeRegressor(), "label": Label("y", type=float)}),
    ("metrics[1]", {"metrics": [metrics.Accuracy(), metrics.Accuracy()]}),
    ("metrics[1]", {"metrics": [utils.Rolling(metrics.Accuracy, 10), utils.Rolling(metrics.Accuracy, 10)]}),
    ("model", {"label": Label("y", type=str)}),
    ("model", {"label": Label("y", type=str), "model": preprocessing.StandardScaler() | LOGISTIC}),
    ("model", {"label": None}),
    ("model", {"model": compose.FuncTransformer(lambda x: x) | LOGISTIC}),
    ("model", {"label": Label("y", type=float)}),
    ("p/v1/model", {"model": neighbors.KNNClassifier(engine=neighbors.SWINN(graph_k=3))}),
    ("drift", {"drift": 0.002}),
    ("drift.delta", {"drift": Drift(delta=0)}),
    ("drift.delta", {"drift": Drift(delta=1.0)}),
    ("drift.delta", {"drift": Drift(delta="0.1")}),  # type: ignore[arg-type]
    ("drift.warning_delta", {"drift": Drift(delta=0.05, warning_delta=0.05)}),
    ("drift.warning_delta", {"drift": Drift(warning_delta=1)}),
    ("drift.warning_delta", {"drift": Drift(warning_delta=None)}),  # type: ignore[arg-type]
    ("drift.loss", {"drift": Drift(loss="hinge")}),  # type: ignore[arg-type]
    ("drift.cooldown", {"drift": Drift(cooldown=-1)}),
    ("drift.patience", {"drift": Drift(patience=1.5)}),  # type: ignore[arg-type]
    ("drift.cooldown", {"drift": Drift(cooldown=True)}),
    ("drift.patience", {"drift": Drift(patience=False)}),
    ("drift.detector", {"drift": Drift(detector="ddm")}),
    ("drift.detector", {"drift": Drift(detector=None)}),
    ("drift.detector", {"drift": Drift(detector=river_drift.KSWIN)}),
    ("drift.detector", {"drift": Drift(detector=linear_model.LogisticRegression())}),
    ("drift.detector", {"drift": Drift(detector=river_drift.binary.DDM(), loss="log")}),
    ("drift.detector", {"drift": Drift(detector=Unpicklable())}),
    ("drift.detector", {"drift": Drift(detector=updated(river_drift.ADWIN()))}),
    ("drift.detector", {"drift": Drift(detector=updated(river_drift.KSWIN()))}),
    ("drift.detector", {**REGRESSION, "drift": Drift(detector=river_drift.binary.FHDDM())}),
    ("drift.by", {**REGRESSION, "drift": Drift(by="class")}),
    ("drift.by", {"label": None, "model": anomaly.HalfSpaceTrees(), "drift": Drift(by="class")}),
    ("drift.detector.mode", {"drift": Drift(detector=river_drift.PageHinkley(mode="down"))}),
    ("drift.detector.dynamic_cloning", {"drift": Drift(detector=river_drift.DummyDriftDetector(dynamic_cloning=True))}),
    ("drift.blocks", {"drift": Drift(blocks=0)}),
    ("drift.blocks", {"drift": Drift(blocks=True)}),
    ("drift.blocks", {"drift": Drift(blocks=8.0)}),  # type: ignore[arg-type]
    ("drift.blocks", {"drift": Drift(blocks="some")}),  # type: ignore[arg-type]
    ("drift.blocks", {"drift": Drift(detector=river_drift.binary.HDDMA(), blocks="auto")}),
    ("drift.by", {"drift": Drift(by="nowhere")}),
    ("drift.by", {"drift": Drift(by=3)}),  # type: ignore[arg-type]
    ("drift.by", {"drift": Drift(by="a")}),
    ("drift.by", {"drift": Drift(by="class"), "features": {"a": float, "class": str}}),
    ("policy", {"policy": "observe"}),
    ("policy", {"policy": ObserveOnly}),
    ("policy", {"label": None, "model": anomaly.HalfSpaceTrees(), "policy": ResetOnDrift()}),
    ("policy.min_learned", {"policy": BackgroundChallenger(min_learned=-1)}),
    ("policy.min_learned", {"policy": BackgroundChallenger(min_learned=0.5)}),  # type: ignore[arg-type]
    ("metrics", {"metrics": 5}),
    ("metrics", {"metrics": metrics.Accuracy()}),
    ("metrics[0]", {"metrics": [metrics.Accuracy]}),
    ("metrics[0]", {"metrics": ["accuracy"]}),
    ("metrics[1]", {"metrics": [metrics.Accuracy(), metrics.MAE()]}),
    ("metrics[0]", {"metrics": [metrics.ConfusionMatrix()]}),
    ("metrics[1]", {"model": Told(), "metrics": [metrics.Accuracy(), metrics.LogLoss()]}),
    ("metrics[0]", {"model": Told(), "metrics": [utils.Rolling(metrics.ROCAUC, 9)]}),
    ("model", {"model": ensemble.AdaBoostClassifier(Told(), 2, seed=1)}),
    ("model", {"label": Label("y", type=str), "model": multiclass.OneVsRestClassifier(Told())}),
    ("metrics[0]", {"model": imblearn.RandomUnderSampler(Told(), {0: 1}, seed=1), "metrics": [metrics.LogLoss()]}),
    ("model", {"label": None, "task": "anomaly", "model": anomaly.GaussianScorer()}),
    ("model", {"label": Label("y"), "task": "anomaly", "model": anomaly.GaussianScorer()}),
    ("metrics[0]", {"metrics": [metrics.ClassificationReport()]}),
    ("metrics[0]", {**ANOMALIES, "model": anomaly.OneClassSVM(), "metrics": [metrics.ROCAUC()]}),
    (
        "metrics[0]",
        {**ANOMALIES, "model": anomaly.HalfSpaceTrees(), "race": Race([anomaly.LODA()]), "metrics": [metrics.ROCAUC()]},
    ),
    ("metrics[0]", {**ANOMALIES, "model": anomaly.LocalOutlierFactor(), "metrics": [metrics.ROCAUC(n_thresholds=99)]}),
    ("metrics[0]", {**ANOMALIES, "model": anomaly.LODA(), "metrics": [utils.Rolling(metrics.ROCAUC, 9)]}),
    ("metrics[0]", {**ANOMALIES, "model": SCALED_SVM, "metrics": [metrics.ROCAUC()]}),
    ("metrics[0]", {**ANOMALIES, "model": anomaly.QuantileFilter(SCALED_SVM, q=0.9), "metrics": [metrics.ROCAUC()]}),
    ("metrics[0]", {**ANOMALIES, "model": FILTERED_SVM, "metrics": [metrics.ROCAUC()]}),
    ("metrics[0]", {"metrics": [utils.TimeRolling(metrics.Accuracy, period=timedelta(1))]}),
    ("id_field", {"id_field": "y"}),
    ("id_field", {"id_field": "a"}),
    ("id_field", {"id_field": ""}),
    ("id_field", {"id_field": 7}),
    ("source", {"source": ""}),
    ("source", {"source": 7}),
    ("partitions", {"partitions": 0}),
    ("partitions", {"partitions": True}),
    ("dedupe_window", {"dedupe_window": 0}),
    ("dedupe_window", {"dedupe_window": 1.0}),
    ("max_pending_bytes", {"max_pending_bytes": 0}),
    ("max_record_bytes", {"max_record_bytes": "1 MB"}),
    ("max_leap", {"max_leap": timedelta(0)}),
    ("max_leap", {"max_leap": 86400}),
    ("output_format", {"output_format": "xml"}),
]


@pytest.mark.parametrize(("field", "changes"), WRONG, ids=[f"{field}-{i}" for i, (field, _) in enumerate(WRONG)])
def test_argument_that_cannot_work_is_refused_by_name(field: str, changes: dict[str, Any]) -> None:
    """The error names the field, what it got and what it takes."""
    with pytest.raises(DeclarationError) as caught:
        declared(**changes)
    assert caught.value.field.startswith(field)
    assert ": got " in str(caught.value)
    assert ", expected " in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"metrics": [metrics.ConfusionMatrix()]},
            "p: metrics[0]: got 'ConfusionMatrix', expected a metric whose value is one number",
        ),
        ({"metrics": metrics.ConfusionMatrix()}, "p: metrics: got ConfusionMatrix, expected a list of River metrics"),
        (
            {"race": [LOGISTIC]},
            "p: race: got [LogisticRegression ( optimizer=SGD ( lr=Constant ( learning_rate=0.01 ) ) loss=…, "
            "expected a Race, or None",
        ),
        (
            {"race": compose.SelectType(float, int)},  # whose repr raises
            "p: race: got a river.compose.select.SelectType, expected a Race, or None",
        ),
        (
            {
                "model": preprocessing.StandardScaler() | LOGISTIC,
                "race": Race([preprocessing.StandardScaler() | LOGISTIC]),
            },
            "p: race.models[0]: got 'the same as model', expected a model that differs from it in class or parameters",
        ),
        (
            {"drift": Drift(detector=updated(river_drift.PageHinkley()))},
            "p: drift.detector: got 'PageHinkley that was updated', expected its clone(), for each champion begins "
            "with a fresh one",
        ),
        (
            {**ANOMALIES, "model": FILTERED_SVM, "metrics": [metrics.ROCAUC()]},
            "p: metrics[0]: got 'ROCAUC', expected metrics.RollingROCAUC(window_size=1000), which ranks scores: ROCAUC "
            "holds them against thresholds between 0 and 1, where those of OneClassSVM need not lie",
        ),
        ({"name": "a/b"}, "name: got 'a/b', expected 1 to 100 letters, digits, dots or dashes"),
    ],
)
def test_argument_that_is_refused_is_shown_in_a_few_words(changes: dict[str, Any], said: str) -> None:
    """With the pipeline's name, on one line, cut where it is long, and by its class where it shows nothing."""
    with pytest.raises(DeclarationError) as caught:
        declared(**changes)
    assert str(caught.value) == said


RIGHT: list[dict[str, Any]] = [
    {"name": "flights-2013.eu_west"},
    {"features": {"wind speed": float, "größe": int | None, "a.b": str, "c": Feature(bool, nullable=True)}},
    {"label": Label("y", type=bool, ttl=timedelta(milliseconds=1), on_expiry=True)},
    {"label": Label("y", type=str), "model": multiclass.OneVsRestClassifier(LOGISTIC)},
    {"label": Label("y", type=int), "model": tree.HoeffdingTreeClassifier()},
    {"label": Label("y", type=bool), "model": tree.HoeffdingTreeClassifier(), "task": "multiclass"},
    {"label": Label("y", type=float), "model": linear_model.LinearRegression()},
    {"label": None, "model": anomaly.HalfSpaceTrees()},
    {"label": None, "model": anomaly.HalfSpaceTrees(), "policy": ObserveOnly()},
    {"label": None, "model": anomaly.HalfSpaceTrees(), "policy": ChampionVersions()},  # for what is imported
    {**ANOMALIES, "model": anomaly.HalfSpaceTrees(), "metrics": [metrics.ROCAUC()]},
    {**ANOMALIES, "model": SCALED_SVM, "metrics": [metrics.RollingROCAUC(window_size=100)]},
    {**ANOMALIES, "model": Bounded(), "metrics": [metrics.ROCAUC()]},
    {"metrics": [metrics.Accuracy(), utils.Rolling(metrics.LogLoss, 50), MajorityClass()]},
    {**REGRESSION, "drift": Drift(detector=river_drift.binary.HDDMA())},
    {**REGRESSION, "drift": Drift(detector=river_drift.PageHinkley(), blocks="auto")},
    {"drift": Drift(detector=river_drift.binary.HDDMW(), loss="log")},
    {"drift": Drift(detector=river_drift.ADWIN(delta=1e-4), blocks=50)},
    {"drift": Drift(by="class")},
    {"drift": Drift(by="b"), "features": {"a": float, "b": int}},
    {"metrics": []},
    {"metrics": (metrics.F1(),)},
    {"id_field": "key"},
]


@pytest.mark.parametrize("changes", RIGHT, ids=range(len(RIGHT)))
def test_declaration_that_can_work_makes_a_task(changes: dict[str, Any]) -> None:
    """What is accepted can be run: a task is built of it, twice, with one digest."""
    pipeline = declared(**changes)
    Task(pipeline)
    assert pipeline.declaration == declared(**changes).declaration
    assert len(pipeline.declaration) == 12


def test_pipeline_names_its_topics() -> None:
    """The input topic is the pipeline's own unless another source is named."""
    names = [topic.name.removeprefix("p.") for topic in declared().topics]
    assert names == ["raw", "predictions", "lifecycle", "dead-letters", "manifests", "snapshots"]
    assert declared(source="events").topics[0].name == "events"


def test_metrics_by_default_are_one_rolling_metric() -> None:
    """Accuracy or the mean absolute error over 1,000 labels; none for an anomaly detector."""
    assert list(Task(declared()).evaluation.values) == ["accuracy_1000"]
    regression = declared(label=Label("y", type=float), model=linear_model.LinearRegression())
    assert list(Task(regression).evaluation.values) == ["mae_1000"]
    assert Task(declared(label=None, model=anomaly.HalfSpaceTrees())).evaluation.values == {}


def test_model_of_a_declaration_is_never_taught() -> None:
    """Tasks learn copies: the declared model stays as it was declared."""
    model = linear_model.LogisticRegression()
    pipeline = declared(model=model)
    Task(pipeline).lifecycle.champion.learn({"a": 1.0}, True)
    assert model.weights == {}


def test_policy_that_is_not_declared_is_one_that_can_judge() -> None:
    """By losses where labels come; nobody can be better where none do."""
    learner = linear_model.LogisticRegression()
    assert Pipeline("p", {"a": float}, Label("y", type=bool), learner).policy == ChampionVersions()
    assert Pipeline("p", {"a": float}, None, anomaly.HalfSpaceTrees()).policy == ObserveOnly()
