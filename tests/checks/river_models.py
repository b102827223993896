"""Everything of River that learns, each with a stream that suits it: as River's own checks build and feed it."""

import datetime as dt
import importlib
import inspect
import math
import pkgutil
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import river
import river.tree.splitter as ts
from river import (
    active,
    bandit,
    base,
    cluster,
    compose,
    conf,
    covariance,
    drift,
    ensemble,
    feature_extraction,
    forest,
    linear_model,
    metrics,
    misc,
    model_selection,
    multiclass,
    naive_bayes,
    neighbors,
    optim,
    preprocessing,
    proba,
    reco,
    rules,
    sketch,
    stats,
    time_series,
    tree,
    utils,
)  # fmt: skip
from river.facto.base import BaseFM

from schemas.errors import DeclarationError
from streams.seeding import seeded

#: Packages of River that hold nothing a model is made of: they read files, listen to sockets, draw pictures.
LEFT_OUT = ("api", "checks", "compat", "datasets", "evaluate", "stream", "bandit.datasets", "bandit.envs",
            "drift.datasets", "bandit.evaluate", "utils.pretty", "utils.param_grid")  # fmt: skip

#: Classes that cannot be built alone, cannot be used, or are parts that others make, and why.
NOT_BUILT = {
    **dict.fromkeys(("Base", "Estimator", "Leaf", "_BaseDriftDetector", "_BaseDriftAndWarningDetector",
                     "DriftDetector", "DriftAndWarningDetector", "BinaryDriftDetector", "BinaryDriftAndWarningDetector",
                     "Optimizer", "RandomSampler", "StochasticGradientTree"), "abstract in all but name"),
    **dict.fromkeys(("BaseTreeClassifier", "BaseTreeRegressor", "ETRegressor", "ConstantSampler", "BaggingSampler",
                     "SubBaggingSampler", "RegRule", "PaddedBranch", "PaddedLeaf", "ODACCluster", "ODACChildren"),
                    "a part of another model, which is built"),
    **dict.fromkeys(("EBSTSplitter", "ExhaustiveSplitter", "GaussianSplitter", "HistogramSplitter", "QOSplitter",
                     "TEBSTSplitter", "RegRandomSplitter", "NominalSplitterClassif", "NominalSplitterReg",
                     "DynamicQuantizer", "StaticQuantizer"), "a part of trees, which are built with it"),
    "Pipeline": "built among the variants",
    "ZstdClassifier": "needs Python 3.14",
}  # fmt: skip

CITIES = ("oslo", "lima", "pune", "cairo")


@dataclass(frozen=True)
class Example:
    """One example for every kind of model: features, and what each kind takes for an answer."""

    number: int
    x: dict[str, float]
    flag: bool
    word: str
    target: float

    @property
    def named(self) -> dict[str, Any]:
        """The features with a string among them."""
        return {**self.x, "city": CITIES[self.number % 7 % 4]}


@cache
def example(number: int) -> Example:
    """Return the example of a number; the concept turns round every 150."""
    rng = random.Random(number)
    x = {name: rng.gauss(0, 1) for name in "abcde"}
    turn = -1 if number // 150 % 2 else 1
    place = turn * (x["a"] + 0.5 * x["b"]) + (1.0 if number % 7 % 4 == 0 else 0.0)
    word = "low" if place < -0.4 else "mid" if place < 0.4 else "top"
    return Example(number, x, place > 0, word, 3 * place + x["c"] + rng.gauss(0, 0.1))


Step = Callable[[Any, Example], Any]


@dataclass(frozen=True)
class Model:
    """A River object and how it is used.

    Parameters
    ----------
    name
        Of its class and what is special.
    make
        Makes it, seeded.
    step
        Asks it about an example, lets it learn the example, and returns what it said.
    """

    name: str
    make: Callable[[], Any]
    step: Step

    def after(self, examples: int) -> Any:
        """Return the object after some examples."""
        made = self.make()
        self.answers(made, range(examples))
        return made

    def answers(self, made: Any, numbers: range) -> list[str]:
        """Return what it says to examples; as text, since NaN is not equal to itself."""
        return [repr(self.step(made, replace(example(n), x=dict(example(n).x)))) for n in numbers]


