"""Our Faust transport, driven by hand: what it takes from the poller, what it does in a rebalance and at the end."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from schemas.errors import BrokerError
from streams.worker import transport
from streams.worker.batch import Batch, BatchSchema
from streams.worker.poller import Extent
from tests.streams.worker.test_poller import messages


class FakePoller:
    """Hands out batches when it is told to."""

    def __init__(self) -> None:
        self.waiting: dict[TP, Batch] = {}
        self.stopped = self.rejoined = False

    def take(self) -> dict[TP, Batch]:
        """Return what waits."""
        taken, self.waiting = self.waiting, {}
        return taken

    def rejoin(self) -> None:
        """Note it."""
        self.rejoined = True

    def stop(self) -> None:
        """Note it."""
        self.stopped = True

    def join(self, seconds: float) -> None:
        """The thread has ended."""


class Running(transport.Consumer):
    """Our consumer, of a service that was not started and is not stopped."""

    should_stop = False

    async def _note(self, message: Any) -> None:
        """What Faust is handed."""
        self.handed_on.append(message.value)

    async def wait(self, event: Any) -> None:
        """As a running service does."""
        await event.wait()


class FakeAssignment:
    """Notes what it is told."""

    def __init__(self, raises: Exception | None = None) -> None:
        self.told: list[str] = []
        self.shards = self.left = {TP("p.raw", 0): 7}
        self._raises = raises

    def assign(self, extents: list[Extent], epoch: int) -> dict[TP, int]:
        """Read each partition from its committed offset."""
        self.told.append("assign")
        return {extent.tp: extent.committed for extent in extents}

    async def finish(self) -> None:
        """Take a last snapshot."""
        self.told.append("finish")

    async def release(self) -> None:
        """Commit and park."""
        self.told.append("release")
        if self._raises is not None:
            raise self._raises

    async def commit(self) -> bool:
        """Commit."""
        self.told.append("commit")
        if self._raises is not None:
            raise self._raises
        return True

    async def lose(self) -> None:
        """Drop."""
        self.told.append("lose")


class FakeApp:
    """What the consumer touches of the app."""

    client_only = False
    rebalancing = False

    def __init__(self) -> None:
        self.consumer_generation_id = 1
        self.monitor = SimpleNamespace(track_tp_end_offset=lambda tp, offset: None)
        self.assignment = FakeAssignment()
        self.errors: list[Exception] = []
        self.told = self.assignment.told

    def on_rebalance_start(self) -> None:
        """Note it."""
        self.told.append("rebalance starts")

    def fail(self, error: Exception) -> None:
        """Note it."""
        self.errors.append(error)


def consumer(poller: FakePoller) -> Any:
    """Return our consumer as far as these tests need one."""
    made: Any = Running.__new__(Running)
    made.app = FakeApp()
    made.log = SimpleNamespace(dev=lambda *_: None, warning=logging.warning)
    made._poller = poller
    made._active_partitions = {TP("p.raw", 0)}
    made._paused_partitions = made._buffered_partitions = set()
    made._starts, made._assigned_tps = {}, {TP("p.raw", 0)}
    made._arrived = asyncio.Event()
    made.can_resume_flow, made.suspend_flow = asyncio.Event(), asyncio.Event()
    made.handed_on = []
    made.callback = made._note
    return made


def batch() -> Batch:
    """Return a batch of two records."""
    records: Any = messages(0, 4, 7)
    for record in records:
        record.timestamp = lambda: (1, 5000)
    return Batch(TP("p.raw", 0), 1, 3, 8, records, 0.0)


def test_batch_becomes_one_message_and_comes_out_as_it_was() -> None:
    """Its offset is the last record's, its generation the epoch; the schema hands the batch on."""
    one = batch()
    message = transport.Consumer._to_message(consumer(FakePoller()), one.tp, one)
    assert (message.tp, message.offset, message.timestamp, message.generation_id) == (one.tp, 7, 5.0, 1)
    schema = BatchSchema()
    assert schema.loads_value(None, message, loads=None, serializer=None) is one
    assert schema.loads_key(None, message, loads=None, serializer=None) is None


async def settle() -> None:
    """Let other tasks of the loop go as far as they can."""
    for _ in range(10):
        await asyncio.sleep(0)


def drained(test: Callable[[Any, FakePoller], Awaitable[None]]) -> None:
    """Run a test while our consumer hands on what its poller has."""

    async def run() -> None:
        poller = FakePoller()
        one = consumer(poller)
        fetcher = asyncio.create_task(one._drain_messages(SimpleNamespace(should_stop=False)))
        await settle()
        await test(one, poller)
        fetcher.cancel()

    asyncio.run(run())


def arrive(one: Any, poller: FakePoller, waiting: Batch) -> None:
    """Have a batch wait, and say so."""
    poller.waiting = {waiting.tp: waiting}
    one._arrived.set()


def test_batch_is_handed_on_when_it_arrives_and_once() -> None:
    """As a message; nothing is asked for while nothing waits."""

    async def test(one: Any, poller: FakePoller) -> None:
        first, second = batch(), batch()
        for waiting in (first, second):
            arrive(one, poller, waiting)
            await settle()
        assert one.handed_on == [first, second]
        assert not one._arrived.is_set()

    drained(test)


@pytest.mark.parametrize("how", ["flow", "partitions"])
def test_batch_that_arrives_during_an_assignment_waits_until_faust_resumes(how: str) -> None:
    """Faust would drop what it gets before."""

    async def test(one: Any, poller: FakePoller) -> None:
        waiting = batch()
        if how == "flow":
            one.stop_flow()
        else:
            one.pause_partitions({waiting.tp})
        arrive(one, poller, waiting)
        await settle()
        assert one.handed_on == []
        if how == "flow":
            one.resume_flow()
        else:
            one.resume_partitions({waiting.tp})
        await settle()
        assert one.handed_on == [waiting]

    drained(test)


