"""One contestant, one model, one fresh broker: how much CPU a record costs once it is up."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import topics
from benchmarks.broker import Engine, fresh_broker
from benchmarks.child import Child
from benchmarks.contestants import Contestant, Job
from benchmarks.verdict import judge

WATCH_INTERVAL_SECONDS = 0.02
AHEAD_RECORDS = 12_000
SETTLE_SECONDS = 0.2


class RaceError(Exception):
    """A contestant ended, stalled or took too long; the message says which and how far it came."""


@dataclass(frozen=True)
class Course:
    """The records of a race and its limits.

    Parameters
    ----------
    payloads
        JSON records in input order: warm-up, measured records, and a tail.
    warm_up
        Outputs before the measure begins.
    measured
        Outputs after which it ends. What is left, the tail, keeps a client from reaching the end of the log under the
        clock: the development broker answers a fetch there at once, so that a client asks without a pause.
    partitions
        Of the input and of the output topic.
    timeout_seconds
        For the whole race, start-up included.
    engine
        What runs as broker.
    """

    payloads: list[bytes]
    warm_up: int
    measured: int
    partitions: int
    timeout_seconds: float
    engine: Engine = Engine.EMBEDDED


@dataclass(frozen=True)
class Instant:
    """How far a contestant has come, and what it has used."""

    wall_seconds: float
    cpu_seconds: float
    outputs: int


def race(contestant: Contestant, model: str, course: Course) -> dict[str, object]:
    """Run a contestant over a course and return its figures.

    Raises
    ------
    RaceError
        If it does not finish.
    """
    with fresh_broker(course.engine) as bootstrap, TemporaryDirectory() as folder:
        job = Job(bootstrap, model)
        topics.create(bootstrap, job.topics, course.partitions)
        feed = topics.Feed(bootstrap, job.in_topic, course.payloads)
        feed.up_to(course.warm_up)
        child = Child(contestant.command(job), Path(folder) / "log", contestant.environment(job))
        try:
            # What is not committed counts: else the driver falls behind, and the contestant waits for it.
            with topics.Watch(bootstrap, job.out_topic, course.partitions, "read_uncommitted") as watch:
                figures = _measure(child, watch, feed, course)
        finally:
            child.stop()
        outputs = topics.read(bootstrap, job.out_topic, course.partitions, len(course.payloads))
        return figures | vars(judge(course.payloads, outputs))


def _measure(child: Child, watch: topics.Watch, feed: topics.Feed, course: Course) -> dict[str, object]:
    """Take an instant after the warm-up and one at the end; the difference is the measure.

    Before the first one the contestant is held while the driver puts records before it: clients fetch ahead, and what
    was there from the start would have been fetched before the measure began. From then on the driver stays some
    records ahead, as a producer does: the development broker answers a fetch with all there is, and a backlog of 100k
    records fetched in one piece is out of every cache when its turn comes.
    """
    deadline = time.monotonic() + course.timeout_seconds

    def keep_ahead() -> int:
        count = watch.count()
        feed.up_to(count + AHEAD_RECORDS)
        return count

    wait_for(child, watch.count, course.warm_up, deadline)
    time.sleep(SETTLE_SECONDS)
    child.pause()
    start = instant(child, keep_ahead())
    child.resume()
    end = wait_for(child, keep_ahead, course.warm_up + course.measured, deadline)
    measured = end.outputs - start.outputs
    figures = {
        "cpu_seconds_per_100k": (end.cpu_seconds - start.cpu_seconds) / measured * 1e5,
        "records_per_second": measured / (end.wall_seconds - start.wall_seconds),
        "peak_rss_megabytes": child.peak_rss_megabytes(),
    }
    wait_for(child, keep_ahead, len(course.payloads), deadline)
    return figures


def instant(child: Child, outputs: int) -> Instant:
    """Read the clocks."""
    return Instant(time.perf_counter(), child.cpu_seconds(), outputs)


def wait_for(
    child: Child, count: Callable[[], int], target: int, deadline: float, every_seconds: float = WATCH_INTERVAL_SECONDS
) -> Instant:
    """Ask every 20 ms, or as often as told, until `target` outputs are there.

    Raises
    ------
    RaceError
        If the process ends or the deadline (`time.monotonic`) passes first.
    """
    while (outputs := count()) < target:
        if not child.running:
            raise RaceError(f"ended after {outputs} of {target} outputs: {child.last_words()}")
        if time.monotonic() > deadline:
            raise RaceError(f"timed out after {outputs} of {target} outputs: {child.last_words()}")
        time.sleep(every_seconds)
    return instant(child, outputs)
