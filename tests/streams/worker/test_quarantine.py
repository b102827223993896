"""Counting the workers that die at a position: who is blamed, who is forgiven, and whose counts are believed."""

import pytest

from schemas.attempts import Attempts
from schemas.errors import SnapshotError
from schemas.signing import generate, signer_from_pem
from streams.worker.quarantine import Quarantine
from tests.streams.worker.memory_store import SIGNER, TRUSTED, MemoryStore


def worker(store: MemoryStore, pipeline: str = "p") -> Quarantine:
    """Return the quarantine of a worker that has just started."""
    return Quarantine(store, SIGNER, TRUSTED, pipeline, "p.raw")


def die_at(store: MemoryStore, committed: int) -> Attempts:
    """Start a worker that begins at an offset and is heard of no more; return what it knew."""
    quarantine = worker(store)
    attempts = quarantine.look(0, committed, ())
    quarantine.begin(attempts)
    return attempts


def test_fourth_worker_at_one_offset_skips_what_three_have_died_of() -> None:
    """The second and third go record by record."""
    store = MemoryStore()
    lives = [die_at(store, 100) for _ in range(4)]
    assert [life.is_careful for life in lives] == [False, True, True, False]
    assert [life.skips for life in lives] == [(), (), (), (100,)]
    assert die_at(store, 101).skips == (100,)


def test_worker_that_came_further_begins_the_count_anew() -> None:
    """Three deaths at three places are three accidents."""
    store = MemoryStore()
    assert [die_at(store, offset).starts for offset in (100, 150, 100, 100, 20_000)] == [1, 1, 1, 2, 1]


def began_and_came_to(store: MemoryStore, committed: int, position: int) -> Attempts:
    """Start a worker that begins at an offset, commits a position, and is heard of no more."""
    quarantine = worker(store)
    attempts = quarantine.look(0, committed, ())
    quarantine.begin(attempts)
    quarantine.passed(0, position)
    return attempts


def test_topic_that_is_made_anew_has_killed_nobody() -> None:
    """Each worker came further; that the next one begins at the same offset is no death, and no record is skipped."""
    store = MemoryStore()
    lives = [began_and_came_to(store, 0, 20) for _ in range(6)]
    assert [(life.starts, life.skips) for life in lives] == [(1, ())] * 6


def test_nobody_has_died_of_a_topic_that_has_the_name_of_a_deleted_one() -> None:
    """Its count begins anew, and none of its records is passed over for what stood at that offset before."""
    store, lives = MemoryStore(), []
    for topic_id in ("a", "a", "a", "a", "b", ""):
        quarantine = worker(store)
        lives.append(quarantine.look(0, 100, (), topic_id))
        quarantine.begin(lives[-1])
    assert [(life.starts, life.skips, life.topic_id) for life in lives] == [
        (1, (), "a"),
        (2, (), "a"),
        (3, (), "a"),
        (1, (100,), "a"),
        (1, (), "b"),
        (2, (), "b"),
    ]


def test_careful_worker_has_passed_the_place_once_it_commits_in_pieces_again() -> None:
    """Until then its own death would be the next record's fault."""
    store = MemoryStore()
    die_at(store, 100)
    assert began_and_came_to(store, 100, 130).starts == 2
    assert die_at(store, 130).starts == 2
    assert began_and_came_to(store, 130, 1_131).starts == 3
    assert die_at(store, 130).starts == 1


def test_careful_worker_that_came_further_has_died_where_it_is_found() -> None:
    """It committed record by record: its death counts for the next one."""
    store = MemoryStore()
    lives = [die_at(store, offset) for offset in (100, 100, 130, 130, 130)]
    assert [life.starts for life in lives] == [1, 2, 2, 3, 1]
    assert lives[-1].skips == (130,)


def test_worker_that_never_began_is_not_counted() -> None:
    """It was assigned a partition, and stepped through nothing: an idle topic is no trap."""
    store = MemoryStore()
    for _ in range(10):
        assert worker(store).look(0, 100, ()).starts == 1


def test_partition_that_comes_back_to_the_same_worker_is_one_start() -> None:
    """Aborted transactions and rebalances are no deaths."""
    store = MemoryStore()
    quarantine = worker(store)
    for _ in range(5):
        attempts = quarantine.look(0, 100, ())
        quarantine.begin(attempts)
        assert attempts.starts == 1


def test_worker_that_ends_with_an_error_of_ours_takes_its_count_back() -> None:
    """A broker that is gone is no fault of the record."""
    store = MemoryStore()
    for _ in range(10):
        quarantine = worker(store)
        attempts = quarantine.look(0, 100, ())
        assert attempts.starts == 1
        quarantine.begin(attempts)
        quarantine.forgive()


def test_partition_that_waits_for_another_declaration_is_no_start() -> None:
    """Of the others the worker may still die."""
    store = MemoryStore()
    quarantine = worker(store)
    for partition in (0, 1):
        quarantine.begin(quarantine.look(partition, 100, ()))
    quarantine.withdraw(0)
    quarantine.withdraw(0)
    assert [worker(store).look(partition, 100, ()).starts for partition in (0, 1)] == [1, 2]


def test_skips_of_a_snapshot_and_of_a_note_are_all_passed_over() -> None:
    """Each once, in order."""
    store = MemoryStore()
    for _ in range(4):
        die_at(store, 100)
    assert worker(store).look(0, 200, (7, 100)).skips == (7, 100)


@pytest.mark.parametrize("forged", ["signature", "pipeline", "garbage"])
def test_note_that_cannot_be_believed_counts_nothing(forged: str) -> None:
    """Nobody else can have a record passed over."""
    store = MemoryStore()
    evil = Attempts("q" if forged == "pipeline" else "p", "p.raw", 0, 100, 3, (1, 2, 3))
    signer = signer_from_pem(generate()[0]) if forged == "signature" else SIGNER
    store.notes[0] = b"{}" if forged == "garbage" else signer.seal(evil.to_document())
    attempts = worker(store).look(0, 100, ())
    assert (attempts.starts, attempts.skips) == (1, ())


def test_forgiving_worker_takes_nothing_back_that_others_have_written() -> None:
    """Another one has counted on from there, and has passed over a record."""
    store = MemoryStore()
    late = worker(store)
    late.begin(late.look(0, 100, ()))
    for _ in range(3):
        die_at(store, 100)
    late.forgive()
    assert worker(store).look(0, 200, ()).skips == (100,)


def test_worker_that_comes_back_knows_what_others_have_passed_over() -> None:
    """It began at the same offset before, and has lost the partition since."""
    store = MemoryStore()
    late = worker(store)
    late.begin(late.look(0, 100, ()))
    for _ in range(3):
        die_at(store, 100)
    assert late.look(0, 100, ()).skips == (100,)


def test_store_that_keeps_nothing_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """The start is not counted, and the log says so."""

    class Full(MemoryStore):
        def note(self, partition: int, document: bytes) -> None:
            raise SnapshotError("no space left")

    quarantine = worker(Full())
    quarantine.begin(quarantine.look(0, 100, ()))
    assert "this start is not counted: no space left" in caplog.text
