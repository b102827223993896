"""Exactly once: whatever dies, and wherever, each event is answered once, by the model of an undisturbed run."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.streams.worker.engines import ON_BOTH
from tests.streams.worker.events import inline
from tests.streams.worker.kafka import Kafka, header, until
from tests.streams.worker.runner import DEATHS

pytestmark = ON_BOTH

COUNT = 5_000
#: Two of them share a log: fewer starts, and less to replay than if all did.
*EARLIER, LAST = [[*DEATHS][begin : begin + 2] for begin in range(0, len(DEATHS), 2)]


def assert_undisturbed(kafka: Kafka, deployment: Any) -> None:
    """Hold what a reader of committed records finds against a backtest of the input: number, order, every digit."""
    assert kafka.digests(deployment.pipeline) == kafka.expected(deployment.pipeline)
    for partition, messages in kafka.read(deployment.predictions).items():
        answered = [int((header(m, "ce_id") or b"").rpartition(b"-")[2]) for m in messages]
        assert answered == [record.offset for record in kafka.records(deployment.raw)[partition]]


@pytest.mark.parametrize(
    "deaths", [*(pytest.param(early, marks=pytest.mark.slow) for early in EARLIER), LAST], ids=" and ".join
)
def test_workers_that_are_killed_within_a_transaction_answer_each_event_once(
    kafka: Kafka, deploy: Callable[..., Any], deaths: list[str]
) -> None:
    """One after the other, in the second transaction, and once more in the first one of the next start.

    Without snapshots: where a piece of one is all that a transaction brings, nothing moves, and after three deaths in a
    row a record would be blamed for them, and be passed over, as is right.
    """
    deployment = deploy()
    settings = {"snapshot_interval": 0, "commit_interval": 0.02}
    kafka.produce(deployment.raw, inline(COUNT))
    for death in deaths:
        for count in (2, 1):
            worker = deployment.start(fault=f"{death}:{count}", batch_records=100, **settings)
            assert worker.wait() == -9, f"{death}:{count}: {worker.log}"
    deployment.start(**settings)
    assert deployment.finish() == COUNT
    assert_undisturbed(kafka, deployment)


def test_cycle_without_outputs_moves_its_positions(kafka: Kafka, deploy: Callable[..., Any]) -> None:
    """Events that were seen before say nothing, and are read once all the same."""
    deployment = deploy()
    kafka.produce(deployment.raw, inline(200))
    worker = deployment.start()
    deployment.finish()
    kafka.produce(deployment.raw, inline(100))
    assert deployment.finish() == 300
    outcomes = worker.metrics("riverrun_outcomes_total", "outcome")
    assert (outcomes["scored"], outcomes["duplicate_event"]) == (200, 100)
    assert kafka.count(deployment.predictions) == 200


def test_worker_whose_id_another_one_takes_ends_and_says_so(kafka: Kafka, deploy: Callable[..., Any]) -> None:
    """Two processes of one worker id: the older one is fenced, before it can commit anything."""
    deployment = deploy()
    first = deployment.start(worker_id="twin")
    kafka.produce(deployment.raw, inline(500))
    deployment.finish()
    deployment.start(worker_id="twin")

    def fenced() -> bool:
        kafka.produce(deployment.raw, inline(20, start=kafka.reach(deployment.raw)))
        return not first.running

    until(fenced, 60, "the end of the first")
    assert first.wait() == 1
    assert "fenced" in first.log, first.log
    deployment.finish()
    assert_undisturbed(kafka, deployment)
