"""The task: the whole way of a record through one partition, without Kafka, clock, file or chance."""

from collections.abc import Callable, Sequence
from typing import Any

from schemas.errors import InvariantError, ModelBrokenError, ModelError
from schemas.events import SCHEMA_VERSION, DeadLetter, Event, PredictionMade
from schemas.murmur2 import home_partition
from schemas.operators import EVERYBODY, Operators
from schemas.record import Record
from streams.accounting import Books
from streams.decoding import Command, Decoder, Example, LabelArrival
from streams.event_time import EventTime
from streams.label_join import EVICTED, EXPIRED, Asked, LabelJoin, Settled
from streams.learner import MODEL_ERRORS_IN_A_ROW
from streams.lifecycle import Lifecycle
from streams.moment import Moment
from streams.orders import Orders
from streams.per_key import with_key
from streams.pipeline import Pipeline
from streams.preprocessing import Preprocessor
from streams.prequential import Loss, Prequential
from streams.scores import binary_score, public_score
from streams.undo_log import Checkpoint, Pickled
from streams.watching.watcher import Watcher

_KEY_SAMPLE = 64
_DEADLY = (
    "several workers in a row have died at this record, before they could commit anything: it was passed over, "
    "undecoded. Look for what the system said of them (out of memory, a fault in a library), mend it, and send the "
    "record again: riverrun resend --stage quarantine --from beginning"
)
#: What moves the watermark: an operator's clock is no event's.
_TIMED = Example, LabelArrival
_LEAP, _NO_LOSSES = ("time-leap",), dict[str, float | None]()


