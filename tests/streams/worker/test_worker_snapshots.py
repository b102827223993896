"""Snapshots of a real worker: a restart begins where the last one stood, whatever died in between."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from streams.per_key import PerKey
from tests.streams.worker.engines import ON_BOTH
from tests.streams.worker.events import delayed, inline
from tests.streams.worker.kafka import Kafka, until
from tests.streams.worker.runner import SNAPSHOT_DEATHS, Worker
from tests.streams.worker.test_worker_exactly_once import assert_undisturbed

pytestmark = ON_BOTH

COUNT = 3_000


def snapshots(worker: Worker, outcome: str) -> float:
    """Return how many snapshots had an outcome."""
    return worker.metrics("riverrun_snapshots_total", "outcome").get(outcome, 0.0)


@pytest.mark.parametrize(
    "guarantee",
    [
        pytest.param("exactly_once", marks=pytest.mark.always),
        pytest.param("at_least_once", marks=pytest.mark.slow),
    ],
)
def test_killed_worker_goes_on_from_its_snapshot(kafka: Kafka, deploy: Callable[..., Any], guarantee: str) -> None:
    """It has not learned from the log's beginning again, and says what an undisturbed one says."""
    deployment = deploy(model="hat", partitions=2)
    settings = {"snapshot_interval": 0.3, "processing_guarantee": guarantee}
    kafka.produce(deployment.raw, inline(COUNT))
    worker = deployment.start(**settings)
    deployment.finish()
    until(lambda: snapshots(worker, "taken") >= 2, what="a snapshot of each partition")
    assert set(worker.metrics("riverrun_snapshot_behind_records", "partition")) == {"0", "1"}
    worker.kill()
    kafka.produce(deployment.raw, inline(2_000, start=COUNT))
    worker = deployment.start(**settings)
    assert deployment.finish() == COUNT + 2_000
    assert snapshots(worker, "restored") == 2
    assert sum(worker.metrics("riverrun_emitted_total", "topic").values()) < 2_500
    assert sum(worker.metrics("riverrun_records_read_total", "partition").values()) < 2_500
    assert kafka.digests(deployment.pipeline, distinct=True) == kafka.expected(deployment.pipeline)


@pytest.mark.parametrize(
    "further",
    [
        pytest.param({}, id="one model"),
        pytest.param({"model_per": PerKey(most=20, min_learned=10)}, id="per key", marks=pytest.mark.slow),
    ],
)
def test_labels_that_wait_survive_in_snapshots(
    kafka: Kafka, deploy: Callable[..., Any], further: dict[str, Any]
) -> None:
    """Killed three times while events wait for labels; each start restores, and each event is answered once."""
    deployment = deploy(ttl_seconds=3600, **further)
    log = list(delayed(1_200))
    third = len(log) // 3 + 1
    for begin in range(0, len(log), third):
        kafka.produce(deployment.raw, log[begin : begin + third])
        worker = deployment.start(snapshot_interval=0.2)
        deployment.finish()
        until(lambda worker=worker: snapshots(worker, "taken") >= 1, what="a snapshot")
        assert snapshots(worker, "restored") == (begin > 0)
        assert snapshots(worker, "refused") == 0
        worker.kill()
    assert kafka.digests(deployment.pipeline) == kafka.expected(deployment.pipeline)


def test_workers_that_are_killed_within_a_snapshot_lose_nothing(kafka: Kafka, deploy: Callable[..., Any]) -> None:
    """Each twice; what stands in the topics then is no whole snapshot, or one that is as good as any."""
    deployment = deploy()
    kafka.produce(deployment.raw, inline(2 * COUNT))
    for death in SNAPSHOT_DEATHS:
        for count in (2, 1):
            worker = deployment.start(
                fault=f"{death}:{count}", snapshot_interval=0.05, commit_interval=0.05, batch_records=50
            )
            assert worker.wait() == -9, f"{death}:{count}: {worker.log}"
    worker = deployment.start()
    assert deployment.finish() == 2 * COUNT
    assert snapshots(worker, "refused") == 0
    assert_undisturbed(kafka, deployment)


def test_worker_recovers_although_the_beginning_of_the_log_is_gone(kafka: Kafka, deploy: Callable[..., Any]) -> None:
    """The snapshot needs no record before it; without one the worker stops and says what is missing."""
    deployment = deploy()
    kafka.produce(deployment.raw, inline(COUNT))
    worker = deployment.start(snapshot_interval=0.3)
    deployment.finish()

    def up_to_date() -> bool:
        return worker.metrics("riverrun_snapshot_behind_records", "partition").get("0") == 0

    until(up_to_date, what="a snapshot of all")
    worker.kill()
    expected = kafka.backtest(deployment.pipeline)[0]
    [cut] = kafka.admin.delete_records([TopicPartition(deployment.raw, 0, COUNT - 100)]).values()
    cut.result(10)
    worker = deployment.start()
    kafka.produce(deployment.raw, inline(100, start=COUNT))
    deployment.finish()
    assert kafka.digests(deployment.pipeline)[0][1] == expected.digest.count + 100
    worker.kill()
    blind = deployment.start(snapshot_interval=0)
    assert blind.wait() == 1
    assert "state lost: the log begins at" in blind.log


def test_snapshots_in_a_folder_need_no_topics(kafka: Kafka, deploy: Callable[..., Any], tmp_path: Path) -> None:
    """A folder that outlives the worker is as good."""
    deployment = deploy()
    store = {"snapshot_interval": 0.3, "snapshot_store": f"file://{tmp_path / 'store'}"}
    kafka.produce(deployment.raw, inline(1_000))
    worker = deployment.start(**store)
    deployment.finish()
    until(lambda: snapshots(worker, "taken") >= 1, what="a snapshot")
    worker.kill()
    assert kafka.reach(deployment.manifests) == 0
    kafka.produce(deployment.raw, inline(1_000, start=1_000))
    worker = deployment.start(**store)
    deployment.finish()
    assert snapshots(worker, "restored") == 1
    assert_undisturbed(kafka, deployment)


def test_worker_without_a_key_does_not_start(deploy: Callable[..., Any], tmp_path: Path) -> None:
    """And says which command makes one."""
    worker = deploy().start(signing_key=tmp_path / "none.pem")
    assert worker.wait() == 1
    assert "RIVERRUN_SIGNING_KEY" in worker.log
    assert "riverrun keys init" in worker.log
