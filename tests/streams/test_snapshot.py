"""Snapshots: only what has changed is written, and what comes back is the whole state."""

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from river import base, linear_model, naive_bayes

from riverrun import ChampionVersions, Label, Pipeline, Pool
from schemas.errors import SnapshotError
from streams import label_join, snapshot
from streams.snapshot import restore
from streams.task import Task
from tests.streams.kept import Kept
from tests.streams.logs import Fold, Log

SEGMENT = 8


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of eight entries."""
    monkeypatch.setattr(label_join, "SEGMENT", SEGMENT)
    monkeypatch.setattr(snapshot, "SEGMENT", SEGMENT)


def declare(**further: Any) -> Pipeline:
    """Return a pipeline whose labels come late."""
    label = Label("y", type=bool, ttl=timedelta(seconds=100))
    return Pipeline("p", features={"a": float}, label=label, model=linear_model.LogisticRegression(), **further)


def asked(count: int) -> Log:
    """Return a log of questions that wait for their labels."""
    log = Log()
    for i in range(count):
        log.event({"a": float(i)}, f"e{i}", time_ms=1000 + i)
    return log


def pending(written: list[str]) -> list[str]:
    """Return the names of those parts that are segments of pending labels."""
    return [name for name in written if name.startswith("pending-")]


def test_unchanged_task_writes_nothing_twice() -> None:
    """The second snapshot refers to the parts of the first; the small state knows which entries of them still wait."""
    fold, kept = Fold(declare(), asked(30).records), Kept()
    assert pending(kept.take(fold.task)) == ["pending-0", "pending-1", "pending-2", "pending-open"]
    assert kept.take(fold.task) == ["state"]
    assert kept.take(fold.task) == []
    assert len(kept.restored(declare()).join.pending) == 30


def test_segment_is_written_again_only_when_half_of_it_is_gone() -> None:
    """What is gone meanwhile is known by a bit, and stays gone."""
    log = asked(24)
    fold, kept = Fold(declare(), log.records), Kept()
    kept.take(fold.task)
    for number in range(4):
        fold.step(log.label(f"e{number}", True, time_ms=1030))
    assert pending(kept.take(fold.task)) == []
    assert list(kept.restored(declare()).join.pending._entries) == [f"e{i}" for i in range(4, 24)]
    fold.step(log.label("e4", True, time_ms=1030))
    assert pending(kept.take(fold.task)) == ["pending-0"]
    fold.step(log.label("e7", True, time_ms=1030))
    assert pending(kept.take(fold.task)) == []
    assert list(kept.restored(declare()).join.pending._entries) == ["e5", "e6", *(f"e{i}" for i in range(8, 24))]


def test_open_segment_is_written_until_it_is_full() -> None:
    """A segment that was stored half full is stored again under its number when it is full."""
    log = asked(10)
    fold, kept = Fold(declare(), log.records), Kept()
    assert pending(kept.take(fold.task)) == ["pending-0", "pending-open"]
    for i in range(10, 17):
        fold.step(log.event({"a": 1.0}, f"e{i}", time_ms=1100))
    assert pending(kept.take(fold.task)) == ["pending-1", "pending-open"]
    assert len(kept.restored(declare()).join.pending) == 17


def history(seed: int) -> Log:
    """Return questions and labels: early, late, twice, contradictory, or never."""
    rng = random.Random(seed)
    log = Log()
    for i in range(150):
        log.event({"a": rng.gauss(0, 1)}, f"e{i}", time_ms=1000 * i)
        for _ in range(rng.randrange(3)):
            log.label(f"e{max(0, i - rng.randrange(-5, 60))}", rng.random() < 0.5, time_ms=1000 * i)
    return log


@pytest.mark.parametrize("seed", range(8))
def test_task_that_is_restored_again_and_again_is_the_undisturbed_one(seed: int) -> None:
    """Snapshots at random places, most of them on top of the last; whole attributes are compared, not answers only."""
    rng = random.Random(-seed)
    further = {"dedupe_window": 20, "max_pending_bytes": 9000}
    straight, resumed, kept = Fold(declare(**further)), Fold(declare(**further)), Kept()
    for record in history(seed).records:
        straight.step(record)
        resumed.step(record)
        if rng.random() < 0.2:
            kept.take(resumed.task)
        if rng.random() < 0.1 and kept.parts:
            kept.take(resumed.task)
            resumed.task = kept.restored(declare(**further))
    assert resumed.answers == straight.answers
    assert resumed.counts == straight.counts
    assert dict(visible(resumed.task)) == dict(visible(straight.task))


@pytest.mark.parametrize(
    ("policy", "inline"),
    [
        (ChampionVersions, False),
        pytest.param(Pool, True, marks=pytest.mark.slow),
        pytest.param(Pool, False, marks=pytest.mark.slow),
        pytest.param(ChampionVersions, True, marks=pytest.mark.slow),
    ],
)
def test_contest_that_is_restored_again_and_again_is_the_undisturbed_one(policy: Any, inline: bool) -> None:
    """With challengers, frozen copies, references and evidence half way, in a world that comes and goes."""
    rng = random.Random(5)
    label = Label("y", type=bool, ttl=None if inline else timedelta(seconds=100))
    settings = {"milestone": 100, "challenger_life": 150, "versions": 2, "probation": 200, "change": 20.0}
    pipeline = Pipeline(
        "p", features={"a": float, "b": float}, label=label, model=naive_bayes.GaussianNB(), policy=policy(**settings)
    )
    log, truth = Log(), list[bool]()
    for i in range(3600):
        x = {"a": rng.gauss(0, 1), "b": rng.gauss(0, 1)}
        y = ((x["a"] > 0) if (i // 1200) % 2 == 0 else (x["a"] < 0)) != (rng.random() < 0.05)
        truth.append(y)
        log.event(x, f"e{i}", y=y if inline else None, time_ms=i)
        if not inline and i >= 40:
            log.label(f"e{i - 40}", truth[i - 40], time_ms=i)
    straight, resumed, kept = Fold(pipeline), Fold(pipeline), Kept()
    for record in log.records:
        straight.step(record)
        resumed.step(record)
        if rng.random() < 0.01:
            written = kept.take(resumed.task)
            assert not [name for name in kept.take(resumed.task) if name.startswith("frozen")], written
            resumed.task = kept.restored(pipeline)
    assert {"riverrun.model.promoted", "riverrun.model.archived"} <= {e.type for e in straight.lifecycle}
    assert resumed.lifecycle == straight.lifecycle
    assert resumed.answers == straight.answers
    assert dict(visible(resumed.task)) == dict(visible(straight.task))


def visible(task: Task) -> Iterator[tuple[str, Any]]:
    """Yield all that a task consists of, in plain values: what a snapshot forgets would differ here."""
    seen: set[int] = set()

    def walk(path: str, value: Any) -> Iterator[tuple[str, Any]]:
        if isinstance(value, (bool, int, float, str, bytes, type(None))):
            yield path, value
        elif id(value) in seen or callable(value):
            return
        elif isinstance(value, dict):
            yield path, list(value) if path.endswith("_entries") else len(value)
            for key, child in value.items():
                yield from walk(f"{path}[{key!r}]", child)
        elif isinstance(value, (set, frozenset)):
            yield path, sorted(map(repr, value))
        elif isinstance(value, (list, tuple)) or type(value).__name__ == "deque":
            for i, child in enumerate(value):
                yield from walk(f"{path}[{i}]", child)
        elif hasattr(value, "__struct_fields__"):
            yield path, repr(value)
        elif hasattr(value, "__dict__"):
            seen.add(id(value))
            for name, child in vars(value).items():
                if name not in ("pipeline", "_pipeline", "_undo", "_decode", "_answering", "data"):
                    yield from walk(f"{path}.{name}", child)

    return walk("task", task)


class Counter(base.Classifier):
    """A user's own model."""

    def __init__(self) -> None:
        self.seen = 0
        self.inner: Any = None

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        """Count, and keep something of a class that nobody has named."""
        self.seen += 1
        self.inner = Inner()

    def predict_proba_one(self, x: dict[str, Any]) -> dict[bool, float]:
        """Answer."""
        return {True: 1.0}


class Inner:
    """A class that comes with learning."""


def test_model_with_a_class_that_nobody_named_is_refused_when_it_is_written() -> None:
    """Not when it has to be loaded."""
    pipeline = Pipeline("p", features={"a": float}, label=Label("y"), model=Counter())
    log = Log()
    log.event({"a": 1.0}, "e0")
    fold, kept = Fold(pipeline, log.records), Kept()
    kept.take(fold.task)
    assert type(kept.restored(pipeline).lifecycle.champion.model) is Counter
    fold.step(log.event({"a": 1.0}, "e1", y=True))
    with pytest.raises(SnapshotError, match="Inner"):
        kept.take(fold.task)


def test_snapshot_without_a_part_is_refused() -> None:
    """By the name of the part."""
    fold, kept = Fold(declare(), asked(3).records), Kept()
    kept.take(fold.task)
    for name in ("champion", "state"):
        parts = {part.name: kept.data[part.digest] for part in kept.parts if part.name != name}
        with pytest.raises(SnapshotError, match=f"no part {name}"):
            restore(Task(declare()), parts)
