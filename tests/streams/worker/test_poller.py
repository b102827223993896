"""The poll thread, with a consumer that plays a script."""

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any
from unittest import mock

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from faust.types import TP

from schemas.errors import BrokerError
from streams.worker import poller as module
from streams.worker.batch import Batch, timestamp_ms
from streams.worker.poller import Extent, Poller, _broker_error
from tests.streams.worker.declarations import small
from tests.streams.worker.kafka import Kafka, until

P0, P1 = TP("p.raw", 0), TP("p.raw", 1)


class FakeMessage:
    """A message as confluent-kafka has them: false when its value is empty."""

    def __init__(self, partition: int, offset: int, value: bytes = b"x", error: KafkaError | None = None) -> None:
        self._partition, self._offset, self._value, self._error = partition, offset, value, error

    def __len__(self) -> int:
        return len(self._value)

    def topic(self) -> str:
        """The topic."""
        return "p.raw"

    def partition(self) -> int:
        """The partition."""
        return self._partition

    def offset(self) -> int:
        """The offset."""
        return self._offset

    def error(self) -> KafkaError | None:
        """The error, if it is one."""
        return self._error


class FakeConsumer:
    """Plays a script: lists are what the broker has next, callables are called within `poll`."""

    def __init__(self, config: dict[str, Any], logger: Any) -> None:
        self.script: deque[list[FakeMessage] | Callable[[], None]] = deque()
        self.committed_offsets: dict[TP, int] = {}
        self.extents = {P0: (0, 100), P1: (0, 100)}
        self.commits: list[dict[int, int]] = []
        self.assigned: list[dict[int, int]] = []
        self.threads: set[int] = set()
        self.polls = self.subscriptions = 0
        self.closed = False
        self.given_at_close: Callable[[], None] | None = None
        self.refuses: KafkaError | None = None
        self.waited_for = 0
        self._on_commit = config["on_commit"]
        self._rest: deque[FakeMessage] = deque()
        self._callbacks: dict[str, Any] = {}

    def subscribe(self, topics: list[str], **callbacks: Any) -> None:
        """Remember the callbacks."""
        self._callbacks = callbacks
        self.topics = topics
        self.subscriptions += 1

    def unsubscribe(self) -> None:
        """Have the partitions revoked, and assigned again to who subscribes."""
        self.script.appendleft(self.assign_all(P0, P1))
        self.script.appendleft(self.revoke_all(P0, P1))

    def poll(self, seconds: float) -> FakeMessage | None:
        """Return the next message, or do what the script says."""
        self._note()
        self.polls += 1
        if self._rest:
            return self._rest.popleft()
        if not self.script:
            time.sleep(0.001)
            return None
        following = self.script.popleft()
        if callable(following):
            following()
            return None
        self._rest.extend(following)
        return self._rest.popleft()

    def consume(self, count: int, seconds: float) -> list[FakeMessage]:
        """Return what else the broker sent."""
        assert seconds == 0, "consume blocks its whole timeout"
        return [self._rest.popleft() for _ in range(min(count, len(self._rest)))]

    def assign_all(self, *tps: TP) -> Callable[[], None]:
        """Return the step in which the group assigns partitions."""
        return lambda: self._callbacks["on_assign"](self, [TopicPartition(*tp) for tp in tps])

    def revoke_all(self, *tps: TP, lost: bool = False) -> Callable[[], None]:
        """Return the step in which the group takes partitions away."""
        name = "on_lost" if lost else "on_revoke"
        return lambda: self._callbacks[name](self, [TopicPartition(*tp) for tp in tps])

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        """Return the committed offsets."""
        found = [(p, self.committed_offsets.get(TP(p.topic, p.partition), -1001)) for p in partitions]
        return [TopicPartition(p.topic, p.partition, offset) for p, offset in found]

    def consumer_group_metadata(self) -> str:
        """Return who is assigned what."""
        return f"generation {len(self.assigned)}"

    def get_watermark_offsets(self, partition: TopicPartition, timeout: float) -> tuple[int, int]:
        """Return begin and end of the log."""
        return self.extents[TP(partition.topic, partition.partition)]

    def assign(self, partitions: list[TopicPartition]) -> None:
        """Note from where is read."""
        self.assigned.append({p.partition: p.offset for p in partitions})

    def unassign(self) -> None:
        """Note that nothing is read."""
        self.assigned.append({})

    def commit(self, offsets: list[TopicPartition], asynchronous: bool) -> list[TopicPartition] | None:
        """Note what is committed, and answer: at once, or to a later poll, before the messages that wait."""
        self._note()
        if asynchronous:
            self.script.appendleft(lambda: self._on_commit(self.refuses, self._committed(offsets)))
            return None
        self.waited_for += 1
        if self.refuses is not None:
            raise KafkaException(self.refuses)
        return self._committed(offsets)

    def _committed(self, offsets: list[TopicPartition]) -> list[TopicPartition]:
        if self.refuses is None:
            self.commits.append({p.partition: p.offset for p in offsets})
        return offsets

    def close(self) -> None:
        """Leave the group: what is assigned is revoked first."""
        self._note()
        if self.given_at_close is not None:
            self.given_at_close()
        if self.assigned and self.assigned[-1]:
            self.revoke_all(*(TP("p.raw", partition) for partition in self.assigned[-1]))()
        self.closed = True

    def _note(self) -> None:
        self.threads.add(threading.get_ident())


