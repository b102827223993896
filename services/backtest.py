"""Backtest: the same task over recorded data that a worker runs over a partition."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from schemas.events import DeadLetter, Event, LifecycleEvent, PredictionMade
from schemas.operators import EVERYBODY, Operators
from schemas.record import Record
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
    """Folds records and keeps what a report needs.

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
        self._most_lifecycle = most_lifecycle

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
