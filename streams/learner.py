"""A model with its version: it scores, it learns, and when it raises it is as if the record had never come."""

from collections.abc import Callable, Collection
from functools import partial
from math import inf, isfinite
from typing import Any

from river import base, compose

from schemas.errors import ModelError
from streams import pickling
from streams.label import TaskKind
from streams.undo_log import Checkpoint, Pickled, UndoLog

_Method = Callable[..., Any]


class Learner:
    """One version of a model.

    Parameters
    ----------
    fresh
        Makes the River model this version begins with; the same one every time.
    version
        Such as ``v1``.
    kind
        The task kind: it decides which of River's verbs are used.
    checkpoint
        Writes the model down for the undo log.
    learned
        Number of examples that the model of `fresh` has learned: more than 0 after a restore.

    Examples
    --------
    >>> from river import naive_bayes
    >>> learner = Learner(naive_bayes.GaussianNB, "v1", "binary")
    >>> learner.predict({"a": 1.0})
    (None, {})
    >>> for a in (1.0, 2.0, 3.0):
    ...     learner.learn({"a": a}, a > 1.5)
    >>> learner.predict({"a": 2.9})[0], learner.learned
    (True, 3)
    """

    def __init__(
        self,
        fresh: Callable[[], Any],
        version: str,
        kind: TaskKind,
        checkpoint: Callable[[Any], Checkpoint] = Pickled,
        *,
        learned: int = 0,
    ) -> None:
        self.version = version
        self.learned = learned
        self._kind = kind
        self._undo = UndoLog(fresh, checkpoint)
        self._adopt(fresh())

    def _adopt(self, model: Any) -> None:
        """Take a model and look up once which of its methods answer."""
        self.model = model
        last = model._last_step if hasattr(model, "_last_step") else model
        #: Class name of the model, of its last step for a River pipeline.
        self.model_name = type(last).__name__
        chain = _Chain.of(model)
        self._supervised = bool(getattr(last, "_supervised", True))
        self._learn_one = chain.learn_one if chain else model.learn_one
        if not self._supervised:
            self._learn_one = partial(_learn_unsupervised, model)
        if self._kind == "anomaly":
            self._answer = _scores(model.score_one, getattr(last, "classify", None))
        elif self._kind == "regression":
            self._answer = _estimates(model.predict_one)
        elif type(last).predict_proba_one is base.Classifier.predict_proba_one:
            self._answer = _says(model.predict_one)
        elif type(last).predict_one is base.Classifier.predict_one:
            self._answer = _picks(chain.predict_proba_one if chain else model.predict_proba_one)
        else:
            self._answer = _picks_itself(model.predict_proba_one, model.predict_one)

    @property
    def name(self) -> str:
        """What it goes by among models: its version."""
        return self.version

    def predict(self, x: dict[str, Any]) -> tuple[Any, Any]:
        """Score one event.

        Returns
        -------
        prediction
            A class, a number, or None when the model cannot say yet.
        score
            Class probabilities (classification), anomaly score (anomaly), None where the model gives none.

        Raises
        ------
        ModelError
            When the model raises or answers with NaN or infinity.
        """
        try:
            prediction, score, sound = self._answer(x)
        except Exception as error:
            raise ModelError(f"{type(self.model).__name__} {self.version} raised {error!r:.200}") from error
        if sound:
            return prediction, score
        if self.learned == 0:
            # Min-max scalers, for one, make NaN until they have learned: such a model cannot say anything yet.
            return None, None
        name, answer = type(self.model).__name__, (prediction, score)
        raise ModelError(f"{name} {self.version} answered {answer!r:.200}, expected finite numbers")

    def learn(self, x: dict[str, Any], y: Any) -> None:
        """Learn one example.

        Raises
        ------
        ModelError
            When the model raises; it is then what it was before.
        """
        try:
            self._learn_one(x, y)
        except Exception as error:
            name = type(self.model).__name__
            self._adopt(self._undo.restore(_learn_supervised if self._supervised else _learn_unsupervised))
            raise ModelError(f"{name} {self.version} raised {error!r:.200}", "learn") from error
        self.learned += 1
        self._undo.note(x, y, self.model)

    def freeze(self, classes: Collection[Any] = ()) -> bytes:
        """Return the model as it is, written down.

        What goes on learning is the model read back: equal to the last bit, and as quick as it was, which one that has
        been written is not (`streams.pickling`).

        Parameters
        ----------
        classes
            Classes beside River's that may be in it, see `Pipeline.classes`.

        Raises
        ------
        NotPicklableError, RecursionError
            When the model cannot be written: it is what it was.
        """
        data = pickling.dumps(self.model, further=classes)
        self._adopt(pickling.loads(data, further=classes))
        return data


class _Chain:
    """A River pipeline of plain transformers and a model, called step by step.

    River's own pipeline routes keyword arguments to each step at each call, a seventh of the cost of
    ``StandardScaler | LogisticRegression``. There are none here, so its steps are called directly, in its order.
    """

    def __init__(self, transformers: list[Any], last: Any) -> None:
        self._transformers = transformers
        self._last = last

    @classmethod
    def of(cls, model: Any) -> "_Chain | None":
        """Return the chain of a model, None when it is another kind of thing or a pipeline with side branches."""
        if type(model) is not compose.Pipeline or compose.Pipeline._LEARN_UNSUPERVISED_DURING_PREDICT:
            return None
        *transformers, last = model.steps.values()
        plain = all(
            isinstance(step, base.Transformer)
            and not step._supervised
            and not isinstance(step, compose.TransformerUnion)
            for step in transformers
        )
        return cls(transformers, last) if plain and isinstance(last, base.Classifier) else None

    def predict_proba_one(self, x: dict[str, Any]) -> Any:
        for transformer in self._transformers:
            x = transformer.transform_one(x)
        return self._last.predict_proba_one(x)

    def learn_one(self, x: dict[str, Any], y: Any = None) -> None:
        for transformer in self._transformers:
            transformer.learn_one(x)
            x = transformer.transform_one(x)
        self._last.learn_one(x, y)


# An answer: prediction, score, and whether all its numbers are finite.
_Answer = Callable[[dict[str, Any]], tuple[Any, Any, bool]]


def _picks(predict_proba: _Method) -> _Answer:
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


def _picks_itself(predict_proba: _Method, predict: _Method) -> _Answer:
    """Answer with a class by the classifier's own rule, and with its probabilities."""

    def answer(x: dict[str, Any]) -> tuple[Any, Any, bool]:
        prediction, score = predict(x), predict_proba(x)
        return prediction, score, isfinite(sum(score.values()))

    return answer


def _says(predict: _Method) -> _Answer:
    """Answer with a class and no score."""
    return lambda x: (predict(x), None, True)


def _estimates(predict: _Method) -> _Answer:
    """Answer with a number, a plain one: some regressors answer with NumPy's, which no encoder takes."""

    def answer(x: dict[str, Any]) -> tuple[Any, Any, bool]:
        value = predict(x)
        if value is None:
            return None, None, True
        number = float(value)
        return number, None, isfinite(number)

    return answer


def _scores(score_one: _Method, classify: _Method | None) -> _Answer:
    """Answer with an anomaly score, and with a verdict where the model has one."""

    def answer(x: dict[str, Any]) -> tuple[Any, Any, bool]:
        score = float(score_one(x))
        return (classify(score) if classify else None), score, isfinite(score)

    return answer


def _learn_supervised(model: Any, x: dict[str, Any], y: Any) -> None:
    model.learn_one(x, y)


def _learn_unsupervised(model: Any, x: dict[str, Any], y: Any) -> None:
    model.learn_one(x)
