"""Prequential evaluation: metrics and loss of predictions made before their labels were known."""

import copy
import math
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from statistics import median
from typing import Any, Literal

from river import metrics as river_metrics
from river import utils

from streams.label import TaskKind

_CLIP = 4.0
#: Of residuals, see `Loss.measure`.
_UNIT_EXAMPLES, _UNIT_FACTOR = 200, 3.5


class Prequential:
    """River metrics of answers whose labels have become known.

    Cumulative metrics are updated answer by answer. For rolling ones only the window is kept, and the metric
    is computed from it when somebody looks: as exact, and as cheap as an append.

    Parameters
    ----------
    metrics
        River metrics, or ``utils.Rolling`` of one, unfed; they are copied.
    count
        Where answers are counted that a metric raised at, as ``metric_error``: it knows nothing of these.

    Examples
    --------
    >>> evaluation = Prequential([river_metrics.Accuracy(), utils.Rolling(river_metrics.Accuracy, 2)])
    >>> for prediction in (True, False, False):
    ...     number = evaluation.update(True, prediction, None)
    >>> evaluation.values
    {'accuracy': 0.3333333333333333, 'accuracy_2': 0.0}
    >>> evaluation.correct(number, True, False, False, None)
    >>> evaluation.values
    {'accuracy': 0.6666666666666666, 'accuracy_2': 0.5}
    """

    def __init__(self, metrics: Sequence[Any], count: dict[str, int] | None = None) -> None:
        self._error_count = Counter[str]() if count is None else count
        #: Names of all metrics, in the order in which they are declared.
        self.names = [metric_name(metric) for metric in metrics]
        self._metrics = [copy.deepcopy(metric) for metric in metrics]
        self._cumulative = _cumulative(self._metrics)
        sizes = [m.window_size for m in self._metrics if isinstance(m, utils.Rolling)]
        self._window: deque[tuple[Any, Any, Any]] = deque(maxlen=max(sizes, default=0))
        #: Number of answers that were fed.
        self.count = 0
        self.wants_scores = any(wants_score(metric) for metric in self._metrics)

    @property
    def values(self) -> dict[str, float]:
        """Current value by name; a rolling metric's name ends in its window size. One that raises has none."""
        return {name: value for name, value in self._looks() if not isinstance(value, Exception)}

    @property
    def failures(self) -> dict[str, str]:
        """What a metric without a value has raised, by name."""
        return {name: f"{value!r:.200}" for name, value in self._looks() if isinstance(value, Exception)}

    def _looks(self) -> Iterator[tuple[str, float | Exception]]:
        """Ask each metric; nothing is counted, for whoever looks must not change the state."""
        for name, metric in zip(self.names, self._metrics, strict=True):
            try:
                yield name, self._value(metric)
            except Exception as error:  # such as a class that was declared without its weight
                yield name, error

    def _value(self, metric: Any) -> float:
        if not isinstance(metric, utils.Rolling):
            return float(metric.get())
        rolled, scores = copy.deepcopy(metric.obj), wants_score(metric)
        for y, prediction, score in list(self._window)[-metric.window_size :]:  # a copy: others may look
            value = score if scores else prediction
            if value is not None and value != {}:
                with suppress(Exception):  # of the answers that it takes; `metric_error` counts for cumulative ones
                    rolled.update(y, value)
        return float(rolled.get())

    def update(self, y: Any, prediction: Any, score: Any) -> int | None:
        """Feed one answer.

        Returns
        -------
        Its number, which `correct` wants; None when the model could not say anything, which does not count.
        """
        if prediction is None and (score is None or score == {}):
            return None
        self._window.append((y, prediction, score))
        for metric, scores in self._cumulative:
            self._feed(metric.update, y, score if scores else prediction)
        self.count += 1
        return self.count

    def correct(self, number: int, old: Any, new: Any, prediction: Any, score: Any) -> None:
        """Put the label of an answer right: in cumulative metrics, and in the window if it is still there.

        Parameters
        ----------
        number
            What `update` returned.
        old, new
            The label that was fed and the one that is right.
        prediction, score
            The answer it was about.
        """
        for metric, scores in self._cumulative:
            value = score if scores else prediction
            if self._refused(metric, old, value) or self._feed(metric.revert, old, value):
                self._feed(metric.update, new, value)
        index = len(self._window) - 1 - (self.count - number)
        if index >= 0:
            self._window[index] = (new, prediction, score)

    def _refused(self, metric: Any, y: Any, value: Any) -> bool:
        """Tell whether a metric raised when it was fed, so that there is nothing to take back: a copy raises again."""
        if not self._error_count["metric_error"]:
            return False
        try:
            copy.deepcopy(metric).update(y, value)
        except Exception:
            return True
        return False

    def _feed(self, verb: Any, y: Any, value: Any) -> bool:
        """Feed a metric: not every one is defined for every answer, such as the logarithm of -1, and some have bugs.

        Returns
        -------
        Whether it did not raise.
        """
        if value is not None and value != {}:
            try:
                verb(y, value)
            except Exception:
                self._error_count["metric_error"] += 1
                return False
        return True

    def snapshot(self) -> Any:
        """Return the state."""
        return self._metrics, list(self._window), self.count

    def restore(self, state: Any) -> None:
        """Become what `snapshot` was taken of."""
        self._metrics, window, self.count = state
        self._cumulative = _cumulative(self._metrics)
        self._window.clear()
        self._window.extend(window)


