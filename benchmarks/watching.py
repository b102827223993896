"""What it costs to watch, how often it is wrong while nothing moves, and how soon it sees that something did.

    python -m benchmarks.watching --seeds 5

Twenty AR(1) features; false alarms in a world that stands still, by their autocorrelation; the delay until one feature
that moves by one standard deviation is named; and what `Task.step` and the model alone cost with and without. Prints
lines of JSON. `--flights` adds a year of real ones: which features move, and when.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator
from itertools import islice
from statistics import median
from typing import Any

import orjson
from river import base, linear_model

from riverrun import Label, ObserveOnly, Pipeline, Watch
from schemas.data_drift import DataDrifted
from schemas.record import Record
from streams.task import Task

NAMES = [f"f{i}" for i in range(20)]
CHUNK, CHUNKS = 4000, 25


class Silent(base.Classifier):
    """Has no answer, and takes no time."""

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        """Learn nothing."""

    def predict_one(self, x: dict[str, Any]) -> Any:
        """Return nothing."""
        return None


def declared(watch: Watch | None, model: Any) -> Pipeline:
    """Return a pipeline of twenty numbers."""
    return Pipeline("p", dict.fromkeys(NAMES, float), Label("y"), model, policy=ObserveOnly(), watch=watch)


def wandering(phi: float, seed: int) -> Iterator[list[float]]:
    """Yield twenty AR(1) features of variance 1."""
    rng, fresh = random.Random(f"{phi}/{seed}"), (1 - phi * phi) ** 0.5
    values = [rng.gauss(0, 1) for _ in NAMES]
    while True:
        values = [phi * value + fresh * rng.gauss(0, 1) for value in values]
        yield values


def record(offset: int, values: list[float]) -> Record:
    """Return an event with its label."""
    fields = {**dict(zip(NAMES, values, strict=True)), "y": values[0] + values[1] > 0}
    return Record("p.raw", 0, offset, 0, None, orjson.dumps(fields))


def alarms(phi: float, seed: int, events: int, *, at: int | None = None, ramp: int = 1) -> list[DataDrifted]:
    """Return what is said of a stream in which nothing moves, or one feature by one standard deviation."""
    task, said = Task(declared(Watch(features=NAMES), Silent())), []
    for i, values in enumerate(islice(wandering(phi, seed), events)):
        if at is not None:
            values = [*values]
            values[7] += min(1.0, max(0, i + 1 - at) / ramp)
        said += [event for event in task.step(record(i, values)) if isinstance(event, DataDrifted)]
    return said


def costs(every: int) -> dict[str, Any]:
    """Return the processor time of a step with and without, and of the model alone, in microseconds."""
    plain, watched = (Task(declared(watch, linear_model.LogisticRegression())) for watch in (None, Watch(every=every)))
    model, rows, offset = linear_model.LogisticRegression(), wandering(0.5, 1), 0
    spent: dict[str, list[float]] = {"model": [], "step": [], "watched": []}
    worst = 0.0
    for _ in range(CHUNKS):
        values = list(islice(rows, CHUNK))
        records = [record(offset + i, row) for i, row in enumerate(values)]
        offset += CHUNK
        for name, task in (("step", plain), ("watched", watched)):
            began = time.process_time()
            for one in records:
                task.step(one)
            spent[name].append(time.process_time() - began)
        xs = [dict(zip(NAMES, row, strict=True)) for row in values]
        began = time.process_time()
        for x in xs:
            model.predict_proba_one(x)
            model.learn_one(x, x["f0"] + x["f1"] > 0)
        spent["model"].append(time.process_time() - began)
    for values_ in islice(rows, 5000):
        one = record(offset, values_)
        offset += 1
        began = time.process_time()
        watched.step(one)
        worst = max(worst, time.process_time() - began)
    extra = [b - a for a, b in zip(spent["step"], spent["watched"], strict=True)]
    micro = {name: round(median(times) / CHUNK * 1e6, 2) for name, times in spent.items()}
    per_model = median(e / m for e, m in zip(extra, spent["model"], strict=True))
    per_step = median(e / s for e, s in zip(extra, spent["step"], strict=True))
    return {
        "every": every,
        "microseconds": micro,
        "extra_by_feature": round(median(extra) / CHUNK / len(NAMES) * 1e6, 3),
        "extra_over_model": round(per_model, 2),
        "extra_over_step": round(per_step, 2),
        "longest_step_ms": round(worst * 1000, 1),
    }


def flights() -> dict[str, Any]:
    """Return what is said of a year of real flights, and how many there were."""
    from dataclasses import replace

    from examples.flights import pipeline
    from services.flights import flight_log

    task, said = Task(replace(pipeline, watch=Watch(window=10_000, every=10), policy=ObserveOnly())), []
    for i, line in enumerate(flight_log()):
        one = Record(pipeline.source_topic, 0, i, 0, line.key, line.value, line.headers)
        said += [event for event in task.step(one) if isinstance(event, DataDrifted)]
    moves = [
        {"time": event.time, "moved": [f"{s.name}: {s.what} (q={s.q:.1g})" for s in event.moved]} for event in said
    ]
    return {"flights": task.books.count["scored"], "alarms": len(said), "moves": moves}


def main() -> None:
    """Print all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--flights", action="store_true")
    arguments = parser.parse_args()
    for every in (1, 4, 10):
        print(orjson.dumps(costs(every)).decode(), flush=True)
    for phi in (0.0, 0.5, 0.9, 0.99, 0.995):
        false = sum(len(alarms(phi, seed, arguments.events)) for seed in range(arguments.seeds))
        row = {"phi": phi, "records": arguments.seeds * arguments.events, "false_alarms": false}
        print(orjson.dumps(row).decode(), flush=True)
    for phi, ramp in ((0.0, 1), (0.0, 5000), (0.5, 1), (0.9, 1)):
        found = [
            (20_000 + 777 * s, alarms(phi, s, 50_000, at=20_000 + 777 * s, ramp=ramp)) for s in range(arguments.seeds)
        ]
        delays = [event.offset - at for at, said in found for event in said]
        named = [[signal.name for signal in event.moved] == ["f7"] for _, said in found for event in said]
        row = {
            "phi": phi,
            "ramp": ramp,
            "streams": len(found),
            "alarms": len(delays),
            "delays": delays,
            "right": sum(named),
        }
        print(orjson.dumps(row).decode(), flush=True)
    if arguments.flights:
        print(orjson.dumps(flights()).decode(), flush=True)


if __name__ == "__main__":
    main()
