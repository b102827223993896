"""Blocks keep a detector quiet on autocorrelated signals, and leave it alone on others."""

import pytest

from riverrun import Drift
from streams import pickling
from streams.detectors.adwin_pair import AdwinPair
from streams.detectors.blocked import Blocked
from streams.detectors.detector import Detector
from tests.streams.detectors.signals import autocorrelated, changes, drifts, steps

AUTO = Drift(blocks="auto")
PLANS = [
    ((1000, 0.1), (1000, 0.5)),
    ((3000, 0.2),),
    ((2000, 0.1), (2000, 0.2)),
    ((1000, 0.5), (1000, 0.1)),
    ((300, 0.1), (300, 0.5), (300, 0.1), (300, 0.5)),
]


@pytest.mark.parametrize("phi", [0.5, 0.9, 0.95, 0.99])
def test_autocorrelated_signal_raises_at_most_one_false_alarm_in_ten_thousand(phi: float) -> None:
    """On the average of ten streams, rises and falls together; the bare detector raises some at each φ."""
    streams = [autocorrelated(seed, 10_000, phi) for seed in range(10)]

    def alarms(declared: Drift) -> float:
        found = [change for s in streams for _, change in changes(declared.new_detector(), s)]
        return len([change for change in found if change.delta == declared.delta]) / len(streams)

    assert alarms(AUTO) <= 1 < alarms(Drift())


@pytest.mark.parametrize("plan", PLANS)
def test_signal_without_autocorrelation_is_treated_as_if_there_were_no_blocks(
    plan: tuple[tuple[int, float], ...],
) -> None:
    """The same changes at the same values with the same evidence, in each of ten streams."""
    for seed in range(10):
        losses = steps(seed, *plan)
        assert changes(AUTO.new_detector(), losses) == changes(Drift().new_detector(), losses)


@pytest.mark.parametrize(("phi", "within"), [(0.5, 400), (0.9, 1200)])
def test_change_of_an_autocorrelated_signal_is_seen(phi: float, within: int) -> None:
    """Two standard deviations, in each of ten streams; the means are of the values, not of what the detector saw."""
    for seed in range(10):
        reported = changes(AUTO.new_detector(), autocorrelated(seed, 6000, phi, 2.0, 4000))
        i, change = next((i, change) for i, change in reported if i >= 4000 and change.level == "drift")
        assert i < 4000 + within
        assert change.before == pytest.approx(0.0, abs=0.6)
        assert change.after == pytest.approx(2.0, abs=1.1)
        assert change.offset == pytest.approx(40_000, abs=6000)


def test_fixed_blocks_are_what_the_detector_is_fed() -> None:
    """Eight values, one answer: alarms come at the end of blocks, and widths are counted in values."""
    reported = changes(Drift(blocks=8).new_detector(), steps(1, (1000, 0.1), (600, 0.5)))
    assert [change.level for _, change in reported][:2] == ["warning", "drift"]
    assert all(i % 8 == 7 and change.width % 8 == 0 for i, change in reported)


def test_withdrawn_alarm_loses_no_past() -> None:
    """The fresh detector knows what the first one knew: a change right after a withdrawal is seen no later than by one
    that had the blocks from the start."""
    for seed in range(5):
        values = autocorrelated(seed, 4000, 0.9, 3.0, 2500)
        chosen = AUTO.new_detector()
        assert isinstance(chosen, Blocked)
        found = [i for i in drifts(chosen, values) if i >= 2500]
        given_at_once: Detector = Blocked(lambda b: AdwinPair(0.002, 0.05, max(1, 32 // b)), chosen.size)
        expected = [i for i in drifts(given_at_once, values) if i >= 2500]
        assert chosen.size > 1
        assert found[0] <= expected[0] + 2 * chosen.size


@pytest.mark.parametrize("place", [50, 123, 1000, 3333])
def test_blocks_that_are_restored_choose_as_the_undisturbed_ones(place: int) -> None:
    """The past is in the snapshot: at the next alarm it says the same of the blocks."""
    values = autocorrelated(2, 6000, 0.9, 2.0, 4000)
    straight, begun, resumed = AUTO.new_detector(), AUTO.new_detector(), AUTO.new_detector()
    expected = changes(straight, values)
    found = changes(begun, values[:place])
    resumed.restore(pickling.loads(pickling.dumps(begun.snapshot())))
    assert found + changes(resumed, values[place:], place) == expected
    assert resumed.snapshot()[0] == straight.snapshot()[0] > 1
