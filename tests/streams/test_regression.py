"""Drift of a regression: the unit of its loss is the stream's, and follows the champion."""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from river import linear_model, preprocessing

from riverrun import BackgroundChallenger, ChampionVersions, Label, ObserveOnly, Pipeline, Pool
from schemas.events import DriftDetected, ModelPromoted, ModelRetrained, ModelRolledBack
from tests.streams.logs import Fold, Log

CHANGES = (ModelPromoted, ModelRetrained, ModelRolledBack)


def world(*weights: tuple[float, float], length: int = 2000, of: Callable[[int, float], float], late: int = 0) -> Log:
    """Return a log in which the weights of two features change; ``of`` makes the label of place and target."""
    rng, log, labels = random.Random(1), Log(), list[float]()
    for place in range(length * len(weights)):
        first, second = weights[place // length]
        a, b = rng.gauss(0, 1), rng.gauss(0, 1)
        labels.append(of(place, first * a + second * b + rng.gauss(0, 1)))
        log.event({"a": a, "b": b}, f"e{place}", **({} if late else {"y": labels[-1]}))
        if late and place >= late:
            log.label(f"e{place - late}", labels[place - late])
    return log


def folded(log: Log, policy: Any, late: int = 0) -> Fold:
    """Return the fold of a log by a linear regression."""
    label = Label("y", type=float, ttl=timedelta(days=1) if late else None)
    model = preprocessing.StandardScaler() | linear_model.LinearRegression()
    pipeline = Pipeline("p", features={"a": float, "b": float}, label=label, model=model, policy=policy)
    return Fold(pipeline, log.records)


def places(fold: Fold, kinds: Any) -> list[int]:
    """Return the offsets at which events of these kinds were said."""
    return [event.offset for event in fold.lifecycle if isinstance(event, kinds)]


@pytest.mark.parametrize("factor", [0.01, 0.1, 1, 10, 100])
def test_drift_is_seen_after_the_target_has_shrunk_or_grown(factor: float) -> None:
    """The unit was a champion's for life: with a target of a tenth a loss rose from .026 to .059, and nobody saw it."""
    worlds = ((6, 1), (6, 1), (-6, 1), (6, 1))
    log = world(*worlds, of=lambda place, y: y * (factor if place >= 2000 else 1))
    seen = places(folded(log, ObserveOnly()), DriftDetected)
    for change in (4000, 6000):
        assert any(change < offset < change + 200 for offset in seen), seen


@pytest.mark.parametrize("far", [30, 1000])
def test_drift_is_seen_where_the_target_is_far_from_0(far: float) -> None:
    """The first answers, of a model that knows nothing, are as wrong as the target is large."""
    log = world((6, 1), (-6, 1), length=3000, of=lambda _, y: y + far)
    assert any(3000 < offset < 3200 for offset in places(folded(log, ObserveOnly()), DriftDetected))


def test_unit_of_a_new_champion_is_not_that_of_answers_of_the_one_before() -> None:
    """With labels 300 late its first 300 labels are about its predecessor's answers, to another world."""
    log = world((2, 1), (-2, 1), of=lambda _, y: y, late=300)
    fold = folded(log, BackgroundChallenger(), late=300)
    [retrained] = places(fold, ModelRetrained)
    unit = fold.task.loss._unit
    assert unit is not None
    assert retrained > 4000
    assert 2 < unit < 4


@pytest.mark.parametrize("policy", [ChampionVersions(), Pool()])
def test_old_world_is_answered_soon_after_a_new_champion_has_begun(policy: Any) -> None:
    """The unit is there from its first answer on: nobody is blind for 200 labels after each change."""
    log = world((6, 1), (-6, 1), (6, 1), length=1500, of=lambda _, y: y)
    changed = places(folded(log, policy), CHANGES)
    for change in (1500, 3000):
        assert any(change < offset < change + 150 for offset in changed), changed
