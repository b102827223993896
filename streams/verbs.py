"""How a model is asked and taught: which of River's verbs, decided once for all models of a kind."""

from collections.abc import Callable
from functools import partial
from math import inf, isfinite
from typing import Any

from river import base

from streams.chain import Chain, is_chain
from streams.entity_models import EntityModels
from streams.label import TaskKind

_Method = Callable[..., Any]
#: An answer: prediction, score, and whether all its numbers are finite.
Answer = Callable[[dict[str, Any]], tuple[Any, Any, bool]]
#: A lesson: features and label.
Lesson = Callable[[dict[str, Any], Any], object]


def example_of(model: Any) -> Any:
    """Return a model such as those that answer: itself, or one of an entity's."""
    return model.declared if isinstance(model, EntityModels) else model


def last_step(model: Any) -> Any:
    """Return the last step of a River pipeline, else the model."""
    return model._last_step if hasattr(model, "_last_step") else model


def tells_probabilities(model: Any, kind: TaskKind) -> bool:
    """Tell whether a classifier says how probable each class is; whatever is none is not asked for that.

    A wrapper of River's, such as `ensemble.BaggingClassifier`, says what the wrapped classifier says.
    """
    if kind not in ("binary", "multiclass"):
        return True
    last = last_step(model)
    if type(last).predict_proba_one is base.Classifier.predict_proba_one:
        return False
    wrapped = last._wrapped_model if isinstance(last, base.Wrapper) else None
    return wrapped is None or tells_probabilities(wrapped, kind)


def answers_by_probabilities(model: Any) -> bool:
    """Tell whether a classifier answers with the most probable class, and with nothing where it tells none."""
    return type(last_step(model)).predict_one is base.Classifier.predict_one


def answering(model: Any, kind: TaskKind) -> Callable[[Any], Answer]:
    """Return what makes the answer of any model that is made like this one.

    Parameters
    ----------
    model
        A River model, or `EntityModels` of them.
    kind
        The task kind.

    Examples
    --------
    >>> from river import naive_bayes
    >>> model = naive_bayes.GaussianNB()
    >>> teach, ask = teaching(model)(model), answering(model, "binary")(model)
    >>> teach({"a": 1.0}, True)
    >>> ask({"a": 1.0})
    (True, {True: 1.0}, True)
    """
    if isinstance(model, EntityModels):
        return partial(_answers_for_an_entity, answering(model.declared, kind))
    if kind == "anomaly":
        return lambda one: _scores(one.score_one, getattr(last_step(one), "classify", None))
    if kind == "regression":
        return lambda one: _estimates(one.predict_one)
    if not tells_probabilities(model, kind):
        return lambda one: _says(one.predict_one)
    if not answers_by_probabilities(model):
        return lambda one: _picks_itself(one.predict_proba_one, one.predict_one)
    if is_chain(model):
        return lambda one: _picks(Chain(one).predict_proba_one)
    return lambda one: _picks(one.predict_proba_one)


def teaching(model: Any) -> Callable[[Any], Lesson]:
    """Return what makes the lesson of any model that is made like this one.

    Parameters
    ----------
    model
        A River model, or `EntityModels` of them.
    """
    if isinstance(model, EntityModels):
        return partial(_teaches_an_entity, teaching(model.declared))
    if not getattr(last_step(model), "_supervised", True):
        return lambda one: partial(_learn_unsupervised, one)
    if is_chain(model):
        return lambda one: Chain(one).learn_one
    return lambda one: one.learn_one


def _answers_for_an_entity(answers: Callable[[Any], Answer], models: EntityModels) -> Answer:
    """Answer with the model of an event's entity."""

    def answer(x: dict[str, Any]) -> tuple[Any, Any, bool]:
        model, own, learned = models.answering(x)
        prediction, score, sound = answers(model)(own)
        # As with any model: what has learned nothing and answers NaN cannot say yet.
        return (prediction, score, sound) if sound or learned else (None, None, True)

    return answer


def _teaches_an_entity(lessons: Callable[[Any], Lesson], models: EntityModels) -> Lesson:
    """Teach the model of an event's entity, and the shared one."""

    def learn(x: dict[str, Any], y: Any) -> None:
        taught, own = models.learning(x)
        for model in taught:
            lessons(model)(own, y)

    return learn


def _picks(predict_proba: _Method) -> Answer:
    """Answer with the most probable class, the first of equals, as River's classifiers do."""

    def answer(x: dict[str, Any]) -> tuple[Any, Any, bool]:
        score = predict_proba(x)
        best, highest, total = None, -inf, 0.0
        for label, probability in score.items():
            total += probability
            if probability > highest:
                best, highest = label, probability
        return best, score, isfinite(total)

    return answer


def _picks_itself(predict_proba: _Method, predict: _Method) -> Answer:
    """Answer with a class by the classifier's own rule, and with its probabilities."""

    def answer(x: dict[str, Any]) -> tuple[Any, Any, bool]:
        prediction, score = predict(x), predict_proba(x)
        return prediction, score, isfinite(sum(score.values()))

    return answer


def _says(predict: _Method) -> Answer:
    """Answer with a class and no score."""
    return lambda x: (predict(x), None, True)


def _estimates(predict: _Method) -> Answer:
    """Answer with a number, a plain one: some regressors answer with NumPy's, which no encoder takes."""

    def answer(x: dict[str, Any]) -> tuple[Any, Any, bool]:
        value = predict(x)
        if value is None:
            return None, None, True
        number = float(value)
        return number, None, isfinite(number)

    return answer


def _scores(score_one: _Method, classify: _Method | None) -> Answer:
    """Answer with an anomaly score, and with a verdict where the model has one."""

    def answer(x: dict[str, Any]) -> tuple[Any, Any, bool]:
        score = float(score_one(x))
        return (classify(score) if classify else None), score, isfinite(score)

    return answer


def _learn_unsupervised(model: Any, x: dict[str, Any], y: Any) -> None:
    model.learn_one(x)
