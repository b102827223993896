"""The input topic is given more partitions while a worker runs."""

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka.admin import NewPartitions

from schemas.manifest import Manifest
from services.topics import apply_topics
from streams.worker.keys import load_trusted
from streams.worker.settings import Settings
from tests.streams.worker.engines import ON_BOTH
from tests.streams.worker.events import inline
from tests.streams.worker.kafka import Event, Kafka, until

pytestmark = ON_BOTH


def spread(count: int, partitions: int, start: int = 0) -> list[Event]:
    """Return events that lie in turn in each of the partitions."""
    events = inline(count, seed=start, start=start)
    return [Event(e.value, e.key, e.headers, e.timestamp_ms, i % partitions) for i, e in enumerate(events)]


@pytest.mark.slow
@pytest.mark.parametrize("guarantee", ["exactly_once", "at_least_once"])
def test_new_partitions_wait_for_the_other_topics_and_the_old_ones_go_on(
    kafka: Kafka, deploy: Callable[..., Any], guarantee: str
) -> None:
    """One line names the topics and the remedy; once they have grown the new ones begin, with their first record."""
    deployment = deploy(partitions=2)
    kafka.produce(deployment.raw, spread(200, 2))
    worker = deployment.start(processing_guarantee=guarantee, snapshot_interval=1)
    assert deployment.finish() == 200

    [grown] = kafka.admin.create_partitions([NewPartitions(deployment.raw, 4)]).values()
    grown.result(10)
    until(lambda: worker.health()[1].get("waiting") == [2, 3], 40, "two partitions that wait")
    assert worker.metrics("riverrun_partition_waits", "partition") == {"0": 0.0, "1": 0.0, "2": 1.0, "3": 1.0}
    kafka.produce(deployment.raw, spread(400, 4, start=200))
    until(lambda: kafka.count(deployment.predictions) == 400, 40, "predictions of the two others")
    [line] = [line for line in worker.log.splitlines() if "partitions 2, 3 wait, the others go on" in line]
    for name in (deployment.predictions, deployment.dead_letters, deployment.manifests, deployment.snapshots):
        assert f"{name} 2" in line
    assert "riverrun topics apply" in line

    apply_topics(deployment.pipeline, Settings(bootstrap_servers=kafka.bootstrap))
    assert deployment.finish() == 600
    assert worker.health()[1]["waiting"] == []
    kafka.produce(deployment.raw, spread(200, 4, start=600))
    assert deployment.finish() == 800
    assert worker.terminate()[0] == 0
    # Which labels are misrouted depends on the number of partitions: a worker keeps to that of the first time.
    assert snapshots(kafka, deployment) == {0: {2}, 1: {2}, 2: {4}, 3: {4}}

    again = deployment.start(processing_guarantee=guarantee, snapshot_interval=1)
    kafka.produce(deployment.raw, spread(200, 4, start=800))
    assert deployment.finish() == 1000
    assert kafka.count(deployment.predictions) == 1000
    assert again.terminate()[0] == 0
    refused = [line for line in again.log.splitlines() if "another partitions: got 2, expected 4" in line]
    assert {n for n in range(4) if any(f"{deployment.raw}[{n}]: " in line for line in refused)} == {0, 1}
    assert kafka.digests(deployment.pipeline) == kafka.expected(deployment.pipeline)


def snapshots(kafka: Kafka, deployment: Any) -> dict[int, set[int]]:
    """Return of how many partitions each partition's snapshots say that they are."""
    trusted = load_trusted(deployment.keys["trusted_keys"])
    found: dict[int, set[int]] = {}
    for partition, messages in kafka.read(deployment.manifests).items():
        for message in messages:
            if message.value() and not message.key().endswith(b"/note"):
                identity = Manifest.from_document(trusted.open(message.value())).identity
                found.setdefault(partition, set()).add(identity.partitions)
    return found
