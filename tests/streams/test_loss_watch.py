"""Pipelines with each detector, through the whole task and through snapshots."""

import random
from dataclasses import replace
from typing import Any

import pytest
from river import base, drift

from riverrun import BackgroundChallenger, Drift, Label, Pipeline
from schemas.events import DriftDetected, ModelRetrained
from tests.streams.detectors.signals import DRIFTS, SEEING
from tests.streams.kept import Kept
from tests.streams.logs import Fold, Log


class Told(base.Classifier):
    """Answers what the feature ``says`` tells it to: the loss is written into the log."""

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        """Learn nothing."""

    def predict_one(self, x: dict[str, Any]) -> bool:
        """Answer."""
        return bool((x["says"] > 0.5) == x["truth"])


def declared(watched: Drift) -> Pipeline:
    """Return a pipeline that acts on drift."""
    return Pipeline(
        "p",
        features={"says": float, "truth": bool, "carrier": str},
        label=Label("y"),
        model=Told(),
        drift=watched,
        policy=BackgroundChallenger(min_learned=50),
    )


def scripted(*plan: tuple[int, float, float], seed: int = 1) -> Log:
    """Return a log: so many events, and the loss where the truth is true and where it is false."""
    rng, log = random.Random(seed), Log()
    for count, where_true, where_false in plan:
        for _ in range(count):
            truth = rng.random() < 0.1
            says = float(rng.random() >= (where_true if truth else where_false))
            log.event({"says": says, "truth": truth, "carrier": rng.choice("ABC")}, y=truth)
    return log


RISE = scripted((700, 0.1, 0.1), (250, 0.9, 0.9))


@pytest.mark.parametrize("name", SEEING)
def test_rise_of_the_loss_is_answered_whatever_the_detector(name: str) -> None:
    """Drift is said, and a fresh model takes over because of it."""
    fold = Fold(declared(replace(DRIFTS[name], cooldown=50)), RISE.records)
    detected = [event for event in fold.lifecycle if isinstance(event, DriftDetected) and event.offset >= 700]
    retrained = [event for event in fold.lifecycle if isinstance(event, ModelRetrained)]
    assert detected[0].after > detected[0].before
    assert detected[0].id in [event.reason for event in retrained]


@pytest.mark.parametrize("declaration", [*SEEING, "dummy", "by_class", "by_carrier", "by_class_auto"])
def test_task_that_is_restored_again_and_again_says_the_same(declaration: str) -> None:
    """Snapshots at random places: the state of every detector is in them, and its classes may be."""
    more = {
        "by_class": Drift(by="class"),
        "by_carrier": Drift(by="carrier", detector=drift.binary.HDDMA()),
        "by_class_auto": Drift(by="class", blocks="auto"),
    }
    pipeline = declared({**DRIFTS, **more}[declaration])
    straight, resumed, kept, rng = Fold(pipeline), Fold(pipeline), Kept(), random.Random(3)
    for record in RISE.records:
        straight.step(record)
        resumed.step(record)
        if rng.random() < 0.02:
            kept.take(resumed.task)
            resumed.task = kept.restored(pipeline)
    assert resumed.lifecycle == straight.lifecycle
    assert resumed.answers == straight.answers
    assert straight.lifecycle


def test_drift_of_one_class_is_said_with_its_name_and_acted_on() -> None:
    """One event in ten is of the class whose loss rises, so all of it hardly moves."""
    log = scripted((2000, 0.1, 0.1), (1000, 0.7, 0.1), seed=4)
    fold = Fold(declared(Drift(by="class")), log.records)
    detected = next(event for event in fold.lifecycle if isinstance(event, DriftDetected))
    assert (detected.segment, detected.signal, detected.delta) == ("True", "loss", 0.001)
    assert any(isinstance(event, ModelRetrained) and event.reason == detected.id for event in fold.lifecycle)
    blind = Fold(declared(Drift()), log.records)
    at = [event.offset for event in blind.lifecycle if isinstance(event, DriftDetected)]
    assert not at or at[0] > detected.offset


def test_drift_of_the_whole_names_no_segment() -> None:
    """The detector on the whole stream has more values, and so is first where all of it moves."""
    fold = Fold(declared(Drift(by="carrier")), RISE.records)
    assert next(event for event in fold.lifecycle if isinstance(event, DriftDetected)).segment == ""


def test_each_champion_has_a_fresh_detector_with_a_seed_of_its_own() -> None:
    """Like models: filled in from pipeline and version."""
    pipeline = declared(Drift(detector=drift.KSWIN()))
    made = [pipeline.drift.new_detector("p", version, "drift") for version in ("v1", "v1", "v2")]
    seeds = [detector._detector.seed for detector in made]  # type: ignore[attr-defined]
    assert seeds[0] == seeds[1] != seeds[2]
    assert pipeline.drift.detector.seed is None
