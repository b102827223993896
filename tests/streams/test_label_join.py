"""Buffers with bounds, and ids that are remembered for a while."""

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from streams.label_join import EVICTED, EXPIRED, Asked, LabelJoin, PendingLabels, RecentIds


@pytest.mark.parametrize(
    "score",
    [None, {}, {True: 0.25, False: 0.75}, {1: 0.5, 2: 0.5}, {"1": 1 / 3, "x": 2 / 3}, 0.1 + 0.2, -1e-300],
)
@pytest.mark.parametrize("prediction", [None, True, 3, 0.1, "Ünï", ""])
def test_event_that_waited_is_what_it_was(score: Any, prediction: Any) -> None:
    """Classes keep their types and numbers their last digit."""
    join = LabelJoin(1000, 10_000, 10)
    asked = Asked(7, prediction, score, {"a": 0.1, "n": 2**63 - 1, "s": "\u2028ö", "b": False})
    join.ask("e", 0, asked)
    back = join.waiting("e", 999)
    assert back == asked
    assert back is not None
    if isinstance(score, dict):
        assert list(map(type, back.score)) == list(map(type, score))
    assert join.waiting("e", 1000) is None


@given(
    st.lists(st.tuples(st.text(max_size=3), st.integers(0, 50), st.text(max_size=40)), max_size=30),
    st.integers(1, 2000),
)
def test_pending_entries_never_take_more_than_their_bound(entries: list[tuple[str, int, str]], max_bytes: int) -> None:
    """What is counted is what is there, and it is bounded after every step."""
    pending, time_ms = PendingLabels(max_bytes), 0
    kept: dict[str, str] = {}
    for event_id, step_ms, text in entries:
        time_ms += step_ms
        for gone, _ in pending.expire(time_ms):
            del kept[gone]
        if event_id in pending:
            evicted = pending.replace(event_id, [text])
        else:
            evicted = pending.add(event_id, time_ms + 100, [text])
        kept[event_id] = text
        for gone, _ in evicted:
            del kept[gone]
        assert pending.size_bytes <= max_bytes
        assert {event_id: pending.peek(event_id)[0] for event_id in kept} == kept
        assert len(pending) == len(kept)
    for event_id in kept:
        pending.remove(event_id)
    assert (pending.size_bytes, len(pending)) == (0, 0)


@given(st.lists(st.sampled_from("abcdefgh"), max_size=40), st.integers(1, 5))
def test_recent_ids_are_at_least_the_window_and_at_most_twice_as_many(ids: list[str], window: int) -> None:
    """The newest `window` ids are there for certain, with their newest outcome."""
    recent, newest = RecentIds(window), dict[str, int]()
    for i, event_id in enumerate(ids):
        recent.put(event_id, i)
        newest.pop(event_id, None)
        newest[event_id] = i
        assert len(recent.young) + len(recent.old) <= 2 * window
        for known, outcome in list(newest.items())[-window:]:
            assert known in recent
            assert recent.get(known) == outcome


def test_event_larger_than_the_whole_buffer_is_evicted_at_once() -> None:
    """It is remembered as evicted, and seen."""
    join = LabelJoin(1000, 300, 10)
    assert join.ask("e", 0, Asked(0, None, None, {"s": "x" * 500})) == 1
    assert join.settled.get("e") == EVICTED
    assert join.has_seen("e")
    assert not join.pending


def test_event_of_an_inline_pipeline_without_label_does_not_wait() -> None:
    """Without a time to live it is over at once."""
    join = LabelJoin(None, 300, 10)
    assert join.ask("e", 0, Asked(0, None, None, {})) == 0
    assert join.settled.get("e") == EXPIRED
