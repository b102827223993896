"""riverrun's policies, played through the very task that a worker runs."""

from __future__ import annotations

import gc
import random
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import orjson
from msgspec import Struct, field

from benchmarks.quality.stopwatch import CALM, READING_NS, REPLACED, SHADOWS, Meter, Timing, now_ns
from benchmarks.quality.worlds import Stream, World
from riverrun import BackgroundChallenger, ChampionVersions, Drift, Label, ObserveOnly, Pipeline, Pool, ResetOnDrift
from schemas import cloudevents as ce
from schemas.events import (
    ActionSuppressed,
    DriftDetected,
    ModelPromoted,
    ModelRetrained,
    ModelRolledBack,
    PredictionMade,
)
from schemas.record import Headers, Record
from streams.task import Task

OBSERVER = "observe only"
POLICIES: dict[str, Any] = {
    OBSERVER: ObserveOnly(),
    "reset on drift": ResetOnDrift(),
    "background challenger": BackgroundChallenger(),
    "champion versions": ChampionVersions(),
    "pool": Pool(),
}
#: Records that one policy takes before it is the next one's turn: what else the machine does meets all alike.
_TURN = 500


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
    held
        Models that were held back, by the reason; each counts once until the champion changes.
    detections
        Places of the events at whose labels drift was detected.
    crowned
        Of each change of the champion the place, the examples that the new one had learned, and whether it had never
        served before.
    cpu_seconds
        Processor time.
    slowest_ms
        Processor time of the longest step, with the collector of garbage set as a worker sets it: where it runs within
        a step, it counts, and looks through what the policy has made in its turn.
    timing
        Of each step, and what stood beside the champion.
    """

    right: list[bool]
    actions: int
    suppressed: int = 0
    held: dict[str, int] = field(default_factory=dict)
    detections: list[int] = field(default_factory=list)
    crowned: list[tuple[int, int, bool]] = field(default_factory=list)
    cpu_seconds: float = 0.0
    slowest_ms: float = 0.0
    timing: Timing | None = None


class _Player:
    """One policy's task, and what it does."""

    def __init__(self, name: str, pipeline: Pipeline, meter: Meter | None = None) -> None:
        self.name, self.meter = name, meter
        self._task = Task(pipeline)
        self._first = self._task.lifecycle.champion
        self._answers: dict[str, Any] = {}
        self._game = Game([], 0, timing=Timing())

    def take(self, records: Sequence[tuple[Record, int]]) -> None:
        """Step through the next records of the log."""
        timing, step, meter = self._game.timing or Timing(), self._task.step, self.meter
        beside = self._beside()
        with meter or nullcontext():
            for record, place in records:
                if meter is not None:
                    meter.spent_ns = 0
                start = now_ns()
                events = step(record)
                timing.steps_ns.append(max(0, now_ns() - start - READING_NS))
                # A step after which there are shadows has made them, or is about them.
                before, beside = beside, self._beside()
                timing.beside.append(max(before, beside))
                if meter is not None:
                    timing.models_ns.append(meter.spent_ns)
                for event in events:
                    self._note(event, place)

    def _beside(self) -> int:
        lifecycle = self._task.lifecycle
        contest = lifecycle.shadows.contest
        if (contest is not None and contest.is_awake) or len(lifecycle.learners) > 1:
            return SHADOWS
        return CALM if lifecycle.champion is self._first else REPLACED

    def _note(self, event: Any, place: int) -> None:
        game, lifecycle = self._game, self._task.lifecycle
        if isinstance(event, PredictionMade):
            self._answers[event.id] = event.prediction
        elif isinstance(event, DriftDetected):
            game.detections.append(place)
        elif isinstance(event, ActionSuppressed):
            game.held[event.reason] = game.held.get(event.reason, 0) + 1
        elif isinstance(event, (ModelPromoted, ModelRolledBack)) or (
            isinstance(event, ModelRetrained) and lifecycle.shadows.contest is None
        ):
            game.actions += 1
            game.crowned.append((place, event.learned, not isinstance(event, ModelRolledBack)))

    def ended(self, stream: Stream) -> Game:
        """Return what came of it."""
        game = self._game
        steps = game.timing.steps_ns if game.timing else []
        game.cpu_seconds, game.slowest_ms = sum(steps) / 1e9, max(steps) / 1e6
        game.suppressed = self._task.books.count["action_suppressed"]
        game.right = [self._answers[str(place)] == y for place, (_, y) in enumerate(stream.examples)]
        return game


def play(
    declared: Mapping[str, Any], world: World, stream: Stream, base: str, *, metered: bool = False
) -> tuple[dict[str, Game], dict[str, Game]]:
    """Fold a stream as workers would, one for each policy, which take turns.

    Parameters
    ----------
    declared
        Policies by name.
    world, stream, base
        What they are played in, and with which model.
    metered
        Whether each that has, or needs, it is played once more to measure what its models take: that takes time itself.

    Returns
    -------
    The games by name, and the metered ones.
    """
    late = world.labels_after
    records = records_of_stream(stream, late)
    players = [_Player(name, _pipeline(policy, world, stream, base)) for name, policy in declared.items()]
    if metered and OBSERVER in declared:
        players += [
            _Player(name, _pipeline(policy, world, stream, base), Meter())
            for name, policy in declared.items()
            if isinstance(policy, (ObserveOnly, ChampionVersions))
        ]
    rng = random.Random(world.name)
    gc.collect()
    gc.set_threshold(50_000, 20, 50)
    try:
        for first in range(0, len(records), _TURN):
            turn = records[first : first + _TURN]
            # In no order: caches are as the one before has left them.
            for player in rng.sample(players, len(players)):
                gc.freeze()  # a collection within a step meets what its policy has made, not what all of them have
                player.take(turn)
    finally:
        gc.unfreeze()
    plain = {player.name: player.ended(stream) for player in players if player.meter is None}
    return plain, {player.name: player.ended(stream) for player in players if player.meter is not None}


def _pipeline(policy: Any, world: World, stream: Stream, base: str) -> Pipeline:
    x, y = stream.examples[0]
    label = Label("y", type=type(y), ttl=timedelta(days=1) if world.labels_after else None)
    # Whoever knows that neighbouring losses resemble each other declares it.
    drift, features = Drift(blocks="auto" if world.row == "autocorrelated" else 1), dict.fromkeys(x, float)
    return Pipeline("quality", features=features, label=label, model=world.fresh(base), drift=drift, policy=policy)


def records_of_stream(stream: Stream, late: int) -> list[tuple[Record, int]]:
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
