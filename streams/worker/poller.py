"""The one thread that owns the librdkafka consumer: it polls, it is told of rebalances, nobody else touches it."""

import logging
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from itertools import filterfalse
from operator import methodcaller
from typing import Any, Protocol, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from faust.types import TP
from msgspec import Struct

from schemas.errors import BrokerError
from streams.worker.batch import Batch
from streams.worker.commits import Commits
from streams.worker.fetch_buffer import FetchBuffer

log = logging.getLogger("riverrun.worker")
T = TypeVar("T")
_Callback = Callable[[Consumer, list[TopicPartition]], None]

_POLL_SECONDS = 0.1
_NETWORK_SECONDS = 30.0
_REBALANCE_SECONDS = 240.0
_WAITING_BATCHES = 4
_error = methodcaller("error")


class Extent(Struct, frozen=True):
    """A partition and what the broker says of it.

    Parameters
    ----------
    tp
        Topic and partition.
    committed
        Offset committed for the group, -1 when there is none.
    low, high
        First offset of the log and the one after its last.
    declaration
        Under which declaration the committed offset was reached, empty when that is not known.
    topic_id
        Kafka's id of the topic, empty when that is not known.
    """

    tp: TP
    committed: int
    low: int
    high: int
    declaration: str = ""
    topic_id: str = ""


class Listener(Protocol):
    """Who is told, in the poll thread; the poller waits until these return."""

    def assigned(self, extents: list[Extent], epoch: int) -> dict[TP, int]:
        """Partitions were assigned; return the position from which each is to be read."""

    def revoked(self, tps: set[TP], *, lost: bool) -> None:
        """Partitions are being taken away; when lost, they are gone already."""

    def failed(self, error: Exception) -> None:
        """Polling ended with an error."""