def _classifier(truth: str) -> Step:
    def step(model: Any, e: Example) -> Any:
        x = {k: abs(v) for k, v in e.x.items()} if base.tags.POSITIVE_INPUT in model._tags else e.x
        x = f"{e.word} {CITIES[e.number % 4]}" if base.tags.TEXT_INPUT in model._tags else x
        said = _said(model, x)
        model.learn_one(x, getattr(e, truth))
        return said

    return step


def _said(model: Any, x: Any) -> Any:
    try:
        return model.predict_proba_one(x)
    except NotImplementedError:
        return model.predict_one(x)


def _categorical(model: Any, e: Example) -> Any:
    said = model.predict_one(e.named)
    model.learn_one(e.named, e.target if isinstance(model, base.Regressor) else e.word)
    return said


def _regressor(model: Any, e: Example) -> Any:
    said = model.predict_one(e.x)
    model.learn_one(e.x, e.target)
    return said


def _multi_target(model: Any, e: Example) -> Any:
    said = model.predict_one(e.x)
    model.learn_one(e.x, {"u": e.target, "v": e.x["d"] - e.target})
    return said


def _multi_label(model: Any, e: Example) -> Any:
    said = model.predict_one(e.x)
    model.learn_one(e.x, {"u": e.flag, "v": e.x["d"] > 0})
    return said


def _anomaly(model: Any, e: Example) -> Any:
    supervised = model._supervised
    x = {k: 1 / (1 + math.exp(-v)) for k, v in e.x.items()}
    said = model.score_one(x, e.target) if supervised else model.score_one(x)
    model.learn_one(x, e.target) if supervised else model.learn_one(x)
    return said


def _filter(model: Any, e: Example) -> Any:
    said = model.score_one(e.x)
    model.learn_one(e.x)
    return said


def _clusterer(model: Any, e: Example) -> Any:
    x: Any = f"{e.word} {CITIES[e.number % 4]} town" if base.tags.TEXT_INPUT in model._tags else e.x
    if isinstance(model, cluster.ODAC):
        x = {**{k: v + 10 * (k in "ab") * e.number for k, v in e.x.items()}}
    if isinstance(model, cluster.TextClust):
        model.learn_one(x, e.number)
    else:
        model.learn_one(x)
    return model.n_clusters if isinstance(model, cluster.ODAC) else model.predict_one(x)


def _transformer(model: Any, e: Example) -> Any:
    x: Any = f"{e.word} {CITIES[e.number % 4]} town" if base.tags.TEXT_INPUT in model._tags else e.x
    if isinstance(model, (preprocessing.OneHotEncoder, preprocessing.OrdinalEncoder, preprocessing.PreviousImputer)):
        x = {"city": CITIES[e.number % 4]}
    if isinstance(model, preprocessing.GapEncoder):
        x = {"city": CITIES[e.number % 4]} if not isinstance(x, str) else x
    model.learn_one(x, e.word if isinstance(model, preprocessing.LDA) else e.target) if model._supervised else (
        model.learn_one(x)
    )
    return model.transform_one(x)


def _ranker(model: Any, e: Example) -> Any:
    user, item = CITIES[e.number % 4], "abcde"[e.number % 5]
    said = model.predict_one(user, item, x=e.x if model.is_contextual else None)
    model.learn_one(user, item, e.target, x=e.x if model.is_contextual else None)
    return said


def _factorization(model: Any, e: Example) -> Any:
    said = model.predict_one(e.named)
    model.learn_one(e.named, e.flag if isinstance(model, base.Classifier) else e.target)
    return said


def _forecaster(model: Any, e: Example) -> Any:
    model.learn_one(e.number % 12 + 10.0)
    return model.forecast(2) if e.number > 60 else None


