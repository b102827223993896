"""Faust's transport over librdkafka: consumer, producer, and the scheme ``riverrun://`` that names it.

Faust keeps what it is good at (agents, supervision, rebalance callbacks, worker life cycle) and pays its cost
per event once per *batch*. The private members of Faust that are touched here are held by
``tests/streams/worker/test_faust_contract.py``.
"""

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import confluent_kafka
from faust.transport import base
from faust.types import TP, ConsumerMessage, RecordMetadata
from mode import Service

from schemas.errors import BrokerError
from streams.worker.batch import Batch, timestamp_ms
from streams.worker.log_ends import LogEnds
from streams.worker.metadata import topic_id
from streams.worker.poller import Extent, Poller
from streams.worker.progress import Progress
from streams.worker.whereabouts import committed_places

if TYPE_CHECKING:
    from streams.worker.app import App

log = logging.getLogger("riverrun.worker")

SCHEME = "riverrun"
_LEAVE_SECONDS = 60.0
_ABORT_SECONDS = 5.0
_LOOK_SECONDS = 10.0
_FIRST_TOLD_SECONDS, _TELL_SECONDS = 5.0, 30.0
_ENDS_SECONDS = 1.5


class Consumer(base.Consumer):
    """Faust's consumer: hands on batches, commits what the assignment says was done."""

    app: "App"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._poller: Poller | None = None
        self._arrived = asyncio.Event()
        self._assigned_tps: set[TP] = set()
        self._starts: dict[TP, int] = {}

    # ------------------------------------------------------------------ what the poller tells (in its thread)

    def assigned(self, extents: list[Extent], epoch: int) -> dict[TP, int]:
        """Restore the state of the partitions, then let Faust resume."""
        starts: dict[TP, int] = self._in_loop(self._on_assigned(extents, epoch))
        return starts

    def revoked(self, tps: set[TP], *, lost: bool) -> None:
        """Finish and commit what was begun, then let Faust forget the partitions."""
        self._in_loop(self._on_revoked(tps, lost=lost))

    def failed(self, error: Exception) -> None:
        """Stop the worker."""
        self.loop.call_soon_threadsafe(self.app.fail, error)

    def _in_loop(self, coroutine: Any) -> Any:
        assert self._poller is not None
        return self._poller.serve_until(asyncio.run_coroutine_threadsafe(coroutine, self.loop))

    async def _on_assigned(self, extents: list[Extent], epoch: int) -> dict[TP, int]:
        self._starts = self.app.assignment.assign(extents, epoch)
        self._assigned_tps = set(self._starts)
        if not self.app.rebalancing:
            self.app.on_rebalance_start()
        self.app.consumer_generation_id = epoch
        await self.on_partitions_assigned(set(self._assigned_tps), epoch)
        return self._starts

    async def _on_revoked(self, tps: set[TP], *, lost: bool) -> None:
        self.app.on_rebalance_start()
        assignment = self.app.assignment
        had = bool(assignment.shards)
        if lost:
            await assignment.lose()
        else:
            await assignment.release()
        if had:
            log.info("partitions %s, committed: %s", "lost" if lost else "revoked", committed_places(assignment.left))
        await self.on_partitions_revoked(tps)
        self._assigned_tps = set()

    # ------------------------------------------------------------------ what Faust asks

    async def on_start(self) -> None:
        """Nothing yet: the poller starts when Faust subscribes."""

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Start polling the input topic, the only one; Faust subscribes once its agents run."""
        if self._poller is not None:
            return
        wake = self._arrived.set
        self._poller = Poller(
            self.app.consumer_config(),
            self.app.pipeline.source_topic,
            self,
            lambda: self.loop.call_soon_threadsafe(wake),
            partial(topic_id, self.app.settings, self.app.pipeline.source_topic),
            max_records=self.app.settings.batch_records,
        )
        self.app.assignment.use(self._poller)
        self._poller.start()

    @Service.task
    async def _look_at_topics(self) -> None:
        """Ask for the partitions anew once those can begin that wait for the other topics; end where another is read.

        A topic that is deleted and made anew within seconds is not missed by librdkafka: it reads on in the new one.
        """
        while not self.should_stop:
            await self.sleep(_LOOK_SECONDS)  # it ends early where the service does
            if self.should_stop:
                break
            try:
                # At once: it tells only once.
                if await asyncio.to_thread(self.app.alignment.has_grown) and self._poller is not None:
                    self._poller.rejoin()
                if (error := await asyncio.to_thread(self._made_anew)) is not None:
                    self.app.fail(error)
            except Exception as error:  # the partitions that do not wait are worked on all the same
                log.warning("topics not looked at, they will be in %.0f s: %r", _LOOK_SECONDS, error)

    def _made_anew(self) -> BrokerError | None:
        """Return what to say where the input topic has another id by now than its partitions were assigned under."""
        assigned, topic, group = self._topic_ids(), self.app.pipeline.source_topic, self.app.group_id
        found = topic_id(self.app.settings, topic, level=logging.DEBUG) if assigned else ""
        # Whoever was assigned partitions meanwhile has asked for itself.
        if not found or found in assigned or assigned != self._topic_ids():
            return None
        return BrokerError(
            f"{topic}: deleted and made anew while it was read (its id was {min(assigned)}, is {found}). This worker "
            "went on in the new one where it had stood in the former; what is before that is not answered. Started "
            "again, it learns from the beginning of the new one, and answers from where it stood. To have all "
            "answered, stop all workers, and set the offsets back half a minute later: kafka-consumer-groups.sh "
            f"--reset-offsets --to-earliest --group {group} --topic {topic} --execute"
        )

    def _topic_ids(self) -> set[str]:
        return {shard.topic_id for shard in dict(self.app.assignment.shards).values()} - {""}

    @Service.task
    async def _tell_progress(self) -> None:
        """Say every half a minute, at first sooner, what was done meanwhile, if anything was."""
        app, seconds = self.app, _FIRST_TOLD_SECONDS
        # Beside the poller's consumer: asked from another thread while that one polls, it does not answer.
        progress = Progress(app.assignment.tally, LogEnds(app.settings, app.group_id, _ENDS_SECONDS).beyond)
        while not self.should_stop:
            await self.sleep(seconds)  # it ends early where the service does
            seconds = min(2 * seconds, _TELL_SECONDS)
            if self.should_stop:
                break
            try:
                if line := await asyncio.to_thread(progress.line, dict(app.assignment.shards)):
                    log.info("%s", line)
            except Exception as error:  # what is not told is done all the same
                log.warning("progress is not told, it will be in %.0f s: %r", seconds, error)

    async def _drain_messages(self, fetcher: Any) -> None:
        """Hand on what waits, one batch a partition, as long as Faust lets messages flow; Faust's fetcher runs this.

        Faust's own loop makes five tasks and a timeout of each message.
        """
        while not (self.should_stop or fetcher.should_stop):
            if not self.flow_active:
                await self.wait(self.can_resume_flow)
                continue
            self._arrived.clear()
            # Before its partitions are resumed Faust would drop what it gets.
            taken = self._poller.take() if self._poller is not None and self._active_partitions else {}
            for tp, batch in taken.items():
                await self.callback(self._to_message(tp, batch))
            if taken:
                await asyncio.sleep(0)
            else:
                await self._arrived.wait()

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Let messages flow, also those that have arrived meanwhile."""
        super().resume_partitions(tps)
        self._arrived.set()

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        raise NotImplementedError("batches are handed on by _drain_messages")

    def _to_message(self, tp: TP, record: Batch) -> ConsumerMessage:
        last = record.messages[-1]
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            last.offset(),
            timestamp_ms(last) / 1000,
            1,
            None,
            None,
            record,
            None,
            0,
            0,
            tp,
            generation_id=record.epoch,
        )

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Return where reading starts; the poller is there already."""
        return dict(self._starts)

    def _new_offset(self, tp: TP) -> int | None:
        """Nothing: what is committed is what the assignment says was done, not what Faust saw acknowledged."""
        return None

    def ack(self, message: Any) -> bool:
        """Nothing to note, for the same reason."""
        message.acked = True
        return True

    def track_message(self, message: Any) -> None:
        """Nothing to note, for the same reason."""

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Nothing: batches know where the next one begins."""

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        raise NotImplementedError("the assignment commits")

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit what the assignment has done; an output that was not delivered stops the worker."""
        try:
            return await self.app.assignment.commit()
        except Exception as error:
            self.app.fail(error)
            return False

    async def on_stop(self) -> None:
        """Take a last snapshot, commit, leave the group and wait for the poll thread."""
        try:
            await self.app.assignment.finish()
            await self.app.assignment.release()
            if self.app.error is None:
                self.app.assignment.forgive()
        except Exception as error:
            self.app.fail(error)
        if self._poller is not None:
            self._poller.stop()
            await asyncio.to_thread(self._poller.join, _LEAVE_SECONDS)

    def assignment(self) -> set[TP]:
        """Return the partitions that are ours."""
        return self._assigned_tps

    def highwater(self, tp: TP) -> int:
        """Return 0: Faust's monitor would show it, ours asks the broker.

        librdkafka's cached watermarks are no way out: reading them takes a lock under which the call was seen to
        hang, with the GIL, while the fetcher spun on a broker that does not wait for data.
        """
        return 0

    def on_buffer_full(self, tp: TP) -> None:
        """Nothing: a full stream makes the conductor wait, and the poller's buffer is bounded."""

    def on_buffer_drop(self, tp: TP) -> None:
        """Nothing: see `on_buffer_full`."""

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Nothing: the watchdog tells whether a worker lives, from what is to be committed and to be read."""

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    async def _seek(self, partition: TP, offset: int) -> None:
        raise NotImplementedError("a position is chosen when a partition is assigned")

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        raise NotImplementedError("a position is chosen when a partition is assigned")

    async def position(self, tp: TP) -> int | None:
        """Return the next position to be stepped through."""
        shard = self.app.assignment.shards.get(tp)
        return None if shard is None else shard.position

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """Return nothing: only Faust's tables ask, and there are none."""
        return {}

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """Return nothing: only Faust's tables ask, and there are none."""
        return {}

    def topic_partitions(self, topic: str) -> int | None:
        """Return the number of partitions of a topic."""
        return self.app.partitions(topic)

    def key_partition(self, topic: str, key: bytes | None, partition: int | None = None) -> int | None:
        """Return the partition a key belongs to, unless one is given."""
        return partition if partition is not None or key is None else self.app.home(topic, key).partition

    async def create_topic(self, topic: str, *args: Any, **kwargs: Any) -> None:
        """Nothing: ``riverrun topics apply`` makes topics."""