class FakeListener:
    """Notes what it is told, and reads each partition from where it is told to."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.starts: dict[TP, int] = {}
        self.errors: list[Exception] = []
        self.on_revoked: Callable[[], None] = lambda: None

    def assigned(self, extents: list[Extent], epoch: int) -> dict[TP, int]:
        """Start where the test says, else at the committed offset, else at the log's begin."""
        self.told.append(("assigned", extents, epoch))
        return {e.tp: self.starts.get(e.tp, e.committed if e.committed >= 0 else e.low) for e in extents}

    def revoked(self, tps: set[TP], *, lost: bool) -> None:
        """Note it."""
        self.told.append(("lost" if lost else "revoked", tps))
        self.on_revoked()

    def failed(self, error: Exception) -> None:
        """Note it."""
        self.errors.append(error)


class Stage:
    """A poller with its fakes."""

    def __init__(self, config: dict[str, Any] | None = None, *, answered: bool = True, **further: Any) -> None:
        self.listener = FakeListener()
        self.woken = threading.Event()
        self.poller = Poller(config or {}, "p.raw", self.listener, self.woken.set, **further)
        self.consumer: FakeConsumer = self.poller.consumer
        if answered:
            self.consumer.script.append(self.consumer.assign_all(P0, P1))

    def play(self, *steps: list[FakeMessage] | Callable[[], None]) -> None:
        """Append steps to the script, and begin if the thread has not begun."""
        self.consumer.script.extend(steps)
        if self.poller.ident is None:
            self.poller.start()

    def begun(self, offset: int) -> "Future[bool]":
        """Begin, and have it begin, a commit that the broker does not answer."""
        self.play()
        self.played()
        with mock.patch.object(self.consumer, "commit", return_value=None) as commit:
            committed = self.poller.commit([TopicPartition("p.raw", 0, offset)])
            until(lambda: commit.called, 5, "a commit that was begun")
        return committed

    def taken(self, count: int) -> list[Batch]:
        """Return the next batches that hold this many records."""
        batches: list[Batch] = []

        def enough() -> bool:
            batches.extend(self.poller.take().values())
            return sum(len(batch.messages) for batch in batches) >= count

        until(enough, 5, f"{count} records")
        return batches

    def waiting(self, count: int) -> None:
        """Wait until this many records wait, and nothing more is polled."""
        until(lambda: self.poller._buffer.records == count, 5, f"{count} records that wait")
        polls = self.consumer.polls
        self.woken.wait(0.1)
        assert (self.poller._buffer.records, self.consumer.polls) == (count, polls)

    def played(self) -> None:
        """Wait until the script is through."""
        polls = self.consumer.polls
        until(lambda: not self.consumer.script and self.consumer.polls > polls + 1, 5, "end of the script")


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Stage]]:
    """Make stages whose threads end with the test."""
    monkeypatch.setattr(module, "Consumer", FakeConsumer)
    made: list[Stage] = []

    def make(**further: Any) -> Stage:
        made.append(Stage(**further))
        return made[-1]

    yield make
    for one in made:
        one.poller.stop()
        if one.poller.ident is not None:
            one.poller.join(5)
            assert not one.poller.is_alive()


