"""Which snapshots are believed: a damaged, foreign, forged or repeated one never is, and the one before it serves."""

import random
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from faust.types import TP

from schemas import cloudevents as ce
from schemas.commands import Declare
from schemas.errors import BrokerError, DeclarationEnded, StoreError
from schemas.manifest import FORMAT, Manifest
from schemas.operators import Operators, SignedCommand, encode_signed
from schemas.record import Headers, Record
from schemas.signing import TrustedKeys, generate, signer_from_pem
from streams.pipeline import Pipeline
from streams.snapshot import identity_of
from streams.task import Task
from streams.worker import snapshots
from streams.worker.poller import Extent
from streams.worker.recovery import Recovered, Recovery
from streams.worker.restoration import Restoration
from streams.worker.settings import Settings
from streams.worker.stores import LocalStore
from streams.worker.stores.store import Threaded
from tests.streams.worker.declarations import small
from tests.streams.worker.memory_store import SIGNER, TRUSTED, Desk, MemoryStore


def fold(task: Task, start: int, end: int) -> list[Any]:
    """Step a task through good events; return what it answered."""
    answers = []
    for offset in range(start, end):
        value = orjson.dumps({"a": float(offset % 7), "b": offset % 3, "y": offset % 2 == 0})
        answers += task.step(Record("p.raw", 0, offset, 1_700_000_000_000 + offset, None, value))
    return answers


@pytest.fixture
def desk() -> Desk:
    """Return a shard with snapshots at 100 and 200, and its task at 250."""
    made = Desk(small("p"))
    for position in (100, 200):
        fold(made.shard.task, made.shard.position, position)
        made.shard.position = position
        made.take()
    fold(made.shard.task, 200, 250)
    return made


def recover(desk: Desk, committed: int = 250, low: int = 0, **identity: Any) -> Any:
    """Return what is recovered, and the recovery."""
    recovery = Recovery(desk.store, identity.pop("trusted", TRUSTED))
    wanted = msgspec.structs.replace(identity_of(desk.pipeline, 0, 1), **identity)
    return recovery.recover(lambda: Task(desk.pipeline), wanted, low, committed), recovery


def position(recovered: Recovered | None) -> int | None:
    """Return the position of what was recovered."""
    return None if recovered is None or recovered.manifest is None else recovered.manifest.next


def rewrite(desk: Desk, **changes: Any) -> None:
    """Change the newest manifest, and sign it again."""
    at, document = desk.store.documents[-1]
    manifest = msgspec.structs.replace(Manifest.from_document(TRUSTED.open(document)), **changes)
    desk.store.documents[-1] = (at, SIGNER.seal(manifest.to_document()))


def test_newest_snapshot_is_restored_and_goes_on_identically(desk: Desk) -> None:
    """From the position that its manifest names."""
    recovered, recovery = recover(desk)
    assert (position(recovered), recovery.refused, recovery.restored) == (200, 0, 1)
    straight = fold(Task(desk.pipeline), 0, 300)
    assert fold(recovered.task, 200, 300) == straight[200:]


@pytest.mark.parametrize(
    ("committed", "low", "expected"),
    [(250, 0, 200), (200, 0, 200), (199, 0, 100), (99, 0, None), (250, 101, 200), (250, 201, None), (150, 120, None)],
)
def test_snapshot_is_of_use_between_the_beginning_of_the_log_and_the_committed_offset(
    desk: Desk, committed: int, low: int, expected: int | None
) -> None:
    """Later ones are of another past of the group, earlier ones lack the records that follow; neither is an error."""
    recovered, recovery = recover(desk, committed, low)
    assert (position(recovered), recovery.refused) == (expected, 0)