class Task:
    """Folds the log of one partition.

    The state is a pure function of the records stepped through, so a file and a Kafka partition give the
    same predictions.

    Parameters
    ----------
    pipeline
        The declaration.
    partition
        Number of the partition.
    partitions
        How many the input topic has: tells labels that were sent to the wrong one.
    checkpoint
        Writes models down for the way back from a model error.
    operators
        Those whose commands are obeyed.
    crosses_declarations
        Whether to go on where the log says that another declaration begins: a backtest does, a worker must not.

    Examples
    --------
    >>> from river import linear_model
    >>> from streams.label import Label
    >>> pipeline = Pipeline("p", features={"a": float}, label=Label("y"), model=linear_model.LogisticRegression())
    >>> task = Task(pipeline)
    >>> for offset, a in enumerate((1.0, -1.0, 2.0)):
    ...     value = b'{"a": %f, "y": %s}' % (a, b"true" if a > 0 else b"false")
    ...     [prediction] = task.step(Record("p.raw", 0, offset, 0, None, value))
    ...     print(prediction.prediction, round(prediction.score, 4), prediction.learned)
    False 0.5 0
    False 0.5 1
    True 0.505 2
    """

    def __init__(
        self,
        pipeline: Pipeline,
        partition: int = 0,
        partitions: int = 1,
        checkpoint: Callable[[Any], Checkpoint] = Pickled,
        operators: Operators = EVERYBODY,
        *,
        crosses_declarations: bool = True,
    ) -> None:
        label = pipeline.label
        self.pipeline = pipeline
        self.partition, self.partitions = partition, partitions
        self.next_offset = 0
        self.books = Books()
        self.clock = EventTime(round(pipeline.max_leap.total_seconds() * 1000))
        self.join = LabelJoin(label.ttl_ms if label else None, pipeline.max_pending_bytes, pipeline.dedupe_window)
        self.preprocessor = Preprocessor(pipeline.features, self.books.count)
        self._cleans_nothing = self.preprocessor.idle
        self.loss = Loss(pipeline.kind, pipeline.drift.loss)
        self.lifecycle = Lifecycle(pipeline, self.books, self.loss, checkpoint)
        self.evaluation = Prequential(pipeline.metrics or (), self.books.count)
        self.watcher = Watcher.of(pipeline)
        scored = pipeline.kind == "anomaly" or (self.watcher is not None and self.watcher.estimate is not None)
        self._keeps_scores = scored or self.evaluation.wants_scores or self.loss.wants_scores
        self._decode = Decoder(pipeline).decode
        self._public_score = binary_score if pipeline.kind == "binary" else public_score
        self._labels_come_late = label is not None and label.comes_late
        needs_scores = self.loss.wants_scores or pipeline.kind == "anomaly"
        #: Whether of what other models answer the scores are left out of what waits for a label.
        self._drops_shadow_scores = self._labels_come_late and not needs_scores
        self._is_per_key = pipeline.model_per is not None
        self._name, self._declaration = pipeline.name, pipeline.declaration
        #: Model errors while predicting since the last answer, and while learning since the last lesson.
        self.predict_errors = self.learn_errors = 0
        self.orders = Orders(pipeline, self.lifecycle, self.books, operators, crosses_declarations=crosses_declarations)
        #: Is told id and offset of each event whose label was learned, and what was settled: for reports, never state.
        self.witness: Callable[[str, int, Settled], None] | None = None

    # ------------------------------------------------------------------ the way of a record

    def step(self, record: Record) -> list[Event]:
        """Take the next record of the partition and return what follows from it.

        Parameters
        ----------
        record
            Any record whose offset is not below `next_offset`; offsets may have gaps.

        Returns
        -------
        A prediction for a new event; lifecycle events; a dead letter for what cannot be used.

        Raises
        ------
        InvariantError
            When the record was stepped through before.
        ModelBrokenError
            After ten model errors in a row, while predicting or while learning.
        DeclarationEnded
            Where another declaration begins; nothing of the record has been taken in.
        """
        if record.offset < self.next_offset:
            raise InvariantError(f"{record.position}: read again, expected offset {self.next_offset} or more")
        decoded = self._decode(record)
        if self.clock.watermark_ms < 0:
            self.clock.begin(record.timestamp_ms)
        try:
            if isinstance(decoded, Example):
                events = self._score(record, decoded)
            elif isinstance(decoded, LabelArrival):
                events = self._join(record, decoded)
            elif isinstance(decoded, Command):
                events = self._command(record, decoded)
            else:
                events = self._bury(decoded)
        except ModelError as error:
            self._count_model_error(record, error)
            decoded = DeadLetter(record, error.stage, str(error))
            events = self._bury(decoded)
        if isinstance(decoded, _TIMED):
            self.clock.advance(decoded.time_ms)
            if self.join.pending.size_bytes or self.join.held.size_bytes:
                events += self._expire(record, decoded.time_ms, self.clock.watermark_ms)
        self.next_offset = record.offset + 1
        self.books.read += 1
        return events

    def skip(self, record: Record) -> list[Event]:
        """Pass over the next record without a look into it: workers have died of it."""
        self.next_offset = record.offset + 1
        self.books.read += 1
        self.books.count["skipped"] += 1
        return [DeadLetter(record, "quarantine", _DEADLY)]

    def _score(self, record: Record, example: Example) -> list[Event]:
        """An event: clean, score, and learn if its label is known already."""
        count = self.books.count
        event_id = example.id
        if self.join.has_seen(event_id):
            if example.y is not None and self._tells_more(event_id, example.y):
                return self._join(record, LabelArrival(event_id, example.time_ms, example.y))
            count["duplicate_event"] += 1
            return []
        leapt = self.clock.leaps(example.time_ms)
        champion = self.lifecycle.champion
        x = example.x if self._cleans_nothing else self.preprocessor.clean(example.x)
        asks_shared = self._is_per_key
        if asks_shared:
            x = with_key(x, record.key)
            asks_shared = champion.asks_shared(x)
        prediction, score = champion.predict(x)
        self.predict_errors = 0
        made = self._prediction(record, event_id, prediction, score, leapt)
        events: list[Event] = [made]
        shadows = None
        if self.lifecycle.shadows.are_awake:
            shadows = self.lifecycle.shadows.answers(champion, x, record.offset)
        if shadows and self._drops_shadow_scores:
            shadows = {name: (answer, None) for name, (answer, _) in shadows.items()}
        asked = Asked(record.offset, prediction, score if self._keeps_scores else None, x, shadows)
        y = example.y
        held = self.join.held.size_bytes > 0 and event_id in self.join.held
        if held:
            [held_y] = self.join.held.peek(event_id)
            y = held_y if y is None else y
        if y is not None or self.pipeline.label is None:
            events += self._learn(event_id, asked, y, Moment(record, example.time_ms))
        else:
            count["evicted"] += self.join.ask(event_id, self.clock.after(example.time_ms), asked)
        if self.watcher is not None:
            events += self.watcher.observe(record, example, made, score, waits=y is None)
        # From here on nothing can fail: the record counts.
        if held:
            self.join.held.remove(event_id)
            count["label_held"] -= 1
            again = "label_duplicate" if held_y == y else "label_corrected"
            count["label_early" if example.y is None else again] += 1
        if not self._cleans_nothing and self.lifecycle.learns:
            self.preprocessor.observe(example.x)
        if leapt:
            count["time_leap"] += 1
        if asks_shared:
            count["shared_answered"] += 1
        count["scored"] += 1
        if record.offset % _KEY_SAMPLE == 0 and self._is_foreign(record):
            count["foreign_key"] += _KEY_SAMPLE
        return events

    def _tells_more(self, event_id: str, y: Any) -> bool:
        """Tell whether an event that comes again brings a label that was not known, as rows do that are sent anew.

        What is known is corrected by label records only: an event that comes twice may have been corrected since.
        """
        if event_id not in self.join.settled:
            return True  # it waits
        known = self.join.settled.get(event_id)
        if isinstance(known, Settled):
            return known.assumed and bool(known.y != y)
        return self._labels_come_late  # no label has ever been waited for where all come with their events

    def _join(self, record: Record, label: LabelArrival) -> list[Event]:
        """A label: learn when its event waits, else say why not."""
        count = self.books.count
        watermark = self.clock.after(label.time_ms)
        asked = self.join.waiting(label.id, watermark)
        if asked is not None:
            events = [*self._learn(label.id, asked, label.y, Moment(record, label.time_ms))]
            count["label_joined"] += 1
            return events
        # A label may end its event's wait itself, by its own time.
        expired = self._expire(record, label.time_ms, watermark) if label.id in self.join.pending else []
        if label.id in self.join.settled:
            self._settle_again(label)
        elif label.id in self.join.held:
            count["label_duplicate" if self.join.held.peek(label.id) == [label.y] else "label_corrected"] += 1
            evicted = self.join.hold_again(label.id, label.y)
            count["label_held"] -= evicted
            count["label_evicted"] += evicted
        elif self._is_foreign(record):
            count["label_misrouted"] += 1
        else:
            evicted = self.join.hold(label.id, watermark, label.y)
            count["label_held"] += 1 - evicted
            count["label_evicted"] += evicted
        return expired

    def _settle_again(self, label: LabelArrival) -> None:
        """A label for an event that waits no longer."""
        count = self.books.count
        known = self.join.settled.get(label.id)
        if known == EXPIRED:
            count["label_late"] += 1
        elif known == EVICTED:
            count["label_evicted"] += 1
        elif known.y == label.y:
            count["label_duplicate"] += 1
        else:
            count["label_corrected"] += 1
            if known.number is not None:
                self.evaluation.correct(known.number, known.y, label.y, known.prediction, known.score)
            self.join.settled.put(label.id, Settled(label.y, known.prediction, known.score, known.number))

    def _learn(self, event_id: str, asked: Asked, y: Any, moment: Moment, *, assumed: bool = False) -> Sequence[Event]:
        """Learn first, so that a model error leaves no trace; then evaluate the answer and look for drift."""
        lifecycle, answers, rehearsed = self.lifecycle, asked.shadows, None
        champion, shadows = lifecycle.champion, lifecycle.shadows
        if lifecycle.learns:
            if shadows.are_awake and self._labels_come_late:
                rehearsed = shadows.rehearse(champion, asked)
            evicted = champion.evicted if self._is_per_key else 0
            champion.learn(asked.x, y)
            self.learn_errors = 0
            if self._is_per_key:
                self.books.count["entity_evicted"] += champion.evicted - evicted
            if shadows.are_awake:
                shadows.learn(champion, asked, y)
            if lifecycle.successor is not None:
                lifecycle.teach_successor(asked.x, y)
        number = loss = None
        losses = _NO_LOSSES
        if y is not None:
            number = self.evaluation.update(y, asked.prediction, asked.score)
            if shadows.are_awake:
                answers = shadows.all_answers(asked)
            if rehearsed:
                answers = {**(answers or {}), **rehearsed}
            if answers:
                losses = {name: self.loss.of(y, *answer) for name, answer in answers.items()}
            loss = self.loss.of(y, asked.prediction, asked.score)
            if self.watcher is not None:
                self.watcher.learn(asked, y)
        self.join.settle(event_id, settled := Settled(y, asked.prediction, asked.score, number, assumed))
        if self.witness is not None:
            self.witness(event_id, asked.offset, settled)
        return lifecycle.observe(loss, losses, asked, y, moment)

    def _expire(self, record: Record, time_ms: int, watermark: int) -> list[Event]:
        """Forget, or assume, what has waited too long."""
        events: list[Event] = []
        label, count = self.pipeline.label, self.books.count
        for event_id, asked in self.join.expired_events(watermark):
            if label is not None and label.assumes:
                events += self._assume(event_id, asked, label.on_expiry, Moment(record, time_ms, event_id))
            else:
                count["expired"] += 1
                self.join.settled.put(event_id, EXPIRED)
        orphans = self.join.expired_labels(watermark)
        count["label_held"] -= orphans
        count["label_orphan"] += orphans
        return events

    def _assume(self, event_id: str, asked: Asked, y: Any, moment: Moment) -> Sequence[Event]:
        """Learn an assumed label; a model error here is no fault of the record that moved the watermark."""
        try:
            events = self._learn(event_id, asked, y, moment, assumed=True)
        except ModelError as error:
            self._count_model_error(moment.record, error)
            self.books.count["expired"] += 1
            self.join.settled.put(event_id, EXPIRED)
            return []
        self.books.count["assumed"] += 1
        return events

    def _command(self, record: Record, command: Command) -> list[Event]:
        """A command: what it changes begins here."""
        events = self.orders.step(record, command)
        if self.lifecycle.shadows.has_kept:
            events = [*events, *self.lifecycle.tell_kept(Moment(record, command.time_ms))]
        return events

    # ------------------------------------------------------------------ what is said about it

    def _prediction(self, record: Record, event_id: str, prediction: Any, score: Any, leapt: bool) -> PredictionMade:
        champion = self.lifecycle.champion
        return PredictionMade(
            event_id,
            prediction,
            self._public_score(score),
            champion.model_name,
            champion.version,
            champion.learned,
            record.topic,
            record.partition,
            record.offset,
            self._name,
            self._declaration,
            SCHEMA_VERSION,
            _LEAP if leapt else (),
        )

    def _bury(self, letter: DeadLetter) -> list[Event]:
        self.books.count["dead_letter"] += 1
        return [letter]

    def _count_model_error(self, record: Record, error: ModelError) -> None:
        """Count a model error; ten in a row of one kind are not the data's fault.

        A model that answers may still fail at every lesson, so an answer ends no row of failed lessons.
        """
        self.books.count["model_error"] += 1
        if error.stage == "learn":
            self.learn_errors += 1
        else:
            self.predict_errors += 1
        in_a_row = self.learn_errors if error.stage == "learn" else self.predict_errors
        if in_a_row >= MODEL_ERRORS_IN_A_ROW:
            raise ModelBrokenError(
                f"{record.position}: {in_a_row} model errors in a row, the last: {error}. "
                "Mend the model in the declaration and start again; nothing was committed for this record."
            ) from error

    def _is_foreign(self, record: Record) -> bool:
        """Tell whether the key of a record belongs to another partition."""
        key = record.key
        return self.partitions > 1 and bool(key) and home_partition(key or b"", self.partitions) != self.partition
