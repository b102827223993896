"""Exactly once, with a producer that plays a script: what is called in which order, and what an error leads to."""

import asyncio
import itertools
import threading
from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from faust.types import TP

from schemas.errors import BrokerError
from schemas.outgoing import Outgoing
from streams.worker import transactions
from streams.worker.delivery import CycleAborted
from streams.worker.emitter import Emitter
from streams.worker.transactions import ExactlyOnce

MESSAGE = Outgoing("p.predictions", b"k", b"v", [], 0)
POLLER: Any = SimpleNamespace(group_metadata="member 1, generation 7")
POSITIONS = {TP("p.raw", 0): 5}


def failure(code: int, **flags: bool) -> KafkaException:
    """Return an exception as librdkafka's calls raise it."""
    return KafkaException(KafkaError(code, "no", **flags))


class FakeProducer:
    """Notes its calls; a call for which the script has an error raises it, once each."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.errors: dict[str, deque[Exception]] = {}

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> None:
            if name == "poll":
                return
            if name == "send_offsets_to_transaction":
                offsets, group, _ = arguments
                assert offsets == [TopicPartition("p.raw", 0, 5)]
                assert group == POLLER.group_metadata
            self.calls.append(name.removesuffix("_transaction").removesuffix("_to"))
            if self.errors.get(name):
                raise self.errors[name].popleft()

        return call


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> tuple[ExactlyOnce, FakeProducer]:
    """A delivery and its producer; nobody waits before a call is repeated."""
    monkeypatch.setattr(transactions, "_RETRY_SECONDS", 0)
    emitter, producer = Emitter(), FakeProducer()
    emitter.producer = producer  # type: ignore[assignment]
    return ExactlyOnce(emitter, "p-w0"), producer


def commit(delivery: ExactlyOnce) -> bool:
    """Commit a cycle."""

    async def committed() -> bool:
        return await (await delivery.commit(POSITIONS, POLLER))

    return asyncio.run(committed())


def test_cycle_is_one_transaction(desk: tuple[ExactlyOnce, FakeProducer]) -> None:
    """Begun with the first output, committed with the positions; the next one is another."""
    delivery, producer = desk
    for _ in range(2):
        delivery.emit([MESSAGE], more_follow=True)
        delivery.emit([], more_follow=True)
        delivery.emit([MESSAGE], more_follow=False)
        assert commit(delivery)
    assert producer.calls == ["begin", "produce", "produce", "send_offsets", "commit"] * 2


def test_commit_waits_for_one_that_was_given_up(desk: tuple[ExactlyOnce, FakeProducer]) -> None:
    """A stop cancels who waits for a commit, while its thread goes on: two at once would mix two transactions."""
    delivery, producer = desk
    entered, goes_on = threading.Event(), threading.Event()
    send = producer.send_offsets_to_transaction

    def slow(*arguments: Any) -> None:
        entered.set()
        goes_on.wait(10)
        send(*arguments)

    producer.send_offsets_to_transaction = slow

    async def stop() -> None:
        given_up = asyncio.create_task(delivery.commit(POSITIONS, POLLER))
        await asyncio.to_thread(entered.wait, 10)
        given_up.cancel()
        last = asyncio.create_task(delivery.commit(POSITIONS, POLLER))
        await asyncio.sleep(0.05)
        goes_on.set()
        await (await last)

    asyncio.run(stop())
    assert producer.calls == ["begin", "send_offsets", "commit"] * 2


def test_cycle_without_outputs_commits_its_positions(desk: tuple[ExactlyOnce, FakeProducer]) -> None:
    """Labels alone say nothing, and are read once all the same; an idle worker opens no transaction."""
    delivery, producer = desk
    delivery.emit([], more_follow=False)
    assert producer.calls == []
    assert commit(delivery)
    assert producer.calls == ["begin", "send_offsets", "commit"]


@pytest.mark.parametrize("call", ["send_offsets_to_transaction", "commit_transaction"])
def test_call_that_may_succeed_the_next_time_is_repeated(desk: tuple[ExactlyOnce, FakeProducer], call: str) -> None:
    """The same call, not the whole cycle: the outputs are in the transaction already."""
    delivery, producer = desk
    producer.errors[call] = deque([failure(KafkaError.COORDINATOR_LOAD_IN_PROGRESS, retriable=True)] * 2)
    delivery.emit([MESSAGE], more_follow=False)
    assert commit(delivery)
    name = call.removesuffix("_transaction").removesuffix("_to")
    assert producer.calls.count(name) == 3
    assert producer.calls.count("produce") == 1


@pytest.mark.parametrize("call", ["send_offsets_to_transaction", "commit_transaction", "abort_transaction"])
def test_broker_that_does_not_answer_in_time_ends_the_worker(
    desk: tuple[ExactlyOnce, FakeProducer], call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What became of the transaction is unknown; nobody waits for ever, and a signal to stop is heard."""
    delivery, producer = desk
    now = itertools.count(0.0, 12.0)
    monkeypatch.setattr(transactions, "time", SimpleNamespace(monotonic=lambda: next(now), sleep=lambda _: None))
    producer.errors[call] = deque([failure(KafkaError._TIMED_OUT, retriable=True)] * 9)
    delivery.emit([MESSAGE], more_follow=False)
    with pytest.raises(BrokerError, match="transaction: "):
        asyncio.run(delivery.abort()) if call == "abort_transaction" else commit(delivery)


