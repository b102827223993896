"""Every detector obeys the same laws, and those of River's say what they say by themselves."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import drift

from streams import pickling
from streams.detectors.detector import Detector
from streams.detectors.history import History
from streams.detectors.river_detector import RiverDetector, needs_zero_or_one
from tests.streams.detectors.signals import DRIFTS, RIVERS, SEEING, OneSidedCusum, changes, regular, steps

PLAN = ((700, 0.1), (200, 0.5), (400, 0.15), (200, 0.6))


def new(name: str) -> Detector:
    """Return a fresh detector."""
    return DRIFTS[name].new_detector("p", "v1", "drift")


@pytest.mark.parametrize(
    ("name", "place"), [(name, place) for name in DRIFTS for place in ((45, 777, 1001) if name != "kswin" else (777,))]
)
def test_detector_that_is_restored_half_way_goes_on_as_the_undisturbed_one(name: str, place: int) -> None:
    """Through the snapshot's pickle, which takes nothing but listed names and what the declaration brings."""
    losses = steps(3, *PLAN)
    straight = changes(new(name), losses)
    detector, resumed = new(name), new(name)
    begun = changes(detector, losses[:place])
    state = pickling.dumps(detector.snapshot(), further={OneSidedCusum})
    resumed.restore(pickling.loads(state, further={OneSidedCusum}))
    assert begun + changes(resumed, losses[place:], place) == straight


@pytest.mark.parametrize("name", DRIFTS)
def test_detector_is_the_same_in_every_run(name: str) -> None:
    """Two fresh ones agree on everything; what draws at random gets a seed from its name."""
    losses = steps(5, (300, 0.1), (100, 0.5))
    assert changes(new(name), losses) == changes(new(name), losses)


@pytest.mark.parametrize("name", SEEING)
def test_falling_loss_is_never_a_drift(name: str) -> None:
    """Every second one wrong, then every twentieth: news perhaps, but good news."""
    reported = changes(new(name), regular((700, 2), (700, 20)))
    assert [change for i, change in reported if i >= 700 and change.level != "fall"] == []


@pytest.mark.parametrize("name", ["pair", "page_hinkley", "kswin", "hddm_a_two_sided", "hddm_w_two_sided", "adwin"])
def test_two_sided_detector_reports_a_fall(name: str) -> None:
    """Rather than nothing: the count of falls is what tells that it works."""
    levels = [change.level for i, change in changes(new(name), steps(2, (900, 0.8), (500, 0.1))) if i >= 900]
    assert levels
    assert set(levels) == {"fall"}


@pytest.mark.parametrize("name", DRIFTS)
def test_rise_is_a_rise_and_a_fall_a_fall(name: str) -> None:
    """Whatever the signal, the level agrees with the means, offsets are those of values that were fed, and in order."""
    losses = steps(11, (400, 0.5), (400, 0.1), (300, 0.4), (300, 0.2), (300, 0.7))
    for i, change in changes(new(name), losses):
        assert (change.level == "fall") == (change.after <= change.before)
        assert 0 <= change.offset <= 10 * i
        assert change.offset % 10 == 0
        assert 0 < change.width <= i + 1
        assert -1e-9 <= change.before <= 1 + 1e-9


@pytest.mark.parametrize("name", SEEING)
@pytest.mark.parametrize("loss", [0.0, 1.0, 0.3])
def test_constant_loss_raises_no_alarm(name: str, loss: float) -> None:
    """Whatever it is constant at; of those that count ones only 0 and 1."""
    if name == "own" or (loss == 0.3 and needs_zero_or_one(DRIFTS[name].detector)):
        pytest.skip("it takes no such loss, or has a target of its own")
    assert changes(new(name), [loss] * 1500) == []


@pytest.mark.parametrize("name", SEEING)
def test_rise_is_seen_soon_with_its_evidence(name: str) -> None:
    """From .1 to .5, within 250 values in each of three streams; the means and the place are near the truth.

    Of the bare pair of ADWINs they are what River's ADWIN dropped and kept. KSWIN misses less than a rise to .9.
    """
    to = 0.9 if name == "kswin" else 0.5
    for seed in range(3):
        reported = changes(new(name), steps(seed, (1000, 0.1), (250, to)))
        change = next(change for i, change in reported if i >= 1000 and change.level == "drift")
        assert change.before == pytest.approx(0.1, abs=0.12)
        if name not in ("pair", "pair_auto"):
            assert change.after == pytest.approx(to, abs=0.3)
            assert 9000 <= change.offset <= 10_600


@pytest.mark.parametrize("name", RIVERS)
@pytest.mark.parametrize("seed", range(3))
def test_river_detector_alarms_where_rivers_own_does(name: str, seed: int) -> None:
    """Fed the same losses; FHDDM counts hits, so by itself it is fed what was right."""
    losses = steps(seed, (300, 0.3), (300, 0.05), (200, 0.5), (100, 0.2))
    own, expected = RIVERS[name].clone(), []
    for i, loss in enumerate(losses):
        own.update(1 - loss if name.startswith("fhddm") else loss)
        expected += [i] * own.drift_detected
    reported = changes(RiverDetector(RIVERS[name].clone()), losses)
    assert [i for i, change in reported if change.level in ("drift", "fall")] == expected


@pytest.mark.parametrize("name", [name for name in SEEING if name not in ("pair", "pair_auto")])
def test_change_lies_after_the_one_before(name: str) -> None:
    """What was before a change point is not counted again: widths end there."""
    since, found = 0, 0
    for i, change in changes(new(name), steps(8, (400, 0.1), (300, 0.7), (300, 0.1), (300, 0.8))):
        assert change.width <= i + 1 - since
        if change.level != "warning":
            since, found = i + 1, found + 1
    assert found > 1


@pytest.mark.parametrize("name", ["ddm", "eddm", "hddm_a", "hddm_w"])
def test_warning_is_reported_once_when_it_begins(name: str) -> None:
    """River's warnings last: they are reported where they were off at the value before."""
    losses = steps(4, (800, 0.1), (600, 0.25))
    own, states = RIVERS[name].clone(), [False]
    for loss in losses:
        own.update(loss)
        states.append(own.warning_detected and not own.drift_detected)
    begins = [i for i, (before, now) in enumerate(pairwise(states)) if now and not before]
    reported = changes(RiverDetector(RIVERS[name].clone()), losses)
    assert [i for i, change in reported if change.level == "warning"] == begins != []


@given(st.lists(st.sampled_from([0.0, 1.0]), max_size=200), st.sampled_from(SEEING))
@settings(max_examples=60, deadline=None)
def test_detector_is_total(losses: list[float], name: str) -> None:
    """Any losses give an answer, and the state can always be written."""
    detector: Any = new(name)
    changes(detector, losses)
    assert pickling.dumps(detector.snapshot(), further={OneSidedCusum})


def test_history_of_a_detector_is_bounded() -> None:
    """However long it is quiet."""
    detector = RiverDetector(drift.NoDrift())
    for i in range(50_000):
        detector.update(float(i % 3 == 0), i)
    assert len(detector._history._marks.marks) <= 513


def test_model_that_has_learned_well_and_then_errs_has_a_rise() -> None:
    """The loss at the very beginning was higher still: it is the newest step that counts, not the largest."""
    history = History()
    for i, loss in enumerate(steps(6, (500, 0.5), (3000, 0.1), (100, 0.4))):
        history.add(loss, i)
    step = history.newest_step()
    assert step is not None
    assert step.before == pytest.approx(0.1, abs=0.03)
    assert step.after == pytest.approx(0.4, abs=0.1)
    assert step.offset == pytest.approx(3500, abs=60)