def _detector(model: Any, e: Example) -> Any:
    model.update(e.x["a"] + 5 * (e.number // 100 % 2))
    return model.drift_detected


def _binary_detector(model: Any, e: Example) -> Any:
    model.update(e.x["a"] > (1.5, 0)[e.number // 100 % 2])
    return model.drift_detected


def _statistic(model: Any, e: Example) -> Any:
    if isinstance(model, stats.ChiSquared):
        model.update(e.word, e.flag)
    elif isinstance(model, stats.KolmogorovSmirnov) or not isinstance(model, stats.base.Univariate):
        model.update(e.x["a"], e.target)
    else:
        discrete = isinstance(model, (stats.Mode, stats.RollingMode, stats.Entropy, stats.Count))
        model.update(e.word if discrete else e.target)
    return model.get()


def _metric(model: Any, e: Example) -> Any:
    if isinstance(model, metrics.multioutput.base.MultiOutputMetric):
        flags = {"u": e.flag, "v": e.x["d"] > 0}
        wrong = {"u": e.x["b"] > 0, "v": e.x["d"] > 0}
        model.update(flags, wrong)
    elif isinstance(model, metrics.Silhouette):
        model.update(e.x, e.number % 2, {0: example(1).x, 1: example(2).x})
    elif isinstance(model, metrics.base.RegressionMetric):
        model.update(abs(e.target), abs(e.target + e.x["b"]))
    elif isinstance(model, metrics.CrossEntropy):
        model.update(e.word, {"low": 0.2, "mid": 0.5, "top": 0.3})
    elif isinstance(model, metrics.base.BinaryMetric):
        near = 1 / (1 + math.exp(-e.x["a"]))
        model.update(e.flag, e.x["a"] > 0 if model.requires_labels else {True: near, False: 1 - near})
    else:
        model.update(e.word, example(e.number + 1).word)
    return str(model) if isinstance(model, (metrics.ClassificationReport, metrics.ConfusionMatrix)) else model.get()


def _horizon_metric(model: Any, e: Example) -> Any:
    model.update([e.target, e.x["a"]], [e.target + e.x["b"], 0.0])
    return model.get()


def _optimizer(model: Any, e: Example) -> Any:
    # Optimizers keep what they know of a vector; a model holds both.
    line = getattr(model, "_line", None)
    if line is None:
        line = model._line = linear_model.LinearRegression(model, l2=0.0)
    return _regressor(line, e)


def _loss(model: Any, e: Example) -> Any:
    y, p = (e.flag, e.x["a"]) if isinstance(model, optim.losses.BinaryLoss) else (abs(e.target), e.x["a"])
    return (model.gradient(y, {True: 0.5, False: 0.5}) if isinstance(model, optim.losses.CrossEntropy)
            else (model(y, p), model.gradient(y, p)))  # fmt: skip


def _scheduler(model: Any, e: Example) -> Any:
    return model.get(e.number + 1)


def _initializer(model: Any, e: Example) -> Any:
    return model()


def _policy(model: Any, e: Example) -> Any:
    if isinstance(model, bandit.base.ContextualPolicy):
        arm = model.pull([0, 1, 2], context=e.x)
        model.update(arm, e.x, e.target)
    else:
        arm = model.pull([0, 1, 2])
        bernoulli = isinstance(model.reward_obj, proba.Beta)
        model.update(arm, e.x["abc"[arm]] > 0 if bernoulli else e.x["abc"[arm]] > 0.5)
    return arm


def _distribution(model: Any, e: Example) -> Any:
    if isinstance(model, proba.MultivariateGaussian):
        model.update(e.x)
        return model.mode, e.number > 10 and model(e.x)
    value: Any = (
        e.flag if isinstance(model, proba.Beta) else e.word if isinstance(model, proba.Multinomial) else e.target
    )
    model.update(value)
    return model.sample() if e.number > 3 else None


def _sketch(model: Any, e: Example) -> Any:
    if isinstance(model, sketch.Set):
        model.add(e.word + str(e.number % 50))
        return "low1" in model
    model.update(e.target if isinstance(model, sketch.Histogram) else e.word + str(e.number % 50))
    if isinstance(model, sketch.NUnique):
        return model.get()
    return model.cdf(0.0) if isinstance(model, sketch.Histogram) else model["low1"]


def _updated(model: Any, e: Example) -> Any:
    """Something that takes one value or one dict and shows what it holds."""
    if isinstance(model, utils.TimeRolling):
        model.update(e.target, t=dt.datetime(2013, 1, 1) + dt.timedelta(hours=e.number))
        return model.get()
    if isinstance(model, utils.SortedWindow):
        model.append(e.target)
        return list(model)
    model.update(e.target if isinstance(model, (misc.SDFT, utils.Rolling)) else e.x)
    if isinstance(model, utils.Rolling):
        return model.get()
    if isinstance(model, misc.SDFT):
        return vars(model)
    return model.matrix if hasattr(model, "matrix") else list(model)


def _active(model: Any, e: Example) -> Any:
    said, ask = model.predict_proba_one(e.x)
    if ask:
        model.learn_one(e.x, e.flag)
    return said, ask


def _interval(model: Any, e: Example) -> Any:
    said = model.predict_one(e.x, with_interval=True)
    model.learn_one(e.x, e.target)
    return said


def _agg(model: Any, e: Example) -> Any:
    moment = dt.datetime(2013, 1, 1) + dt.timedelta(hours=e.number)
    more = {"t": moment} if isinstance(getattr(model, "how", None), utils.TimeRolling) else {}
    x = e.named
    model.learn_one(x, e.target, **more) if model._supervised else model.learn_one(x, **more)
    return model.transform_one(x)


def _neighbours(model: Any, e: Example) -> Any:
    found = model.search(e.x, n_neighbors=3) if e.number > 3 else None
    model.append(e.x)
    return found


#: How objects of a class are used; the first that fits.
STEPS: list[tuple[Any, Step]] = [
    (active.base.ActiveLearningClassifier, _active),
    (base.AnomalyDetector, _anomaly),
    (time_series.base.Forecaster, _forecaster),
    (BaseFM, _factorization),
    (reco.base.Ranker, _ranker),
    (conf.RegressionJackknife, _interval),
    (base.MultiTargetRegressor, _multi_target),
    (base.MultiLabelClassifier, _multi_label),
    (base.Regressor, _regressor),
    (base.SupervisedAnomalyDetector, _anomaly),
    (base.AnomalyFilter, _filter),
    (base.Clusterer, _clusterer),
    ((feature_extraction.Agg, feature_extraction.TargetAgg, compose.Grouper), _agg),
    ((base.Transformer, base.SupervisedTransformer), _transformer),
    ((base.BinaryDriftDetector, base.BinaryDriftAndWarningDetector), _binary_detector),
    ((base.DriftDetector, base.DriftAndWarningDetector), _detector),
    (time_series.HorizonMetric, _horizon_metric),
    ((metrics.base.Metric, metrics.Silhouette), _metric),
    (stats.base.Statistic, _statistic),
    (optim.base.Optimizer, _optimizer),
    (optim.base.Loss, _loss),
    (optim.base.Scheduler, _scheduler),
    (optim.base.Initializer, _initializer),
    (bandit.base.Policy, _policy),
    (proba.base.Distribution, _distribution),
    ((sketch.Counter, sketch.HeavyHitters, sketch.Histogram, sketch.NUnique, sketch.Set), _sketch),
    ((misc.SDFT, misc.Skyline), _updated),
    ((utils.Rolling, utils.TimeRolling, utils.SortedWindow), _updated),
    ((neighbors.LazySearch, neighbors.SWINN), _neighbours),
]

_LOGISTIC, _LINEAR = linear_model.LogisticRegression, linear_model.LinearRegression
_WINDOW = {"window_size": 20}

#: Arguments of classes that have no defaults, nor any for River's own tests.
ARGUMENTS: dict[str, Callable[[], dict[str, Any]]] = {
    "FuncTransformer": lambda: {"func": dict},
    "Grouper": lambda: {"transformer": preprocessing.StatImputer(("a", stats.Mean())), "by": ["city"]},
    "Prefixer": lambda: {"prefix": "p_"},
    "Suffixer": lambda: {"suffix": "_s"},
    "Renamer": lambda: {"mapping": {"a": "z"}},
    "TargetTransformRegressor": lambda: {"regressor": _LINEAR(), "func": float, "inverse_func": float},
    "Agg": lambda: {"on": "a", "by": "city", "how": stats.Mean()},
    "TargetAgg": lambda: {"by": "city", "how": stats.BayesianMean(0, 3)},
    "PoissonInclusion": lambda: {"p": 0.3},
    "RandomOverSampler": lambda: {"classifier": _LOGISTIC(), "desired_dist": {False: 0.4, True: 0.6}},
    "RandomUnderSampler": lambda: {"classifier": _LOGISTIC(), "desired_dist": {False: 0.4, True: 0.6}},
    "Metrics": lambda: {"metrics": [metrics.Accuracy(), metrics.MacroF1()]},
    **dict.fromkeys(("FBeta", "MacroFBeta", "MicroFBeta", "WeightedFBeta"), lambda: {"beta": 2.0}),
    "MultiFBeta": lambda: {"betas": {"low": 1.0, "mid": 2.0, "top": 1.0}, "weights": None},
    **dict.fromkeys(("MacroAverage", "MicroAverage", "SampleAverage"), lambda: {"metric": metrics.F1()}),
    "PerOutput": lambda: {"metric": metrics.Accuracy()},
    "SDFT": lambda: _WINDOW,
    "Skyline": lambda: {"minimize": ["a"], "maximize": ["b"]},
    "SuccessiveHalvingClassifier": lambda: {
        "models": [tree.HoeffdingTreeClassifier(grace_period=grace) for grace in (20, 40)],
        "metric": metrics.Accuracy(),
        "budget": 200,
    },
    "initializers.Constant": lambda: {"value": 1.0},
    "schedulers.Constant": lambda: {"learning_rate": 0.1},
    "InverseScaling": lambda: {"learning_rate": 0.1},
    "Optimal": lambda: {"loss": optim.losses.Hinge()},
    "impute.Constant": lambda: {"value": 1.0},
    "TargetMinMaxScaler": lambda: {"regressor": _LINEAR()},
    "TargetStandardScaler": lambda: {"regressor": _LINEAR()},
    "AdaptiveRegressor": lambda: {"model_predictor": _LINEAR(), "fading_factor": 0.99},
    "AutoCorr": lambda: {"lag": 2},
    "Link": lambda: {"left": stats.Shift(1), "right": stats.Mean()},
    "BayesianMean": lambda: {"prior": 1.0, "prior_weight": 2.0},
    "RollingQuantile": lambda: {"q": 0.3, "window_size": 20},
    **dict.fromkeys(("RollingIQR", "RollingAbsMax", "RollingMax", "RollingMin", "RollingMode", "RollingPeakToPeak"),
                    lambda: _WINDOW),
    "HorizonAggMetric": lambda: {"metric": metrics.MAE(), "agg_func": tuple},
    "HorizonMetric": lambda: {"metric": metrics.MAE()},
    "PredictiveAnomalyDetection": lambda: {"predictive_model": _LINEAR(), "warmup_period": 10},
    "TextClust": lambda: {"tgap": 50},
    "STREAMKMeans": lambda: {"n_clusters": 2, "chunk_size": 20, "seed": 1},  # for those within it, too
    "KSWIN": lambda: {"window_size": 100},
}  # fmt: skip

#: Small values of parameters that decide how soon something happens, and how much of it.
SMALL = {"grace_period": 20, "n_models": 3, "n_estimators": 3, "n_trees": 3, "min_samples_reevaluate": 40,
         "window_size": 50, "n_min": 20}  # fmt: skip


def _variants() -> Iterator[tuple[str, Callable[[], Any], Step]]:
    """Yield what classes are made of only when they are asked for it."""
    for leaf in ("mc", "nb", "nba"):
        small: dict[str, Any]
        for cls, small in (
            (tree.HoeffdingTreeClassifier, {"grace_period": 20, "delta": 0.1}),
            (tree.HoeffdingAdaptiveTreeClassifier, {"grace_period": 20, "delta": 0.1}),
            (tree.LASTClassifier, {}),
            (
                tree.ExtremelyFastDecisionTreeClassifier,
                {"grace_period": 20, "delta": 0.1, "min_samples_reevaluate": 40},
            ),
        ):
            if cls is tree.LASTClassifier and leaf == "nb":
                continue  # it raises
            for binary in (False, True):
                yield (
                    f"{cls.__name__}-{leaf}-{binary}",
                    partial(cls, leaf_prediction=leaf, binary_split=binary, **small),
                    _categorical,
                )
        yield (
            f"ARFClassifier-{leaf}",
            partial(
                forest.ARFClassifier,
                n_models=3,
                grace_period=20,
                delta=0.1,
                leaf_prediction=leaf,
                warning_detector=None,
            ),
            _categorical,
        )
    for leaf in ("mean", "model", "adaptive"):
        for cls in (tree.HoeffdingTreeRegressor, tree.HoeffdingAdaptiveTreeRegressor):
            for binary in (False, True):
                yield (
                    f"{cls.__name__}-{leaf}-{binary}",
                    partial(
                        cls,
                        grace_period=20,
                        delta=0.1,
                        leaf_prediction=leaf,
                        binary_split=binary,
                        leaf_model=_numbers_only(),
                    ),
                    _categorical,
                )
        for cls in (forest.ARFRegressor, forest.OXTRegressor):
            yield (
                f"{cls.__name__}-{leaf}",
                partial(cls, n_models=3, grace_period=20, delta=0.1, leaf_prediction=leaf),
                _regressor,
            )
        yield (
            f"ISOUPTreeRegressor-{leaf}",
            partial(tree.ISOUPTreeRegressor, grace_period=20, delta=0.1, leaf_prediction=leaf),
            _multi_target,
        )
    for splitter in (ts.ExhaustiveSplitter, ts.GaussianSplitter, ts.HistogramSplitter):
        for criterion in ("gini", "hellinger", "info_gain"):
            yield (
                f"{splitter.__name__}-{criterion}",
                partial(
                    tree.HoeffdingTreeClassifier,
                    grace_period=20,
                    delta=0.1,
                    splitter=splitter(),
                    split_criterion=criterion,
                ),
                _classifier("word"),
            )
    quantizers = (
        (ts.EBSTSplitter, {}),
        (ts.TEBSTSplitter, {}),
        (ts.QOSplitter, {}),
        (ts.QOSplitter, {"allow_multiway_splits": True, "radius": 0.5}),
    )
    for splitter, arguments in quantizers:
        for cls in (tree.HoeffdingTreeRegressor, tree.HoeffdingAdaptiveTreeRegressor, rules.AMRules):
            yield (
                f"{cls.__name__}-{splitter.__name__}{len(arguments)}",
                partial(
                    cls,
                    delta=0.1,
                    splitter=splitter(**arguments),
                    **{"n_min" if cls is rules.AMRules else "grace_period": 20},
                ),
                _regressor,
            )
    for quantizer in (ts.DynamicQuantizer, ts.StaticQuantizer):
        sgt = {"grace_period": 20, "delta": 0.1, "feature_quantizer": quantizer()}
        yield f"SGTClassifier-{quantizer.__name__}", partial(tree.SGTClassifier, **sgt), _classifier("flag")
        yield f"SGTRegressor-{quantizer.__name__}", partial(tree.SGTRegressor, **sgt), _regressor
    yield (
        "SGTRegressor-nominal",
        partial(tree.SGTRegressor, grace_period=20, delta=0.1, nominal_attributes=["city"]),
        _categorical,
    )
    for mode in (0, 1, 2):
        yield f"PARegressor-{mode}", partial(linear_model.PARegressor, mode=mode), _regressor
        yield f"PAClassifier-{mode}", partial(linear_model.PAClassifier, mode=mode), _classifier("flag")
    for scaler in (preprocessing.StandardScaler, preprocessing.MinMaxScaler, preprocessing.MaxAbsScaler):
        yield f"{scaler.__name__}-window", partial(scaler, window_size=20), _transformer
        yield f"{scaler.__name__}-pipeline", lambda scaler=scaler: scaler() | _LOGISTIC(), _classifier("flag")
    for optimizer in (optim.Adam, optim.AdaGrad, optim.RMSProp, optim.FTRLProximal, optim.Momentum):
        yield (
            f"LogisticRegression-{optimizer.__name__}",
            lambda o=optimizer: _LOGISTIC(o(), l2=0.1),
            _classifier("flag"),
        )
    yield "LogisticRegression-l1", lambda: _LOGISTIC(l1=0.01), _classifier("flag")
    yield "flights", _union, _categorical
    yield (
        "KNN-distance",
        lambda: neighbors.KNNClassifier(
            engine=neighbors.LazySearch(dist_func=partial(utils.math.minkowski_distance, p=1))
        ),
        _classifier("word"),
    )
    yield (
        "KNN-swinn",
        lambda: neighbors.KNNClassifier(engine=neighbors.SWINN(maxlen=60, warm_up=40, seed=1)),
        (_classifier("word")),
    )
    for policy in (
        bandit.UCB(delta=1, seed=1),
        bandit.EpsilonGreedy(0.1, reward_obj=stats.Sum(), seed=1),
        bandit.Exp3(0.1, seed=1),
    ):
        yield (
            f"BanditClassifier-{type(policy).__name__}",
            partial(
                model_selection.BanditClassifier,
                [_LOGISTIC(optim.SGD(r)) for r in (0.1, 0.01)],
                metrics.Accuracy(),
                policy,
            ),
            _classifier("flag"),
        )
    yield "Agg-rolling", lambda: feature_extraction.Agg("a", "city", utils.Rolling(stats.Mean(), 5)), _agg
    yield (
        "Agg-time",
        lambda: feature_extraction.Agg("a", "city", utils.TimeRolling(stats.Mean(), dt.timedelta(hours=9))),
        _agg,
    )
    yield "Rolling", lambda: utils.Rolling(stats.Var(), 10), _updated
    yield "Rolling-metric", lambda: utils.Rolling(metrics.MacroF1(), 10), _rolling_metric
    yield "TimeRolling", lambda: utils.TimeRolling(stats.Mean(), dt.timedelta(hours=9)), _updated
    yield "SortedWindow", lambda: utils.SortedWindow(9), _updated
    yield (
        "drift.binary",
        lambda: drift.DriftRetrainingClassifier(tree.HoeffdingTreeClassifier(grace_period=20), drift.binary.DDM()),
        _classifier("word"),
    )
    yield (
        "BagOfWords-pipeline",
        lambda: feature_extraction.BagOfWords(lowercase=True, ngram_range=(1, 2)) | naive_bayes.MultinomialNB(),
        _text,
    )
    yield "TFIDF-on", lambda: feature_extraction.TFIDF(on="city") | naive_bayes.GaussianNB(), _categorical
    for cls in (
        covariance.EmpiricalCovariance,
        covariance.EmpiricalPrecision,
        covariance.EwaCovariance,
        covariance.EwaPrecision,
        covariance.LedoitWolfCovariance,
        covariance.OASCovariance,
        covariance.ShrunkCovariance,
    ):
        yield cls.__name__, cls, _updated
    for words in (preprocessing.TargetStandardScaler, preprocessing.TargetMinMaxScaler):
        yield f"{words.__name__}-tree", lambda words=words: words(tree.HoeffdingTreeRegressor()), _regressor

    for method in ("wt", "subag"):  # the other two raise
        yield (
            f"LeveragingBagging-{method}",
            partial(ensemble.LeveragingBaggingClassifier, _LOGISTIC(), 3, bagging_method=method),
            _classifier("flag"),
        )
    for mode in ("up", "down"):
        yield f"PageHinkley-{mode}", partial(drift.PageHinkley, mode=mode), _detector
    yield "DummyDriftDetector-random", partial(drift.DummyDriftDetector, "random", t_0=50, w=10), _detector
    for mode in ("drop", "off"):
        yield (
            f"OXTRegressor-{mode}",
            partial(forest.OXTRegressor, n_models=3, grace_period=20, delta=0.1, detection_mode=mode),
            _regressor,
        )
    for cls in (metrics.NormalizedMutualInfo, metrics.AdjustedMutualInfo):
        for average in ("min", "max", "geometric"):
            yield f"{cls.__name__}-{average}", partial(cls, average_method=average), _metric
    for splitter, arguments in (*quantizers, (None, {})):
        yield (
            f"ISOUPTreeRegressor-{splitter and splitter.__name__}{len(arguments)}",
            partial(
                tree.ISOUPTreeRegressor,
                grace_period=20,
                delta=0.1,
                leaf_prediction="mean",
                splitter=splitter and splitter(**arguments),
            ),
            _named_multi_target,
        )
    yield "BagOfWords-stop", lambda: feature_extraction.BagOfWords(stop_words={"town"}), _transformer
    for policy in (bandit.ThompsonSampling(proba.Gaussian(seed=1), seed=1), bandit.BayesUCB(seed=1)):
        yield f"{type(policy).__name__}-gaussian", policy.clone, _policy


def _named_multi_target(model: Any, e: Example) -> Any:
    said = model.predict_one(e.named)
    model.learn_one(e.named, {"u": e.target, "v": e.x["d"] - e.target})
    return said


def _numbers_only() -> Any:
    return compose.SelectType(float) | _LINEAR(optim.SGD(0.001))


def _union() -> Any:
    numbers = (
        compose.SelectType(float) | preprocessing.StatImputer(("a", stats.Mean())) | preprocessing.StandardScaler()
    )
    names = compose.SelectType(str) | preprocessing.OneHotEncoder()
    return (numbers + names) | multiclass.OneVsRestClassifier(_LOGISTIC())


def _rolling_metric(model: Any, e: Example) -> Any:
    model.update(e.word, example(e.number + 1).word)
    return model.get()


def _text(model: Any, e: Example) -> Any:
    x = f"{e.word} {CITIES[e.number % 4]} Town"
    said = model.predict_proba_one(x)
    model.learn_one(x, e.word)
    return said


def river_classes() -> Iterator[type]:
    """Yield every class that River defines, but for the packages left out."""
    for module in pkgutil.walk_packages(river.__path__, "river.", onerror=lambda name: None):
        if module.name.startswith(tuple(f"river.{name}" for name in LEFT_OUT)):
            continue
        for value in list(vars(importlib.import_module(module.name)).values()):
            if isinstance(value, type) and value.__module__ == module.name:
                yield value


def declared() -> Iterator[Model]:
    """Yield a model of each class, and of each set of parameters that River tests it with."""
    for cls in river_classes():
        if not issubclass(cls, base.Base) or inspect.isabstract(cls) or cls.__module__.startswith("river.tree.nodes"):
            continue
        if cls.__qualname__ in NOT_BUILT or cls.__module__.startswith("river.tree.mondrian.mondrian_tree_n"):
            continue
        short = f"{cls.__module__.rpartition('.')[2]}.{cls.__qualname__}"
        own = ARGUMENTS.get(short) or ARGUMENTS.get(cls.__qualname__)
        variants = [own()] if own else list(cls._unit_test_params())
        for number in range(len(variants)):
            name = short if number == 0 else f"{short}-{number}"
            yield from _used(cls, name, lambda cls=cls, own=own, number=number: _built(cls, own, number))


def models() -> Iterator[Model]:
    """Yield everything that learns."""
    yield from declared()
    for name, make, step in _variants():
        yield Model(name, lambda make=make: _seeded(make()), step)


def _built(cls: Any, own: Any, number: int) -> Any:
    arguments = own() if own else list(cls._unit_test_params())[number]
    small = {k: v for k, v in SMALL.items() if k in inspect.signature(cls.__init__).parameters}
    return _seeded(cls(**{**small, **arguments}))


def _seeded(made: Any) -> Any:
    try:
        return seeded(made, "check")
    except (DeclarationError, TypeError, ValueError):  # some cannot be cloned, or have chance without a seed
        return made


def _used(cls: type, name: str, make: Callable[[], Any]) -> Iterator[Model]:
    for kind, step in STEPS:
        if issubclass(cls, kind):
            yield Model(name, make, step)
            return
    if issubclass(cls, base.Classifier):
        yield Model(name, make, _classifier("flag"))
        if make()._multiclass:
            yield Model(f"{name}-words", make, _classifier("word"))
    else:
        raise TypeError(f"{cls}: say in STEPS how it is used, or in NOT_BUILT why not")
