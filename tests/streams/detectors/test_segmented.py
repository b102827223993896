"""Segments: each is looked at by itself, their number is bounded, and they share one confidence."""

import random
from typing import Any

import pytest

from riverrun import Drift, Feature
from streams import pickling
from streams.detectors.detector import Change
from streams.detectors.segmented import LIMIT, Segmented

FEATURES = {"carrier": Feature(str), "day": Feature(str, categories=("weekday", "weekend")), "wet": Feature(bool)}


def segments(by: str, kind: Any = "multiclass") -> Segmented:
    """Return fresh detectors."""
    made = Drift(by=by).new_segments("p", "v1", "drift", kind=kind, features=FEATURES)
    assert made is not None
    return made


def rare_class_goes_wrong(seed: int) -> list[tuple[float, str]]:
    """Return losses and classes: one event in twenty is of class c, whose loss goes from .1 to .9."""
    rng, stream = random.Random(seed), []
    for i in range(6000):
        y = "c" if rng.random() < 0.05 else rng.choice("ab")
        stream.append((float(rng.random() < (0.9 if y == "c" and i >= 3000 else 0.1)), y))
    return stream


def test_change_of_one_class_is_seen_in_it_before_it_is_seen_in_all() -> None:
    """And it is named, in each of five streams."""
    for seed in range(5):
        overall, by_class = Drift().new_detector(), segments("class")
        seen: list[tuple[int, Change]] = []
        for i, (loss, y) in enumerate(rare_class_goes_wrong(seed)):
            change = by_class.update(loss, i, {}, y, overall.update(loss, i))
            seen += [(i, change)] if change is not None and change.level == "drift" else []
        i, change = seen[0]
        assert change.segment == "c"
        assert 3000 < i < 4500
        assert change.before == pytest.approx(0.1, abs=0.1)


@pytest.mark.parametrize(
    ("by", "kind", "tests"), [("class", "multiclass", 33), ("class", "binary", 2), ("wet", "binary", 2),
                              ("day", "binary", 3), ("carrier", "binary", 33)]
)  # fmt: skip
def test_segments_share_the_confidence(by: str, kind: Any, tests: int) -> None:
    """Each gets its part of delta: as many as there can be."""
    found, x = segments(by, kind), {"carrier": "UA", "day": "weekend", "wet": True}
    losses = [float(i >= 400) for i in range(640)]
    reported = [change for i, loss in enumerate(losses) if (change := found.update(loss, i, x, True, None))]
    assert reported[0].delta == pytest.approx(0.002 / tests)


def test_values_beyond_the_limit_share_a_detector() -> None:
    """32 have their own, the others one together, under the name that stands for others elsewhere, too."""
    found = segments("carrier")
    for i in range(5000):
        found.update(0.0, i, {"carrier": f"c{i % 100}"}, True, None)
    assert len(found.snapshot()) == LIMIT + 1
    reported = [
        change for i in range(2000) if (change := found.update(1.0, i, {"carrier": f"c{40 + i % 50}"}, True, None))
    ]
    assert {change.segment for change in reported} == {"__other__"}


def test_missing_value_belongs_to_no_segment() -> None:
    """What the detector on the whole stream says stands."""
    found = segments("carrier")
    change = Change("drift", 0.1, 0.5, 7, 32, 0.002)
    assert found.update(1.0, 7, {}, True, change) is change
    assert found.snapshot() == {}


def test_drift_of_a_segment_outweighs_a_warning_of_all_and_not_a_drift() -> None:
    """One event says one thing: the worst, and of two equals that about all."""
    for level, said in (("fall", "A"), ("warning", "A"), ("drift", "")):
        found = segments("carrier")
        for i in range(2000):
            overall = Change(level, 0.1, 0.5, i, 32, 0.05)  # type: ignore[arg-type]
            change = found.update(float(i >= 1000), i, {"carrier": "A"}, True, overall)
            if change is not overall or level == "drift":
                break
        assert change is not None
        assert (change.level, change.segment) == ("drift", said)


def test_segments_that_are_restored_go_on_as_the_undisturbed_ones() -> None:
    """With those that came later, too."""
    straight, resumed = segments("class"), segments("class")
    said: list[list[Change | None]] = [[], []]
    for i, (loss, y) in enumerate(rare_class_goes_wrong(1)):
        for n, one in enumerate((straight, resumed)):
            said[n].append(one.update(loss, i, {}, y, None))
        if i in (3, 1500, 3100):
            state = pickling.dumps(resumed.snapshot())
            resumed = segments("class")
            resumed.restore(pickling.loads(state))
    assert said[0] == said[1]
    assert any(said[0])
