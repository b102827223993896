"""A record that takes the process with it: workers die of it, three at most at one offset; the next passes over it."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from services.backtest import Backtest
from tests.streams.worker.engines import ON_BOTH
from tests.streams.worker.events import envelope, inline
from tests.streams.worker.kafka import Event, Kafka, header, until
from tests.streams.worker.test_worker_snapshots import snapshots

pytestmark = ON_BOTH

POISON = Event(orjson.dumps({"a": 666.0, "b": 6, "y": True}), b"key-6", envelope("poison"))


@pytest.mark.parametrize(
    "place", ["in the middle", *(pytest.param(place, marks=pytest.mark.slow) for place in ("first", "last"))]
)
def test_deadly_record_is_passed_over_and_all_others_are_answered(
    kafka: Kafka, deploy: Callable[..., Any], place: str
) -> None:
    """Its bytes are a dead letter, and the model is as if it had never come; so it is for every later replay."""
    deployment = deploy(model="deadly")
    log = list(inline(600))
    at = {"first": 0, "in the middle": 300, "last": 600}[place]
    log.insert(at, POISON)
    kafka.produce(deployment.raw, log)
    deaths: Counter[int] = Counter()
    while True:
        before = kafka.committed(deployment.pipeline).get(0, 0)
        worker = deployment.start(batch_records=50, commit_interval=0.05, snapshot_interval=0.2)
        until(lambda worker=worker: not worker.running or done(kafka, deployment, len(log)), 40, "death or the end")
        if worker.running:
            break
        assert worker.wait() == -9, worker.log
        deaths[before] += 1
        assert deaths[before] <= 3, "it is never passed over"
        assert len(deaths) < 10, "nobody comes near it"
    assert max(deaths.values()) >= 2, "one of them was careful"
    assert deaths.total() >= 3
    [letter] = kafka.read(deployment.dead_letters)[0]
    assert (letter.value(), header(letter, "riverrun_stage")) == (POISON.value, b"quarantine")
    assert answered(kafka, deployment) == [i for i in range(len(log)) if i != at]

    until(lambda: snapshots(worker, "taken") >= 1, what="a snapshot")
    worker.kill()
    kafka.produce(deployment.raw, inline(50, start=1000))
    for settings in ({"snapshot_interval": 0.2}, {}):
        worker = deployment.start(**settings)
        deployment.finish()
        worker.kill()
    assert answered(kafka, deployment) == [i for i in range(len(log) + 50) if i != at]
    undisturbed = Backtest(deployment.pipeline)
    for _ in undisturbed.run(record for record in kafka.records(deployment.raw)[0] if record.offset != at):
        pass
    assert kafka.digests(deployment.pipeline)[0][0] == undisturbed.digest.hexdigest()
    assert kafka.count(deployment.dead_letters) == 1


def done(kafka: Kafka, deployment: Any, count: int) -> bool:
    """Tell whether all is committed."""
    return kafka.committed(deployment.pipeline).get(0, 0) == count


def answered(kafka: Kafka, deployment: Any) -> list[int]:
    """Return the offsets of the events that were answered, in order."""
    return [int((header(m, "ce_id") or b"").rpartition(b"-")[2]) for m in kafka.read(deployment.predictions)[0]]
