"""The tasks of the partitions that are ours, from assignment to release, and the offsets they have earned."""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Mapping

from faust.types import TP

from schemas.errors import BrokerError, DeclarationEnded, InvariantError, RiverrunError
from schemas.manifest import Identity
from schemas.operators import EVERYBODY, Operators
from schemas.outgoing import Outgoing, OutgoingEncoder
from streams.pipeline import Pipeline
from streams.worker.alignment import Alignment
from streams.worker.batch import Batch
from streams.worker.delivery import CycleAborted, Delivery
from streams.worker.poller import Extent, Poller
from streams.worker.quarantine import Quarantine
from streams.worker.recovery import Recovery
from streams.worker.restoration import Restoration
from streams.worker.settings import Settings
from streams.worker.shard import Shard
from streams.worker.snapshots import Snapshots
from streams.worker.tally import Tally
from streams.worker.timing import Timing
from streams.worker.whereabouts import assigned_places

log = logging.getLogger("riverrun.worker")

_MIN_RECORDS = 16
_ABORTS_IN_A_ROW = 5
_FORGIVE_SECONDS = 3.0
_FINISH_SECONDS = 3.0
_FINISH_STEP_SECONDS = 0.005


class Assignment:
    """Steps batches through their tasks, hands on what follows, and has it committed with the positions it came from.

    Parameters
    ----------
    pipeline
        The declaration.
    partitions
        Partitions of the input topic when the worker starts.
    encoder
        Makes messages of events.
    delivery
        Makes outputs and positions durable.
    settings
        Of the deployment.
    operators
        Those whose commands are obeyed.
    recovery
        Restores tasks from snapshots; without, the whole log is replayed.
    snapshots
        Takes snapshots.
    quarantine
        Counts the workers that die at a record.
    alignment
        Holds back partitions that other topics lack.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        partitions: int,
        encoder: OutgoingEncoder,
        delivery: Delivery,
        settings: Settings,
        operators: Operators = EVERYBODY,
        recovery: Recovery | None = None,
        snapshots: Snapshots | None = None,
        quarantine: Quarantine | None = None,
        alignment: Alignment | None = None,
    ) -> None:
        self.shards: dict[TP, Shard] = {}
        self._left_alone: dict[TP, int] = {}
        self.last_commit = time.monotonic()
        self.replayed = 0
        self.tally = Tally()
        self.timing = Timing()
        #: Whether a batch is being stepped through.
        self.stepping = False
        #: How often the group has assigned anything, be it nothing.
        self.rebalances = 0
        #: Up to where the partitions that went last are committed.
        self.left: dict[TP, int] = {}
        self.aborted = 0
        self._aborted_in_a_row = 0
        self._declaration = pipeline.declaration
        self._restoration = Restoration(pipeline, partitions, settings, operators, recovery, quarantine, alignment)
        self._encode = encoder.encode
        self._delivery = delivery
        self._settings = settings
        self._snapshots = snapshots
        self._quarantine = quarantine
        self._alignment = alignment
        self._parked: dict[TP, Shard] = {}
        self._epoch = 0
        self._poller: Poller | None = None
        self._busy = asyncio.Lock()
        self._broken = False
        self.on_progress: Callable[[], None] = lambda: None

    def use(self, poller: Poller) -> None:
        """Take the poller whose consumer commits."""
        self._poller = poller

    # ------------------------------------------------------------------ partitions come and go

    def assign(self, extents: list[Extent], epoch: int) -> dict[TP, int]:
        """Make the tasks of newly assigned partitions; return the position from which each is to be read.

        State is restored from the newest snapshot that can be believed, and the log is read from there, else from
        its start; outputs are suppressed up to the committed offset. A task that was released cleanly is used again
        when nobody has committed since.

        Raises
        ------
        BrokerError
            When the log no longer reaches back and `on_state_lost` is ``stop``.
        """
        self._epoch = epoch
        self.rebalances += 1
        numbers = {extent.tp.partition for extent in extents}
        lacking = self._alignment.lacking(numbers) if self._alignment is not None else ()
        restored = {e.tp: None if e.tp.partition in lacking else self._restored(e) for e in extents}
        self.shards = {tp: shard for tp, shard in restored.items() if shard is not None}
        self._left_alone = {e.tp: max(e.committed, e.low) for e in extents if restored[e.tp] is None}
        self._parked, self.left = {}, {}
        self.tally.hold(self.shards)
        if not extents:
            log.info("assigned no partition: other workers of the group have them all, and this one stands by")
        if self.shards:
            log.info("assigned %s", assigned_places(self.shards))
        self._restoration.say_who_waits()
        return {tp: shard.position for tp, shard in self.shards.items() if not shard.ended}

    @property
    def waiting(self) -> dict[TP, int]:
        """Where partitions wait: for another declaration to read on, or for topics that lack their number."""
        ended = {tp: shard.position for tp, shard in dict(self.shards).items() if shard.ended}
        return {**self._left_alone, **ended}

    def _restored(self, extent: Extent) -> Shard | None:
        parked = self._parked.get(extent.tp)
        if parked is not None and self._restoration.holds(parked, extent):
            return parked
        return self._restoration.shard(extent)

    async def release(self) -> None:
        """Finish the batch at work, commit, and park the tasks; what cannot be committed is dropped."""
        async with self._busy:
            earned = self._earned()
            try:
                if earned:
                    await self._commit(earned)
                else:
                    await self._delivery.abort()  # pieces of a snapshot, at most: nothing may stay open
            except CycleAborted as reason:
                await self._drop(reason)
            self._park()

    async def lose(self) -> None:
        """Drop everything: others own the partitions already, so what is in memory is worth nothing."""
        async with self._busy:
            await self._delivery.abort()
            self._forget()

    def _forget(self) -> None:
        self._park()
        self._parked = {}
        self.tally.hold({})

    def _park(self) -> None:
        self._epoch = -1
        if self.shards:
            self.left = {tp: shard.committed for tp, shard in self.shards.items()}
        self._parked, self.shards, self._left_alone = self.shards, {}, {}
        if self._snapshots is not None:
            self._snapshots.forget()

    async def _drop(self, reason: CycleAborted) -> None:
        """Take a cycle back, with all state that came of it.

        Raises
        ------
        BrokerError
            After five in a row: what stands in the way does not pass by itself.
        """
        self.aborted += 1
        self._aborted_in_a_row += 1
        if self._aborted_in_a_row >= _ABORTS_IN_A_ROW:
            raise BrokerError(
                f"{self._aborted_in_a_row} transactions in a row aborted, the last: {reason}. The worker ends, with "
                "nothing committed since; the next start does it again"
            ) from reason
        if not self._broken:
            log.warning("transaction aborted, state is restored and the work done again: %s", reason)
        await self._delivery.abort()
        if self._snapshots is not None:
            self._snapshots.forget(aborted=True)
        self._forget()

    async def _restart(self, reason: CycleAborted) -> None:
        """Take a cycle back and ask for the partitions anew, as after a crash."""
        await self._drop(reason)
        if self._poller is not None:
            self._poller.rejoin()

    def stop(self, error: Exception) -> None:
        """Commit nothing any more: a promise was broken."""
        self._broken = True
        if isinstance(error, RiverrunError):
            self.forgive()

    def forgive(self) -> None:
        """Take note that this worker ends, and that no record is to blame."""
        if self._quarantine is not None:
            forgiving = threading.Thread(target=self._quarantine.forgive, name="riverrun-forgiving", daemon=True)
            forgiving.start()
            forgiving.join(_FORGIVE_SECONDS)  # a broker that does not answer holds nobody up

    # ------------------------------------------------------------------ records

    async def process(self, batch: Batch) -> None:
        """Step a batch through its task, all of it without yielding.

        Raises
        ------
        InvariantError
            When the batch does not begin where the last one ended.
        """
        async with self._busy:
            if batch.epoch == self._epoch and not self._broken:
                shard = self.shards[batch.tp]
                try:
                    if shard.ended:
                        self._more_follow(batch)
                    elif shard.careful_until > batch.fetched_from:
                        await self._process_one_by_one(batch)
                    else:
                        self._process(batch)
                except CycleAborted as reason:
                    await self._restart(reason)

    async def _process_one_by_one(self, batch: Batch) -> None:
        """Commit each record for itself: should this worker die, the next one knows at which."""
        for single in batch.singles():
            if self.shards[batch.tp].ended:
                break
            self._process(single, of_many=True)
            await self._commit(self._earned())
        self._more_follow(batch)
        if self._poller is not None:
            self._poller.max_records = _MIN_RECORDS  # the other partitions need not wait for long

    def _process(self, batch: Batch, *, of_many: bool = False) -> None:
        shard = self.shards[batch.tp]
        if batch.fetched_from != shard.position:
            raise InvariantError(
                f"{batch.tp.topic}[{batch.tp.partition}]: got a batch fetched from {batch.fetched_from}, "
                f"expected one from {shard.position}"
            )
        if self._quarantine is not None and shard.attempts is not None and batch.next_position > shard.emit_from:
            self._quarantine.begin(shard.attempts)
            shard.attempts = None
        began = time.perf_counter()
        step = shard.step if shard.skips else shard.task.step
        encode, emit_from = self._encode, shard.emit_from
        said: list[Outgoing] = []
        position = batch.next_position
        self.stepping = True
        for record in batch.records():
            try:
                events = step(record)
            except DeclarationEnded as end:
                position = record.offset
                self._leave_to(end.declaration, batch.tp, position)
                break
            if record.offset < emit_from:
                self.replayed += 1
                shard.note_replayed()
                continue
            for event in events:
                said.append(encode(event, record))
        self.stepping = False
        if self._quarantine is not None and shard.ended and position <= emit_from:
            self._quarantine.withdraw(batch.tp.partition)  # nothing was stepped through that could kill
        stepped = time.perf_counter()
        self._delivery.emit(said, more_follow=of_many or self._more_follow(batch))
        shard.position = position
        if position >= emit_from:
            shard.task.orders.crosses_declarations = False
        sent = time.perf_counter()
        if batch.next_position > emit_from:
            self.timing.note(batch, began, stepped, sent)
        self._adapt(len(batch.messages), sent - began)
        self.on_progress()

    def _leave_to(self, declaration: str, tp: TP, position: int) -> None:
        """Read no further: another declaration begins here."""
        self.shards[tp].ended = True
        if self._snapshots is not None:
            self._snapshots.hasten(tp)
        if self._poller is not None:
            self._poller.pause(tp)
        log.warning(
            "%s[%d]: declaration %s begins at %d: this worker, with %s, commits what is before it, takes a snapshot "
            "and waits. Start it with the new declaration; if that cannot read on, RIVERRUN_ON_NEW_DECLARATION=relearn "
            "passes over it",
            *tp,
            declaration,
            position,
            self._declaration,
        )

    def _more_follow(self, batch: Batch) -> bool:
        """Tell whether there is more to do after a batch."""
        if self._poller is None:
            return False
        self._poller.finish(batch)
        return not self._poller.idle

    def _adapt(self, records: int, seconds: float) -> None:
        """Keep a batch within the work it may take."""
        if self._poller is not None:
            affordable = int(self._settings.batch_seconds * records / max(seconds, 1e-6))
            self._poller.max_records = max(_MIN_RECORDS, min(self._settings.batch_records, affordable))

    # ------------------------------------------------------------------ offsets

    async def commit(self) -> bool:
        """Make outputs durable, and the positions they came from; records are stepped through while only these wait."""
        async with self._busy:
            shards = self.shards
            try:
                earned = self._earned_with_snapshots()
                committed = await self._begin_commit(earned)
            except CycleAborted as reason:
                await self._restart(reason)
                return False
        return await self._end_commit(committed, earned, shards)

    async def finish(self) -> None:
        """Take a last snapshot of what has moved, as far as that is quickly done: the next start replays nothing."""
        if self._snapshots is None:
            return
        for tp in self.shards:
            self._snapshots.hasten(tp)
        deadline = time.monotonic() + _FINISH_SECONDS
        while not (self._broken or self._snapshots.is_done(self.shards)) and time.monotonic() < deadline:
            await self.commit()
            await asyncio.sleep(_FINISH_STEP_SECONDS)

    def _identity(self, tp: TP) -> Identity:
        return self._restoration.identity(tp, self.shards[tp].topic_id)

    def _earned(self) -> dict[TP, int]:
        return {tp: s.position for tp, s in self.shards.items() if s.position > s.committed}

    def _earned_with_snapshots(self) -> dict[TP, int]:
        """Return what is to be committed after snapshots have gone a step on: what they store goes with a position."""
        if self._snapshots is None or self._broken:
            return self._earned()
        stored_for = self._snapshots.advance(self.shards, self._identity)
        committed = {} if stored_for is None else {stored_for: self.shards[stored_for].committed}
        return committed | self._earned()

    async def _commit(self, earned: Mapping[TP, int]) -> bool:
        """Commit, and do nothing else meanwhile."""
        return await self._end_commit(await self._begin_commit(earned), earned, self.shards)

    async def _begin_commit(self, earned: Mapping[TP, int]) -> Awaitable[bool] | None:
        if self._broken or self._poller is None:
            return None
        if not earned:
            self.last_commit = time.monotonic()
            return None
        return await self._delivery.commit(earned, self._poller)

    async def _end_commit(
        self, committed: Awaitable[bool] | None, earned: Mapping[TP, int], shards: Mapping[TP, Shard]
    ) -> bool:
        if committed is None or not await committed:
            return False
        self._aborted_in_a_row = 0
        for tp, position in earned.items():
            if tp in shards:
                shards[tp].committed = max(shards[tp].committed, position)
            if self._quarantine is not None and tp in self.shards:
                self._quarantine.passed(tp.partition, position)
        self.last_commit = time.monotonic()
        return True