def messages(partition: int, *offsets: int) -> list[FakeMessage]:
    """Return messages at these offsets."""
    return [FakeMessage(partition, offset) for offset in offsets]


def offsets(batch: Batch) -> list[int]:
    """Return the offsets in a batch."""
    return [message.offset() for message in batch.messages]


def chain(batch: Batch) -> tuple[int, int]:
    """Return where a batch was fetched from and where the next one begins."""
    return batch.fetched_from, batch.next_position


def test_batch_holds_records_of_one_partition_in_order(stage: Callable[..., Stage]) -> None:
    """What librdkafka hands over mixed comes out by partition."""
    one = stage()
    one.play([*messages(0, 0, 1, 2), *messages(1, 0), *messages(0, 3), *messages(1, 1, 2)])
    by_partition: dict[TP, list[int]] = {P0: [], P1: []}
    for batch in one.taken(7):
        by_partition[batch.tp] += offsets(batch)
    assert by_partition == {P0: [0, 1, 2, 3], P1: [0, 1, 2]}


def test_batch_is_never_larger_than_asked_for(stage: Callable[..., Stage]) -> None:
    """`max_records` bounds a batch and may change while the thread runs."""
    one = stage(max_records=3)
    one.play(messages(0, *range(7)))
    assert [offsets(batch) for batch in one.taken(7)] == [[0, 1, 2], [3, 4, 5], [6]]
    one.poller.max_records = 1
    one.play(messages(0, 7, 8))
    assert [offsets(batch) for batch in one.taken(2)] == [[7], [8]]


def test_message_with_an_empty_value_is_a_record(stage: Callable[..., Stage]) -> None:
    """`bool(message)` is False for an empty value; it is a record all the same, also when it comes alone."""
    one = stage()
    one.play([FakeMessage(0, 0, b"")], [FakeMessage(0, 1, b""), *messages(0, 2)])
    assert [offset for batch in one.taken(3) for offset in offsets(batch)] == [0, 1, 2]


def test_waiting_records_stay_within_their_bound(stage: Callable[..., Stage]) -> None:
    """While four batches' worth of records wait, nothing is polled; taking some makes room."""
    one = stage(max_records=1)
    one.play(*(messages(0, offset) for offset in range(10)))
    one.waiting(4)
    assert len(one.taken(10)) == 10


def test_waiting_records_stay_within_their_bound_of_bytes(stage: Callable[..., Stage]) -> None:
    """Of large records fewer wait; taking them makes room."""
    one = stage(max_bytes=2500)
    one.play(*([FakeMessage(0, offset, bytes(1000))] for offset in range(10)))
    one.waiting(3)
    assert [offset for batch in one.taken(10) for offset in offsets(batch)] == list(range(10))


def test_commits_do_not_make_the_buffer_grow(stage: Callable[..., Stage]) -> None:
    """A full buffer stays within its bound while offsets are committed, however often."""
    one = stage(max_records=1)
    one.play(*(messages(0, offset) for offset in range(20)))
    one.waiting(4)
    for offset in range(10):
        assert one.poller.commit([TopicPartition("p.raw", 0, offset)]).result(5)
    one.waiting(4)
    assert len(one.consumer.commits) == one.consumer.waited_for == 10
    assert [offsets(batch) for batch in one.taken(20)] == [[offset] for offset in range(20)]


def test_poller_is_idle_when_nothing_waits_and_all_is_finished(stage: Callable[..., Stage]) -> None:
    """What was taken is at work until it is finished; what an earlier assignment left is worth nothing."""
    one = stage()
    assert one.poller.idle
    one.play(messages(0, 0))
    until(lambda: not one.poller.idle, 5, "a record that waits")
    [batch] = one.taken(1)
    assert not one.poller.idle
    one.poller.finish(batch)
    assert one.poller.idle
    one.play(messages(0, 1))
    [left] = one.taken(1)
    one.play(one.consumer.revoke_all(P0, P1), one.consumer.assign_all(P0))
    one.played()
    assert one.poller.idle
    one.poller.finish(left)
    assert one.poller.idle


def test_all_calls_to_the_consumer_come_from_one_thread(stage: Callable[..., Stage]) -> None:
    """Polling, committing and closing: librdkafka's synchronous commit hangs beside another thread's poll."""
    one = stage()
    one.play(messages(0, 0))
    one.taken(1)
    assert one.poller.commit([TopicPartition("p.raw", 0, 1)]).result(5)
    one.poller.stop()
    one.poller.join(5)
    assert one.consumer.threads == {one.poller.ident}
    assert one.consumer.closed


