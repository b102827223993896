"""Inputs and answers are watched in windows; what has moved is said before any label has come."""

import math
from collections.abc import Sequence
from typing import Any

from schemas.events import DataDrifted, LifecycleEvent, PredictionMade
from schemas.record import Record
from streams.declaration import digest
from streams.decoding import Example
from streams.label_join import Asked
from streams.moment import Moment
from streams.pipeline import Pipeline
from streams.watch import Watch
from streams.watching.discoveries import q_values
from streams.watching.performance import EstimatedAccuracy
from streams.watching.rows import Rows
from streams.watching.signal import Signal

_NOTHING: tuple[LifecycleEvent, ...] = ()
_NAMED = 20
_PREDICTION = "prediction"


class Watcher:
    """Watches the features and the predictions of one partition, and says what has moved.

    The work on a window that is full is done signal by signal at the records after it, so that none has to wait long.

    Parameters
    ----------
    pipeline
        The declaration.
    watch
        How closely.

    Attributes
    ----------
    estimate
        How right the answers are whose labels have not come yet; None where answers are no classes, or no label comes
        later than its event.
    """

    def __init__(self, pipeline: Pipeline, watch: Watch) -> None:
        self._pipeline, self._watch = pipeline, watch
        names = [name for name in pipeline.features if watch.features is None or name in watch.features]
        kinds = {name: "number" if pipeline.features[name].type in (int, float) else "category" for name in names}
        self._features = [Signal(name, kinds[name], watch.reference) for name in names]
        kind = "category" if pipeline.kind == "multiclass" else "number"
        self._prediction = Signal(_PREDICTION, kind, watch.reference)
        self._signals = [*self._features, self._prediction]
        self._by_score = pipeline.kind in ("binary", "anomaly")
        self._every, self._samples = watch.every, watch.samples
        self._per_record = -(-2 * len(self._signals) // watch.samples)
        self._skipped = 0
        self._columns = [[name for name in names if kinds[name] == kind] for kind in ("number", "category")]
        self._rows = Rows(*self._columns)
        self._version = ""
        self._full: Rows | None = None
        self._p_values: list[float | None] = []
        estimates = pipeline.kind in ("binary", "multiclass") and pipeline.label and pipeline.label.ttl_ms is not None
        self.estimate = EstimatedAccuracy(watch.window) if estimates else None
        #: Tells a state of another declaration from one of this.
        self._digest = digest({"watch": watch, "features": pipeline.features, "kind": pipeline.kind})

    @classmethod
    def of(cls, pipeline: Pipeline) -> "Watcher | None":
        """Return the watcher of a pipeline, None when nothing is to be watched."""
        return None if pipeline.watch is None else cls(pipeline, pipeline.watch)

    @property
    def unsettled(self) -> list[str]:
        """Names of the signals that have no reference yet, because they are new, have moved, or go on moving."""
        return [signal.name for signal in self._signals if signal.is_gathering]

    @property
    def estimated(self) -> dict[str, float]:
        """The estimate by its name among metrics; empty where there is none."""
        value = None if self.estimate is None else self.estimate.value
        return {} if value is None else {"estimated_accuracy": value}

    def observe(
        self, record: Record, example: Example, made: PredictionMade, score: Any, *, waits: bool
    ) -> Sequence[LifecycleEvent]:
        """Take an event that was scored, and return what is to be said.

        Parameters
        ----------
        record, example
            The event; its features within their bounds and without fills: what is missing is None or not there.
        made, score
            Its prediction, and the model's own score.
        waits
            Whether its label is not known yet.
        """
        if waits and self.estimate is not None:
            self.estimate.ask(made.offset, made.prediction, score)
        self._skipped += 1
        if self._skipped >= self._every:
            self._skipped = 0
            self._keep(example.x, made)
        return _NOTHING if self._full is None else self._work(self._full, Moment(record, example.time_ms))

    def _keep(self, x: dict[str, Any], made: PredictionMade) -> None:
        """Keep a record of the window."""
        rows = self._rows
        if rows.first < 0:
            rows.first, rows.first_version = made.offset, made.version
        answer = made.score if self._by_score else made.prediction
        rows.add(x, math.nan if answer is None and self._prediction.kind == "number" else answer)
        if len(rows) >= self._samples:
            rows.last, rows.last_version = made.offset, made.version
            self._full, self._rows, self._p_values = rows, Rows(*self._columns), []

    def learn(self, asked: Asked, y: Any) -> None:
        """Take the label of an event: the answer waits no longer, and what answers of its kind are worth is learned."""
        if self.estimate is not None:
            self.estimate.learn(asked.offset, asked.prediction, asked.score, y)

    def _work(self, rows: Rows, moment: Moment) -> Sequence[LifecycleEvent]:
        """Do the next part of the work on a full window; the last part is to judge."""
        done = len(self._p_values)
        if done == len(self._signals):
            self._full = None
            return self._judge(rows, moment)
        for signal in self._signals[done : done + self._per_record]:
            if signal is not self._prediction:
                self._p_values.append(signal.take(rows.column(signal.name), rows.first))
            else:
                self._p_values.append(self._take_answers(rows))
        return _NOTHING

    def _take_answers(self, rows: Rows) -> float | None:
        """Hold answers against those of the same model; a window with those of two is passed over."""
        if rows.first_version != self._version:
            self._prediction.forget()
        self._version = rows.last_version
        if rows.first_version != rows.last_version:
            self._prediction.forget()
            return None
        return self._prediction.take(rows.answers, rows.first)

    def _judge(self, rows: Rows, moment: Moment) -> Sequence[LifecycleEvent]:
        """Say which signals have moved; the others' windows make their references larger."""
        watched = [(signal, p) for signal, p in zip(self._signals, self._p_values, strict=True) if p is not None]
        sure = zip(watched, q_values([p for _, p in watched]), strict=True)
        moved: list[tuple[float, Signal]] = []
        for (signal, _), q in sure:
            if q <= self._watch.false_discovery_rate:
                moved.append((q, signal))
            else:
                signal.accept()
        if not moved:
            return _NOTHING
        moved.sort(key=lambda pair: pair[0])
        told = [signal.moved(q, of_answers=signal is self._prediction) for q, signal in moved]
        event = DataDrifted(
            id=f"{moment.record.position.event_id}/drift.data",
            pipeline=self._pipeline.name,
            partition=moment.record.partition,
            offset=moment.record.offset,
            time=moment.time_ms,
            version=self._version,
            moved=tuple(told[:_NAMED]),
            count=len(told),
            watched=len(watched),
            window_offset=rows.first,
            window_end=rows.last,
            next_offset=self._rows.first,
            rate=self._watch.false_discovery_rate,
        )
        return (event,)

    # ------------------------------------------------------------------ state

    def snapshot(self) -> Any:
        """Return the state, with what it is the state of."""
        rows = [rows.snapshot() for rows in (self._rows, self._full) if rows is not None]
        estimate = None if self.estimate is None else self.estimate.snapshot()
        signals = [signal.snapshot() for signal in self._signals]
        counts = self._skipped, self._version, self._p_values
        return self._digest, counts, rows, signals, estimate

    def restore(self, state: Any) -> None:
        """Become what `snapshot` was taken of; what was declared otherwise begins anew."""
        if state is None or state[0] != self._digest:
            return
        _, counts, rows, signals, estimate = state
        self._skipped, self._version, self._p_values = counts
        self._rows.restore(rows[0])
        if len(rows) > 1:
            self._full = Rows(*self._columns)
            self._full.restore(rows[1])
        for signal, its_state in zip(self._signals, signals, strict=True):
            signal.restore(its_state)
        if self.estimate is not None:
            self.estimate.restore(estimate)
