"""What a model per key costs: time of a record, bytes of a snapshot, memory of an entity.

    python -m benchmarks.per_key

``StandardScaler | LogisticRegression`` of nine features. `Task.step` with one model, with a thousand models, with a
thousand and the shared one, and where every tenth record is of an entity that has to make room for another; beside them
a dict of River models by hand. All in turns, over the same records. Then the snapshot of so many entities.
Prints lines of JSON.
"""

from __future__ import annotations

import argparse
import gc
import random
import resource
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import orjson
from river import linear_model, preprocessing

from riverrun import Label, ObserveOnly, PerKey, Pipeline
from schemas.record import Record
from streams import pickling
from streams.entity_models import EntityModels
from streams.task import Task
from streams.worker.forked import checkpoint

NAMES = [f"f{i}" for i in range(9)]
CHUNK, CHUNKS = 4000, 15


def model() -> Any:
    """Return the model."""
    return preprocessing.StandardScaler() | linear_model.LogisticRegression()


def declared(model_per: PerKey | None) -> Pipeline:
    """Return a pipeline of nine numbers whose labels come with them."""
    features = dict.fromkeys(NAMES, float)
    return Pipeline("p", features, Label("y"), model(), policy=ObserveOnly(), model_per=model_per)


def rows(keys: int, strangers: float, seed: int = 1) -> Iterator[tuple[bytes, dict[str, float], bool]]:
    """Yield key, features and label; some keys are never seen again."""
    rng, number = random.Random(seed), 0
    while True:
        x = {name: rng.gauss(0, 1) for name in NAMES}
        number += 1
        key = b"new-%d" % number if rng.random() < strangers else b"key-%d" % rng.randrange(keys)
        yield key, x, x["f0"] + x["f1"] > 0


def stepping(task: Task) -> Callable[[list[Record]], None]:
    """Return what steps through records."""

    def run(records: list[Record]) -> None:
        for record in records:
            task.step(record)

    return run


def by_hand(records: list[tuple[bytes, dict[str, float], bool]], models: dict[bytes, Any]) -> None:
    """Ask and teach River's own models, one for each key."""
    for key, x, y in records:
        one = models.get(key)
        if one is None:
            one = models[key] = model()
        one.predict_proba_one(x)
        one.learn_one(x, y)


def costs(keys: int) -> dict[str, Any]:
    """Return the processor time of a record in microseconds, by what is done with it, and the ratios to one model."""
    ways: dict[str, tuple[PerKey | None, float]] = {
        "one model": (None, 0.0),
        "per key": (PerKey(most=keys, min_learned=0), 0.0),
        "per key and shared": (PerKey(most=keys), 0.0),
        "per key, a tenth new": (PerKey(most=keys, min_learned=0), 0.1),
    }
    runs = {
        name: (stepping(Task(declared(bounds), checkpoint=checkpoint)), rows(keys, strangers))
        for name, (bounds, strangers) in ways.items()
    }
    alone, many, plain = {b"": model()}, dict[bytes, Any](), rows(keys, 0.0)
    spent: dict[str, list[float]] = {name: [] for name in (*runs, "River, one", "River, by key")}
    warm = 1 + 10 * keys // CHUNK
    for chunk in range(warm + CHUNKS):
        for name, (run, source) in runs.items():
            records = [
                Record("p.raw", 0, chunk * CHUNK + i, 0, key, orjson.dumps({**x, "y": y}))
                for i, (key, x, y) in enumerate(islice(source, CHUNK))
            ]
            spent[name].append(timed(lambda run=run, records=records: run(records)))
        bare = list(islice(plain, CHUNK))
        spent["River, by key"].append(timed(lambda bare=bare: by_hand(bare, many)))
        spent["River, one"].append(timed(lambda bare=bare: by_hand([(b"", x, y) for _, x, y in bare], alone)))
    micro = {name: round(median(times[warm:]) / CHUNK * 1e6, 2) for name, times in spent.items()}
    ratios = {
        name: round(median(a / b for a, b in zip(spent[name][warm:], spent["one model"][warm:], strict=True)), 2)
        for name in runs
    }
    return {"keys": keys, "microseconds": micro, "over_one_model": ratios}


def timed(run: Callable[[], None]) -> float:
    """Return the processor time that something takes, in seconds."""
    began = time.process_time()
    run()
    return time.process_time() - began


def sizes(keys: int) -> dict[str, Any]:
    """Return what entities take in memory and in a snapshot, and how long it takes to write and to read them."""
    before = rss_bytes()
    models = EntityModels(model(), keys, 0)
    for i, (_, x, y) in enumerate(islice(rows(1, 0.0), 10 * keys)):
        [one], own = models.learning({**x, "": f"key-{i % keys}"})
        one.learn_one(own, y)
    grown = rss_bytes() - before
    data: list[bytes] = []
    writing = timed(lambda: data.append(pickling.dumps(models)))
    reading = timed(lambda: pickling.loads(data[0]) and None)
    return {
        "entities": keys,
        "snapshot_bytes_an_entity": round(len(data[0]) / keys),
        "memory_bytes_an_entity": round(grown / keys),
        "writing_milliseconds": round(writing * 1e3, 1),
        "reading_milliseconds": round(reading * 1e3, 1),
    }


def rss_bytes() -> int:
    """Return the resident set now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def main() -> None:
    """Print all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--keys", type=int, default=1000)
    arguments = parser.parse_args()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)  # as in a worker
    print(orjson.dumps(sizes(arguments.keys)).decode(), flush=True)
    print(orjson.dumps(costs(arguments.keys)).decode(), flush=True)


if __name__ == "__main__":
    main()
