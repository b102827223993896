"""A reference knows how much windows differ, and a window that differs by more."""

import random
import statistics

import hypothesis.strategies as st
import pytest
from hypothesis import given
from scipy import stats

from streams.watching.reference import Reference, Statistic, has_trend, share_of

MEANS = st.lists(st.floats(-1, 1), min_size=4, max_size=12)


def held(means: list[float], value: float, floor: float = 0.0) -> float:
    """Return the p-value of a window against others, each of 100 values."""
    reference = Reference()
    for mean in means:
        reference.add([Statistic(mean, 100, floor)])
    [p] = reference.p_values([Statistic(value, 100, floor)])
    return p


@given(MEANS, st.floats(-2, 2))
def test_p_value_is_that_of_a_t_test(means: list[float], value: float) -> None:
    """The prediction interval of one more value, by SciPy's distribution; differences without news have 1."""
    spread = statistics.stdev(means)
    if spread < 1e-6:
        return
    t = (value - statistics.fmean(means)) / (spread * (1 + 1 / len(means)) ** 0.5)
    expected = 2 * stats.t.sf(abs(t), len(means) - 1) if abs(t) >= 1.5 else 1.0
    if abs(abs(t) - 1.5) > 1e-6:
        assert held(means, value) == pytest.approx(expected, rel=1e-6)


def test_windows_that_agree_by_chance_are_not_trusted() -> None:
    """A window of independent values differs by its floor at least."""
    assert held([0.0] * 8, 0.01, floor=1e-6) < 0.01
    assert held([0.0] * 8, 0.01, floor=1.0) == 1.0


def test_window_with_hardly_a_value_says_nothing() -> None:
    """Neither against the reference, nor within it."""
    reference = Reference()
    for mean in (0.0, 0.1, -0.1, 0.05):
        reference.add([Statistic(mean, 100, 0.0)])
        reference.add([Statistic(99.0, 19, 0.0)])
    assert reference.p_values([Statistic(99.0, 19, 0.0)]) == [1.0]
    assert reference.p_values([Statistic(1.0, 100, 0.0)])[0] < 0.01


def test_trend_is_found_and_what_stands_still_has_one_in_twenty() -> None:
    """The slope of a line through the windows, over all statistics together."""
    rng = random.Random(1)
    still = [[[Statistic(rng.gauss(0, 1), 100, 0.0) for _ in range(3)] for _ in range(8)] for _ in range(2000)]
    assert 0.03 < statistics.fmean(map(has_trend, still)) < 0.07
    rising = [[Statistic(i + rng.gauss(0, 1), 100, 0.0), Statistic(rng.gauss(0, 1), 100, 0.0)] for i in range(8)]
    assert has_trend(rising)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.95])
def test_share_varies_by_its_floor_whatever_it_is(share: float) -> None:
    """A quarter over the number of values."""
    rng = random.Random(2)
    values = [share_of(sum(rng.random() < share for _ in range(400)), 400).value for _ in range(1500)]
    assert statistics.variance(values) * 400 == pytest.approx(0.25, rel=0.2)
