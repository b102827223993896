"""Bugs planted into the code under test: the simulation has to find each of them, or it is worth nothing."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import msgspec

from streams import decoding, snapshot
from streams.label_join import Settled
from streams.learner import Learner, UndoLog
from streams.task import Task
from streams.worker.assignment import Assignment, Shard
from streams.worker.fetch_buffer import FetchBuffer
from streams.worker.recovery import Recovery
from streams.worker.snapshots import Snapshots
from streams.worker.stores import kafka
from streams.worker.stores.kafka import KafkaStore
from streams.worker.transactions import ExactlyOnce
from tests.simulation.dump import Dump
from tests.simulation.entity_bugs import ENTITY_BUGS
from tests.simulation.lifecycle_bugs import LIFECYCLE_BUGS, Patches


def _positions_before_outputs() -> Patches:
    """Commit positions first: the outputs go into the next transaction."""
    commit, emit = ExactlyOnce._commit, ExactlyOnce.emit

    def commit_first(self: Any, *arguments: Any) -> None:
        commit(self, *arguments)
        kept, self.kept = getattr(self, "kept", []), []
        for messages in kept:
            emit(self, messages, more_follow=True)

    def keep(self: Any, messages: Any, *, more_follow: bool, on_delivery: Any = None) -> None:
        if on_delivery is not None:
            emit(self, messages, more_follow=more_follow, on_delivery=on_delivery)
            return
        self.kept = [*getattr(self, "kept", []), messages]

    return [(ExactlyOnce, "_commit", commit_first), (ExactlyOnce, "emit", keep)]


def _no_abort_when_lost() -> Patches:
    """Partitions are lost, and what was said about them stays in the open transaction."""

    async def lose(self: Any) -> None:
        self._forget()

    return [(Assignment, "lose", lose)]


def _no_fencing() -> Patches:
    """Positions are sent without the group's generation."""
    send = ExactlyOnce._send_positions
    return [(ExactlyOnce, "_send_positions", lambda self, positions, group: send(self, positions, None))]


def _skipped_seek() -> Patches:
    """State is restored from a snapshot, and the log is read from the committed offset on."""
    restored = Assignment._restored

    def skip(self: Any, extent: Any) -> Shard:
        shard = restored(self, extent)
        if shard.snapshot is not None and shard.position < shard.emit_from:
            shard.position = shard.emit_from
        return shard

    return [(Assignment, "_restored", skip)]


def _replay_from_the_beginning() -> Patches:
    """State is restored from a snapshot, and the log is read from its beginning all the same."""
    restored = Assignment._restored

    def repeat(self: Any, extent: Any) -> Shard:
        shard = restored(self, extent)
        if shard.snapshot is not None:
            shard.position = shard.task.next_offset = extent.low
        return shard

    return [(Assignment, "_restored", repeat)]


def _records_before_state() -> Patches:
    """Records flow before the state is there: the first batch meets a fresh task."""
    restored, process = Assignment._restored, Assignment._process

    def later(self: Any, extent: Any) -> Shard:
        shard = restored(self, extent)
        if shard.snapshot is not None:
            shard.late, shard.task = shard.task, self._restoration._fresh_task(extent.tp)  # type: ignore[attr-defined]
        return shard

    def first(self: Any, batch: Any, **further: Any) -> None:
        shard = self.shards[batch.tp]
        process(self, batch, **further)
        if hasattr(shard, "late"):
            shard.task = shard.late
            shard.task.next_offset = shard.position
            del shard.late

    return [(Assignment, "_restored", later), (Assignment, "_process", first)]


def _outputs_of_replay() -> Patches:
    """What is replayed is said again."""
    restored = Assignment._restored

    def loud(self: Any, extent: Any) -> Shard:
        shard = restored(self, extent)
        shard.emit_from = min(shard.emit_from, shard.position)
        return shard

    return [(Assignment, "_restored", loud)]


def _parked_whatever_happened() -> Patches:
    """A parked task is used again although somebody else has committed since."""
    restored = Assignment._restored

    def reuse(self: Any, extent: Any) -> Shard:
        return self._parked.get(extent.tp) or restored(self, extent)

    return [(Assignment, "_restored", reuse)]


