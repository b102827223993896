"""A pair of ADWINs is ADWIN, told apart by direction, with evidence."""

import random
from collections.abc import Iterable
from typing import Any, NamedTuple

import pytest
from river.drift import ADWIN

from riverrun import Drift
from streams.detectors.adwin_pair import AdwinPair
from streams.detectors.detector import Change


def steps(seed: int, *plan: tuple[int, float]) -> list[float]:
    """Return 0/1 losses: as many as planned at each rate."""
    rng = random.Random(seed)
    return [float(rng.random() < rate) for count, rate in plan for _ in range(count)]


def changes(losses: Iterable[float], drift: Drift | None = None) -> list[tuple[int, Change]]:
    """Return at which update which change was reported; the offset of the i-th value is 10 i."""
    detector = (drift or Drift()).new_detector()
    reported = ((i, detector.update(loss, 10 * i)) for i, loss in enumerate(losses))
    return [(i, change) for i, change in reported if change is not None]


class Fired(NamedTuple):
    """What River's own ADWIN had dropped and kept when it fired."""

    before: float
    after: float
    width: int


def bare(losses: list[float], delta: float) -> dict[int, Fired]:
    """Return at which update River's own ADWIN, fed value by value, fires."""
    adwin, fired = ADWIN(delta=delta), {}
    for i, loss in enumerate(losses):
        total, width = (0.0, 0) if adwin.drift_detected else (adwin.total, int(adwin.width))
        adwin.update(loss)
        if adwin.drift_detected:
            dropped = width + 1 - int(adwin.width)
            fired[i] = Fired((total + loss - adwin.total) / dropped, adwin.estimation, int(adwin.width))
    return fired


PLANS = [
    ((1000, 0.1), (1000, 0.5)),
    ((500, 0.2), (700, 0.5), (900, 0.1), (400, 0.6)),
    ((100, 0.0), (40, 1.0), (40, 0.0), (16, 1.0), (16, 0.0), (48, 1.0), (200, 0.0), (64, 1.0)),
    ((3000, 0.3),),
    ((320, 0.0), (32, 1.0), (16, 0.0), (16, 1.0), (320, 0.0)),
    ((64, 0.0), (80, 1.0), (80, 0.0), (80, 1.0), (80, 0.0), (80, 1.0), (80, 0.0)),
]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("plan", PLANS)
def test_detector_fires_where_a_bare_adwin_fires(plan: tuple[tuple[int, float], ...], seed: int) -> None:
    """The strict one at the same updates, with the same evidence, and between them the sensitive one."""
    losses = steps(seed, *plan)
    expected = {i: ("warning", fired) for i, fired in bare(losses, 0.05).items()}
    expected |= {i: ("drift", fired) for i, fired in bare(losses, 0.002).items()}
    reported = dict(changes(losses))
    assert list(reported) == sorted(expected)
    for i, (level, fired) in expected.items():
        assert reported[i].level == (level if fired.after > fired.before else "fall")
        assert (reported[i].before, reported[i].after) == pytest.approx((fired.before, fired.after))
        assert reported[i].width == fired.width


def test_detector_on_a_falling_loss_reports_no_drift() -> None:
    """Getting better is news, never a drift; in each of ten streams."""
    for seed in range(10):
        reported = changes(steps(seed, (1000, 0.5), (1000, 0.1)))
        after = [change.level for i, change in reported if i > 1000]
        assert after
        assert set(after) == {"fall"}


@pytest.mark.parametrize("seed", range(6))
def test_change_carries_its_evidence(seed: int) -> None:
    """The mean before is the truth, the one after is above it, and the change point lies shortly before it."""
    detected = [change for i, change in changes(steps(seed, (2000, 0.1), (600, 0.5))) if change.level == "drift"]
    change = detected[0]
    assert change.before == pytest.approx(0.1, abs=0.03)
    assert change.after > change.before + 0.05
    assert change.offset <= 20_000
    assert change.offset > 20_000 - 10 * 700
    assert change.delta == 0.002
    assert 0 < change.width < 800


def test_change_is_found_within_a_few_hundred_records() -> None:
    """The delay from .1 to .5 is below 200 records in each of ten streams."""
    delays = []
    for seed in range(10):
        delays.append(next(i for i, c in changes(steps(seed, (1500, 0.1), (600, 0.5))) if c.level == "drift") - 1500)
    assert max(delays) < 200
    assert min(delays) >= 0


def test_stationary_stream_raises_few_alarms() -> None:
    """20,000 records without a change, over ten seeds: no drift at the default delta, a handful of warnings."""
    levels = [c.level for seed in range(10) for _, c in changes(steps(seed, (2000, 0.3)))]
    assert levels.count("drift") == 0
    assert levels.count("warning") <= 4


def test_warning_comes_before_the_drift_or_with_it() -> None:
    """A rise small enough is first warned of; the sensitive detector is never later than the strict one."""
    warned_first = 0
    for seed in range(10):
        reported = [(i, c.level) for i, c in changes(steps(seed, (2000, 0.1), (2000, 0.2))) if i > 2000]
        rises = [level for _, level in reported if level != "fall"]
        assert rises
        warned_first += rises[0] == "warning"
    assert warned_first >= 5


def test_detector_keeps_a_bounded_number_of_markers() -> None:
    """However long the stream, the offsets it remembers are few."""
    detector = AdwinPair(0.002, 0.05)
    for i in range(100_000):
        detector.update(float(i % 10 == 0), i)
    assert len(detector._marks.marks) <= 1025


def test_detector_with_delayed_losses_names_an_offset_of_a_labelled_record() -> None:
    """Offsets come in the order of labels, which is not theirs; the one reported belongs to a record that was fed."""
    rng = random.Random(1)
    losses = steps(1, (1000, 0.1), (400, 0.6))
    offsets = [10 * i + rng.randrange(500) for i in range(len(losses))]
    detector = AdwinPair(0.002, 0.05)
    reported: list[Any] = [detector.update(loss, offset) for loss, offset in zip(losses, offsets, strict=True)]
    assert all(change.offset in offsets for change in reported if change)
