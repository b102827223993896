"""Taking snapshots: when, in which order, and what stops one."""

from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP

from schemas.manifest import Manifest
from schemas.record import Record
from streams import pickling
from streams.snapshot import identity_of
from streams.task import Task
from streams.worker import snapshots
from streams.worker.delivery import CycleAborted
from streams.worker.recovery import Recovery
from streams.worker.snapshots import Snapshots
from streams.worker.stores import LocalStore
from streams.worker.stores.store import Threaded
from tests.streams.worker.declarations import small
from tests.streams.worker.kafka import until
from tests.streams.worker.memory_store import SIGNER, TRUSTED, Desk, Shard, Written
from tests.streams.worker.test_recovery import fold


def test_snapshot_is_taken_when_it_is_due_and_something_has_moved() -> None:
    """Not before the interval is over, and not twice of one position."""
    desk = Desk(small("p"))
    desk.advance()
    fold(desk.shard.task, 0, 10)
    desk.shard.position = desk.shard.committed = 10
    assert desk.advance(3) == [False] * 3
    desk.clock.now = 10.0
    assert desk.advance(4) == [True, True, False, False]
    assert desk.snapshots.taken == 1
    desk.clock.now = 100.0
    assert desk.advance(4) == [False] * 4
    desk.shard.position = 11
    assert any(desk.advance(4))


def test_manifest_waits_until_its_position_is_committed() -> None:
    """It is never ahead of its commit."""
    desk = Desk(small("p"))
    desk.advance()
    fold(desk.shard.task, 0, 10)
    desk.shard.position, desk.shard.committed = 10, 9
    desk.clock.now = 10.0
    desk.advance(20)
    assert desk.store.parts
    assert desk.store.documents == []
    desk.shard.committed = 10
    desk.advance(2)
    assert [at for at, _ in desk.store.documents] == [10]


def test_manifest_waits_until_all_parts_are_stored() -> None:
    """Each place is known before it is signed."""
    desk = Desk(small("p"))
    desk.store.late = []
    desk.advance()
    fold(desk.shard.task, 0, 10)
    desk.shard.position = desk.shard.committed = 10
    desk.clock.now = 10.0
    desk.advance(20)
    answers = list(desk.store.late)
    for answer in answers[:-1]:
        answer()
    desk.advance(5)
    assert desk.store.documents == []
    answers[-1]()
    desk.advance(2)
    manifest = Manifest.from_document(TRUSTED.open(desk.store.documents[0][1]))
    assert all(part.places for part in manifest.parts)


def test_slow_store_is_given_no_more_than_it_can_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for it is in memory: the whole state, if cycles went on handing it over."""
    monkeypatch.setattr(snapshots, "_BYTES_A_CYCLE", 1)
    desk = Desk(small("p", ttl_seconds=3600))
    desk.advance()
    fold(desk.shard.task, 0, 500)
    desk.shard.position = desk.shard.committed = 500
    desk.clock.now = 10.0
    desk.store.late = waiting = []
    handed_over = sum(desk.advance(20))
    assert (handed_over, len(waiting)) == (3, 3)
    while desk.snapshots.taken == 0:
        if waiting:
            waiting.pop(0)()
        handed_over += sum(desk.advance(2))
        assert len(waiting) <= 3
    assert handed_over == len(desk.store.parts) + 2  # the end of them, and the manifest


def test_dump_takes_less_than_a_fiftieth_of_the_time() -> None:
    """A dump of 1.8 seconds is followed by the next one after a hundred."""
    desk = Desk(small("p"))
    desk.advance()
    desk.clock.now = 10.0
    desk.shard.position = desk.shard.committed = 1
    dump = desk.snapshots._dump

    def slow(write: Any) -> Any:
        written: Any = dump(write)
        written.cpu_seconds = 1.8
        return written

    desk.snapshots._dump = slow
    desk.advance(5)
    assert desk.snapshots.last_seconds == pytest.approx(1.8)
    desk.shard.position = desk.shard.committed = 2
    desk.clock.now = 109.0
    assert desk.advance(5) == [False] * 5
    desk.clock.now = 110.1
    assert any(desk.advance(5))


def test_partitions_share_the_time_that_dumps_may_take() -> None:
    """Four of them, a dump of two seconds each: the next one of a partition is due after 444."""
    desk = Desk(small("p"))
    dump = desk.snapshots._dump

    def slow(write: Any) -> Any:
        written: Any = dump(write)
        written.cpu_seconds = 2.0
        return written

    desk.snapshots._dump = slow
    shards = {TP("p.raw", n): Shard(Task(desk.pipeline, n, 4)) for n in range(4)}
    advance = partial(desk.snapshots.advance, shards, lambda tp: identity_of(desk.pipeline, tp.partition, 4))
    advance()
    taken = []
    for now in (10.0, 440.0, 456.0):
        desk.clock.now = now
        for shard in shards.values():
            shard.position = shard.committed = shard.position + 1
        for _ in range(40):
            advance()
        taken.append(desk.snapshots.taken)
    assert taken == [4, 4, 8]


def test_failed_dump_is_counted_and_tried_again_later(caplog: pytest.LogCaptureFixture) -> None:
    """The worker goes on, and says why there is none."""
    desk = Desk(small("p"))
    desk.advance()
    desk.shard.position = desk.shard.committed = 1
    desk.clock.now = 10.0
    desk.shard.task.preprocessor._last["f"] = desk  # nothing that may stand in a snapshot
    assert any(desk.advance(5)), "what was handed over before is committed"
    assert (desk.snapshots.failed, desk.snapshots.taken) == (1, 0)
    assert "Desk" in caplog.text
    del desk.shard.task.preprocessor._last["f"]
    desk.clock.now = 25.0
    desk.advance(5)
    assert desk.snapshots.taken == 1


def test_aborted_cycle_ends_the_snapshot() -> None:
    """What was handed over in it is not stored."""
    desk = Desk(small("p"))
    desk.advance()
    desk.shard.position = desk.shard.committed = 1
    desk.clock.now = 10.0

    def abort(*_: Any) -> None:
        raise CycleAborted("the broker")

    desk.store.put = abort  # type: ignore[method-assign]
    with pytest.raises(CycleAborted):
        desk.advance()
    desk.snapshots.forget(aborted=True)
    del desk.store.put
    desk.advance(5)
    assert desk.snapshots.taken == 0
    desk.clock.now = 30.0
    desk.advance(5)
    assert desk.snapshots.taken == 1


def test_snapshots_of_a_deleted_topic_push_none_off_the_ladder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their offsets are further, and those of the topic that has its name now are the newest all the same."""
    monkeypatch.setattr("streams.worker.snapshots.time.time", lambda: 1_700_000_000.0)
    desk = Desk(small("p"))
    for topic_id, first in (("a", 1_000), ("b", 0)):
        desk.topic_id, desk.shard.snapshot = topic_id, None
        for position in range(first, first + 25):
            desk.shard.position = position + 1
            desk.take()
        desk.advance(20)
    kept = [at for at, _ in desk.store.documents]
    assert sorted(at for at in kept if at < 1_000)[-1] == 25, "the newest of the new topic"
    assert any(at > 1_000 for at in kept)


