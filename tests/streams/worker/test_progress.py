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


def test_replay_is_told_with_what_is_left_of_it(shards: dict[TP, Shard]) -> None:
    """Minutes pass in which nothing is answered; the pace is that since the last line."""
    clock, tally = Clock(), Tally()
    shards = {TP0: Shard(shards[TP0].task, 0, 1_200), TP1: Shard(shards[TP1].task, 7, 7)}
    tally.hold(shards)
    progress = Progress(tally, lambda _: {}, clock)
    step(shards[TP0], 200)
    clock.now = 5.0
    assert progress.line(shards) == "replays what was answered before: 1,000 records left"
    step(shards[TP0], 400)
    step(shards[TP1], 20)
    clock.now = 15.0
    line = progress.line(shards)
    assert line.startswith(
        "replays what was answered before: 600 records left, 15 s more at this pace; 20 records in 10 s"
    )
    step(shards[TP0], 600)
    shards[TP0].note_replayed()
    clock.now = 25.0
    assert progress.line(shards) == ""


def test_metrics_of_partitions_that_differ_are_told_from_the_lowest_to_the_highest(shards: dict[TP, Shard]) -> None:
    """One that has judged no answer yet has none."""
    tally = Tally()
    tally.hold(shards)
    progress = Progress(tally, lambda _: {}, Clock())
    step(shards[TP0], 400)
    assert " to " not in progress.line(shards)
    step(shards[TP1], 3, wrong=True)
    assert " to " in progress.line(shards).partition("accuracy ")[2].partition(";")[0]
