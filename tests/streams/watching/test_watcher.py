"""What moved is named before any label has come; what stands still is calm; nothing else changes."""

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from river import base, linear_model

from riverrun import Label, ObserveOnly, Pipeline, Watch
from schemas.data_drift import DataDrifted
from streams.task import Task
from tests.streams.kept import Kept
from tests.streams.logs import Fold, Log

NAMES = [f"f{i}" for i in range(20)]
QUICK = Watch(window=100, every=1)


def declared(watch: Watch | None = QUICK, **changes: Any) -> Pipeline:
    """Return a pipeline of twenty numbers, whose labels come a day late or never."""
    arguments: dict[str, Any] = {
        "features": dict.fromkeys(NAMES, float),
        "label": Label("y", ttl=timedelta(days=1)),
        "model": linear_model.LogisticRegression(),
        "policy": ObserveOnly(),
        "watch": watch,
    }
    return Pipeline("p", **{**arguments, **changes})


def wandering(phi: float, seed: int) -> Iterator[dict[str, float]]:
    """Yield twenty AR(1) features of variance 1."""
    rng, fresh = random.Random(f"{phi}/{seed}"), (1 - phi * phi) ** 0.5
    values = [rng.gauss(0, 1) for _ in NAMES]
    gauss = rng.gauss
    while True:
        values = [phi * value + fresh * gauss(0, 1) for value in values]
        yield dict(zip(NAMES, values, strict=True))


def drifts(fold: Fold) -> list[DataDrifted]:
    """Return what was said of moves."""
    return [event for event in fold.lifecycle if isinstance(event, DataDrifted)]


def shifted(at: int, events: int, *, ramp: int = 1, by: float = 1.0, seed: int = 1) -> Log:
    """Return a log in which one feature of twenty moves by as many standard deviations."""
    log, rows = Log(), wandering(0.0, seed)
    for i in range(events):
        x = next(rows)
        x["f7"] += by * min(1.0, max(0, i + 1 - at) / ramp)
        log.event(x, f"e{i}", time_ms=i)
    return log


@pytest.mark.parametrize("ramp", [1, 2000])
def test_shift_of_one_feature_by_one_deviation_is_found_named_and_told_once(ramp: int) -> None:
    """Within two windows at the default settings, and two of 1,000 more where it takes two of them to come."""
    at = 20_300
    fold = Fold(declared(Watch()), shifted(at, 40_000 if ramp == 1 else 42_000, ramp=ramp).records)
    [event] = drifts(fold)
    assert [(signal.name, signal.what) for signal in event.moved] == [("f7", "location")]
    assert at < event.offset < at + 2000 + (ramp if ramp > 1 else 0)
    assert (event.count, event.watched, event.rate) == (1, 21, 0.01)
    assert event.window_offset < event.window_end < event.next_offset <= event.offset
    [moved] = event.moved
    assert moved.q <= event.rate
    assert moved.before["mean"] == pytest.approx(0.0, abs=0.1)
    assert moved.after["mean"] > 0.3


@pytest.mark.parametrize("phi", [0.0, 0.9, 0.99])
def test_autocorrelated_features_raise_no_alarm(phi: float) -> None:
    """Wanted: no more than one in 10,000 records; 60,000 records of twenty features here."""
    alarms = 0
    for seed in range(2):
        fold, log, rows = Fold(declared(Watch(features=NAMES), model=Silent())), Log(), wandering(phi, seed)
        for i in range(30_000):
            fold.step(log.event(next(rows), f"e{i}", time_ms=i))
        alarms += len(drifts(fold))
    assert alarms == 0


class Silent(base.Classifier):
    """Has no answer, and takes no time."""

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        """Learn nothing."""

    def predict_one(self, x: dict[str, Any]) -> Any:
        """Return nothing."""
        return None


class Told(base.Classifier):
    """Gives the probability that it is told to."""

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        """Learn nothing."""

    def predict_proba_one(self, x: dict[str, Any]) -> dict[bool, float]:
        """Return what stands in the event."""
        return {True: x["says"], False: 1.0 - x["says"]}


def test_predictions_are_watched() -> None:
    """A model that has become surer, on inputs that are not watched."""
    rng, log = random.Random(1), Log()
    for i in range(2000):
        log.event({"says": rng.betavariate(2, 2) if i < 1500 else rng.betavariate(9, 2), "b": 1.0}, f"e{i}")
    watched = declared(Watch(window=100, every=1, features=["b"]), features={"says": float, "b": float}, model=Told())
    [event] = drifts(Fold(watched, log.records))
    assert [(signal.name, signal.kind) for signal in event.moved] == [("prediction", "prediction:number")]
    assert (event.watched, 1500 <= event.offset < 1700) == (2, True)


