"""The watermark never goes back, and one wrong clock does not move it far."""

import hypothesis.strategies as st
from hypothesis import given

from streams.event_time import EventTime

TIMES = st.lists(st.one_of(st.integers(0, 5000), st.integers(0, 10**12)), max_size=30)


@given(times=TIMES)
def test_watermark_after_any_times_never_goes_back_nor_leaps(times: list[int]) -> None:
    """From the second record on it moves by `max_leap` at most, and never beyond the largest time seen."""
    clock, before = EventTime(1000), -1
    for i, time_ms in enumerate(times):
        announced = clock.after(time_ms)
        clock.advance(time_ms)
        assert clock.watermark_ms == announced
        assert clock.watermark_ms >= before
        assert i == 0 or clock.watermark_ms <= before + 1000
        assert clock.watermark_ms <= max(times[: i + 1])
        before = clock.watermark_ms


@given(times=TIMES.filter(bool), wrong=st.integers(10**13, 10**14))
def test_watermark_after_one_wrong_clock_is_as_if_it_had_not_come(times: list[int], wrong: int) -> None:
    """A single leap changes nothing, if the record after it is one that does not leap."""
    plain, disturbed = EventTime(10**13), EventTime(10**13)
    for time_ms in times:
        plain.advance(time_ms)
        disturbed.advance(time_ms)
    disturbed.advance(plain.watermark_ms + wrong + 1)
    assert disturbed.watermark_ms == plain.watermark_ms


def test_first_record_sets_the_watermark_whatever_its_time() -> None:
    """There is nothing to compare it with."""
    clock = EventTime(1000)
    assert not clock.leaps(10**12)
    clock.advance(10**12)
    assert clock.watermark_ms == 10**12