class Rebalancing(Running):
    """Our consumer, with Faust's side of a rebalance noted."""

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Note it."""
        self.app.told.append(f"Faust assigned in {generation_id}, app in {self.app.consumer_generation_id}")

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Note it."""
        self.app.told.append("Faust revoked")


def test_assignment_restores_state_before_faust_goes_on() -> None:
    """State first, then the generation that tells old batches from new ones, then Faust."""
    one = consumer(FakePoller())
    one.__class__ = Rebalancing
    starts = asyncio.run(one._on_assigned([Extent(TP("p.raw", 0), 7, 0, 9)], 5))
    assert starts == {TP("p.raw", 0): 7}
    assert one.app.told == ["assign", "rebalance starts", "Faust assigned in 5, app in 5"]
    assert one.assignment() == {TP("p.raw", 0)}


@pytest.mark.parametrize(("lost", "ours"), [(False, "release"), (True, "lose")])
def test_revoked_partitions_are_released_and_lost_ones_dropped(
    lost: bool, ours: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is committed for partitions that others own already; one line says which went."""
    caplog.set_level("INFO", "riverrun.worker")
    one = consumer(FakePoller())
    one.__class__ = Rebalancing
    asyncio.run(one._on_revoked({TP("p.raw", 0)}, lost=lost))
    assert one.app.told == ["rebalance starts", ours, "Faust revoked"]
    assert caplog.messages == [f"partitions {'lost' if lost else 'revoked'}, committed: p.raw[0] to 7"]
    assert one.assignment() == set()


def test_commit_that_fails_stops_the_worker() -> None:
    """Faust would end its commit task and report in its own words; here the app hears of it."""
    one = consumer(FakePoller())
    assert asyncio.run(one.commit())
    error = BrokerError("not delivered")
    one.app.assignment = FakeAssignment(error)
    assert not asyncio.run(one.commit())
    assert one.app.errors == [error]


def test_stop_leaves_the_group_even_if_the_last_commit_fails() -> None:
    """The failure is told, and the poll thread ends all the same."""
    poller, error = FakePoller(), BrokerError("not delivered")
    one = consumer(poller)
    one.app.assignment = FakeAssignment(error)
    asyncio.run(one.on_stop())
    assert one.app.errors == [error]
    assert poller.stopped


def test_acknowledged_messages_are_not_collected() -> None:
    """Faust would keep the offset of each batch until it commits itself, which it never does here."""
    one = consumer(FakePoller())
    one._acked, one._acked_index, one._unacked_messages = defaultdict(list), defaultdict(set), set()
    for _ in range(3):
        message = one._to_message(TP("p.raw", 0), batch())
        one.track_message(message)
        message.incref()
        message.ack(one)
    assert not any(one._acked.values())
    assert not any(one._acked_index.values())
    assert not one._unacked_messages


def test_look_at_topics_that_fails_is_told_and_ends_no_worker(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The partitions that do not wait are worked on all the same."""
    poller = FakePoller()
    one = consumer(poller)
    looks: list[Callable[[], Any]] = [lambda: 1 / 0, lambda: True]

    def look() -> Any:
        return looks.pop(0)()

    async def sleep(_: float) -> None:
        one.should_stop = not looks

    monkeypatch.setattr(one, "sleep", sleep)
    one.app.alignment = SimpleNamespace(has_grown=look)
    one.app.assignment.shards = {}
    look_at_topics: Any = transport.Consumer._look_at_topics
    asyncio.run(look_at_topics.fun(one))
    assert poller.rejoined
    assert "topics not looked at" in caplog.text


@pytest.mark.parametrize(
    ("assigned", "found", "after", "expected"),
    [
        pytest.param("former", "other", "former", True, id="made anew"),
        pytest.param("former", "former", "former", False, id="the same"),
        pytest.param("former", "", "former", False, id="not told"),
        pytest.param("", "other", "", False, id="not known"),
        pytest.param("former", "other", "other", False, id="assigned meanwhile"),
        pytest.param("former", "other", None, False, id="taken away meanwhile"),
    ],
)
def test_topic_that_is_made_anew_is_known_by_its_id(
    monkeypatch: pytest.MonkeyPatch, assigned: str, found: str, after: str | None, expected: bool
) -> None:
    """Where both are known, and nobody has asked since; partitions that wait are asked for all the same, and first."""
    poller = FakePoller()
    one = consumer(poller)
    one.app.settings, one.app.pipeline, one.app.group_id = None, SimpleNamespace(source_topic="p.raw"), "g"
    one.app.alignment = SimpleNamespace(has_grown=lambda: True)
    one.app.assignment.shards = {TP("p.raw", 0): SimpleNamespace(topic_id=assigned)}

    def ask(*_: Any, **__: Any) -> str:
        assert poller.rejoined
        one.app.assignment.shards = {} if after is None else {TP("p.raw", 0): SimpleNamespace(topic_id=after)}
        return found

    async def sleep(_: float) -> None:
        one.should_stop = poller.rejoined  # after one look

    monkeypatch.setattr(transport, "topic_id", ask)
    monkeypatch.setattr(one, "sleep", sleep)
    look_at_topics: Any = transport.Consumer._look_at_topics
    asyncio.run(look_at_topics.fun(one))
    assert ["made anew while it was read" in str(error) for error in one.app.errors] == [True] * expected