def _parked_after_abort() -> Patches:
    """What an aborted cycle has computed is kept."""

    async def drop(self: Any, reason: Any) -> None:
        await self._delivery.abort()
        for shard in self.shards.values():
            shard.committed = shard.position

    return [(Assignment, "_drop", drop)]


def _counted_positions() -> Patches:
    """The next position is the last one plus the number of records."""
    take = FetchBuffer.take

    def count(self: Any, max_records: int) -> Any:
        taken = {}
        for tp, batch in take(self, max_records).items():
            start = getattr(self, "counted", {}).get((self.epoch, tp), batch.fetched_from)
            after = start + len(batch.messages)
            self.counted = {**getattr(self, "counted", {}), (self.epoch, tp): after}
            taken[tp] = msgspec.structs.replace(batch, fetched_from=start, next_position=after)
        return taken

    return [(FetchBuffer, "take", count)]


def _nan_let_through() -> Patches:
    """NaN and infinity are numbers to the decoder."""
    schema = decoding.cs.float_schema
    lax = {**vars(decoding.cs), "float_schema": lambda **_: schema(allow_inf_nan=True)}
    return [(decoding, "cs", SimpleNamespace(**lax))]


def _random_ids() -> Patches:
    """Events without an id get a new one each time."""
    numbers = itertools.count()
    prediction = Task._prediction

    def made(self: Any, record: Any, event_id: str, *rest: Any) -> Any:
        if event_id == record.position.event_id:
            event_id = f"{event_id}-{next(numbers)}"
        return prediction(self, record, event_id, *rest)

    return [(Task, "_prediction", made)]


def _learn_before_predict() -> Patches:
    """An event with its label is learned, and then scored."""
    score = Task._score

    def peek(self: Any, record: Any, example: Any) -> Any:
        champion = self.lifecycle.champion
        if example.y is not None and not self.join.has_seen(example.id):
            champion.learn(self.preprocessor.clean(dict(example.x)), example.y)
            champion.learned -= 1
        return score(self, record, example)

    return [(Task, "_score", peek)]


def _filled_row_thrown_away() -> Patches:
    """An event that is sent again with its label is a duplicate, whatever it brings."""
    return [(Task, "_tells_more", lambda self, event_id, y: False)]


def _redelivery_corrects() -> Patches:
    """An event that is delivered twice brings its label of old, and that counts as a correction."""
    more = Task._tells_more

    def differs(self: Any, event_id: str, y: Any) -> bool:
        known = self.join.settled.get(event_id) if event_id in self.join.settled else None
        return more(self, event_id, y) or (isinstance(known, Settled) and known.y != y)

    return [(Task, "_tells_more", differs)]


def _no_undo() -> Patches:
    """A model that raised stays half updated."""
    adopt = Learner._adopt

    def note(self: Any, model: Any) -> None:
        self._undo.adopted = model
        adopt(self, model)

    return [(Learner, "_adopt", note), (UndoLog, "restore", lambda self, learn: self.adopted)]


def _no_checkpoint() -> Patches:
    """Examples before a checkpoint are forgotten, and the checkpoint is not taken over."""
    turn = UndoLog._turn

    def forget(self: Any, model: Any) -> None:
        load = self._load
        turn(self, model)
        self._load = load

    return [(UndoLog, "_turn", forget)]


def _moving_dump() -> Patches:
    """The dump is written later than the position that it claims."""

    init = Dump.__init__

    def begin(self: Any, write: Callable[[Any], object]) -> None:
        init(self, lambda _: None)
        self.late = write

    def size(self: Any) -> int | None:
        if self.late is None:
            return len(self._file.getvalue())
        if getattr(self, "waited", False):
            self.late(self._file)
            self.late = None
        self.waited = True
        return None

    return [(Dump, "__init__", begin), (Dump, "size_bytes", size)]


def _chunks_outside() -> Patches:
    """The parts of a snapshot are produced outside of the transaction."""
    put = KafkaStore.put

    def outside(self: Any, *arguments: Any) -> Any:
        within, self._emit = self._emit, self._emit_now
        try:
            return put(self, *arguments)
        finally:
            self._emit = within

    return [(KafkaStore, "put", outside)]


