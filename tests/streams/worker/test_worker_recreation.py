"""The input topic is deleted, and another made of that name; on Apache Kafka: the embedded broker knows no ids."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.streams.worker.events import inline
from tests.streams.worker.kafka import Kafka, until
from tests.streams.worker.test_worker_exactly_once import assert_undisturbed
from tests.streams.worker.test_worker_snapshots import snapshots

pytestmark = pytest.mark.parametrize("kafka", [pytest.param("apache_kafka", marks=pytest.mark.kafka)], indirect=True)


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