class Poller(threading.Thread):
    """Polls records into a bounded buffer.

    Attributes
    ----------
    group_metadata
        Member and generation under which the partitions were assigned, as transactions need them.

    Parameters
    ----------
    config
        Configuration of the consumer.
    topic
        What to subscribe to.
    listener
        Who is told of assignments.
    wake
        Called in this thread after records were added.
    topic_id
        Asks for Kafka's id of the topic, once an assignment.
    max_records
        Records in a batch at most; may be changed while it runs. While four times as many wait, nothing is polled.
    max_bytes
        Bytes of values that may wait, likewise.
    patience_seconds
        How long the group may leave a static member without an answer, with partitions or without any, before it asks
        again as a new client; each time twice as long.
    """

    def __init__(
        self,
        config: dict[str, Any],
        topic: str,
        listener: Listener,
        wake: Callable[[], None],
        topic_id: Callable[[], str] = str,
        *,
        max_records: int = 1000,
        max_bytes: int = 64 * 1024 * 1024,
        patience_seconds: float = 10.0,
    ) -> None:
        super().__init__(name="riverrun-poller", daemon=True)
        self.max_records = max_records
        self._commits = Commits()
        self._config = config | {"on_commit": self._commits.hear}
        self.consumer = self._new_consumer()
        self._topic = topic
        self._listener = listener
        self._wake = wake
        self._topic_id = topic_id
        self._max_bytes = max_bytes
        self._buffer = FetchBuffer(topic)
        self.group_metadata: Any = None
        self._unfinished = 0
        self._room = threading.Condition()
        self._stopping = False
        self._rejoining = False
        self._pausing: set[TP] = set()
        # A new client under another name would stand beside the one that waits.
        is_static = "group.instance.id" in config
        self._patience_seconds = self._patience = patience_seconds if is_static else math.inf
        #: Whether the consumer is being closed in favour of a new one: what it is still given goes to that one.
        self._is_leaving = False
        #: Since when the group owes an answer; None while it does not.
        self._waits_since: float | None = None

    def _new_consumer(self) -> Consumer:
        return Consumer(self._config, logger=logging.getLogger("riverrun.kafka"))

    # ------------------------------------------------------------------ called by others

    @property
    def epoch(self) -> int:
        """Number of the current assignment."""
        return self._buffer.epoch

    @property
    def idle(self) -> bool:
        """Whether nothing waits and all that was taken is finished."""
        return not (self._buffer.records or self._unfinished)

    def take(self) -> dict[TP, Batch]:
        """Remove and return what waits, one batch a partition."""
        with self._room:
            taken = self._buffer.take(self.max_records)
            self._unfinished += len(taken)
            self._room.notify()
        return taken

    def finish(self, batch: Batch) -> None:
        """Take note that a batch that was taken is done with."""
        with self._room:
            if batch.epoch == self.epoch:
                self._unfinished -= 1

    def commit(self, offsets: list[TopicPartition]) -> "Future[bool]":
        """Ask the thread to commit offsets; the answer tells whether the broker has them, or has refused them for now.

        Polling goes on until the broker answers, unless it stands still anyway. Other threads cannot commit by
        themselves: librdkafka's synchronous commit hangs when another one polls meanwhile.
        """
        committed = self._commits.ask(offsets)
        with self._room:
            self._room.notify()
        return committed

    def pause(self, tp: TP) -> None:
        """Ask the thread to fetch no more of a partition until it is assigned again."""
        with self._room:
            self._pausing.add(tp)
            self._room.notify()

    def rejoin(self) -> None:
        """Ask the thread to give up its partitions and ask the group for some: state is restored on the way."""
        with self._room:
            self._rejoining = True
            self._room.notify()

    def serve_until(self, done: "Future[T]") -> T:
        """Commit what is asked for until an answer is there: in a rebalance, others finish their work first."""
        deadline = time.monotonic() + _REBALANCE_SECONDS
        while not done.done():
            if time.monotonic() > deadline:
                raise BrokerError(f"a rebalance was not handled within {_REBALANCE_SECONDS} seconds")
            self._commits.finish(self.consumer, 0.005)
        return done.result()

    def stop(self) -> None:
        """Ask the thread to leave the group and end; `join` waits for it."""
        with self._room:
            self._stopping = True
            self._room.notify()

    # ------------------------------------------------------------------ the thread

    def run(self) -> None:
        """Poll until stopped."""
        try:
            self._subscribe()
            while not self._stopping:
                self._wait_for_room()
                if not self._has_room():
                    self._commits.finish(self.consumer)
                    continue  # it was a commit that woke us
                self._commits.begin(self.consumer)
                first = self.consumer.poll(_POLL_SECONDS)
                if first is not None and not self._stopping:
                    more = self.consumer.consume(self.max_records - 1, 0) if self.max_records > 1 else []
                    self._add([first, *more])
                elif self._waits_since is not None and time.monotonic() - self._waits_since > self._patience:
                    self._ask_anew()
        except Exception as error:
            self._listener.failed(error)
        finally:
            self._close()

    def _close(self) -> None:
        """Leave the group; partitions are given back, or found to be lost, on the way."""
        try:
            self.consumer.close()
        except Exception as error:
            self._listener.failed(error)
        self._commits.close()

    def _subscribe(self) -> None:
        self.consumer.subscribe(
            [self._topic],
            on_assign=_raising(self._on_assign),
            on_revoke=_raising(self._on_revoke),
            on_lost=_raising(self._on_lost),
        )
        self._waits_since = time.monotonic()

    def _ask_anew(self) -> None:
        """Join the group as a new client: a broker may have forgotten the one that waits.

        The embedded one does where a second member of a new group comes just when it wants to answer the first one, a
        third of a second after it; a static member is heard again. Kafka gives a new client the place of the old one.
        """
        self._is_leaving = True
        self.consumer.close()
        self._is_leaving = False
        self.consumer = self._new_consumer()
        self._subscribe()
        log.info("the group has not answered for %g s: asked again, as a new client", self._patience)
        self._patience *= 2

    def _wait_for_room(self) -> None:
        with self._room:
            self._room.wait_for(
                lambda: self._stopping or self._rejoining or self._pausing or self._has_room() or self._commits
            )
            pausing, self._pausing = self._pausing, set()
        if pausing:
            self.consumer.pause([TopicPartition(tp.topic, tp.partition) for tp in pausing])
        if self._rejoining:
            self._rejoining = False
            self.consumer.unsubscribe()
            self._subscribe()

    def _has_room(self) -> bool:
        buffer = self._buffer
        return buffer.records < _WAITING_BATCHES * self.max_records and buffer.size_bytes < self._max_bytes

    def _add(self, messages: list[Message]) -> None:
        if any(map(_error, messages)):
            messages = list(filterfalse(_is_passing_error, messages))
        with self._room:
            self._buffer.add(messages)
        self._wake()

    # ------------------------------------------------------------------ rebalance, called within poll and close

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if self._is_leaving:
            consumer.unassign()
            return
        self._start({})
        # Asked here, once an assignment: it is what the partitions were given under, and asked from another thread
        # while this one polls, librdkafka does not answer.
        self.group_metadata = consumer.consumer_group_metadata()
        committed = consumer.committed(partitions, timeout=_NETWORK_SECONDS)
        topic_id = self._topic_id() if committed else ""
        extents = [self._extent(partition, topic_id) for partition in committed]
        starts = self._listener.assigned(extents, self.epoch)
        self._buffer.start(starts, self.epoch)
        consumer.assign([TopicPartition(tp.topic, tp.partition, position) for tp, position in starts.items()])
        self._waits_since, self._patience = None, self._patience_seconds

    def _extent(self, committed: TopicPartition, topic_id: str) -> Extent:
        if committed.error is not None:
            raise KafkaException(committed.error)
        low, high = self.consumer.get_watermark_offsets(committed, timeout=_NETWORK_SECONDS)
        tp, position = TP(committed.topic, committed.partition), max(-1, committed.offset)
        return Extent(tp, position, low, high, committed.metadata or "", topic_id)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._forget(partitions, lost=False)
        consumer.unassign()

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._forget(partitions, lost=True)
        consumer.unassign()

    def _forget(self, partitions: list[TopicPartition], *, lost: bool) -> None:
        """Throw away what waits, then let the others finish what they have begun."""
        self._start({})
        self._listener.revoked({TP(p.topic, p.partition) for p in partitions}, lost=lost)
        self._waits_since = time.monotonic()

    def _start(self, positions: dict[TP, int]) -> None:
        """Begin a new epoch: nothing waits, and what was taken before is worth nothing."""
        with self._room:
            self._buffer.start(positions, self.epoch + 1)
            self._unfinished = 0


