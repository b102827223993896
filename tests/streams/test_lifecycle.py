"""From a rising loss to a model that takes over, each step an event with its reason."""

import itertools
import random
from datetime import timedelta
from typing import Any

import pytest
from river import base, forest, linear_model, naive_bayes, optim
from river.datasets import synth

from riverrun import BackgroundChallenger, Drift, Label, ObserveOnly, Pipeline
from schemas.errors import ModelBrokenError
from schemas.events import DriftCleared, DriftDetected, DriftWarned, LifecycleEvent, ModelRetrained
from tests.streams.logs import Fold, Log


class Told(base.Classifier):
    """Answers what the feature ``says`` tells it to: the loss is written into the log."""

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        """Learn nothing."""

    def predict_one(self, x: dict[str, Any]) -> bool:
        """Answer."""
        return x["says"] > 0.5


def scripted(*plan: tuple[int, float], seed: int = 1) -> Log:
    """Return a log in which the loss has the planned rates, one after the other."""
    rng = random.Random(seed)
    log = Log()
    for count, rate in plan:
        for _ in range(count):
            log.event({"says": float(rng.random() >= rate)}, y=True)
    return log


def followed(log: Log, **changes: Any) -> Fold:
    """Return what becomes of a scripted log."""
    arguments: dict[str, Any] = {
        "features": {"says": float},
        "label": Label("y"),
        "model": Told(),
        "drift": Drift(cooldown=300, patience=400),
        "policy": BackgroundChallenger(min_learned=100),
    }
    return Fold(Pipeline("p", **{**arguments, **changes}), log.records)


def kinds(fold: Fold) -> list[type[LifecycleEvent]]:
    """Return the kinds of events in their order."""
    return [type(event) for event in fold.lifecycle]


# A rise that is first warned of, then certain.
RISE = scripted((1000, 0.1), (1000, 0.25), seed=4)


def test_rising_loss_is_warned_of_then_detected_then_answered_with_a_fresh_model() -> None:
    """The challenger learns in shadow from the warning on and takes over once drift is certain."""
    fold = followed(RISE)
    warned, detected, retrained = fold.lifecycle[:3]
    assert isinstance(warned, DriftWarned)
    assert isinstance(detected, DriftDetected)
    assert isinstance(retrained, ModelRetrained)
    assert 1000 < warned.offset < detected.offset <= retrained.offset
    assert (retrained.replaced, retrained.version, retrained.reason) == ("v1", "v2", detected.id)
    assert retrained.learned == max(100, retrained.offset - warned.offset)
    versions = [p.version for p in fold.predictions]
    assert versions[retrained.offset] == "v1"
    assert versions[retrained.offset + 1] == "v2"
    assert fold.predictions[retrained.offset + 1].learned == retrained.learned


def test_drift_without_a_warning_starts_the_challenger_at_the_detection() -> None:
    """An abrupt rise skips the warning: the challenger begins there and takes over after `min_learned` examples."""
    fold = followed(scripted((1000, 0.0), (400, 1.0)))
    detected, retrained = fold.lifecycle
    assert isinstance(detected, DriftDetected)
    assert isinstance(retrained, ModelRetrained)
    assert (retrained.learned, retrained.offset) == (100, detected.offset + 100)
    assert (detected.before, detected.signal, detected.version) == (0.0, "loss", "v1")
    assert detected.change_offset <= 1000


def test_observer_reports_the_same_drift_and_never_acts() -> None:
    """Observe only: the same first alarms, the same version for ever, and no challenger."""
    acting, observing = followed(RISE), followed(RISE, policy=ObserveOnly())
    assert kinds(observing)[:2] == kinds(acting)[:2] == [DriftWarned, DriftDetected]
    assert [e.id for e in observing.lifecycle[:2]] == [e.id for e in acting.lifecycle[:2]]
    assert ModelRetrained not in kinds(observing)
    assert {p.version for p in observing.predictions} == {"v1"}
    assert observing.task.lifecycle.successor is None


