"""A prediction made again: the model as it was at a position, from snapshot and log."""

import time
from collections.abc import Sequence
from functools import partial
from typing import cast

from msgspec import Struct

from schemas.attempts import Attempts
from schemas.events import CommandObeyed, CommandRefused, DeadLetter, DeclarationChanged, Event, PredictionMade
from schemas.manifest import Manifest
from schemas.operators import EVERYBODY, Operators, SignedCommand
from schemas.position import Position
from schemas.record import Record
from schemas.signing import TrustedKeys
from services.verification.logs import Logs
from services.verification.past_snapshots import PastSnapshots
from services.verification.search import Advance
from streams.orders import OTHER_DECLARATION
from streams.pipeline import Pipeline
from streams.snapshot import identity_of
from streams.task import Task
from streams.worker.forked import checkpoint
from streams.worker.recovery import Recovered, Recovery
from streams.worker.shard import Shard
from streams.worker.stores.store import SnapshotStore

_TOLD_EVERY = 100


class Rebuilt(Struct, frozen=True):
    """What the model of that time says.

    Parameters
    ----------
    prediction
        The prediction made again, None when the record has none.
    instead
        What came of the record in place of a prediction.
    snapshot
        The snapshot from which the log was read on, None when it was read from its beginning.
    replayed
        Number of records that were stepped through, this one included.
    seconds
        How long all of it took.
    """

    prediction: PredictionMade | None
    instead: str
    snapshot: Manifest | None
    replayed: int
    seconds: float


class OutOfReach(Struct, frozen=True):
    """The model of that time cannot be rebuilt.

    Parameters
    ----------
    reason
        What is missing.
    """

    reason: str


