"""Whether declared metrics can be fed with the answers of a model."""

from typing import Any

from river import anomaly, base, metrics, utils

from schemas.errors import DeclarationError
from streams.label import TaskKind
from streams.prequential import metric_name, wants_score
from streams.verbs import last_step, tells_probabilities

_USUAL = {"binary": metrics.Accuracy, "multiclass": metrics.Accuracy, "regression": metrics.MAE}


#: How River's detectors score that do not keep between 0 and 1. One that is made from them may bring its scores there.
_UNBOUNDED_SCORES = {anomaly.LODA.score_one, anomaly.LocalOutlierFactor.score_one, anomaly.OneClassSVM.score_one}


def usual_metrics(kind: TaskKind) -> list[Any]:
    """Return the metrics of a task for which none are declared.

    Examples
    --------
    >>> [metric_name(metric) for metric in usual_metrics("regression")], usual_metrics("anomaly")
    (['mae_1000'], [])
    """
    return [utils.Rolling(_USUAL[kind], 1000)] if kind in _USUAL else []


def check_metrics(declared: Any, model: Any, kind: TaskKind) -> None:
    """Refuse metrics that could not be fed, or that no name would tell apart.

    Parameters
    ----------
    declared
        What the declaration says.
    model, kind
        The declared model and its task.

    Raises
    ------
    DeclarationError
        Naming the metric.

    Examples
    --------
    >>> from river import linear_model
    >>> check_metrics([metrics.MAE()], linear_model.LogisticRegression(), "binary")
    Traceback (most recent call last):
    ...
    schemas.errors.DeclarationError: metrics[0]: got 'MAE', expected a metric that works with LogisticRegression
    """
    if not isinstance(declared, (list, tuple)):
        raise DeclarationError("metrics", declared, "a list of River metrics")
    names: list[str] = []
    for i, metric in enumerate(declared):
        _check(f"metrics[{i}]", metric, model, kind)
        if metric_name(metric) in names:
            raise DeclarationError(f"metrics[{i}]", metric_name(metric), "a metric that is not there yet")
        names.append(metric_name(metric))


def _check(field: str, metric: Any, model: Any, kind: TaskKind) -> None:
    inner, model_name = getattr(metric, "obj", metric), type(last_step(model)).__name__
    verbs = all(hasattr(inner, verb) for verb in ("update", "revert", "get"))
    if isinstance(metric, (type, utils.TimeRolling)) or not verbs:
        raise DeclarationError(field, metric, "a River metric, or utils.Rolling(metrics.Accuracy, 1000)")
    if not _gives_a_number(inner):
        raise DeclarationError(field, type(inner).__name__, "a metric whose value is one number")
    if isinstance(inner, metrics.base.Metric) and not inner.works_with(model):
        raise DeclarationError(field, type(inner).__name__, f"a metric that works with {model_name}")
    unbounded = _unbounded(model)
    if unbounded and isinstance(inner, metrics.ROCAUC):
        expected = (
            "metrics.RollingROCAUC(window_size=1000), which ranks scores: ROCAUC holds them against thresholds between "
            f"0 and 1, where those of {unbounded} need not lie"
        )
        raise DeclarationError(field, type(inner).__name__, expected)
    if wants_score(metric) and not tells_probabilities(model, kind):
        expected = f"a metric of answers: {model_name} has no predict_proba_one"
        raise DeclarationError(field, type(inner).__name__, expected)


def _unbounded(model: Any) -> str:
    """Return the name of a detector whose scores are known not to keep between 0 and 1, within a filter, too."""
    last = last_step(model)
    if isinstance(last, base.Wrapper):
        return _unbounded(last._wrapped_model)
    return type(last).__name__ if getattr(type(last), "score_one", None) in _UNBOUNDED_SCORES else ""


def _gives_a_number(metric: Any) -> bool:
    """Tell whether a metric is one number: a confusion matrix or a report is none."""
    try:
        return isinstance(metric.get(), (int, float))
    except (AttributeError, NotImplementedError):
        return False