def test_falling_loss_is_counted_and_does_nothing() -> None:
    """A model that gets better raises no alarm."""
    fold = followed(scripted((1000, 0.5), (1000, 0.1)))
    assert fold.lifecycle == []
    assert fold.counts["loss_fell"] >= 1


def test_warning_that_leads_to_nothing_is_cleared_and_its_challenger_dropped() -> None:
    """After `patience` labelled events the warning is over, by name of the event it was."""
    for seed in range(50):
        log = scripted((1500, 0.2), (90, 0.34), (1500, 0.2), seed=seed)
        fold = followed(log)
        if kinds(fold)[:2] == [DriftWarned, DriftCleared]:
            break
    else:
        pytest.fail("no seed gave a warning without a detection")
    warned, cleared = fold.lifecycle[:2]
    assert isinstance(cleared, DriftCleared)
    assert (cleared.warning, cleared.version) == (warned.id, "v1")
    assert cleared.offset == warned.offset + 400
    assert {p.version for p in fold.predictions[: cleared.offset + 1]} == {"v1"}
    until = followed(Log(), features={"says": float})
    until.step_all(log.records[: warned.offset + 1])
    assert until.task.lifecycle.successor is not None
    until.step_all(log.records[warned.offset + 1 : cleared.offset + 1])
    assert until.task.lifecycle.successor is None


def test_alarms_during_the_cool_down_are_counted_and_not_acted_on() -> None:
    """A loss that rises again and again within the cool-down causes one action."""
    log = scripted((1000, 0.0), *[(200, 0.5), (200, 0.0)] * 6)
    hasty, calm = followed(log, drift=Drift(cooldown=0)), followed(log, drift=Drift(cooldown=100_000))
    assert kinds(calm).count(ModelRetrained) == 1
    assert kinds(hasty).count(ModelRetrained) > 1
    assert calm.counts["alarm_suppressed"] > 0
    assert kinds(calm)[-1] is ModelRetrained


def test_a_rise_above_what_was_told_is_told_within_the_cool_down() -> None:
    """A change of the world soon after a smaller alarm is not hidden by it; a rise that is no higher is."""
    log = scripted((1000, 0.1), (150, 0.24), (200, 0.12), (600, 0.6), seed=2)
    smaller, larger = (
        e for e in followed(log, policy=ObserveOnly(), drift=Drift()).lifecycle if type(e) is DriftDetected
    )
    assert smaller.offset < 1350 < larger.offset < 1350 + 100
    assert larger.offset < smaller.offset + Drift().cooldown
    assert larger.after > smaller.after
    log = scripted((1000, 0.0), *[(200, 0.9), (200, 0.0)], (300, 0.5))
    fold = followed(log, policy=ObserveOnly(), drift=Drift())
    assert kinds(fold).count(DriftDetected) == 1
    assert fold.counts["alarm_suppressed"] > 0


def test_lifecycle_ids_derive_from_positions_and_are_the_same_in_a_replay() -> None:
    """Ids name position and kind, no two are equal, and a second fold gives equal events."""
    first, replayed = followed(RISE), followed(RISE)
    assert first.lifecycle == replayed.lifecycle
    for event in first.lifecycle:
        assert event.id == f"p.raw-0-{event.offset}/{event.type.removeprefix('riverrun.')}"
        assert (event.pipeline, event.partition) == ("p", 0)
    ids = [event.id for event in first.lifecycle]
    assert len(set(ids)) == len(ids)


def test_versions_are_numbered_and_seeded_each_by_its_own() -> None:
    """Each challenger is another version, and another version has other seeds."""
    pipeline = Pipeline("p", features={"a": float}, label=Label("y"), model=forest.ARFClassifier(n_models=1))
    assert pipeline.fresh_model("v1").seed != pipeline.fresh_model("v2").seed
    fold = followed(scripted((600, 0.0), (400, 1.0), (600, 0.0), (400, 1.0)), drift=Drift(cooldown=10))
    versions = [event.version for event in fold.lifecycle if isinstance(event, ModelRetrained)]
    assert versions == [f"v{i + 2}" for i in range(len(versions))]


