"""How right answers are whose labels have not come yet: by what answers as confident as these were worth."""

from bisect import bisect_right
from collections import OrderedDict
from typing import Any

from msgspec import Struct

#: Edges of the cells, as chances to be wrong: finer where models are sure.
_EDGES = (
    0.001, 0.003, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.125, 0.15, 0.175, 0.2, 0.225, 0.25, 0.275, 0.3, 0.325, 0.35,
    0.375, 0.4, 0.425, 0.45, 0.475, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8, 0.9,
)  # fmt: skip
#: Classes with cells of their own; the others share theirs.
_CLASSES = 32
#: What a cell is thought to know before it has seen anything, in labels.
_PRIOR = 10.0
#: Labels after which an old one counts for a third, in windows.
_MEMORY = 3
_LEAST_LABELS, _LEAST_WAITING = 100, 30
_HUGE = 1e9
_OTHERS = "\x00others"


class _Cell(Struct, array_like=True):
    """Labels of answers of one class and about one confidence: how many, and how many were right; forgetting."""

    labels: float = 0.0
    right: float = 0.0


class EstimatedAccuracy:
    """Estimates the accuracy of the newest answers that have no label yet.

    An answer's confidence is the probability that the model gives to what it predicts. How often answers of a class and
    of about a confidence were right is learned from the labels that did come, older ones counting less; the estimate is
    its mean over those that wait. So it follows inputs that have moved to where the model is less sure, before the
    first label of them comes. It can not see that the same inputs now mean something else (concept drift): only labels
    tell. Where labels come sooner for one outcome than for the other, those that wait are a choice of their own, and
    it is too high or too low.

    Parameters
    ----------
    window
        Number of newest answers without a label over which is estimated. Raising it makes it steadier and slower.

    Examples
    --------
    Right in 9 of 10 cases when it says .8, and in 6 of 10 when it says .6:

    >>> estimate = EstimatedAccuracy(window=1000)
    >>> for i in range(2000):
    ...     sure = i % 2 == 0
    ...     right = i // 2 % 10 < (9 if sure else 6)
    ...     estimate.learn(i, True, {True: 0.8 if sure else 0.6}, right)
    >>> for i in range(2000, 2100):
    ...     estimate.ask(i, True, {True: 0.6})
    >>> round(estimate.value, 2)
    0.6

    References
    ----------
    NannyML's confidence-based performance estimation (CBPE), in batches. Garg, Balakrishnan, Lipton, Neyshabur,
    Sedghi: Leveraging unlabeled data to predict out-of-distribution performance, ICLR 2022, sections 2 and 3. Guo,
    Pleiss, Sun, Weinberger: On calibration of modern neural networks, ICML 2017, section 4 (histogram binning).
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self._growth = 1.0 + 1.0 / (_MEMORY * window)
        #: What a label counts now; it grows, so that older ones count less.
        self._weight = 1.0
        self._labels = 0
        self._cells: dict[Any, dict[int, _Cell]] = {}
        self._waiting: OrderedDict[int, tuple[Any, float]] = OrderedDict()

    def ask(self, offset: int, prediction: Any, score: Any) -> None:
        """Take an answer whose label is not known, by its event's offset; one without probabilities does not count."""
        if not score:
            return
        self._waiting[offset] = prediction, score.get(prediction, 0.0)
        if len(self._waiting) > self._window:
            self._waiting.popitem(last=False)

    def learn(self, offset: int, prediction: Any, score: Any, y: Any) -> None:
        """Take the label of an answer: it waits no longer."""
        self._waiting.pop(offset, None)
        if not score:
            return
        self._labels += 1
        self._weight *= self._growth
        if self._weight > _HUGE:
            self._rescale()
        number = bisect_right(_EDGES, 1.0 - score.get(prediction, 0.0))
        known = self._cells
        cells = known[prediction] if prediction in known else known.setdefault(self._name(prediction), {})
        cell = cells.get(number)
        if cell is None:
            cell = cells[number] = _Cell()
        cell.labels += self._weight
        if prediction == y:
            cell.right += self._weight

    def _name(self, prediction: Any) -> Any:
        return prediction if len(self._cells) < _CLASSES else _OTHERS

    def _rescale(self) -> None:
        for cells in self._cells.values():
            for cell in cells.values():
                cell.labels /= self._weight
                cell.right /= self._weight
        self._weight = 1.0

    @property
    def waiting(self) -> int:
        """Number of answers over which is estimated."""
        return len(self._waiting)

    @property
    def value(self) -> float | None:
        """The estimate in [0, 1]; None before 100 labels, and where fewer than 30 answers wait."""
        waiting = list(self._waiting.values())  # a copy: others may look
        if self._labels < _LEAST_LABELS or len(waiting) < _LEAST_WAITING:
            return None
        return sum(self._worth(prediction, confidence) for prediction, confidence in waiting) / len(waiting)

    def _worth(self, prediction: Any, confidence: float) -> float:
        """Return how often such are right: a class's own cell leans on the one of all, that on the confidence."""
        number = bisect_right(_EDGES, 1.0 - confidence)
        prior = _PRIOR * self._weight
        labels = right = 0.0
        for cells in list(self._cells.values()):
            cell = cells.get(number)
            if cell is not None:
                labels += cell.labels
                right += cell.right
        of_all = (right + prior * confidence) / (labels + prior)
        own = self._cells.get(prediction, self._cells.get(_OTHERS, {})).get(number)
        return of_all if own is None else (own.right + prior * of_all) / (own.labels + prior)

    def snapshot(self) -> Any:
        """Return the state."""
        cells = [
            (name, [(number, cell.labels, cell.right) for number, cell in cells.items()])
            for name, cells in self._cells.items()
        ]
        return self._weight, self._labels, cells, list(self._waiting.items())

    def restore(self, state: Any) -> None:
        """Become what `snapshot` was taken of."""
        self._weight, self._labels, cells, waiting = state
        self._cells = {
            name: {number: _Cell(labels, right) for number, labels, right in numbered} for name, numbered in cells
        }
        self._waiting = OrderedDict(waiting)