@pytest.mark.parametrize("call", ["send_offsets_to_transaction", "commit_transaction"])
def test_cycle_that_cannot_be_committed_is_aborted(desk: tuple[ExactlyOnce, FakeProducer], call: str) -> None:
    """What comes after is a transaction of its own."""
    delivery, producer = desk
    producer.errors[call] = deque([failure(KafkaError.ILLEGAL_GENERATION, txn_requires_abort=True)])
    delivery.emit([MESSAGE], more_follow=False)
    with pytest.raises(CycleAborted):
        commit(delivery)
    asyncio.run(delivery.abort())
    asyncio.run(delivery.abort())
    assert producer.calls[-1] == "abort"
    assert producer.calls.count("abort") == 1
    assert commit(delivery)
    assert producer.calls[-3:] == ["begin", "send_offsets", "commit"]


def test_output_that_the_transaction_does_not_take_aborts_it(desk: tuple[ExactlyOnce, FakeProducer]) -> None:
    """It is never produced again by itself: some before it may be in the transaction already."""
    delivery, producer = desk
    producer.errors["produce"] = deque([failure(KafkaError._STATE)])
    with pytest.raises(CycleAborted):
        delivery.emit([MESSAGE, MESSAGE], more_follow=False)
    assert producer.calls == ["begin", "produce"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (failure(KafkaError._FENCED, fatal=True), "fenced: another worker .* p-w0.*RIVERRUN_WORKER_ID"),
        (failure(KafkaError.FENCED_INSTANCE_ID, fatal=True), "fenced: another worker"),
        (failure(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, fatal=True), "transaction: .*the worker ends"),
        (failure(KafkaError.UNKNOWN), "transaction: .*the worker ends"),
    ],
)
@pytest.mark.parametrize("call", ["begin_transaction", "send_offsets_to_transaction", "commit_transaction"])
def test_error_that_nothing_helps_against_ends_the_worker(
    desk: tuple[ExactlyOnce, FakeProducer], call: str, error: KafkaException, words: str
) -> None:
    """Fatal ones and those that nobody has classified: the next start does the work again."""
    delivery, producer = desk
    producer.errors[call] = deque([error])
    with pytest.raises(BrokerError, match=words):
        commit(delivery)


def test_broker_without_transactions_is_named_at_the_start(desk: tuple[ExactlyOnce, FakeProducer]) -> None:
    """Before anything is read."""
    delivery, producer = desk
    producer.errors["init_transactions"] = deque([failure(KafkaError._UNSUPPORTED_FEATURE, fatal=True)])
    with pytest.raises(BrokerError, match="RIVERRUN_PROCESSING_GUARANTEE=at_least_once does without"):
        delivery.start(producer)  # type: ignore[arg-type]
