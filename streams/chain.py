"""A River pipeline of plain transformers and a model, called step by step."""

from collections.abc import Callable
from functools import partial
from typing import Any

from river import base, compose, linear_model, optim, preprocessing
from river.utils.vectordict import VectorDict

_Features = dict[str, Any]


class Chain:
    """Calls the steps of a River pipeline directly, in its order; the state stays in them.

    River's own pipeline routes keyword arguments to each step at each call. There are none here.
    ``python -m benchmarks.breakdown`` tells what that saves.

    Parameters
    ----------
    model
        A pipeline of which `is_chain` is true.

    Examples
    --------
    >>> from river import linear_model
    >>> model = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    >>> chain = Chain(model)
    >>> chain.learn_one({"a": 1.0}, True)
    >>> chain.predict_proba_one({"a": 2.0}) == model.predict_proba_one({"a": 2.0})
    True
    """

    __slots__ = ("_last", "_lessons", "_teach_last", "_transformers")

    def __init__(self, model: Any) -> None:
        *self._transformers, self._last = model.steps.values()
        self._lessons = [(_lesson(step), step) for step in self._transformers]
        self._teach_last = partial(_descend, self._last) if _descends_plainly(self._last) else self._last.learn_one

    def predict_proba_one(self, x: _Features) -> Any:
        """Return the model's class probabilities for transformed features."""
        for transformer in self._transformers:
            x = transformer.transform_one(x)
        return self._last.predict_proba_one(x)

    def learn_one(self, x: _Features, y: Any = None) -> None:
        """Teach each transformer, then the model with what they make of the features."""
        for lesson, transformer in self._lessons:
            x = lesson(transformer, x)
        self._teach_last(x, y)


def is_chain(model: Any) -> bool:
    """Tell whether a model is a chain, and not another kind of thing or a pipeline with side branches."""
    if type(model) is not compose.Pipeline or compose.Pipeline._LEARN_UNSUPERVISED_DURING_PREDICT:
        return False
    *transformers, last = model.steps.values()
    plain = all(
        isinstance(step, base.Transformer) and not step._supervised and not isinstance(step, compose.TransformerUnion)
        for step in transformers
    )
    return plain and isinstance(last, base.Classifier)


def _lesson(transformer: Any) -> Callable[[Any, _Features], _Features]:
    """Return what teaches such a transformer some features, then transforms them."""
    if type(transformer) is preprocessing.StandardScaler and transformer.with_std and transformer.window_size is None:
        return _scale
    return _teach


def _teach(transformer: Any, x: _Features) -> _Features:
    transformer.learn_one(x)
    transformed: _Features = transformer.transform_one(x)
    return transformed


def _scale(scaler: preprocessing.StandardScaler, x: _Features) -> _Features:
    """Do ``learn_one`` and ``transform_one`` in one pass: River's sums in River's order, to the last bit.

    River looks each feature up ten times for that; here it is three. And it stores each count into a `Counter`, which
    is slow; here all counts are stored together.
    """
    counts, means, variances = scaler.counts, scaler.means, scaler.vars
    seen, scaled = {}, {}
    for name, value in x.items():
        seen[name] = count = counts[name] + 1
        mean = means[name]
        deviation = value - mean
        means[name] = mean = mean + deviation / count
        variance = variances[name]
        variances[name] = variance = variance + (deviation * (value - mean) - variance) / count
        scaled[name] = (value - mean) / variance**0.5 if variance else 0.0
    dict.update(counts, seen)  # a Counter's own `update` adds
    return scaled


def _descends_plainly(model: Any) -> bool:
    """Tell whether a model is a logistic regression by gradient descent at a constant rate, without a penalty.

    It is asked once, when a chain is made.
    """
    return (
        type(model) is linear_model.LogisticRegression
        and type(model.loss) is optim.losses.Log
        and type(model.optimizer) is optim.SGD
        and type(model.optimizer.lr) is type(model.intercept_lr) is optim.schedulers.Constant
        and not (model.l1 or model.l2)
    )


def _descend(model: linear_model.LogisticRegression, x: _Features, y: Any) -> None:
    """Do ``learn_one`` of such a model in one call where River makes eight, to the last bit."""
    optimizer, clip = model.optimizer, model.clip_gradient
    weights = VectorDict(model._weights, model.initializer, x)  # the model's own; those of new features begin
    slope = model.loss.gradient(y_true=y, y_pred=weights.dot(x) + model.intercept)
    slope = float(max(min(slope, clip), -clip))
    model.intercept -= model.intercept_lr.learning_rate * slope
    weights.isub_scaled(VectorDict.from_scaled(x, slope), optimizer.lr.learning_rate)
    optimizer.n_iterations += 1
