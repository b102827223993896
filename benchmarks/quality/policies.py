"""riverrun's policies, played through the very task that a worker runs."""

from __future__ import annotations

import gc
import time
from datetime import timedelta
from typing import Any

import orjson
from msgspec import Struct

from benchmarks.quality.worlds import Stream, World
from riverrun import BackgroundChallenger, ChampionVersions, Label, ObserveOnly, Pipeline, Pool, ResetOnDrift
from schemas import cloudevents as ce
from schemas.events import DriftDetected, ModelPromoted, ModelRetrained, ModelRolledBack, PredictionMade
from schemas.record import Headers, Record
from streams.task import Task

POLICIES: dict[str, Any] = {
    "observe only": ObserveOnly(),
    "reset on drift": ResetOnDrift(),
    "background challenger": BackgroundChallenger(),
    "champion versions": ChampionVersions(),
    "pool": Pool(),
}


class Game(Struct):
    """What came of a policy in a world.

    Parameters
    ----------
    right
        Whether each answer was right.
    actions
        Changes of the champion.
    suppressed
        Labelled events at which the life cycle held a better model back.
    detections
        Places of the events at whose labels drift was detected.
    cpu_seconds
        Processor time.
    slowest_ms
        Processor time of the longest step, with the collector of garbage set as a worker sets it.
    """

    right: list[bool]
    actions: int
    suppressed: int = 0
    detections: list[int] = []
    cpu_seconds: float = 0.0
    slowest_ms: float = 0.0


def play(policy: Any, world: World, stream: Stream, base: str) -> Game:
    """Fold a stream as a worker would."""
    (x, y), late = stream.examples[0], world.labels_after
    label = Label("y", type=type(y), ttl=timedelta(days=1) if late else None)
    pipeline = Pipeline(
        "quality", features=dict.fromkeys(x, float), label=label, model=world.fresh(base), policy=policy
    )
    task = Task(pipeline)
    answers: dict[str, Any] = {}
    game = Game([], 0)
    records = _records(stream, late)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    began = time.process_time()
    for record, place in records:
        start = time.process_time()
        events = task.step(record)
        game.slowest_ms = max(game.slowest_ms, 1000 * (time.process_time() - start))
        for event in events:
            if isinstance(event, PredictionMade):
                answers[event.id] = event.prediction
            elif isinstance(event, DriftDetected):
                game.detections.append(place)
            elif isinstance(event, (ModelPromoted, ModelRolledBack)) or (
                isinstance(event, ModelRetrained) and task.lifecycle.shadows.contest is None
            ):
                game.actions += 1
    game.cpu_seconds = time.process_time() - began
    game.suppressed = task.books.count["action_suppressed"]
    game.right = [answers[str(place)] == y for place, (_, y) in enumerate(stream.examples)]
    return game


def _records(stream: Stream, late: int) -> list[tuple[Record, int]]:
    """Return the log of a stream, each record with the place of the event it is or is about."""
    log: list[tuple[Record, int]] = []

    def append(value: dict[str, Any], headers: Headers, place: int) -> None:
        offset = len(log)
        log.append((Record("quality.raw", 0, offset, offset, None, orjson.dumps(value), headers), place))

    def label(place: int) -> None:
        if place >= 0 and place not in stream.missing:
            append({"id": str(place), "y": stream.examples[place][1]}, [("ce_type", ce.LABEL.encode())], place)

    for place, (x, y) in enumerate(stream.examples):
        for _ in range(1 + (place in stream.repeated)):
            append(x if late else {**x, "y": y}, [("ce_id", str(place).encode())], place)
        if late:
            label(place - late)
    for place in range(len(stream.examples) - late, len(stream.examples) if late else 0):
        label(place)
    return log