class Producer(base.Producer):
    """Faust's producer over librdkafka. `produce` is the quick way; `send` is Faust's."""

    app: "App"

    async def on_start(self) -> None:
        """Connect, before Faust subscribes: what an earlier worker left open is ended first."""
        try:
            self.client = await asyncio.to_thread(self.app.new_producer)
        except BrokerError as error:
            self.app.fail(error)
            raise

    async def on_stop(self) -> None:
        """Wait until everything is acknowledged; take back what cannot be committed any more."""
        await self.flush()
        try:
            await self.app.delivery.abort(_ABORT_SECONDS)
        except BrokerError as error:
            self.app.fail(error)

    async def flush(self) -> None:
        """Wait until everything is acknowledged."""
        if getattr(self, "client", None) is not None:
            await asyncio.to_thread(self.client.flush)

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: Any,
        *,
        transactional_id: str | None = None,
    ) -> Awaitable[RecordMetadata]:
        """Produce one message, as ``await topic.send()`` does; the answer resolves when it is acknowledged."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[RecordMetadata] = loop.create_future()

        def delivered(error: Any, message: confluent_kafka.Message) -> None:
            if error is not None:
                loop.call_soon_threadsafe(done.set_exception, confluent_kafka.KafkaException(error))
                return
            tp = TP(message.topic(), message.partition())
            metadata = RecordMetadata(tp.topic, tp.partition, tp, message.offset())
            loop.call_soon_threadsafe(done.set_result, metadata)

        further = {} if partition is None else {"partition": partition}
        self.client.produce(topic, value, key, headers=list(headers or ()) or None, on_delivery=delivered, **further)
        asyncio.get_running_loop().run_in_executor(None, self.client.poll, 1.0)
        return done

    async def send_and_wait(self, *args: Any, **kwargs: Any) -> RecordMetadata:
        """Produce one message and wait until it is acknowledged."""
        return await (await self.send(*args, **kwargs))

    def supports_headers(self) -> bool:
        """Tell Faust that messages may have headers."""
        return True

    def key_partition(self, topic: str, key: bytes) -> TP:
        """Return where a key belongs."""
        return self.app.home(topic, key)

    async def create_topic(self, topic: str, *args: Any, **kwargs: Any) -> None:
        """Nothing: ``riverrun topics apply`` makes topics."""


class Transport(base.Transport):
    """The transport that ``riverrun://`` names."""

    Consumer: ClassVar[type[Consumer]] = Consumer
    Producer: ClassVar[type[Producer]] = Producer

    default_port = 9092
    driver_version = f"confluent-kafka={confluent_kafka.__version__}"
