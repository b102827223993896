"""Block means: plain arithmetic."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.blocks import Blocks

SHARES = st.floats(-1e6, 1e6)


@given(st.lists(SHARES, max_size=50), st.integers(1, 9), SHARES)
def test_blocks_are_stretched_means_of_as_many_values(values: list[float], size: int, centre: float) -> None:
    """One for each whole block, its distance from the centre √b times the mean's."""
    blocks = Blocks(size, centre)
    given_out = [mean for value in values if (mean := blocks.update(value)) is not None]
    means = [sum(values[i : i + size]) / size for i in range(0, len(values) - size + 1, size)]
    assert given_out == pytest.approx([centre + math.sqrt(size) * (mean - centre) for mean in means], abs=1e-6)
    assert [blocks.mean_of(stretched) for stretched in given_out] == pytest.approx(means, abs=1e-6)


@given(st.lists(SHARES, min_size=1, max_size=30))
def test_blocks_of_one_leave_values_as_they_are(values: list[float]) -> None:
    """But for rounding."""
    blocks = Blocks(1)
    assert [blocks.update(value) for value in values] == pytest.approx(values, abs=1e-6)


def test_blocks_that_are_restored_within_a_block_go_on() -> None:
    """With the same centre and the same half of a block."""
    straight, resumed = Blocks(4), Blocks(4)
    for value in (0.0, 1.0, 1.0, 1.0, 0.0, 1.0):
        straight.update(value)
    resumed.restore(straight.snapshot())
    assert [resumed.update(v) for v in (1.0, 0.0)] == [straight.update(v) for v in (1.0, 0.0)] == [None, 0.25]
