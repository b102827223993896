"""Backtest: the same task over recorded data that a worker runs over a partition."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import orjson

from schemas.events import DeadLetter, Event, LifecycleEvent, PredictionMade
from schemas.lines import Line, parse_line
from schemas.operators import EVERYBODY, Operators
from schemas.record import Record
from services.loss_meter import LossMeter
from streams.label_join import Settled
from streams.pipeline import Pipeline
from streams.task import Task

#: Dead letters of which a report says why.
_FIRST = 3


class PredictionDigest:
    """A hash over a sequence of predictions: equal for a backtest and for the worker over the same log.

    It covers what was answered, by which version and in which order; not where it stood, since a split file
    and a partition have other positions.

    Examples
    --------
    >>> PredictionDigest().hexdigest()
    'e3b0c44298fc1c14'
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.count = 0

    def add(self, prediction: PredictionMade) -> None:
        """Take the next prediction in."""
        self.add_fields(prediction.id, prediction.prediction, prediction.score, prediction.version, prediction.learned)

    def add_fields(self, id: str, prediction: object, score: object, version: str, learned: int) -> None:
        """Take the next prediction in, given by its fields, for example those of a message that was read back."""
        self._hash.update(msgspec.json.encode([id, prediction, score, version, learned]))
        self.count += 1

    def hexdigest(self) -> str:
        """Return the hash so far, 16 hexadecimal digits."""
        return self._hash.hexdigest()[:16]


class Backtest:
    """Folds records, or rows in Python, and keeps what a report needs.

    Parameters
    ----------
    pipeline
        The declaration.
    partition, partitions
        Which partition the records stand for.
    operators
        Those whose commands are obeyed.
    most_lifecycle
        Lifecycle events that are kept; later ones are counted only. None keeps all.

    Examples
    --------
    >>> from river import linear_model
    >>> from streams.label import Label
    >>> pipeline = Pipeline("p", features={"a": float}, label=Label("y"), model=linear_model.LogisticRegression())
    >>> backtest = Backtest(pipeline)
    >>> [made.prediction for made in backtest.fold([{"a": a, "y": a > 0} for a in (1.0, -1.0, 2.0)])]
    [False, False, True]
    >>> backtest.losses
    [(0, 1.0), (1, 0.0), (2, 0.0)]
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        partition: int = 0,
        partitions: int = 1,
        operators: Operators = EVERYBODY,
        most_lifecycle: int | None = None,
    ) -> None:
        self.task = Task(pipeline, partition, partitions, operators=operators)
        self.digest = PredictionDigest()
        self.lifecycle: list[LifecycleEvent] = []
        self.lifecycle_dropped = 0
        self.dead_letters: Counter[str] = Counter()
        self.first_dead_letters: list[DeadLetter] = []
        #: Offset and loss of each answer to a row, in the order in which labels came, see `fold`.
        self.losses: list[tuple[int, float]] = []
        self._most_lifecycle = most_lifecycle

    @property
    def model(self) -> Any:
        """The champion's River model, itself and no copy; of a pipeline per key its `EntityModels`."""
        return self.task.lifecycle.champion.model

    @property
    def metrics(self) -> dict[str, float]:
        """Current value of each declared metric by name."""
        return self.task.evaluation.values

    def fold(self, rows: Iterable[dict[str, Any]], *, key_field: str | None = None) -> list[PredictionMade | None]:
        """Step through rows, behind all that came before; all that is returned stays in memory.

        Parameters
        ----------
        rows
            Each what would be a line of a file: features, and the label where it is known; or a CloudEvent, which has
            ``specversion``, ``time`` and ``data``. NaN, infinity, and pandas' NaT and NA stand for null.
        key_field
            Field that is the record's key.

        Returns
        -------
        What was answered to each; None where nothing was: to a label, a duplicate, or what cannot be used. The loss of
        each answer whose label came is added to `losses`: of classes 0 or 1, of numbers the absolute error.

        Raises
        ------
        TypeError
            When a row holds what is no JSON, nor a number of NumPy's, nor a time: it names the row by its number,
            from 0. The rows before it have been folded.
        """
        meter, task = LossMeter(self.task.pipeline.kind, "zero_one"), self.task

        def measure(_: str, offset: int, settled: Settled) -> None:
            if (loss := meter.of(settled)) is not None:
                self.losses.append((offset, loss))

        topic, answers, before = task.pipeline.source_topic, list[PredictionMade | None](), task.witness
        task.witness = measure
        try:
            for number, row in enumerate(rows):
                line = _line(row, number, key_field)
                record = Record(topic, task.partition, task.next_offset, 0, line.key, line.value, line.headers)
                events = task.step(record)
                self.keep(events)
                answers.append(next((event for event in events if isinstance(event, PredictionMade)), None))
        finally:
            task.witness = before
        return answers

    def run(self, records: Iterable[Record]) -> Iterator[tuple[Record, list[Event]]]:
        """Step through records, yielding each with what followed from it."""
        for record in records:
            events = self.task.step(record)
            self.keep(events)
            yield record, events

    def keep(self, events: Iterable[Event]) -> None:
        """Keep what a report needs of the events that followed from a record."""
        for event in events:
            if isinstance(event, PredictionMade):
                self.digest.add(event)
            elif isinstance(event, DeadLetter):
                self.dead_letters[event.stage] += 1
                if len(self.first_dead_letters) < _FIRST:
                    self.first_dead_letters.append(event)
            elif self._most_lifecycle is None or len(self.lifecycle) < self._most_lifecycle:
                self.lifecycle.append(event)
            else:
                self.lifecycle_dropped += 1


def _line(row: Any, number: int, key_field: str | None) -> Line:
    """Return a row as a line of a file would be."""
    try:
        return parse_line(orjson.dumps(row, _plain, orjson.OPT_SERIALIZE_NUMPY), key_field=key_field)
    except (TypeError, ValueError) as error:
        cause = error.__cause__ or error  # orjson says which type; whoever was asked about it says the same
        raise TypeError(f"row {number}: {cause}") from None


def _plain(value: Any) -> str | None:
    """Return a time of another library, such as pandas', as text, and what such a library has for a null as null."""
    if type(value).__name__ == "NAType":
        return None
    if hasattr(value, "isoformat"):
        return str(value.isoformat()) if value == value else None  # NaT equals nothing
    raise TypeError(f"got a {type(value).__name__}")