def _raising(callback: _Callback) -> _Callback:
    """Return a callback whose errors come out of `poll` and `close`: of Kafka's own, those raise what no one catches.

    (A `KafkaError`, which is no exception to Python: the thread would end without a word.)
    """

    def called(consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            callback(consumer, partitions)
        except KafkaException as error:
            raise BrokerError(f"the partitions cannot be taken or given back: {error.args[0].str()}") from error

    return called


def _is_passing_error(message: Message) -> bool:
    """Tell whether a message is an error that librdkafka gets over by itself; raise one that it does not."""
    error = message.error()
    if error is not None and not error.retriable():
        raise _broker_error(message.topic(), message.partition(), error)
    return error is not None


def _broker_error(topic: str, partition: int, error: KafkaError) -> BrokerError:
    if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
        return BrokerError(
            f"{topic}[{partition}]: the log no longer holds the position to read from ({error.str()}). "
            "RIVERRUN_ON_STATE_LOST=earliest relearns from what is left, =fresh goes on with a new model."
        )
    if error.code() == KafkaError._FATAL:
        return BrokerError(
            f"consumer: {error.str()}. Where it was fenced, another worker has begun under the same RIVERRUN_WORKER_ID "
            "and this one ends: each needs its own"
        )
    return BrokerError(f"{topic}[{partition}]: {error.str()}")
