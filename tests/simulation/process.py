"""A worker process: riverrun's own pieces around simulated clients, killed wherever it talks to the broker."""

from collections import deque
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from typing import Any

from confluent_kafka import TopicPartition
from faust.types import TP

from schemas.operators import EVERYBODY
from schemas.outgoing import Outgoing, OutgoingEncoder
from streams.worker.assignment import Assignment
from streams.worker.batch import Batch
from streams.worker.declarations import DeclarationLog
from streams.worker.delivery import AtLeastOnce
from streams.worker.emitter import Emitter, OnDelivery
from streams.worker.poller import Extent, Poller
from streams.worker.quarantine import Quarantine
from streams.worker.recovery import Recovery
from streams.worker.snapshots import Snapshots
from streams.worker.stores.kafka import KafkaStore
from streams.worker.transactions import ExactlyOnce
from tests.simulation.clock import CLOCK
from tests.simulation.dump import Dump
from tests.simulation.producer import Producer


class _Poller(Poller):
    """A poller without a thread: a commit is done at once, or begun where somebody can wait for it."""

    #: Whether whoever asks for a commit now can wait until a later poll.
    is_patient = False

    def commit(self, offsets: list[TopicPartition]) -> "Future[bool]":
        """Commit, or begin to."""
        committed = super().commit(offsets)
        if self.is_patient and self._has_room():
            self._commits.begin(self.consumer)
        else:
            self._commits.finish(self.consumer)
        return committed


