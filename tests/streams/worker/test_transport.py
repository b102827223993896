"""Our Faust transport, driven by hand: what it takes from the poller, what it does in a rebalance and at the end."""

import asyncio
import logging
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import faust
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
        self.waiting: dict[TP, list[Batch]] = {}
        self.stopped = False

    def take(self) -> dict[TP, list[Batch]]:
        """Return what waits."""
        taken, self.waiting = self.waiting, {}
        return taken

    def stop(self) -> None:
        """Note it."""
        self.stopped = True

    def join(self, seconds: float) -> None:
        """The thread has ended."""


class Running(transport.Consumer):
    """Our consumer, of a service that was not started and is not stopped."""

    should_stop = False


class FakeAssignment:
    """Notes what it is told."""

    def __init__(self, raises: Exception | None = None) -> None:
        self.told: list[str] = []
        self._raises = raises

    def assign(self, extents: list[Extent], epoch: int) -> dict[TP, int]:
        """Read each partition from its committed offset."""
        self.told.append("assign")
        return {extent.tp: extent.committed for extent in extents}

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

    def lose(self) -> None:
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
    made.can_resume_flow, made.suspend_flow, made.not_waiting_next_records = (asyncio.Event() for _ in range(3))
    made._read_offset, made._committed_offset = {}, defaultdict(lambda: None)
    made.scheduler = faust.App(id="x").conf.ConsumerScheduler()
    return made


def batch() -> Batch:
    """Return a batch of two records."""
    records: Any = messages(0, 4, 7)
    for record in records:
        record.timestamp = lambda: (1, 5000)
    return Batch(TP("p.raw", 0), 1, 3, 8, records)


def test_batch_becomes_one_message_and_comes_out_as_it_was() -> None:
    """Its offset is the last record's, its generation the epoch; the schema hands the batch on."""
    one = batch()
    message = transport.Consumer._to_message(consumer(FakePoller()), one.tp, one)
    assert (message.tp, message.offset, message.timestamp, message.generation_id) == (one.tp, 7, 5.0, 1)
    schema = BatchSchema()
    assert schema.loads_value(None, message, loads=None, serializer=None) is one
    assert schema.loads_key(None, message, loads=None, serializer=None) is None


async def collect(one: Any, seconds: float = 0.2) -> list[Batch]:
    """Return the batches that Faust gets from one call."""
    return [message.value async for _, message in one.getmany(seconds)]


def test_getmany_hands_on_what_waits() -> None:
    """A batch reaches Faust as a message, at once or when it arrives, and once."""

    async def test() -> None:
        poller, waiting = FakePoller(), batch()
        one = consumer(poller)
        poller.waiting = {waiting.tp: [waiting]}
        assert await collect(one, 0.01) == [waiting]
        assert await collect(one, 0.01) == []

    asyncio.run(test())


@pytest.mark.parametrize("how", ["flow", "partitions"])
def test_getmany_that_waits_through_an_assignment_loses_nothing(how: str) -> None:
    """Batches that arrive before Faust has resumed stay where they are until it has: Faust would drop them."""

    async def test() -> None:
        poller, waiting = FakePoller(), batch()
        one = consumer(poller)
        waits = asyncio.create_task(collect(one))
        await asyncio.sleep(0)
        if how == "flow":
            one.stop_flow()
        else:
            one.pause_partitions({waiting.tp})
        poller.waiting = {waiting.tp: [waiting]}
        one._arrived.set()
        assert await waits == []
        one.resume_partitions({waiting.tp})
        one.resume_flow()
        assert await collect(one) == [waiting]

    asyncio.run(test())


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
def test_revoked_partitions_are_released_and_lost_ones_dropped(lost: bool, ours: str) -> None:
    """Nothing is committed for partitions that others own already."""
    one = consumer(FakePoller())
    one.__class__ = Rebalancing
    asyncio.run(one._on_revoked({TP("p.raw", 0)}, lost=lost))
    assert one.app.told == ["rebalance starts", ours, "Faust revoked"]
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