class Costly(Written):
    """A dump that is worth 100 s of snapshots."""

    cpu_seconds = 100 * 0.018


@pytest.mark.parametrize(
    ("dump", "aborted", "seconds"),
    [
        (Written, True, 10),
        (Costly, True, 100),
        (Written, False, 0),
        (Costly, False, 100),
    ],
)
def test_snapshot_that_is_cut_off_again_and_again_keeps_to_its_share(
    dump: type[Written], aborted: bool, seconds: int
) -> None:
    """An abort, which it may be the reason for, does not hurry the next one; nothing makes a dump cost less."""
    desk = Desk(small("p"))
    desk.shard.committed = 1
    desk.snapshots._dump = dump
    for _ in range(3):
        desk.shard.position += 1
        assert any(desk.advance(2))
        desk.snapshots.forget(aborted=aborted)
        if seconds:
            desk.clock.now += seconds - 1
            assert not any(desk.advance(2))
            desk.clock.now += 1
    assert desk.snapshots.taken == 0


def test_assignments_put_no_snapshot_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group that rebalances more often than the interval takes them all the same: the log to replay stays short."""
    desk = Desk(small("p"))
    monkeypatch.setattr("streams.worker.snapshots.time.time", lambda: 1_700_000_000.0 + desk.clock.now)
    for second in range(0, 36, 4):
        desk.clock.now = float(second)
        desk.snapshots.forget()
        desk.shard.position = desk.shard.committed = 1 + second
        desk.advance(5)
    assert [at for at, _ in desk.store.documents] == [1, 13, 25]


def test_snapshot_of_a_partition_that_came_is_due_an_interval_after_its_last_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever took that, and however late the partition came."""
    desk = Desk(small("p"), interval=10.0)
    monkeypatch.setattr("streams.worker.snapshots.time.time", lambda: 1_700_000_000.0 + desk.clock.now)
    desk.shard.position = desk.shard.committed = 10
    desk.advance(5)
    assert desk.snapshots.taken == 1
    desk.snapshots = Snapshots(desk.store, SIGNER, TRUSTED, 10.0, Written, desk.clock)
    desk.shard.position = desk.shard.committed = 20
    desk.clock.now += 6
    desk.advance(5)
    assert desk.snapshots.taken == 0
    desk.clock.now += 4
    desk.advance(5)
    assert desk.snapshots.taken == 1


