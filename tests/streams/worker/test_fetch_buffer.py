"""What was fetched and waits: batches of one partition, in order, whose positions chain."""

from typing import Any

import pytest
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from streams.worker.batch import Batch
from streams.worker.fetch_buffer import FetchBuffer
from tests.streams.worker.test_poller import FakeMessage, chain, messages, offsets

P0, P1 = TP("p.raw", 0), TP("p.raw", 1)


def buffer(**positions: int) -> FetchBuffer:
    """Return a buffer of two partitions that are read from the given positions."""
    made = FetchBuffer("p.raw")
    made.start({P0: positions.get("p0", 0), P1: positions.get("p1", 0)}, 1)
    return made


def test_what_waits_in_a_partition_is_one_batch() -> None:
    """However the partitions were mixed, and in how many pieces the records came."""
    one = buffer()
    one.add([*messages(0, 0, 1), *messages(1, 0), *messages(0, 2)])
    one.add([*messages(1, 1, 2), *messages(0, 3)])
    assert {tp: offsets(batch) for tp, batch in one.take(100).items()} == {P0: [0, 1, 2, 3], P1: [0, 1, 2]}
    assert one.take(100) == {}


def test_positions_chain_over_gaps_in_the_offsets() -> None:
    """Compaction leaves holes: a batch begins where the last one ended, whatever its first offset."""
    one = buffer(p0=3)
    chains = []
    for found in ((5, 9), (20,), (21,)):
        one.add(messages(0, *found))
        chains.append(chain(one.take(100)[P0]))
    assert chains == [(3, 10), (10, 21), (21, 22)]


def test_batch_tells_since_when_its_first_record_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is added behind it; what is left behind has waited as long as what was taken, at most."""
    one, now = buffer(), iter(range(10, 20))
    monkeypatch.setattr("streams.worker.fetch_buffer.time.perf_counter", lambda: next(now))
    one.add(messages(0, 0, 1))
    one.add([*messages(0, 2), *messages(1, 0)])
    assert {tp: batch.arrived for tp, batch in one.take(2).items()} == {P0: 10, P1: 11}
    assert one.take(2)[P0].arrived == 10
    one.add(messages(0, 3))
    one.start({P0: 3}, 2)
    one.add(messages(0, 3))
    assert one.take(2)[P0].arrived == 13


def test_new_assignment_forgets_what_waits() -> None:
    """Its batches bear its number and begin at its positions."""
    one = buffer()
    one.add(messages(0, 0, 1, 2))
    one.start({P0: 1}, 2)
    assert (one.take(100), one.records, one.size_bytes) == ({}, 0, 0)
    one.add(messages(0, 1, 2))
    batch = one.take(100)[P0]
    assert (batch.epoch, chain(batch), offsets(batch)) == (2, (1, 3), [1, 2])


@given(st.lists(st.one_of(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 9)), max_size=8), st.integers(1, 5))))
def test_all_that_was_added_is_taken_once_in_order(steps: list[Any]) -> None:
    """Whatever is added and taken in between; and the books of what waits are right all the time."""
    one, added, taken = buffer(), {0: list[int](), 1: list[int]()}, {0: list[Batch](), 1: list[Batch]()}

    def take(count: int) -> None:
        for tp, batch in one.take(count).items():
            assert 0 < len(batch.messages) <= count
            taken[tp.partition].append(batch)

    for step in steps:
        if isinstance(step, int):
            take(step)
        else:
            fetched: list[Any] = []
            for partition, gap in step:
                following = added[partition][-1] + 1 + gap if added[partition] else gap
                added[partition].append(following)
                fetched.append(FakeMessage(partition, following, b"x" * gap))
            one.add(fetched)
        came, went = sum(map(len, added.values())), sum(len(b.messages) for some in taken.values() for b in some)
        assert one.records == came - went
    while one.records:
        take(3)
    assert one.size_bytes == 0
    for partition, batches in taken.items():
        assert [offset for batch in batches for offset in offsets(batch)] == added[partition]
        position = 0
        for batch in batches:
            assert batch.fetched_from == position
            position = batch.next_position
