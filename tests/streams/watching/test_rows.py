"""Rows give back, column by column, what was put in."""

import math
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from streams.watching.rows import Rows

NUMBERS, CATEGORIES = ("a", "b"), ("c", "d")
NUMBER = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(-1e30, 1e30))
ROW = st.fixed_dictionaries(
    {"other": st.integers()},
    optional={**dict.fromkeys(NUMBERS, NUMBER), **{c: st.sampled_from([None, "x", True]) for c in CATEGORIES}},
)


@pytest.mark.parametrize("numbers", [(), ("a",), NUMBERS])
@given(added=st.lists(ROW, max_size=20), cut=st.integers(0, 20))
def test_columns_are_what_was_added(numbers: tuple[str, ...], added: list[dict[str, Any]], cut: int) -> None:
    """Through a snapshot in between, too; a whole number is the nearest double."""
    rows = Rows(numbers, CATEGORIES)
    for i, x in enumerate(added):
        if i == cut:
            state, rows = rows.snapshot(), Rows(numbers, CATEGORIES)
            rows.restore(state)
        rows.add(x, i)
    assert (len(rows), rows.answers) == (len(added), [*range(len(added))])
    for name in numbers:
        expected = [math.nan if x.get(name) is None else float(x[name]) for x in added]
        assert rows.column(name) == pytest.approx(expected, nan_ok=True, rel=0, abs=0)
    for name in CATEGORIES:
        assert rows.column(name) == [x.get(name) for x in added]