class Process:
    """One life of a worker.

    Parameters
    ----------
    world
        Where it lives.
    slot, life
        Which worker of the deployment it is, and how often that was started before.
    """

    def __init__(self, world: Any, slot: int, life: int) -> None:
        self.world = world
        self.slot = slot
        self.name = f"w{slot}.{life}"
        self.instance = f"p-{slot}" if world.plan.static else None
        self.alive = True
        #: Stopped as by SIGSTOP: it does nothing and sends no heartbeats.
        self.stopped = False
        #: In the middle of something, further down the stack.
        self.busy = False
        self.batches: dict[TP, deque[Batch]] = {}
        #: A commit that is on its way.
        self._committing: Coroutine[Any, Any, bool] | None = None

    def __str__(self) -> str:
        return self.name

    def start(self) -> None:
        """Connect; what an earlier life left open is ended."""
        plan, pipeline = self.world.plan, self.world.plan.pipeline
        self._emitter, self._outside = Emitter(), Emitter()
        self.delivery: ExactlyOnce | AtLeastOnce
        if plan.exactly_once:
            transactional_id = f"p-{self.slot}" if plan.static else f"p-{self.name}"
            self.producer = Producer(self, transactional_id)
            self.delivery = ExactlyOnce(self._emitter, transactional_id)
        else:
            self.producer = Producer(self, None)
            self.delivery = AtLeastOnce(self._emitter)
        self._emitter.producer = self.producer
        self._outside.producer = Producer(self, None)
        emit = self._emit_with_outputs if plan.exactly_once else self._emit_now
        store = KafkaStore("p", {"process": self}, emit, self._emit_now)
        self.snapshots = Snapshots(store, plan.signer, plan.trusted, plan.snapshot_seconds, Dump, CLOCK.monotonic)
        declarations = DeclarationLog({"process": self}, "p.raw", "p", EVERYBODY)
        self.recovery = Recovery(store, plan.trusted, declarations.at)
        self.assignment = Assignment(
            pipeline,
            plan.partitions,
            OutgoingEncoder("p"),
            self.delivery,
            plan.settings,
            EVERYBODY,
            self.recovery,
            self.snapshots,
            Quarantine(store, plan.signer, plan.trusted, "p", "p.raw") if plan.quarantine else None,
        )
        config = {"process": self}
        self.poller = _Poller(config, "p.raw", self, lambda: None, max_records=plan.settings.batch_records)
        self.assignment.use(self.poller)
        if isinstance(self.delivery, ExactlyOnce):
            self.delivery.start(self.producer)
        self.poller._subscribe()

    def _emit_with_outputs(self, messages: Sequence[Outgoing], on_delivery: OnDelivery) -> None:
        """Produce pieces of a snapshot within the transaction of the cycle, as `App` does."""
        self.delivery.emit(messages, more_follow=True, on_delivery=on_delivery)

    def _emit_now(self, messages: Sequence[Outgoing], on_delivery: OnDelivery | None = None) -> None:
        """Produce outside of transactions, and wait until the broker has it, as `App` does."""
        self._outside.emit(messages, on_delivery or self._outside.delivered)
        self._outside.flush()

    # ------------------------------------------------------------------ what the poller tells

    def assigned(self, extents: list[Extent], epoch: int) -> dict[TP, int]:
        """Restore the state of the partitions."""
        parked, restored = list(self.assignment._parked.values()), self.recovery.restored
        starts = self.assignment.assign(extents, epoch)
        self.world.counts["restored"] += self.recovery.restored - restored
        self.world.counts["parked"] += sum(shard in parked for shard in self.assignment.shards.values())
        for tp, start in starts.items():
            shard = self.assignment.shards[tp]
            self.world.say("%s: %s from %d, emits from %d", self, f"{tp.topic}[{tp.partition}]", start, shard.emit_from)
        return starts

    def revoked(self, tps: set[TP], *, lost: bool) -> None:
        """Finish and commit what was begun, or drop it."""
        self.poller._commits.finish(self.poller.consumer)  # as while it waits for the others
        run(self.assignment.lose() if lost else self.assignment.release())

    def failed(self, error: Exception) -> None:
        """Never called: the thread does not run."""
        raise AssertionError from error

    # ------------------------------------------------------------------ what it does

    def poll(self) -> None:
        """Go once round the loop of `Poller.run`."""
        poller = self.poller
        if not poller._has_room():
            poller._commits.finish(poller.consumer)
            if not poller._rejoining:
                return
        poller._wait_for_room()
        first = poller.consumer.poll(0.1)
        if first is not None:
            more = poller.consumer.consume(poller.max_records - 1, 0) if poller.max_records > 1 else []
            poller._add([first, *more])

    def work(self) -> None:
        """Let the agent have a batch, the oldest of some partition, as Faust hands them on; in the end have it all."""
        while self._work() and self.world.calm:
            pass

    def _work(self) -> bool:
        if not any(self.batches.values()):
            for tp, batch in self.poller.take().items():
                self.batches.setdefault(tp, deque()).append(batch)
        waiting = [tp for tp, batches in self.batches.items() if batches]
        if not waiting:
            return False
        batch = self.batches[self.world.rng.choice(waiting)].popleft()
        self.world.say("%s: works on %s", self, _words(batch))
        run(self.assignment.process(batch))
        self.world.auditor.look_at(self)
        return True

    def commit(self) -> None:
        """Commit what was earned, with a step of a snapshot, or see what came of the commit that is on its way."""
        committing, self._committing = self._committing or self.assignment.commit(), None
        self.poller.is_patient = not self.world.calm and self.world.rng.random() < 0.5
        try:
            committing.send(None)
            self.world.counts["commits_begun"] += 1
            self._committing = committing
        except StopIteration as end:
            if end.value:
                self.world.say("%s: committed", self)
        finally:
            self.poller.is_patient = False

    def end(self) -> None:
        """Take a last snapshot, release everything and leave, as on SIGTERM, or after an error."""
        run(self.assignment.finish())
        run(self.assignment.release())
        self.poller.consumer.close()
        self.producer.flush()
        run(self.delivery.abort(5.0))
        self.alive = False

    def pause(self, where: str) -> None:
        """Here others may do something, and here the process may be killed."""
        self.world.meanwhile(self, where)


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that waits for nobody."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits for somebody")


def _words(batch: Batch) -> str:
    offsets = [message.offset() for message in batch.messages]
    return f"{batch.tp.topic}[{batch.tp.partition}] {offsets[0]}..{offsets[-1]} of epoch {batch.epoch}"
