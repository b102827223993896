"""Labels that other programs write: they meet their events only where these are."""

from collections.abc import Callable
from typing import Any

from schemas import cloudevents as ce
from schemas.murmur2 import home_partition
from tests.streams.worker.events import delayed
from tests.streams.worker.kafka import Event, Kafka

PARTITIONS = 4


def is_label(event: Event) -> bool:
    """Tell whether it is a label."""
    return dict(event.headers)["ce_type"] == ce.LABEL.encode()


def test_label_of_another_partitioner_is_counted_as_misrouted(kafka: Kafka, deploy: Callable[..., Any]) -> None:
    """librdkafka's default (CRC32) sends most labels elsewhere: each is counted; those that land right are joined."""
    log = list(delayed(1000))
    running = []
    for partitioner in ("consistent_random", "murmur2_random"):
        deployment = deploy(partitions=PARTITIONS, ttl_seconds=3600)
        kafka.produce(deployment.raw, [event for event in log if not is_label(event)])
        kafka.produce(deployment.raw, [event for event in log if is_label(event)], partitioner)
        running.append((partitioner, deployment, deployment.start()))
    for partitioner, deployment, worker in running:
        deployment.finish()
        outcomes = worker.metrics("riverrun_outcomes_total", "outcome")
        remarks = worker.metrics("riverrun_remarks_total", "remark")
        worker.kill()
        labels = [r for records in kafka.records(deployment.raw).values() for r in records if b"label" in r_type(r)]
        astray = sum(home_partition(r.key or b"", PARTITIONS) != r.partition for r in labels)
        assert outcomes["label_misrouted"] == astray
        landed = ("label_joined", "label_duplicate", "label_corrected")
        assert sum(outcomes[name] for name in landed) == len(labels) - astray
        assert (astray == 0) == (partitioner == "murmur2_random")
        assert outcomes["label_joined"] > 100
        assert outcomes["label_held"] == 0
        assert remarks["foreign_key"] == 0, "the events are where they belong"
        assert kafka.digests(deployment.pipeline) == kafka.expected(deployment.pipeline)


def r_type(record: Any) -> bytes:
    """Return the type of a record."""
    return dict(record.headers or ()).get("ce_type") or b""
