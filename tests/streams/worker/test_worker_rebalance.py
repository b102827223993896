"""Two workers share the partitions, come and go."""

from collections.abc import Callable
from typing import Any

from tests.streams.worker.engines import ON_BOTH
from tests.streams.worker.events import inline
from tests.streams.worker.kafka import Kafka, header, until

pytestmark = ON_BOTH

ALL = {0, 1, 2, 3}


def shared(first: Any, second: Any) -> bool:
    """Tell whether each partition belongs to one of the two, and each of them has some."""
    ours, theirs = first.partitions(), second.partitions()
    return bool(ours and theirs and ours | theirs == ALL and not ours & theirs)


def test_partitions_move_by_clean_leaves_and_each_event_is_answered_once(
    kafka: Kafka, deploy: Callable[..., Any]
) -> None:
    """One worker has all, two share, the second takes over: a rebalance repeats nothing that was committed."""
    deployment = deploy(partitions=4)
    first = deployment.start(worker_id=None)
    kafka.produce(deployment.raw, inline(2000))
    assert deployment.finish() == 2000
    assert first.partitions() == ALL

    second = deployment.start(worker_id=None)
    until(lambda: shared(first, second), 40, "a share for each")
    kafka.produce(deployment.raw, inline(2000, seed=1, start=2000))
    assert deployment.finish() == 4000
    read = [sum(w.metrics("riverrun_records_read_total", "partition").values()) for w in (first, second)]
    assert min(read) > 500

    assert first.terminate()[0] == 0
    kafka.produce(deployment.raw, inline(1000, seed=2, start=4000))
    assert deployment.finish() == 5000
    assert second.partitions() == ALL
    assert second.terminate()[0] == 0
    raw, name = deployment.raw, deployment.pipeline.name
    assert f"worker of {name} starts: declaration {deployment.pipeline.declaration}, riverrun " in first.log
    assert "exactly_once, snapshots: kafka, metrics: port " in first.log
    assert first.log.count(" assigned 4 partitions of ") == 1, "one line for all of them"
    assert f"partitions revoked, committed: {raw}[0] to " in first.log
    assert "SIGTERM: finishing, committing, leaving the group" in first.log
    ends = ", ".join(f"{raw}[{n}] to {at}" for n, at in sorted(kafka.committed(deployment.pipeline).items()))
    assert f"worker of {name} ends: exit code 0, committed: {ends}" in second.log
    assert kafka.count(deployment.predictions) == 5000
    assert kafka.digests(deployment.pipeline) == kafka.expected(deployment.pipeline)


def test_partitions_that_move_under_load_repeat_alike_and_lose_nothing(
    kafka: Kafka, deploy: Callable[..., Any]
) -> None:
    """Work that was not committed when the group changed is done again, with the same answers.

    The embedded broker refuses commits of the old generation as soon as a member joins, so there is such work.
    """
    deployment = deploy(partitions=4)
    first = deployment.start(worker_id=None, batch_records=100)
    produced = kafka.produce(deployment.raw, inline(1000))
    deployment.predicted(produced)
    second = deployment.start(worker_id=None, batch_records=100)

    def shared_while_records_arrive() -> bool:
        nonlocal produced
        produced += kafka.produce(deployment.raw, inline(100, seed=produced, start=produced))
        return shared(first, second)

    until(shared_while_records_arrive, 40, "a share for each")
    assert first.terminate()[0] == 0
    produced += kafka.produce(deployment.raw, inline(1000, seed=produced, start=produced))
    assert deployment.finish() == produced

    bodies: dict[bytes | None, bytes] = {}
    for messages in kafka.read(deployment.predictions).values():
        for message in messages:
            assert bodies.setdefault(header(message, "ce_id"), message.value()) == message.value()
    assert len(bodies) == produced
    assert kafka.digests(deployment.pipeline, distinct=True) == kafka.expected(deployment.pipeline)