def _places_unknown() -> Patches:
    """A manifest names chunks of which nobody knows where they stand."""

    plain = kafka._then

    def as_it_comes(stored: Any, answer: Any) -> Any:
        return plain(stored, lambda offsets: answer(tuple(-1 if place is None else place for place in offsets)))

    return [(kafka, "_then", as_it_comes)]


def _manifest_before_commit() -> Patches:
    """A manifest does not wait until its position is committed."""
    take = Snapshots._take

    def hasty(self: Any, tp: Any, shard: Any, *rest: Any) -> Iterator[bool]:
        return take(self, tp, _Committed(shard), *rest)

    return [(Snapshots, "_take", hasty)]


class _Committed:
    """A shard that says that everything is committed."""

    committed = 1 << 60

    def __init__(self, shard: Any) -> None:
        self.__dict__["shard"] = shard

    def __getattr__(self, name: str) -> Any:
        return getattr(self.shard, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.shard, name, value)


def _manifest_ahead() -> Patches:
    """A manifest names the position of the moment at which it is sealed, not that of its dump."""
    take, seal = Snapshots._take, KafkaStore.seal
    shards: dict[int, Any] = {}

    def note(self: Any, tp: Any, shard: Any, *rest: Any) -> Iterator[bool]:
        shards[tp.partition] = shard
        return take(self, tp, shard, *rest)

    def ahead(self: Any, partition: int, position: int, document: bytes, parts: Any) -> Any:
        return seal(self, partition, shards[partition].position, document, parts)

    return [(Snapshots, "_take", note), (KafkaStore, "seal", ahead)]


def _snapshot_outlives_its_cycle() -> Patches:
    """After an abort the snapshot at work goes on, once its partition is there again."""
    advance = Snapshots.advance

    def go_on(self: Any, shards: Any, identity: Any) -> Any:
        absent = self._working_on is not None and self._working_on not in shards
        return None if absent else advance(self, shards, identity)

    return [(Snapshots, "forget", lambda *_, **__: None), (Snapshots, "advance", go_on)]


def _state_without_preprocessing() -> Patches:
    """What was learned for filling gaps is not part of a snapshot."""
    nouns = snapshot._nouns
    return [(snapshot, "_nouns", lambda task: {k: v for k, v in nouns(task).items() if k != "preprocessor"})]


def _state_without_waiting_events() -> Patches:
    """Events that wait are stored as they were when their segment was stored first."""
    return [(snapshot, "_alive", lambda entries, alive: entries)]


def _digests_unchecked() -> Patches:
    """The bytes of a part are not compared with what was signed."""

    def load(self: Any, task: Task, manifest: Any) -> Task:
        parts = sorted(manifest.parts, key=lambda part: part.places)
        found = self._store.get(manifest.identity.partition, parts)
        snapshot.restore(task, {part.name: data for part, data in zip(parts, found, strict=True)})
        return task

    return [(Recovery, "_load", load)]


BUGS: Mapping[str, Callable[[], Patches]] = {
    bug.__name__.lstrip("_"): bug
    for bug in (
        _positions_before_outputs,
        _no_abort_when_lost,
        _no_fencing,
        _skipped_seek,
        _replay_from_the_beginning,
        _records_before_state,
        _outputs_of_replay,
        _parked_whatever_happened,
        _parked_after_abort,
        _counted_positions,
        _nan_let_through,
        _random_ids,
        _learn_before_predict,
        _filled_row_thrown_away,
        _redelivery_corrects,
        _no_undo,
        _no_checkpoint,
        _moving_dump,
        _chunks_outside,
        _places_unknown,
        _manifest_before_commit,
        _manifest_ahead,
        _snapshot_outlives_its_cycle,
        _state_without_preprocessing,
        _state_without_waiting_events,
        _digests_unchecked,
        *LIFECYCLE_BUGS,
        *ENTITY_BUGS,
    )
}


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Have one bug in the code under test."""
    with ExitStack() as stack:
        for owner, attribute, wrong in BUGS[name]():
            stack.enter_context(mock.patch.object(owner, attribute, wrong))
        yield