class Rebuilder:
    """Rebuilds the models of a pipeline, as a worker recovers them.

    Parameters
    ----------
    pipeline
        The declaration that made the predictions.
    logs
        The topics.
    store, trusted
        Where snapshots are kept, and the keys whose snapshots are believed; without one of them the log is read from
        its beginning.
    operators
        Those whose commands are obeyed; None when that is not known: then all are, and the outcome is in doubt.
    advance
        Hears how far the replay is.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        logs: Logs,
        store: SnapshotStore | None = None,
        trusted: TrustedKeys | None = None,
        operators: Operators | None = EVERYBODY,
        advance: Advance = lambda *_: None,
    ) -> None:
        #: What has to be known to judge the outcome.
        self.remarks: list[str] = []
        #: How the versions that made the prediction differ from those here, as far as snapshots tell.
        self.other_versions = ""
        #: Why the model of that time may have another past than the one it is rebuilt from.
        self.doubt = ""
        self._pipeline = pipeline
        self._logs = logs
        self._store = store
        self._trusted = trusted
        self._operators = operators or EVERYBODY
        self._knows_operators = operators is not None
        self._advance = advance

    def rebuild(self, cause: Position) -> Rebuilt | OutOfReach:
        """Return the prediction for the record at a position, made again.

        The state is that of the newest snapshot at or below the position, else that of the beginning of the log, if
        that is still there; from there on the log is replayed, with what the worker passed over passed over.
        """
        began = time.perf_counter()
        self.other_versions = self.doubt = ""
        low, high = self._logs.extent(cause.topic, cause.partition)
        if not low <= cause.offset < high:
            there = "is empty" if low == high else f"begins at {low} and ends before {high}"
            return OutOfReach(f"{cause.topic}[{cause.partition}] {there}, so {cause} itself is gone")
        partitions = self._logs.partitions(cause.topic)
        recovered = self._recovered(cause, low, partitions)
        if recovered.manifest is None and low > 0:
            return OutOfReach(_nothing_to_begin_with(cause, low))
        shard = self._shard(recovered, cause, partitions)
        events, replayed = self._replayed(shard, cause)
        if self._logs.extent(cause.topic, cause.partition)[0] > shard.position:
            return OutOfReach(f"{cause.topic}[{cause.partition}] was cut off while it was read: try again")
        prediction = next((event for event in events or () if isinstance(event, PredictionMade)), None)
        seconds = time.perf_counter() - began
        return Rebuilt(prediction, _instead(events), recovered.manifest, replayed, seconds)

    def _recovered(self, cause: Position, low: int, partitions: int) -> Recovered:
        """Return the newest state at or below a position, and what is to be passed over."""
        if self._store is None or self._trusted is None:
            return Recovered()
        identity = identity_of(self._pipeline, cause.partition, partitions, self._logs.topic_id(cause.topic))
        past = PastSnapshots(self._store, self._trusted, self._declared_at, identity, range(low, cause.offset + 1))
        self.remarks += past.remarks
        self.other_versions = past.other_versions
        recovery = Recovery(cast(SnapshotStore, past), self._trusted, self._declared_at)
        recovered = recovery.recover(
            partial(self._fresh_task, cause.partition, partitions), identity, low, cause.offset
        )
        if low > 0 and recovered.manifest is not None:
            self.doubt = past.doubt(recovered.manifest)
        return Recovered(recovered.task, recovered.manifest, past.skips)

    def _fresh_task(self, partition: int, partitions: int) -> Task:
        return Task(self._pipeline, partition, partitions, checkpoint, self._operators)

    def _declared_at(self, partition: int, position: int) -> SignedCommand | None:
        """Return the command with which a declaration begins, None when the next record at a position is none."""
        topic = self._pipeline.source_topic
        _, high = self._logs.extent(topic, partition)
        record = next(self._logs.between(topic, partition, position, high), None)
        return None if record is None else self._declared_in(record)

    def _declared_in(self, record: Record) -> SignedCommand | None:
        """Return the command with which a declaration begins, if a record is one."""
        found = self._operators.declaration_in(record.headers or (), record.value, record.topic, record.partition)
        return found if found is not None and found.command.pipeline == self._pipeline.name else None

    def _shard(self, recovered: Recovered, cause: Position, partitions: int) -> Shard:
        """Return a task as the worker has it, that passes over what the worker passed over."""
        task, start = recovered.task, 0
        if task is None or recovered.manifest is None:
            task = self._fresh_task(cause.partition, partitions)
        else:
            start = recovered.manifest.next
        attempts = Attempts(self._pipeline.name, cause.topic, cause.partition, skips=recovered.skips)
        return Shard(task, start, start, recovered.manifest, attempts)

    def _replayed(self, shard: Shard, cause: Position) -> tuple[Sequence[Event] | None, int]:
        """Step through the log up to a record; return what followed from it, and how many records there were."""
        start, end, replayed = shard.position, cause.offset + 1, 0
        for record in self._logs.between(cause.topic, cause.partition, start, end):
            events = shard.step(record)
            replayed += 1
            for event in events:
                if isinstance(event, DeclarationChanged | CommandRefused | CommandObeyed):
                    self._doubt_at(record, shard, event)
            if replayed % _TOLD_EVERY == 0:
                self._advance("replaying", record.offset - start, end - start)
            if record.offset == cause.offset:
                return events, replayed
        return None, replayed

    def _doubt_at(
        self, record: Record, shard: Shard, said: DeclarationChanged | CommandRefused | CommandObeyed
    ) -> None:
        """Doubt the past of the model where a worker may have gone on with another state."""
        if not self._knows_operators and not isinstance(said, CommandRefused):
            self.doubt = f"the command at {record.position} was obeyed here, and it is not known whose are"
            return
        if isinstance(said, CommandRefused) and not said.reason.startswith(OTHER_DECLARATION):
            return
        command = self._declared_in(record)
        if command is None:
            return
        if command.declares != self._pipeline.declaration:
            self.doubt = f"declaration {command.declares} began at {record.position}, and no later snapshot can be used"
        elif shard.snapshot is None:
            self.doubt = (
                f"declaration {command.declares} began at {record.position}, and no snapshot can be used of the "
                "state that it took over"
            )


def _nothing_to_begin_with(cause: Position, low: int) -> str:
    log = f"{cause.topic}[{cause.partition}]"
    return f"{log} begins at {low}, and no snapshot of a position from there to {cause.offset} can be used"


def _instead(events: Sequence[Event] | None) -> str:
    """Say what came of a record in place of a prediction."""
    if events is None:
        return "nothing, the log has no record there"
    letter = next((event for event in events if isinstance(event, DeadLetter)), None)
    if letter is not None:
        return f"a dead letter of stage {letter.stage}: {letter.reason}"
    return "nothing, the record is a label, or an event that was seen before"
