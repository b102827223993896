"""The memory of a signal is measured as long as it is, and changes of its mean are none."""

import pytest

from streams.autocorrelation import Autocorrelation
from tests.streams.detectors.signals import autocorrelated, steps


def block_size(values: list[float]) -> int:
    """Return what is chosen for a signal."""
    past = Autocorrelation()
    for i, value in enumerate(values):
        past.add(value, i)
    return past.block_size()


@pytest.mark.parametrize("count", [5, 40, 100, 500, 2000, 10_000])
def test_independent_values_need_no_blocks(count: int) -> None:
    """However many, for 0/1 losses and for numbers, in each of ten streams."""
    assert {block_size(steps(seed, (count, 0.2))) for seed in range(10)} == {1}
    assert {block_size(autocorrelated(seed, count, 0.0)) for seed in range(10)} == {1}


@pytest.mark.parametrize("rate", [0.001, 0.003, 0.01, 0.03])
def test_rare_mistakes_are_no_memory(rate: float) -> None:
    """At each thousandth loss of ten long streams, the last thousand of which can be all alike."""
    for seed in range(10):
        past = Autocorrelation()
        for i, value in enumerate(steps(seed, (20_000, rate))):
            past.add(value, i)
            assert i % 1000 or past.block_size() == 1, (seed, i)


def test_change_of_the_mean_is_no_autocorrelation() -> None:
    """A jump, and a slow rise, leave independent values independent."""
    for seed in range(10):
        assert block_size(steps(seed, (1000, 0.1), (200, 0.6))) == 1
        assert block_size(steps(seed, *[(20, 0.1 + i / 250) for i in range(100)])) == 1


@pytest.mark.parametrize(("phi", "least", "most"), [(0.5, 8, 32), (0.9, 8, 64), (0.95, 32, 128), (0.99, 64, 512)])
def test_longer_memory_needs_longer_blocks(phi: float, least: int, most: int) -> None:
    """Of the order of (1 + φ)/(1 - φ) values, in each of five streams."""
    sizes = [block_size(autocorrelated(seed, 8000, phi)) for seed in range(5)]
    assert least <= min(sizes)
    assert max(sizes) <= most


def test_scale_and_place_of_a_signal_make_no_difference() -> None:
    """A feature in metres has the memory that it has in millimetres."""
    values = autocorrelated(1, 3000, 0.9)
    assert block_size(values) == block_size([1e6 + 1000 * value for value in values]) > 1


def test_past_is_bounded() -> None:
    """However long the signal."""
    past = Autocorrelation()
    for i in range(20_000):
        past.add(0.0, i)
    units, pending, whole, squares = past.snapshot()
    assert (len(units), len(pending), len(whole), len(squares)) == (1024, 0, 128, 1024)
    assert past.block_size() == 1
