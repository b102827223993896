"""A log written by hand, and what comes of folding it: no Kafka, no file."""

from collections.abc import Iterable
from typing import Any

import orjson

from schemas import cloudevents as ce
from schemas.events import DeadLetter, Event, LifecycleEvent, PredictionMade
from schemas.record import Headers, Record
from services.backtest import PredictionDigest
from streams.decoding import Example
from streams.pipeline import Pipeline
from streams.task import Task

TOPIC = "p.raw"
#: What ends an event's wait, or comes before it begins; each is counted once an event.
_FATES = ("label_joined", "label_early", "expired", "assumed", "evicted")


class Log:
    """One partition's records, in the order in which they are appended."""

    def __init__(self, label: str = "y") -> None:
        self.records: list[Record] = []
        self._label = label

    def event(
        self, x: dict[str, Any], id: str | None = None, *, y: Any = None, time_ms: int = 0, key: bytes | None = None
    ) -> Record:
        """Append an event: its features, its id and, where it is known, its label."""
        headers: Headers = [] if id is None else [("ce_id", id.encode())]
        value = x if y is None else {**x, self._label: y}
        return self.raw(orjson.dumps(value), headers=headers, time_ms=time_ms, key=key)

    def label(self, id: str, y: Any, *, time_ms: int = 0, key: bytes | None = None) -> Record:
        """Append a label record for an event's id."""
        value = orjson.dumps({"id": id, self._label: y})
        return self.raw(value, headers=[("ce_type", ce.LABEL.encode())], time_ms=time_ms, key=key)

    def command(self, id: str, *, time_ms: int = 0) -> Record:
        """Append an operator's command."""
        return self.raw(b"{}", headers=[("ce_id", id.encode()), ("ce_type", ce.COMMAND.encode())], time_ms=time_ms)

    def raw(
        self, value: bytes | None, *, headers: Headers | None = None, time_ms: int = 0, key: bytes | None = None
    ) -> Record:
        """Append a record, byte for byte."""
        record = Record(TOPIC, 0, len(self.records), time_ms, key, value, headers or None)
        self.records.append(record)
        return record


class Fold:
    """A task and all that it said; after each record its books add up, by records and by events."""

    def __init__(self, pipeline: Pipeline, records: Iterable[Record] = (), *, partitions: int = 1) -> None:
        self.task = Task(pipeline, 0, partitions)
        self.predictions: list[PredictionMade] = []
        self.letters: list[DeadLetter] = []
        self.lifecycle: list[LifecycleEvent] = []
        self.step_all(records)

    def step_all(self, records: Iterable[Record]) -> None:
        """Step through records, see `step`."""
        for record in records:
            self.step(record)

    def step(self, record: Record) -> list[Event]:
        """Step through one record, holding that it has one outcome, and each event that was scored one fate."""
        at_once = self._settled_at_once
        events = self.task.step(record)
        for event in events:
            if isinstance(event, PredictionMade):
                self.predictions.append(event)
                at_once += self._waits_for_nothing(record)
            elif isinstance(event, DeadLetter):
                self.letters.append(event)
            else:
                self.lifecycle.append(event)
        assert self.task.books.balanced, self.task.books.count
        assert self._settled_at_once == at_once, self.task.books.count
        return events

    @property
    def _settled_at_once(self) -> int:
        """Events that were scored and neither wait nor have any of the fates that are counted."""
        count = self.task.books.count
        return count["scored"] - len(self.task.join.pending) - sum(count[fate] for fate in _FATES)

    def _waits_for_nothing(self, record: Record) -> bool:
        """Tell whether an event brings its label, or none is ever waited for."""
        label, decoded = self.task.pipeline.label, self.task._decode(record)
        return label is None or not label.comes_late or (isinstance(decoded, Example) and decoded.y is not None)

    @property
    def counts(self) -> dict[str, int]:
        """The books without the zeros."""
        return {name: count for name, count in self.task.books.count.items() if count}

    @property
    def metrics(self) -> dict[str, float]:
        """Current value of each metric."""
        return self.task.evaluation.values

    @property
    def learned(self) -> int:
        """Examples that the champion has learned."""
        return self.task.lifecycle.champion.learned

    @property
    def answers(self) -> list[tuple[Any, ...]]:
        """What was answered to which event, by which version; not where it stood."""
        return [(p.id, p.prediction, p.score, p.version, p.learned) for p in self.predictions]

    @property
    def digest(self) -> str:
        """Digest of the predictions."""
        digest = PredictionDigest()
        for prediction in self.predictions:
            digest.add(prediction)
        return digest.hexdigest()