def test_commit_does_not_stop_polling(stage: Callable[..., Stage]) -> None:
    """Until the broker answers, records are polled."""
    one = stage()
    committed = one.begun(7)
    one.play(messages(0, 0, 1), messages(0, 2))
    assert [offset for batch in one.taken(3) for offset in offsets(batch)] == [0, 1, 2]
    assert not committed.done()
    one.play(lambda: one.consumer._on_commit(None, [TopicPartition("p.raw", 0, 7)]))
    assert committed.result(5)
    assert one.consumer.waited_for == 0


def test_commit_is_done_again_when_its_answer_cannot_be_polled_for(stage: Callable[..., Stage]) -> None:
    """With a full buffer nothing is polled, and whoever makes room may wait for that commit."""
    one = stage(max_records=1)
    committed = one.begun(7)
    one.play(*(messages(0, offset) for offset in range(9)))
    assert committed.result(5)
    assert one.consumer.waited_for == 1
    one.waiting(4)


def test_refused_commit_is_told_and_polling_goes_on(stage: Callable[..., Stage]) -> None:
    """Who asked for a commit hears of its failure; the thread lives."""
    one = stage()
    one.play()
    one.consumer.refuses = KafkaError(KafkaError.ILLEGAL_GENERATION)
    assert not one.poller.commit([TopicPartition("p.raw", 0, 1)]).result(5)
    one.consumer.refuses = KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)
    with pytest.raises(KafkaException):
        one.poller.commit([TopicPartition("p.raw", 0, 1)]).result(5)
    one.consumer.refuses = None
    assert one.poller.commit([TopicPartition("p.raw", 0, 2)]).result(5)
    one.play(messages(0, 0))
    assert len(one.taken(1)) == 1
    assert one.consumer.commits == [{0: 2}]


def test_assignment_tells_what_the_broker_says_and_reads_from_where_it_is_told(stage: Callable[..., Stage]) -> None:
    """Committed offset, begin and end of the log go to the listener, its answer to the consumer."""
    one = stage(topic_id=lambda: "9kPz")
    one.consumer.committed_offsets = {P0: 40}
    one.consumer.extents = {P0: (10, 90), P1: (0, 0)}
    one.listener.starts = {P0: 10}
    one.play()
    one.played()
    extents = [Extent(P0, 40, 10, 90, topic_id="9kPz"), Extent(P1, -1, 0, 0, topic_id="9kPz")]
    assert one.listener.told == [("assigned", extents, 1)]
    assert one.consumer.assigned == [{0: 10, 1: 0}]


@pytest.mark.parametrize("lost", [False, True])
def test_rebalance_drops_what_waits_and_starts_a_new_epoch(stage: Callable[..., Stage], lost: bool) -> None:
    """Batches of an assignment that is over are worth nothing, those of the next one begin at its positions."""
    one = stage()
    one.play(messages(0, 0, 1))
    until(lambda: one.poller._buffer.records, 5, "a batch that waits")
    first = one.poller.epoch
    waiting: list[int] = []
    one.listener.on_revoked = lambda: waiting.append(one.poller._buffer.records)
    one.listener.starts = {P0: 1}
    one.play(one.consumer.revoke_all(P0, P1, lost=lost), one.consumer.assign_all(P0), messages(0, 1))
    one.played()
    [batch] = one.taken(1)
    assert waiting == [0], "thrown away before the others are told"
    assert batch.epoch > first
    assert (chain(batch), offsets(batch)) == ((1, 2), [1])
    assert [told[0] for told in one.listener.told] == ["assigned", "lost" if lost else "revoked", "assigned"]
    assert one.consumer.assigned == [{0: 0, 1: 0}, {}, {0: 1}]


STATIC = {"group.instance.id": "p-w0"}


