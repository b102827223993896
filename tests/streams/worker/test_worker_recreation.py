"""The input topic is deleted, and another made of that name; on Apache Kafka: the embedded broker knows no ids."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.streams.worker.events import inline
from tests.streams.worker.kafka import Kafka, until
from tests.streams.worker.test_worker_exactly_once import assert_undisturbed
from tests.streams.worker.test_worker_snapshots import snapshots

pytestmark = pytest.mark.parametrize("kafka", [pytest.param("apache_kafka", marks=pytest.mark.kafka)], indirect=True)


def test_topic_that_is_made_anew_while_it_is_read_ends_the_worker(kafka: Kafka, deploy: Callable[..., Any]) -> None:
    """It would go on at the offset at which it stood; set back, the next one answers all of the new one."""
    deployment = deploy()
    kafka.produce(deployment.raw, inline(300))
    worker = deployment.start(snapshot_interval=0.3, worker_id="")  # one without a name leaves the group at once
    deployment.finish()
    kafka.recreate(deployment.pipeline, [deployment.raw, deployment.predictions])
    kafka.produce(deployment.raw, inline(1_000, seed=7))
    assert worker.wait(60) == 1
    [line] = [line for line in worker.log.splitlines() if " CRITICAL " in line]
    assert f"{deployment.raw}: deleted and made anew while it was read" in line
    assert kafka.digests(deployment.pipeline, distinct=True)[0][1] <= 700, "from the offset on at which it stood"
    kafka.set_back(deployment.pipeline)
    deployment.start(snapshot_interval=0.3)
    deployment.finish()
    assert kafka.digests(deployment.pipeline, distinct=True)[0][1] == 1_000


def test_topic_that_is_made_anew_gets_no_snapshot_of_the_former_one(kafka: Kafka, deploy: Callable[..., Any]) -> None:
    """Though its committed offset has come further than they have."""
    deployment = deploy()
    kafka.produce(deployment.raw, inline(1_000))
    worker = deployment.start(snapshot_interval=0.3)
    deployment.finish()
    assert worker.terminate()[0] == 0
    kafka.recreate(deployment.pipeline, [deployment.raw, deployment.predictions])
    kafka.produce(deployment.raw, inline(1_500, seed=7))
    worker = deployment.start(snapshot_interval=0)
    deployment.finish()
    worker.kill()
    kafka.produce(deployment.raw, inline(500, seed=7, start=1_500))
    worker = deployment.start(snapshot_interval=0.3)
    deployment.finish()
    assert (snapshots(worker, "restored"), snapshots(worker, "refused")) == (0, 0)
    assert "snapshots are of a deleted topic of that name: passed over" in worker.log
    assert_undisturbed(kafka, deployment)
    until(lambda: snapshots(worker, "taken") >= 1, what="a snapshot of the new one")
    worker.kill()
    worker = deployment.start()
    until(lambda: snapshots(worker, "restored") == 1, what="the snapshot of the new one")
