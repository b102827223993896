"""The line in a worker's log that tells what it has done lately."""

import orjson
import pytest
from faust.types import TP

from schemas.record import Record
from streams.task import Task
from streams.worker.progress import Progress
from streams.worker.shard import Shard
from streams.worker.tally import Tally
from tests.streams.worker.declarations import small
from tests.streams.worker.memory_store import Clock

TP0, TP1 = TP("p.raw", 0), TP("p.raw", 1)


def step(shard: Shard, count: int, *, wrong: bool = False, bad: int = 0) -> None:
    """Step a shard through events, of which the last ones are none."""
    for i in range(count + bad):
        b, y = i % 3, (i % 2 == 0) is not wrong
        value = orjson.dumps({"a": float(i % 2), "b": b, "y": y}) if i < count else b"{"
        shard.task.step(Record("p.raw", shard.task.partition, shard.position, 1_700_000_000_000, None, value))
        shard.position += 1


@pytest.fixture
def shards() -> dict[TP, Shard]:
    """Two partitions at their beginning."""
    pipeline = small("p", partitions=2)
    return {tp: Shard(Task(pipeline, tp.partition, 2), 0, 0) for tp in (TP0, TP1)}


def test_line_tells_what_became_of_the_records_since_the_last_one(shards: dict[TP, Shard]) -> None:
    """By outcome, with what is left and how good the answers are; nothing is said of nothing."""
    clock, tally = Clock(), Tally()
    tally.hold(shards)
    ends: dict[TP, int] = {}
    progress = Progress(tally, lambda _: ends, clock)
    assert progress.line(shards) == ""
    clock.now = 30.0
    step(shards[TP0], 1200, bad=3)
    ends = {TP0: 1500, TP1: 7}
    line = progress.line(shards)
    assert line.startswith("1,203 records in 30 s (scored 1,200, dead_letter 3), 304 left; accuracy ")
    assert line.endswith("; champion v1")
    clock.now = 60.0
    assert progress.line(shards) == ""
    clock.now = 90.0
    step(shards[TP1], 10)
    ends = {}
    assert progress.line(shards).startswith("10 records in 30 s (scored 10); accuracy ")


def test_metrics_of_partitions_that_differ_are_told_from_the_lowest_to_the_highest(shards: dict[TP, Shard]) -> None:
    """One that has judged no answer yet has none."""
    tally = Tally()
    tally.hold(shards)
    progress = Progress(tally, lambda _: {}, Clock())
    step(shards[TP0], 400)
    assert " to " not in progress.line(shards)
    step(shards[TP1], 3, wrong=True)
    assert " to " in progress.line(shards).partition("accuracy ")[2].partition(";")[0]