def test_loss_of_a_regression_is_scaled_and_its_drift_found() -> None:
    """Residuals in units of their own scale: the same drift in metres and in millimetres."""
    found = []
    for unit in (1.0, 1000.0):
        rng, log = random.Random(2), Log()
        for i in range(2000):
            a = rng.gauss(0, 1)
            log.event({"a": a}, y=unit * (0.0 if i < 1200 else 5.0) + unit * rng.gauss(0, 0.1))
        frozen = linear_model.LinearRegression(optim.SGD(0.0), intercept_lr=0.0)
        pipeline = Pipeline(
            "p", features={"a": float}, label=Label("y", type=float), model=frozen, policy=ObserveOnly()
        )
        found.append([(type(e), e.offset) for e in Fold(pipeline, log.records).lifecycle])
    assert found[0] == found[1]
    assert found[0][0][1] > 1200


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_challenger_after_an_abrupt_drift_is_better_than_going_on(seed: int) -> None:
    """Agrawal's function 1 turns into function 5: the fresh model gains ten points over the one that drags the past."""
    rows = [
        row
        for function, shift in ((0, 0), (4, 100))
        for row in itertools.islice(synth.Agrawal(classification_function=function, seed=seed + shift), 1200)
    ]
    log = Log()
    for x, y in rows:
        log.event({name: float(value) for name, value in x.items()}, y=bool(y))
    accuracy = []
    for policy in (ObserveOnly(), BackgroundChallenger(min_learned=100)):
        features = dict.fromkeys(rows[0][0], float)
        pipeline = Pipeline("p", features=features, label=Label("y"), model=naive_bayes.GaussianNB(), policy=policy)
        fold = Fold(pipeline, log.records)
        assert any(isinstance(event, DriftDetected) and 1200 < event.offset < 1400 for event in fold.lifecycle)
        hits = [p.prediction == bool(y) for p, (_, y) in zip(fold.predictions, rows, strict=True)]
        accuracy.append(sum(hits[1200:]) / 1200)
    assert accuracy[1] > accuracy[0] + 0.1


def test_labels_of_the_old_champions_answers_say_nothing_about_the_new_one() -> None:
    """They come after the promotion, thousands of them and all wrong, and fire nothing."""
    log = Log()
    wrong = [log.event({"says": 0.0}, f"old{i}").offset for i in range(2000)]
    for _ in range(1000):
        log.event({"says": 1.0}, y=True)
    for _ in range(200):
        log.event({"says": 0.0}, y=True)
    for _ in range(500):
        log.event({"says": 1.0}, y=True)
    for i in range(len(wrong)):
        log.label(f"old{i}", True)
    fold = followed(log, label=Label("y", ttl=timedelta(days=1)), drift=Drift(cooldown=0, patience=400))
    assert kinds(fold) == [DriftDetected, ModelRetrained]
    assert fold.counts["label_joined"] == len(wrong)


def test_challenger_beyond_repair_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """It must neither stop the worker nor keep the successor from ever taking over."""
    fold = followed(scripted((1000, 0.0), (60, 1.0)))
    [detected] = fold.lifecycle
    broken = fold.task.lifecycle.successor
    assert broken is not None

    def raising(x: dict[str, Any], y: Any) -> None:
        raise ModelBrokenError("cannot be put back")

    monkeypatch.setattr(broken.learner, "learn", raising)
    log = Log()
    log.records = scripted((1000, 0.0), (400, 1.0)).records
    fold.step_all(log.records[1060:])
    assert fold.counts["shadow_error"] == 1
    [retrained] = fold.lifecycle[1:]
    assert isinstance(retrained, ModelRetrained)
    assert (retrained.version, retrained.learned, retrained.reason) == ("v3", 100, detected.id)