@pytest.mark.parametrize("joined", [False, True])
def test_who_is_not_answered_by_the_group_asks_again_as_a_new_client(
    stage: Callable[..., Stage], caplog: pytest.LogCaptureFixture, joined: bool
) -> None:
    """The embedded broker forgets members now and then; the next client is answered, and polled from then on."""
    caplog.set_level("INFO", logger="riverrun.worker")
    one = stage(config=STATIC, answered=joined, patience_seconds=0.3)
    one.play(*([one.consumer.revoke_all(P0, P1)] if joined else []))
    until(lambda: caplog.text.count("as a new client") == 2, 5, "a second new client")
    assert one.consumer.closed
    one.consumer = one.poller.consumer
    one.play(one.consumer.assign_all(P0), messages(0, 0, 1))
    [batch] = one.taken(2)
    assert offsets(batch) == [0, 1]
    one.play(one.consumer.revoke_all(P0))
    until(lambda: caplog.text.count("as a new client") == 3, 5, "a third one")
    waited = [record.getMessage().split(" for ")[1].split(":")[0] for record in caplog.records]
    assert waited == ["0.3 s", "0.6 s", "0.3 s"], "twice as long each time, until there is an answer"


def test_answer_that_comes_while_the_client_is_replaced_goes_to_the_new_one(stage: Callable[..., Stage]) -> None:
    """Nothing can be asked of one that is being closed."""
    one = stage(config=STATIC, answered=False, patience_seconds=0.05)
    one.consumer.given_at_close = one.consumer.assign_all(P0)
    one.play()
    until(lambda: one.poller.consumer is not one.consumer, 5, "a new client")
    assert (one.consumer.assigned, one.listener.told) == ([{}], [])


@pytest.mark.parametrize(
    ("config", "answer"),
    [
        pytest.param(STATIC, True, id="stands by"),
        pytest.param({}, False, id="has no name"),
    ],
)
def test_who_waits_for_nothing_and_who_would_stand_beside_itself_asks_once(
    stage: Callable[..., Stage], config: dict[str, Any], answer: bool
) -> None:
    """No partitions are an answer; and a member without a name would wait for the one that it was."""
    one = stage(config=config, patience_seconds=0.05)
    one.play(one.consumer.revoke_all(P0, P1), *([one.consumer.assign_all()] if answer else []))
    one.played()
    polls = one.consumer.polls
    until(lambda: one.consumer.polls > polls + 150, 5, "a hundred and fifty polls, of a thousandth each")
    assert one.poller.consumer is one.consumer


