"""Intervals against scipy's, and against the truth where neighbours are alike."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal, stats

from services.laboratory.interval import BATCHES, Interval, batches, interval


def ar1(phi: float, size: int, seed: int) -> NDArray[np.float64]:
    """Return a stationary process of mean zero whose neighbours go together."""
    noise = np.random.default_rng(seed).normal(size=size + 500)
    return np.asarray(signal.lfilter([1.0], [1.0, -phi], noise)[500:])


def of_series(series: NDArray[np.float64], bin_size: int = 50) -> Interval:
    """Return the interval of a series that was summed in bins."""
    sums = series.reshape(-1, bin_size).sum(axis=1)
    found = interval([batches([bin_size] * len(sums), [float(s) for s in sums])])
    assert found is not None
    return found


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(-10, 10)), min_size=1, max_size=200), st.integers(1, 30))
def test_batches_keep_all_values_and_are_not_too_many(bins: list[tuple[int, float]], most: int) -> None:
    """Nothing is lost, nothing is empty."""
    made = batches([n for n, _ in bins], [s if n else 0.0 for n, s in bins], most)
    assert sum(n for n, _ in made) == sum(n for n, _ in bins)
    assert sum(s for _, s in made) == pytest.approx(sum(s for n, s in bins if n), abs=1e-9)
    assert all(n for n, _ in made)
    assert len(made) <= most


def test_interval_of_equal_batches_is_scipys_of_their_means() -> None:
    """Student's interval of the means of twenty batches."""
    series = ar1(0.5, 20_000, 3)
    means = series.reshape(BATCHES, -1).mean(axis=1)
    wanted = stats.t.interval(0.95, BATCHES - 1, loc=means.mean(), scale=stats.sem(means))
    found = of_series(series)
    assert (found.low, found.high) == pytest.approx(wanted)


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9, 0.99])
def test_interval_covers_the_truth_nineteen_times_in_twenty_where_neighbours_are_alike(phi: float) -> None:
    """In 400 series; one that takes values for independent covers it in .75, .37 and .11 of those with neighbours."""
    covered = naive = 0
    for seed in range(400):
        series = ar1(phi, 20_000, seed)
        found = of_series(series)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0 <= found.high
        naive += abs(series.mean()) <= 1.96 * series.std() / sqrt(len(series))
    assert 0.92 <= covered / 400 <= 0.98
    assert phi == 0 or naive / 400 < 0.8


def test_interval_says_when_even_batches_go_together() -> None:
    """A slow wave is longer than a batch."""
    wave = np.sin(np.arange(20_000) / 20_000 * 4 * np.pi)
    assert of_series(wave).correlated
    assert sum(of_series(ar1(0.5, 20_000, seed)).correlated for seed in range(100)) < 15


def test_interval_of_partitions_does_not_join_their_ends() -> None:
    """Each partition's batches are its own; the mean is that of all events."""
    one, two = [(100, 10.0 + i % 3) for i in range(20)], [(10, 8.0 + i % 2) for i in range(20)]
    found = interval([one, two])
    assert found is not None
    assert found.mean == pytest.approx(sum(s for _, s in one + two) / 2_200)


def test_interval_is_missing_where_there_is_too_little() -> None:
    """A mean, and nothing claimed about it; without values, nothing."""
    assert interval([batches([50] * 3, [10.0] * 3)]) == Interval(0.2)
    assert interval([batches([1] * 100, [1.0] * 100)]) == Interval(1.0)
    assert interval([[]]) is None
