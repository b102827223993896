"""The limit: the same work on the same records in a plain loop, without Kafka.

Run as a child process so that its CPU time and memory are its own; prints one JSON object.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import orjson

from benchmarks import records
from benchmarks.child import peak_rss_megabytes
from benchmarks.partitioner import partition_of
from benchmarks.verdict import Output, judge
from benchmarks.work import MODEL_NAMES, Steps


def fold(payloads: list[bytes], routes: list[int], steps: Steps, start: int) -> Iterator[Output]:
    """Yield what a contestant would have produced, record by record."""
    for offset, (payload, partition) in enumerate(zip(payloads, routes, strict=True), start):
        yield partition, records.key_of(payload), steps[partition](payload, partition, offset)


def spend(payloads: list[bytes], routes: list[int], steps: Steps, start: int) -> None:
    """Do the work and keep nothing: what is kept costs page faults (4 KB an output) that no contestant has."""
    for offset, (payload, partition) in enumerate(zip(payloads, routes, strict=True), start):
        steps[partition](payload, partition, offset)


def measure(payloads: list[bytes], model: str, warm_up: int, measured: int, partitions: int) -> dict[str, object]:
    """Spend the warm-up, then some under the clock; then fold all once more, off the clock, for the verdict.

    Parameters
    ----------
    payloads
        JSON records in input order.
    model
        One of `benchmarks.work.MODEL_NAMES`.
    warm_up
        How many of the first records are outside the measure.
    measured
        How many of the next ones are within it.
    partitions
        One fold each, as a worker keeps one model a partition.
    """
    routes = [partition_of(records.key_of(payload), partitions) if partitions > 1 else 0 for payload in payloads]
    steps = Steps(model)
    spend(payloads[:warm_up], routes[:warm_up], steps, 0)
    end = warm_up + measured
    timed, timed_routes = payloads[warm_up:end], routes[warm_up:end]
    cpu, wall = time.process_time(), time.perf_counter()
    spend(timed, timed_routes, steps, warm_up)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    figures = {
        "cpu_seconds_per_100k": cpu / measured * 1e5,
        "records_per_second": measured / wall,
        "peak_rss_megabytes": peak_rss_megabytes(),
    }
    return figures | vars(judge(payloads, fold(payloads, routes, Steps(model), 0)))


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", choices=MODEL_NAMES, required=True)
    parser.add_argument("--warm-up", type=int, required=True)
    parser.add_argument("--measured", type=int, required=True)
    parser.add_argument("--partitions", type=int, default=1)
    arguments = parser.parse_args()
    payloads = records.load(arguments.data)
    figures = measure(payloads, arguments.model, arguments.warm_up, arguments.measured, arguments.partitions)
    print(orjson.dumps(figures).decode())


if __name__ == "__main__":
    main()