def test_clearest_moves_are_named_first_and_no_more_than_twenty() -> None:
    """The rest are counted."""
    names = [f"n{i}" for i in range(30)]
    rng, log = random.Random(1), Log()
    for i in range(1400):
        by = 0.0 if i < 1300 else 1.0
        log.event({name: rng.gauss(by * (1 + j % 3), 1) for j, name in enumerate(names)}, f"e{i}")
    for i in range(40):
        log.event(dict.fromkeys(names, 0.0), f"late{i}")
    fold = Fold(declared(features=dict.fromkeys(names, float), model=Silent()), log.records)
    [event] = drifts(fold)
    assert (len(event.moved), event.count) == (20, 30)
    assert [signal.q for signal in event.moved] == sorted(signal.q for signal in event.moved)
    assert int(event.moved[0].name[1:]) % 3 == 2


def test_answers_are_the_same_with_and_without() -> None:
    """To watch changes no prediction, no count and no metric."""
    records = shifted(1500, 2500).records
    watched, bare = Fold(declared(), records), Fold(declared(None), records)
    assert watched.digest == bare.digest
    assert watched.counts == bare.counts
    assert drifts(watched)
    assert bare.task.watcher is None


def test_champion_that_changes_begins_a_new_reference_of_predictions() -> None:
    """What another model answers is no move."""
    records = shifted(10**9, 1250).records
    fold = Fold(declared(), records)
    assert fold.task.watcher is not None
    assert "prediction" not in fold.task.watcher.unsettled
    fold.task.lifecycle.renew("reason", len(records), at_once=True)
    log = shifted(10**9, 1700)
    fold.step_all(log.records[1250:1500])
    assert "prediction" in fold.task.watcher.unsettled
    assert drifts(fold) == []


@pytest.mark.parametrize("at", [1400, 1420])
def test_answers_of_another_champion_are_held_against_no_other(at: int) -> None:
    """It changes between two windows, or within one, which is passed over."""
    rng, log = random.Random(1), Log()
    for i in range(1700):
        log.event({"says": rng.betavariate(2, 2) if i < at else rng.betavariate(20, 2), "b": 1.0}, f"e{i}")
    watch = Watch(window=100, every=1, features=["b"])
    fold = Fold(declared(watch, features={"says": float, "b": float}, model=Told()), log.records[:at])
    fold.task.lifecycle.renew("reason", at - 1, at_once=True)
    fold.step_all(log.records[at:])
    assert fold.task.watcher is not None
    assert fold.task.watcher.unsettled == ["prediction"]
    assert drifts(fold) == []
    fold.step_all(shared(log, 1700, 1500).records[1700:])
    assert fold.task.watcher.unsettled == []
    assert drifts(fold) == []


def shared(log: Log, start: int, events: int) -> Log:
    """Return the log with as many more events of the new kind."""
    rng = random.Random(2)
    for i in range(events):
        log.event({"says": rng.betavariate(20, 2), "b": 1.0}, f"e{start + i}")
    return log


@pytest.mark.parametrize("every", [1, 3])
def test_task_restored_at_any_record_says_the_same(every: int) -> None:
    """Within a window, between the signals of a full one, and after a move."""
    pipeline = declared(Watch(window=60, every=every, false_discovery_rate=0.5), model=Silent())
    records = shifted(900, 1500, by=3.0).records
    straight, resumed, kept = Fold(pipeline, records), Fold(pipeline), Kept()
    for i, record in enumerate(records):
        if i % 7 == 0:
            kept.take(resumed.task)
            resumed.task = kept.restored(pipeline)
        resumed.step(record)
    assert resumed.lifecycle == straight.lifecycle
    assert drifts(straight)
    watchers = [fold.task.watcher for fold in (resumed, straight)]
    assert len({repr(watcher.snapshot()) for watcher in watchers if watcher is not None}) == 1


def test_state_of_another_watch_is_left_behind() -> None:
    """A worker that watches otherwise, or for the first time, or no more, takes over all the rest."""
    fold, kept = Fold(declared(), shifted(10**9, 1200).records), Kept()
    kept.take(fold.task)
    for watch in (Watch(window=120, every=1), None, QUICK):
        task: Task = kept.restored(declared(watch))
        assert task.books.read == 1200
        settled = task.watcher is not None and len(task.watcher.unsettled) < 21
        assert settled is (watch is QUICK)
    kept.take(kept.restored(declared(None)))
    fresh = kept.restored(declared()).watcher
    assert fresh is not None
    assert len(fresh.unsettled) == 21


def test_memory_is_bounded() -> None:
    """A snapshot of the state grows no more once windows come and go."""
    fold, kept, sizes = Fold(declared(Watch(window=50, every=1))), Kept(), []
    log = shifted(1500, 4000)
    for i, record in enumerate(log.records):
        fold.step(record)
        if i % 500 == 499:
            assert fold.task.watcher is not None
            kept.data, kept.parts = {}, []
            sizes.append(len(repr(fold.task.watcher.snapshot())))
    assert max(sizes[3:]) < 1.5 * max(sizes[:3])