@pytest.mark.parametrize(
    "foreign",
    [
        {"pipeline": "q"},
        {"topic": "q.raw"},
        {"partition": 1},
        {"partitions": 2},
        {"river": "0.25.0"},
        {"format": FORMAT + 1},
    ],
    ids=lambda foreign: next(iter(foreign)),
)
def test_snapshot_of_something_else_is_refused_by_name(
    desk: Desk, foreign: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Before anything of it is loaded."""
    desk.store.parts.clear()
    recovered, recovery = recover(desk, **foreign)
    assert (recovered.task, recovery.refused) == (None, 2)
    assert f"another {next(iter(foreign))}: got " in caplog.text


def test_snapshot_of_a_declaration_before_is_no_ill_one(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """It is not loaded, and nobody has to look after it: after each deploy there are some."""
    recovered, recovery = recover(desk, declaration="000000000000")
    assert (recovered.task, position(Recovered(manifest=recovered.foreign)), recovery.refused) == (None, 200, 0)
    assert caplog.text == ""


def test_hundred_random_bit_flips_in_manifest_and_parts_are_all_refused(desk: Desk) -> None:
    """None is loaded; the snapshot before serves, unless a part that both name was hit."""
    rng = random.Random(0)
    good_documents, good_parts = list(desk.store.documents), dict(desk.store.parts)
    newest = Manifest.from_document(TRUSTED.open(good_documents[-1][1]))
    older = {part.digest for part in Manifest.from_document(TRUSTED.open(good_documents[0][1])).parts}
    for _ in range(100):
        desk.store.documents, desk.store.parts = list(good_documents), dict(good_parts)
        part = rng.choice(newest.parts)
        shared = False
        if rng.random() < 0.5:
            at, document = desk.store.documents[-1]
            desk.store.documents[-1] = (at, flipped(document, rng))
        else:
            desk.store.parts[part.digest] = flipped(good_parts[part.digest], rng)
            shared = part.digest in older
        recovered, recovery = recover(desk)
        assert position(recovered) == (None if shared else 100)
        assert recovery.refused == (2 if shared else 1)


def flipped(data: bytes, rng: random.Random) -> bytes:
    """Return bytes of which one bit is another."""
    changed = bytearray(data)
    changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def test_every_truncation_is_refused(desk: Desk) -> None:
    """Of the manifest and of each part, at every byte of the first hundred and in steps of a kilobyte from there."""
    good_documents, good_parts = list(desk.store.documents), dict(desk.store.parts)
    newest = Manifest.from_document(TRUSTED.open(good_documents[-1][1]))
    at, document = good_documents[-1]
    for length in (*range(100), *range(100, len(document), 64)):
        desk.store.documents = [good_documents[0], (at, document[:length])]
        recovered, recovery = recover(desk)
        assert (position(recovered), recovery.refused) == (100, 1)
    desk.store.documents = good_documents[1:]
    for part in newest.parts:
        for length in (*range(100), *range(100, part.size_bytes, 1024)):
            if length < part.size_bytes:
                desk.store.parts = {**good_parts, part.digest: good_parts[part.digest][:length]}
                assert recover(desk)[0].task is None


def test_snapshot_signed_by_a_stranger_is_refused(desk: Desk) -> None:
    """However right its contents are; a key that was taken out of the trusted ones makes a stranger."""
    private, _ = generate()
    at, document = desk.store.documents[-1]
    stranger = signer_from_pem(private)
    desk.store.documents[-1] = (at, stranger.seal(TRUSTED.open(document)))
    recovered, recovery = recover(desk)
    assert (position(recovered), recovery.refused) == (100, 1)
    assert recover(desk, trusted=TrustedKeys([]))[0].task is None


def test_old_snapshot_that_is_written_again_is_passed_over(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """It stands last in the store, and is not the newest."""
    desk.store.documents.append(desk.store.documents[0])
    recovered, recovery = recover(desk)
    assert (position(recovered), recovery.refused) == (200, 1)
    assert "written again" in caplog.text


def test_group_that_was_set_back_finds_the_snapshot_below_however_many_stand_above(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what may be of use is counted among those that are looked at."""
    monkeypatch.setattr(snapshots, "_SWEEP_EVERY", 1000)
    for position_ in range(300, 340):
        fold(desk.shard.task, max(250, position_ - 1), position_)
        desk.shard.position = position_
        desk.take()
    assert len(desk.store.documents) > 16
    assert position(recover(desk, committed=150)[0]) == 100


def test_manifest_that_claims_another_position_is_refused(desk: Desk) -> None:
    """The state inside knows which records it has seen."""
    rewrite(desk, next=150)
    recovered, recovery = recover(desk)
    assert (position(recovered), recovery.refused) == (100, 1)


def test_missing_part_is_refused_and_the_snapshot_before_serves(desk: Desk) -> None:
    """As after a retention that was set by hand."""
    newest = Manifest.from_document(TRUSTED.open(desk.store.documents[-1][1]))
    champion = next(part for part in newest.parts if part.name == "champion")
    del desk.store.parts[champion.digest]
    recovered, recovery = recover(desk)
    assert (position(recovered), recovery.refused) == (100, 1)


def test_store_that_does_not_answer_is_told_apart_from_an_empty_one(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody may think that there was never a snapshot."""
    assert recover(Desk(small("p")))[0].unreadable == ""

    class Silent(MemoryStore):
        def manifests(self, partition: int) -> Any:
            raise StoreError("nothing came in 30 s")

    parts = desk.store
    desk.store = Silent()
    found = recover(desk)[0]
    assert (found.task, found.unreadable) == (None, "nothing came in 30 s")
    assert "no snapshots: nothing came" in caplog.text
    desk.store = parts

    class Forgetful(MemoryStore):
        def get(self, partition: int, parts: Any) -> Any:
            raise StoreError("the disk is gone")

    desk.store = Forgetful()
    desk.store.documents = parts.documents
    found = recover(desk)[0]
    assert (found.task, found.unreadable) == (None, "the disk is gone")


@pytest.mark.parametrize("choice", ["stop", "earliest", "fresh"])
def test_state_in_snapshots_that_cannot_be_read_is_not_lost(desk: Desk, choice: Any) -> None:
    """Whatever is to be done about a lost state, a store that is away for a while has lost none."""

    class Silent(MemoryStore):
        def manifests(self, partition: int) -> Any:
            raise StoreError("the disk is gone")

    settings, partition = Settings(on_state_lost=choice), TP("p.raw", 0)
    restoration = Restoration(small("p"), 1, settings, Operators(()), Recovery(Silent(), TRUSTED), None)
    for low in (50, 0):  # a replay of all the log would know of no declaration but this one
        with pytest.raises(BrokerError, match=r"p\.raw\[0\]: .* cannot be read: the disk is gone\. Nothing is lost"):
            restoration.shard(Extent(partition, 250, low, 300))
    assert restoration.shard(Extent(partition, -1, 0, 300)) is not None  # nobody has begun yet


@pytest.mark.parametrize(
    ("taken_of", "wanted", "expected", "skips"),
    [("a", "a", 200, (7,)), ("a", "b", None, ()), ("", "b", 200, (7,)), ("a", "", 200, (7,))],
    ids=["the same topic", "made anew", "of an older riverrun", "a broker without ids"],
)
def test_snapshots_of_a_deleted_topic_are_passed_over(
    desk: Desk, taken_of: str, wanted: str, expected: int | None, skips: tuple[int, ...]
) -> None:
    """Its offsets say nothing of the topic that has its name now; an id that nobody knows is no reason for doubt."""
    for at, (where, document) in enumerate(desk.store.documents):
        manifest = Manifest.from_document(TRUSTED.open(document))
        identity = msgspec.structs.replace(manifest.identity, topic_id=taken_of)
        changed = msgspec.structs.replace(manifest, identity=identity, skips=(7,))
        desk.store.documents[at] = where, SIGNER.seal(changed.to_document())
    found, recovery = recover(desk, topic_id=wanted)
    assert (position(found), found.skips, found.foreign, recovery.refused) == (expected, skips, None, 0)


def test_snapshots_of_a_deleted_topic_hide_none_of_the_new_one(desk: Desk, tmp_path: Path) -> None:
    """However many they are: a folder lists those of the highest positions first."""
    store = LocalStore(tmp_path)
    for former in range(300, 500, 5):
        identity = identity_of(desk.pipeline, 0, 1, "a")
        store.seal(0, former, SIGNER.seal(Manifest(identity, former, (), 0, "0.1.0", "3.11.2").to_document()))
    manifest = Manifest.from_document(TRUSTED.open(desk.store.documents[-1][1]))
    for part, data in zip(manifest.parts, desk.store.get(0, manifest.parts), strict=True):
        store.put(0, part.digest, data)
    mine = msgspec.structs.replace(manifest, identity=msgspec.structs.replace(manifest.identity, topic_id="b"))
    store.seal(0, 200, SIGNER.seal(mine.to_document()))
    recovery = Recovery(Threaded(store), TRUSTED)
    found = recovery.recover(lambda: Task(desk.pipeline), mine.identity, 0, 1_000)
    assert (position(found), recovery.refused) == (200, 0)


def test_task_of_a_deleted_topic_is_not_held() -> None:
    """Though it stands where the group is committed; and what is written down of another is of its own topic."""
    restoration = Restoration(small("p"), 1, Settings(), Operators(()), None, None)
    tp = TP("p.raw", 0)
    shard = restoration.shard(Extent(tp, 0, 0, 300, topic_id="a"))
    assert shard is not None
    assert shard.topic_id == "a"
    assert [restoration.holds(shard, Extent(tp, 0, 0, 300, topic_id=other)) for other in "ab"] == [True, False]


def test_old_declaration_written_down_again_hands_nothing_over() -> None:
    """A worker with that declaration finds the snapshot of the one that followed it, at the place of the copy."""
    first, second = small("p"), small("p", model="nb")
    log: list[Record] = []

    def declared(pipeline: Pipeline, id: str, body: bytes | None = None) -> bytes:
        command = Declare(pipeline.name, pipeline.declaration, pipeline.declared)
        body = body or encode_signed(command, SIGNER, id, "p.raw", 0, issued=len(log) + 1)
        headers: Headers = [("ce_id", id.encode()), ("ce_type", ce.COMMAND.encode())]
        log.append(Record("p.raw", 0, len(log), 0, None, body, headers))
        return body

    def declared_at(partition: int, position: int) -> SignedCommand | None:
        found = next((record for record in log if record.offset >= position), None)
        return found and operators.declaration_in(found.headers or (), found.value, "p.raw", partition)

    def task(pipeline: Pipeline) -> Task:
        return Task(pipeline, operators=operators, crosses_declarations=False)

    operators, desk = Operators(TRUSTED), Desk(first)
    copied = declared(first, "d1")
    desk.shard.task = task(first)
    desk.shard.task.step(log[0])
    declared(second, "d2")
    with pytest.raises(DeclarationEnded):
        desk.shard.task.step(log[1])
    desk.shard.position = 1
    desk.take()
    recovery = Recovery(desk.store, TRUSTED, declared_at)
    following = recovery.recover(lambda: task(second), identity_of(second, 0, 1), 0, 1).task
    assert following is not None
    desk.shard.task, desk.pipeline = following, second
    following.step(log[1])
    desk.shard.position = 2
    desk.take()
    declared(first, "d1", copied)
    [refused] = following.step(log[2])
    assert "taken before" in str(refused)
    # Its own last snapshot serves, from which it comes to the place where it ended, and no further.
    assert position(recovery.recover(lambda: task(first), identity_of(first, 0, 1), 0, 2)) == 1
