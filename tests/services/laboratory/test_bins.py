"""Bins against a dictionary of all values."""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from services.laboratory.bins import Bins

VALUES = st.lists(st.tuples(st.integers(0, 3_000), st.integers(-8, 8), st.integers(0, 2**32 - 1)), max_size=60)


def binned(values: list[tuple[int, int, int]], first: int, most: int) -> Bins:
    """Return bins of values at offsets from `first` on."""
    bins = Bins(first, most)
    for offset, value, mark in values:
        bins.add(first + offset, float(value), mark)
    return bins


@given(VALUES, st.integers(0, 10**12), st.sampled_from([2, 4, 16, 512]))
def test_bins_hold_what_a_dictionary_of_stretches_holds(
    values: list[tuple[int, int, int]], first: int, most: int
) -> None:
    """Whatever the order, each value is in the bin that its offset names, and no bin is wider than it has to be."""
    bins = binned(values, first, most)
    wanted: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for offset, value, mark in values:
        wanted[offset // bins.width].append((value, mark))
    assert len(bins.counts) <= most
    assert not bins.shift or max(offset for offset, _, _ in values) >= most * bins.width // 2
    for index, (count, total, mark) in enumerate(zip(bins.counts, bins.sums, bins.marks, strict=True)):
        held = wanted.pop(index, [])
        assert (count, total, mark) == (len(held), sum(v for v, _ in held), sum(m for _, m in held) % 2**32)
    assert not wanted


@given(VALUES, st.integers(0, 6))
def test_bins_made_coarser_are_those_of_fewer_bins(values: list[tuple[int, int, int]], shift: int) -> None:
    """To join bins afterwards comes to the same as to have had wide ones, and leaves the original alone."""
    fine, wide = binned(values, 0, 4096), Bins(0, 4096, shift)
    before = list(fine.counts)
    for offset, value, mark in values:
        wide.add(offset, float(value), mark)
    assert fine.coarser(shift) == wide
    assert fine.counts == before


def test_rolling_mean_weighs_events_and_leaves_gaps() -> None:
    """The mean of the events, not of the bins; where there is none, there is no mean."""
    bins = Bins(counts=[0, 3, 1, 0, 0], sums=[0.0, 3.0, 5.0, 0.0, 0.0], marks=[0] * 5)
    assert bins.rolling(2) == [None, 1.0, 2.0, 5.0, None]
