"""Discoveries are those of Benjamini and Yekutieli."""

import hypothesis.strategies as st
import pytest
from hypothesis import given
from scipy.stats import false_discovery_control

from streams.watching.discoveries import q_values


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_q_values_are_those_of_scipy(p_values: list[float]) -> None:
    """SciPy adjusts p-values the same way."""
    assert q_values(p_values) == pytest.approx(false_discovery_control(p_values, method="by"))


def test_no_tests_are_no_discoveries() -> None:
    """Nothing is watched while references are gathered."""
    assert q_values([]) == []