def test_assignment_that_the_broker_does_not_answer_is_told(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """What confluent-kafka raises out of a callback is no exception to Python: the thread would end without a word."""
    monkeypatch.setattr(module, "_NETWORK_SECONDS", 1e-7)
    kafka.create(small("unanswered"))
    listener = FakeListener()
    config = {"bootstrap.servers": kafka.bootstrap, "group.id": "unanswered", "enable.auto.commit": False}
    poller = Poller(config, "unanswered.raw", listener, lambda: None)
    poller.start()
    poller.join(30)
    assert not poller.is_alive()
    assert [type(error) for error in listener.errors] == [BrokerError]
    assert "cannot be taken or given back" in str(listener.errors[0])


def test_epoch_changes_before_the_listener_is_told(stage: Callable[..., Stage]) -> None:
    """A batch that is taken while the partitions go must not bear the epoch of the next assignment."""
    one = stage()
    seen: list[int] = []
    one.listener.on_revoked = lambda: seen.append(one.poller.epoch)
    one.play(one.consumer.revoke_all(P0, P1), one.consumer.assign_all(P0))
    one.played()
    assert seen == [2]
    assert one.listener.told[-1][2] == 3


def test_commit_within_a_rebalance_is_served(stage: Callable[..., Stage]) -> None:
    """The listener waits for its last commit, and for the one before, while the thread is inside the callback."""
    one = stage()
    released: Future[str] = Future()
    before = one.begun(5)

    def release() -> None:
        assert before.result(5)
        assert one.poller.commit([TopicPartition("p.raw", 0, 7)]).result(5)
        released.set_result("released")

    def on_revoked() -> None:
        threading.Thread(target=release).start()
        assert one.poller.serve_until(released) == "released"

    one.listener.on_revoked = on_revoked
    one.play(one.consumer.revoke_all(P0, P1))
    one.played()
    assert one.consumer.commits == [{0: 5}, {0: 7}]


def test_rebalance_that_nobody_finishes_stops_the_worker(
    stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait for the others is bounded."""
    monkeypatch.setattr(module, "_REBALANCE_SECONDS", 0.05)
    one = stage()

    def never_done() -> None:
        one.listener.on_revoked = lambda: None
        one.poller.serve_until(Future())

    one.listener.on_revoked = never_done
    one.play(one.consumer.revoke_all(P0, P1))
    until(lambda: one.listener.errors, 5, "an error")
    assert "a rebalance was not handled within" in str(one.listener.errors[0])


def test_error_that_passes_by_itself_is_no_record(stage: Callable[..., Stage]) -> None:
    """A retriable error between records is left to librdkafka."""
    one = stage()
    passing = FakeMessage(0, -1001, b"", KafkaError(KafkaError.LEADER_NOT_AVAILABLE, retriable=True))
    one.play([passing], [*messages(0, 0), passing, *messages(0, 1)])
    batches = one.taken(2)
    assert [offset for batch in batches for offset in offsets(batch)] == [0, 1]
    assert not one.listener.errors


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, r"p\.raw\[1\]: "),
        (KafkaError._AUTO_OFFSET_RESET, r"p\.raw\[1\]: the log no longer holds .*RIVERRUN_ON_STATE_LOST=earliest"),
        (KafkaError.OFFSET_OUT_OF_RANGE, r"p\.raw\[1\]: the log no longer holds .*RIVERRUN_ON_STATE_LOST=earliest"),
    ],
)
def test_error_that_stays_ends_polling_and_leaves_the_group(stage: Callable[..., Stage], code: int, words: str) -> None:
    """The listener hears which partition and what to do, and nothing is handed on past it."""
    one = stage()
    one.play([FakeMessage(1, -1001, b"", KafkaError(code)), *messages(1, 0)], messages(1, 1))
    one.poller.join(5)
    [error] = one.listener.errors
    assert isinstance(error, BrokerError)
    assert re.search(words, str(error))
    assert one.poller.take() == {}
    assert one.consumer.closed


def test_committed_offset_that_cannot_be_read_ends_polling(stage: Callable[..., Stage]) -> None:
    """An unknown committed offset is not taken for none."""
    one = stage()

    def committed(partitions: list[TopicPartition], timeout: float) -> list[Any]:
        answer = type("Answer", (), {"error": KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED), "offset": -1001})
        return [answer for _ in partitions]

    one.consumer.committed = committed  # type: ignore[method-assign,assignment]
    one.play()
    one.poller.join(5)
    assert "Group authorization failed" in str(one.listener.errors[0])
    assert one.listener.told == []


def test_stop_leaves_the_group_and_tells_that_partitions_go(stage: Callable[..., Stage]) -> None:
    """Closing revokes what is still assigned, and the thread ends, also with a full buffer."""
    one = stage(max_records=1)
    one.play(*(messages(0, offset) for offset in range(9)))
    one.waiting(4)
    one.poller.stop()
    one.poller.join(5)
    assert not one.poller.is_alive()
    assert one.listener.told[-1] == ("revoked", {P0, P1})
    assert one.poller.take() == {}


def test_timestamp_that_is_missing_is_minus_one() -> None:
    """Kafka says by the kind of a timestamp that there is none."""

    class Stamped:
        def __init__(self, *stamp: int) -> None:
            self.timestamp = lambda: stamp

    assert [timestamp_ms(Stamped(kind, 5)) for kind in (0, 1, 2)] == [-1, 5, 5]  # type: ignore[arg-type]


def test_rejoin_gives_the_partitions_up_and_asks_for_some(stage: Callable[..., Stage]) -> None:
    """Revoked as in any rebalance, then assigned again under another generation; polling goes on."""
    one = stage()
    one.play(messages(0, 0))
    one.taken(1)
    first = one.poller.group_metadata
    one.poller.rejoin()
    until(lambda: one.consumer.subscriptions == 2, 5, "another subscription")
    one.play(messages(0, 0))
    assert [told[0] for told in one.listener.told] == ["assigned", "revoked", "assigned"]
    assert one.taken(1)[0].epoch == one.poller.epoch
    assert one.poller.group_metadata != first


def test_fenced_consumer_names_the_setting() -> None:
    """Its error comes without topic and partition."""
    told = str(_broker_error(None, -1, KafkaError(KafkaError._FATAL, "Static consumer fenced")))  # type: ignore[arg-type]
    assert told.startswith("consumer: Static consumer fenced. ")
    assert "RIVERRUN_WORKER_ID" in told