def test_snapshot_from_a_clock_that_is_ahead_is_followed_after_an_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose clock is wrong keeps the others from taking none."""
    desk = Desk(small("p"), interval=10.0)
    monkeypatch.setattr("streams.worker.snapshots.time.time", lambda: 1_800_000_000.0)
    desk.shard.position = 10
    desk.take()
    monkeypatch.undo()
    desk.snapshots = Snapshots(desk.store, SIGNER, TRUSTED, 10.0, Written, desk.clock)
    desk.shard.position = desk.shard.committed = 20
    desk.advance()
    desk.clock.now += 10
    desk.advance(5)
    assert desk.snapshots.taken == 1


def test_snapshot_of_a_log_that_was_read_without_one_is_due_at_once() -> None:
    """Nobody knows for how long there has been none."""
    desk = Desk(small("p"))
    desk.shard.committed = 100
    desk.advance()
    desk.shard.position = desk.shard.committed = 120
    desk.advance(5)
    assert desk.snapshots.taken == 1


def test_snapshot_that_an_assignment_cuts_off_is_due_at_once() -> None:
    """What it had handed over is of no use to anybody."""
    desk = Desk(small("p"))
    desk.advance()
    desk.shard.position, desk.shard.committed = 10, 9
    desk.clock.now = 10.0
    desk.advance(5)
    assert desk.snapshots.taken == 0
    desk.snapshots.forget()
    desk.shard.committed = 10
    desk.advance(5)
    assert desk.snapshots.taken == 1


def test_unchanged_parts_are_stored_once() -> None:
    """The second snapshot of an almost unchanged task is small."""
    desk = Desk(small("p", ttl_seconds=3600))
    fold(desk.shard.task, 0, 500)
    desk.shard.position = 500
    desk.take()
    first = desk.store.put_bytes
    desk.shard.position = 501
    desk.take()
    assert desk.store.put_bytes - first < first / 3


@pytest.mark.parametrize("when", ["before its manifest", "after its manifest"])
def test_snapshot_whose_part_is_gone_is_none_and_the_next_one_stores_all_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, when: str
) -> None:
    """Else a part that does not change is named by all that follow, and none of them can be loaded."""
    store: Any = Threaded(LocalStore(tmp_path))
    desk = Desk(small("p"), store)

    def advance(is_done: Callable[[], object]) -> None:
        until(lambda: desk.advance() and is_done(), 10)

    def learn_nothing(position: int) -> None:
        """Have the books change, and the champion not."""
        desk.shard.task.step(Record("p.raw", 0, position - 1, 1_700_000_000_000, None, b"no event"))
        desk.shard.position = desk.shard.committed = position
        desk.clock.now += 100

    desk.advance()
    fold(desk.shard.task, 0, 50)
    champion = sha256(pickling.dumps(desk.shard.task.lifecycle.learners["champion"].model)).hexdigest()
    learn_nothing(51)
    if when == "before its manifest":
        desk.shard.committed = 50
        desk.advance(20)
        store.drop(0, [], []).result(10)  # after all that was put
    else:
        advance(lambda: desk.snapshots.taken)
    (tmp_path / "0/parts" / champion).unlink()
    learn_nothing(52)
    advance(lambda: desk.snapshots.failed)
    assert "parts are not there any more, champion among them; all are stored anew with the next one" in caplog.text
    learn_nothing(53)
    taken = desk.snapshots.taken
    advance(lambda: desk.snapshots.taken > taken)
    recovery = Recovery(store, TRUSTED)
    found = recovery.recover(lambda: Task(desk.pipeline), identity_of(desk.pipeline, 0, 1), 0, 53)
    assert found.manifest is not None
    assert (found.manifest.next, recovery.refused) == (53, 0)


def test_every_shard_is_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards take turns: each has its own count."""
    monkeypatch.setattr(snapshots, "_SWEEP_EVERY", 4)
    desk = Desk(small("p"))
    shards = {TP("p.raw", n): Shard(Task(desk.pipeline, n, 2)) for n in range(2)}
    swept: set[int] = set()

    def manifests(partition: int) -> Any:
        swept.add(partition)
        return iter(())

    desk.store.manifests = manifests  # type: ignore[method-assign]
    for position in range(1, 10):
        for shard in shards.values():
            shard.position = shard.committed = position
        desk.clock.now += 100
        for _ in range(200):
            desk.snapshots.advance(shards, lambda tp: identity_of(desk.pipeline, tp.partition, 2))

    def all_swept() -> bool:
        desk.snapshots.advance(shards, lambda tp: identity_of(desk.pipeline, tp.partition, 2))
        return swept == {0, 1}

    until(all_swept, 3, "a sweep of each")


def test_sweep_drops_what_the_ladder_does_not_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the parts that nothing names any more; what is left can all be loaded."""
    monkeypatch.setattr(snapshots, "_SWEEP_EVERY", 5)
    desk = Desk(small("p"))
    for position in range(1, 6):
        fold(desk.shard.task, desk.shard.position, position)
        desk.shard.position = position
        desk.take()
    for _ in range(1000):
        desk.advance()
        if len(desk.store.documents) < 5:
            break
    assert 2 <= len(desk.store.documents) <= 4  # two, and one more where an hour or a day began meanwhile
    named = set()
    for _, document in desk.store.documents:
        named |= {part.digest for part in Manifest.from_document(TRUSTED.open(document)).parts}
    assert set(desk.store.parts) == named