def _cumulative(metrics: Sequence[Any]) -> list[tuple[Any, bool]]:
    """Return the metrics that are fed answer by answer, and whether with scores."""
    return [(metric, wants_score(metric)) for metric in metrics if not isinstance(metric, utils.Rolling)]


def _inner(metric: Any) -> Any:
    return metric.obj if isinstance(metric, utils.Rolling) else metric


def metric_name(metric: Any) -> str:
    """Return a metric's name such as ``log_loss_1000``, fit for a Prometheus label."""
    name = type(_inner(metric)).__name__
    snake = "".join(
        "_" + c if i and c.isupper() and not name[i - 1].isupper() else c for i, c in enumerate(name)
    ).lower()
    return f"{snake}_{metric.window_size}" if isinstance(metric, utils.Rolling) else snake


def wants_score(metric: Any) -> bool:
    """Tell whether a metric is fed with probabilities, or anomaly scores, rather than answers."""
    inner = _inner(metric)
    if isinstance(inner, river_metrics.base.ClassificationMetric):
        return not inner.requires_labels
    return False


class MajorityClass(river_metrics.base.MultiClassMetric):
    """Accuracy of always answering the class that is the most frequent one: the baseline a classifier has to beat.

    Of all labels so far, or of those in the window.

    Examples
    --------
    >>> baseline = MajorityClass()
    >>> for y in (True, True, False, True):
    ...     baseline.update(y, None)
    >>> baseline.get()
    0.75
    """

    def __init__(self) -> None:
        super().__init__()
        self._counts: Counter[Any] = Counter()

    def update(self, y_true: Any, y_pred: Any, w: float = 1.0) -> None:
        """Take a label; the answer does not matter."""
        self._counts[y_true] += 1

    def revert(self, y_true: Any, y_pred: Any, w: float = 1.0) -> None:
        """Take a label back."""
        self._counts[y_true] -= 1

    def get(self) -> float:
        """Return the share of the most frequent class."""
        total = self._counts.total()
        return max(self._counts.values()) / total if total > 0 else 0.0


class Loss:
    """The loss of an answer in [0, 1], 0 good.

    Parameters
    ----------
    kind
        Classes: 0/1, or the clipped negative log of the true class's probability, divided by the clip.
        Regression: the absolute residual over a unit, at most 1; see `measure`. Before there is one, there is no loss.
        Anomaly: 0/1 of the prediction, or the distance of the score from the label.
    form
        ``"zero_one"`` or ``"log"``, for classes.

    Examples
    --------
    >>> Loss("binary", "zero_one").of(True, False, {True: 0.4})
    1.0
    >>> round(Loss("binary", "log").of(True, False, {True: 0.4}), 3)
    0.229
    """

    def __init__(self, kind: TaskKind, form: Literal["zero_one", "log"]) -> None:
        self._kind = kind
        self.wants_scores = form == "log" and kind in ("binary", "multiclass")
        #: Whether losses are in a unit that has to be measured.
        self.has_unit = kind == "regression"
        self._unit: float | None = None
        self._residuals: list[tuple[float, int]] = []

    def new_champion(self) -> None:
        """Take note that another model serves: the unit is the stream's and stays, until it is measured again."""
        self._residuals = []

    def of(self, y: Any, prediction: Any, score: Any) -> float | None:
        """Return the loss, None when there is none to speak of."""
        if self.wants_scores:
            if not score:
                return None
            probability = max(score.get(y, 0.0), math.exp(-_CLIP))
            return min(1.0, max(0.0, -math.log(probability) / _CLIP))
        if prediction is None:
            return None if self._kind != "anomaly" or score is None else min(1.0, abs(float(y) - score))
        if self._kind == "regression":
            return None if self._unit is None else min(1.0, abs(y - prediction) / self._unit)
        return 1.0 if prediction != y else 0.0

    def measure(self, y: Any, prediction: Any, offset: int) -> list[tuple[float, int]]:
        """Take an answer to a regression of the model that serves, and measure the unit on each 200 of them.

        The unit is 3.5 times their median absolute residual, without those that were exact: for normal residuals three
        times their mean, which one wild label would move out of sight. It follows where it would be less than half of
        what it is, since the model has learned, or labels have shrunk; and where more than half of the losses are 1:
        whatever that meant has been told by then. Else it stays, so that a loss that rises is a rise.

        Returns
        -------
        Losses of these answers in the new unit, with offsets, where it became another one: whoever remembers losses
        begins anew with these. Else nothing.
        """
        if y is None or prediction is None:
            return []
        self._residuals.append((abs(y - prediction), offset))
        if len(self._residuals) < _UNIT_EXAMPLES:
            return []
        measured, self._residuals = self._residuals, []
        inexact = [residual for residual, _ in measured if residual]
        before, typical = self._unit, median(inexact) if inexact else None
        if typical is None:
            self._unit = before or 1.0
        elif before is None or _UNIT_FACTOR * typical < before / 2 or typical >= before:
            self._unit = _UNIT_FACTOR * typical
        unit = self._unit
        if unit is None or before in (None, unit):
            return []
        return [(min(1.0, residual / unit), offset) for residual, offset in measured]

    def snapshot(self) -> Any:
        """Return the state."""
        return self._unit, list(self._residuals)

    def restore(self, state: Any) -> None:
        """Become what `snapshot` was taken of."""
        self._unit, residuals = state
        self._residuals = [(residual, offset) for residual, offset in residuals]
