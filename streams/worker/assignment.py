"""The tasks of the partitions that are ours, from assignment to release, and the offsets they have earned."""

import asyncio
import logging
import time
from collections.abc import Callable

from faust.types import TP

from schemas.errors import BrokerError, InvariantError
from schemas.outgoing import Outgoing, OutgoingEncoder
from streams.pipeline import Pipeline
from streams.task import Task
from streams.worker.batch import Batch
from streams.worker.delivery import CycleAborted, Delivery
from streams.worker.forked import checkpoint
from streams.worker.poller import Extent, Poller
from streams.worker.settings import Settings

log = logging.getLogger("riverrun.worker")

_MIN_RECORDS = 16
_ABORTS_IN_A_ROW = 5


class Shard:
    """The task of one assigned partition.

    Parameters
    ----------
    task
        The task.
    position
        Next position to be stepped through.
    emit_from
        Records before this position are replayed: their events were emitted already and are suppressed.
    """

    def __init__(self, task: Task, position: int, emit_from: int) -> None:
        self.task = task
        self.position = position
        self.emit_from = emit_from
        self.committed = emit_from


class Assignment:
    """Steps batches through their tasks, hands on what follows, and has it committed with the positions it came from.

    Parameters
    ----------
    pipeline
        The declaration.
    partitions
        Partitions of the input topic.
    encoder
        Makes messages of events.
    delivery
        Makes outputs and positions durable.
    settings
        Of the deployment.
    """

    def __init__(
        self, pipeline: Pipeline, partitions: int, encoder: OutgoingEncoder, delivery: Delivery, settings: Settings
    ) -> None:
        self.shards: dict[TP, Shard] = {}
        self.last_commit = time.monotonic()
        self.replayed = 0
        self.aborted = 0
        self._aborted_in_a_row = 0
        self._pipeline = pipeline
        self._partitions = partitions
        self._encode = encoder.encode
        self._delivery = delivery
        self._settings = settings
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

        State is restored by replay: the log is read from its start, with outputs suppressed up to the
        committed offset. A task that was released cleanly is used again when nobody has committed since.

        Raises
        ------
        BrokerError
            When the log no longer reaches back and `on_state_lost` is ``stop``.
        """
        self._epoch = epoch
        self.shards = {extent.tp: self._restored(extent) for extent in extents}
        self._parked = {}
        for tp, shard in sorted(self.shards.items()):
            replay = max(0, shard.emit_from - shard.position)
            log.info("assigned %s[%d] from %d, %d records to replay", tp.topic, tp.partition, shard.position, replay)
        return {tp: shard.position for tp, shard in self.shards.items()}

    def _restored(self, extent: Extent) -> Shard:
        parked = self._parked.get(extent.tp)
        if parked is not None and parked.position == extent.committed:
            return parked
        task = Task(self._pipeline, extent.tp.partition, self._partitions, checkpoint)
        start, emit_from = extent.low, max(extent.committed, extent.low)
        if extent.committed > 0 and extent.low > 0:
            start = self._without_history(extent)
        task.next_offset = start
        return Shard(task, start, emit_from)

    def _without_history(self, extent: Extent) -> int:
        """Return where to start when the beginning of the log is gone."""
        where = f"{extent.tp.topic}[{extent.tp.partition}]"
        if self._settings.on_state_lost == "stop":
            raise BrokerError(
                f"{where}: state lost: the log begins at {extent.low}, the model has learned from records before it. "
                "RIVERRUN_ON_STATE_LOST=earliest relearns from what is left, =fresh goes on with a new model."
            )
        start = extent.low if self._settings.on_state_lost == "earliest" else max(extent.committed, extent.low)
        log.warning("%s: state lost, the log begins at %d: starting at %d", where, extent.low, start)
        return start

    async def release(self) -> None:
        """Finish the batch at work, commit, and park the tasks; what cannot be committed is dropped."""
        async with self._busy:
            try:
                await self._commit()
            except CycleAborted as reason:
                await self._drop(reason)
            self._epoch = -1
            self._parked, self.shards = self.shards, {}

    async def lose(self) -> None:
        """Drop everything: others own the partitions already, so what is in memory is worth nothing."""
        async with self._busy:
            await self._delivery.abort()
            self._forget()

    def _forget(self) -> None:
        self._epoch = -1
        self._parked, self.shards = {}, {}

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
        log.warning("transaction aborted, state is restored and the work done again: %s", reason)
        await self._delivery.abort()
        self._forget()

    async def _restart(self, reason: CycleAborted) -> None:
        """Take a cycle back and ask for the partitions anew, as after a crash."""
        await self._drop(reason)
        if self._poller is not None:
            self._poller.rejoin()

    def stop(self) -> None:
        """Commit nothing any more: a promise was broken."""
        self._broken = True

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
                try:
                    self._process(batch)
                except CycleAborted as reason:
                    await self._restart(reason)

    def _process(self, batch: Batch) -> None:
        shard = self.shards[batch.tp]
        if batch.fetched_from != shard.position:
            raise InvariantError(
                f"{batch.tp.topic}[{batch.tp.partition}]: got a batch fetched from {batch.fetched_from}, "
                f"expected one from {shard.position}"
            )
        began = time.perf_counter()
        step, encode, emit_from = shard.task.step, self._encode, shard.emit_from
        said: list[Outgoing] = []
        for record in batch.records():
            events = step(record)
            if record.offset < emit_from:
                self.replayed += 1
                continue
            for event in events:
                said.append(encode(event, record))
        self._delivery.emit(said, more_follow=self._more_follow(batch))
        shard.position = batch.next_position
        self._adapt(len(batch.messages), time.perf_counter() - began)
        self.on_progress()

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
        """Make outputs durable, and the positions they came from."""
        async with self._busy:
            try:
                return await self._commit()
            except CycleAborted as reason:
                await self._restart(reason)
                return False

    async def _commit(self) -> bool:
        earned = {tp: s.position for tp, s in self.shards.items() if s.position > s.committed}
        if self._broken or self._poller is None:
            return False
        if not earned:
            self.last_commit = time.monotonic()
            return False
        if not await self._delivery.commit(earned, self._poller):
            return False
        self._aborted_in_a_row = 0
        for tp, position in earned.items():
            if tp in self.shards:
                self.shards[tp].committed = position
        self.last_commit = time.monotonic()
        return True
