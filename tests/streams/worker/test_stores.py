"""Stores of snapshots: the same laws for a folder and an object store, and a folder's through kills and full disks."""

import errno
import inspect
import itertools
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from confluent_kafka import OFFSET_INVALID, Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.errors import ConfigurationError, InvariantError, MissingPartError, SnapshotError
from schemas.manifest import Identity, Manifest, Part
from schemas.outgoing import Outgoing
from schemas.signing import generate, signer_from_pem
from streams.worker.settings import Settings, load_settings
from streams.worker.stores import LocalStore, ObjectStore, abandoned, local, open_store
from streams.worker.stores.kafka import KafkaStore
from streams.worker.stores.opening import open_snapshots
from streams.worker.stores.store import SnapshotStore, Threaded

Store = LocalStore | ObjectStore
ROOT = Path(__file__).resolve().parents[3]
BUCKET = "snapshots"
MISSING = "0" * 64
MEBIBYTE = 1024 * 1024
DAY_SECONDS = 86_400
_numbers = itertools.count()


def digest_of(data: bytes) -> str:
    """Return what a part is called."""
    return sha256(data).hexdigest()


def keep(store: Store, data: bytes, partition: int = 3) -> str:
    """Put a part and return its digest."""
    store.put(partition, digest_of(data), data)
    return digest_of(data)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of an S3 on this machine, with a bucket."""
    pytest.importorskip("obstore")
    boto3 = pytest.importorskip("boto3")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    dummy = {"aws_access_key_id": "dummy", "aws_secret_access_key": "dummy", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=address, **dummy).create_bucket(Bucket=BUCKET)
    yield address
    server.stop()


def use_s3(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Have the environment name an object store, and nothing else of the machine's."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "dummy")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")


@pytest.fixture(params=["file", "s3"])
def new_store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], tuple[str, Store]]:
    """Make empty stores of one kind, each with its URL."""
    if request.param == "s3":
        use_s3(monkeypatch, request.getfixturevalue("s3"))

    def new_store() -> tuple[str, Store]:
        number = next(_numbers)
        url = f"s3://{BUCKET}/deep/{number}" if request.param == "s3" else f"file://{tmp_path}/deep/{number}"
        return url, open_store(url)

    return new_store


@pytest.fixture
def store(new_store: Callable[[], tuple[str, Store]]) -> Store:
    """An empty store of either kind."""
    return new_store()[1]


# ------------------------------------------------------------------ topics


@pytest.mark.parametrize(
    ("offsets", "places"), [((7, 8), (7, 8)), ((7, OFFSET_INVALID), None)], ids=["known", "unknown"]
)
def test_chunk_that_cannot_be_found_again_is_not_stored(
    offsets: tuple[int, ...], places: tuple[int, ...] | None
) -> None:
    """A producer may hear that the broker has a record, and not where. A manifest is found without."""
    answers: list[tuple[bytes, Callable[..., None]]] = []
    store = KafkaStore("p", {}, lambda messages, done: answers.extend((m.key, done) for m in messages), lambda _: None)
    part = store.put(3, Part("champion", MISSING, MEBIBYTE, 0, 5), bytes(MEBIBYTE))
    sealed = store.seal(3, 6, b"manifest", [])
    for (key, done), offset in zip(answers, (*offsets, OFFSET_INVALID), strict=True):
        done(None, Message("p.snapshots", 3, offset, key=key))
    assert sealed.result(0) is None
    if places is None:
        with pytest.raises(SnapshotError, match=r"^p\.snapshots\[3\]: champion is stored, but not known where$"):
            part.result(0)
    else:
        assert part.result(0) == places


# ------------------------------------------------------------------ the laws of both


@pytest.mark.parametrize("size", [0, 1, MEBIBYTE + 1, 6 * MEBIBYTE])
def test_get_returns_what_was_put(store: Store, size: int) -> None:
    """Also what an object store takes in pieces."""
    data = os.urandom(size)
    digest = keep(store, data)
    got = store.get(3, digest)
    assert type(got) is bytes
    assert got == data


def test_get_missing_part_is_named(new_store: Callable[[], tuple[str, Store]]) -> None:
    """Which, and where: of another partition is missing, too."""
    url, store = new_store()
    digest = keep(store, b"data", partition=31)
    for missing in (MISSING, digest):
        with pytest.raises(SnapshotError, match=rf"^{url.removeprefix('file://')}/3/parts/{missing}: no such part"):
            store.get(3, missing)


def test_put_again_changes_nothing(new_store: Callable[[], tuple[str, Store]]) -> None:
    """By this process or by the next."""
    url, store = new_store()
    digest = keep(store, b"data")
    for again in (store, open_store(url)):
        keep(again, b"data")
        assert again.get(3, digest) == b"data"


def test_put_mends_a_part_of_another_size(store: Store) -> None:
    """Such as one that a broken disk has cut off."""
    store.put(3, digest_of(b"data"), b"da")
    assert store.get(3, keep(store, b"data")) == b"data"


def test_manifests_come_newest_first(store: Store) -> None:
    """By position as a number, each partition its own."""
    assert list(store.manifests(3)) == []
    for position in (9, 1_000_000, 10, 0, 2**53):
        store.seal(3, position, b"%d" % position)
    store.seal(31, 7, b"another's")
    assert list(store.manifests(3)) == [(p, b"%d" % p) for p in (2**53, 1_000_000, 10, 9, 0)]
    assert list(store.manifests(31)) == [(7, b"another's")]
    assert list(store.manifests(1)) == []


def test_manifests_are_read_when_asked_for(store: Store) -> None:
    """What was dropped or written anew meanwhile is seen so."""
    for position in (1, 2, 3):
        store.seal(3, position, b"old")
    found = store.manifests(3)
    assert next(found) == (3, b"old")
    store.drop(3, [2], [])
    store.seal(3, 1, b"new")
    assert list(found) == [(1, b"new")]


def test_seal_again_replaces_the_manifest(store: Store) -> None:
    """One position, one manifest: the last."""
    store.seal(3, 5, b"first")
    store.seal(3, 5, b"second, and longer")
    store.seal(3, 5, b"third")
    assert list(store.manifests(3)) == [(5, b"third")]


def test_drop_removes_what_is_named_and_passes_over_the_rest(store: Store) -> None:
    """Twice is once; of a partition that has nothing, nothing."""
    kept, gone = keep(store, b"kept"), keep(store, b"gone")
    store.seal(3, 1, b"1")
    store.seal(3, 2, b"2")
    for _ in range(2):
        store.drop(3, [1, 77], [gone, MISSING])
        assert list(store.manifests(3)) == [(2, b"2")]
        assert store.get(3, kept) == b"kept"
        with pytest.raises(SnapshotError, match="no such part"):
            store.get(3, gone)
    store.drop(3, [], [])
    store.drop(4, [1], [kept])
    assert store.get(3, kept) == b"kept"
    assert keep(store, b"gone") == gone
    assert store.get(3, gone) == b"gone"


@pytest.mark.parametrize(
    "digest", ["", "../../../secret", "A" * 64, "0" * 63, "0" * 65, "0" * 64 + "\n", "\u0660" * 64, "/" + "0" * 63]
)
def test_digest_is_no_way_to_another_file(store: Store, digest: str) -> None:
    """64 hex digits, or nothing is touched."""
    for touch in (
        lambda: store.put(3, digest, b""),
        lambda: store.get(3, digest),
        lambda: store.drop(3, [], [digest]),
    ):
        with pytest.raises(SnapshotError, match=r"digest of a part: got .*, expected a SHA-256 as 64 hex digits"):
            touch()


def test_numbers_below_zero_are_refused(store: Store) -> None:
    """Nobody has such a partition or position."""
    with pytest.raises(InvariantError, match="partition of a snapshot: got -1"):
        store.put(-1, MISSING, b"")
    with pytest.raises(InvariantError, match="position of a manifest: got -2"):
        store.seal(0, -2, b"")


small = st.integers(0, 2)
contents = st.sampled_from([b"", b"a", b"bc", b"c" * 1000])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), small, contents),
        st.tuples(st.just("seal"), small, st.integers(0, 12), contents),
        st.tuples(st.just("drop"), small, st.lists(st.integers(0, 12)), st.lists(contents.map(digest_of))),
        st.tuples(st.just("restart")),
    ),
    max_size=15,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_store_is_two_dictionaries(new_store: Callable[[], tuple[str, Store]], steps: list[tuple[Any, ...]]) -> None:
    """Whatever is done to it, in whatever order, by however many processes one after another."""
    url, store = new_store()
    parts: dict[tuple[int, str], bytes] = {}
    manifests: dict[tuple[int, int], bytes] = {}
    for step in steps:
        match step:
            case "put", partition, data:
                parts[partition, keep(store, data, partition)] = data
            case "seal", partition, position, document:
                store.seal(partition, position, document)
                manifests[partition, position] = document
            case "drop", partition, positions, digests:
                store.drop(partition, positions, digests)
                for position in positions:
                    manifests.pop((partition, position), None)
                for digest in digests:
                    parts.pop((partition, digest), None)
            case _:
                store = open_store(url)
    for partition in range(3):
        expected = sorted(((at, held) for (of, at), held in manifests.items() if of == partition), reverse=True)
        assert list(store.manifests(partition)) == expected
    for (partition, digest), data in parts.items():
        assert store.get(partition, digest) == data


def test_manifest_that_names_a_part_which_is_gone_is_not_stored(store: Store) -> None:
    """Which one, for those who look for it; of other partitions' parts nothing is taken."""
    worker = Threaded(store)
    parts = [Part(name, digest_of(name.encode()), 1, 0, 5) for name in ("state", "champion", "pending-0")]
    for part in parts:
        worker.put(3, part, part.name.encode()).result(10)
    worker.seal(3, 5, b"whole", parts).result(10)
    store.drop(3, [], [parts[1].digest])
    keep(store, b"champion", 31)
    with pytest.raises(MissingPartError, match=r"^1 of its 3 parts are not there any more, champion among them; all "):
        worker.seal(3, 6, b"broken", parts).result(10)
    assert list(worker.manifests(3)) == [b"whole"]
    keep(store, b"champion")
    worker.seal(3, 6, b"mended", parts).result(10)
    assert list(worker.manifests(3)) == [b"mended", b"whole"]


class Chunks:
    """A topic that takes chunks, and says where each of them is."""

    def __init__(self) -> None:
        self.end = 0
        self.manifests: list[bytes] = []

    def emit(self, messages: Sequence[Outgoing], delivered: Callable[[None, Any], None]) -> None:
        """Store messages at once."""
        for message in messages:
            if message.topic == "p.manifests":
                self.manifests.append(message.value or b"")
            key, offset = message.key, self.end
            self.end += message.topic == "p.snapshots"
            delivered(None, SimpleNamespace(key=lambda key=key: key, offset=lambda offset=offset: offset))


def test_manifest_that_names_chunks_of_a_deleted_topic_is_not_stored() -> None:
    """The topic of the parts was made anew under a worker: what it stores next stands before what it has stored."""
    topic = Chunks()
    kept = KafkaStore("p", {}, topic.emit, lambda _: None)

    def put(name: str, writing: str) -> Part:
        part = Part(name, digest_of(name.encode()), 1, 0, 5, writing=writing)
        return msgspec.structs.replace(part, places=kept.put(3, part, name.encode()).result(1))

    first = [put(f"pending-{n}", "a") for n in range(9)]
    kept.seal(3, 5, b"whole", first).result(1)
    champion = put("champion", "b")
    kept.seal(3, 6, b"more", [*first, champion]).result(1)
    mine, kept = kept, KafkaStore("p", {}, topic.emit, lambda _: None)
    of_another_worker, kept = put("pending-9", "c"), mine
    kept.seal(3, 6, b"none is new", [*first, champion, of_another_worker]).result(1)
    topic.end = 0
    with pytest.raises(
        MissingPartError, match=r"^p\.snapshots\[3\] was made anew, 9 of its 10 parts .* pending-0 among"
    ):
        kept.seal(3, 7, b"broken", [*first, put("champion", "d")]).result(1)
    kept.seal(3, 8, b"mended", [put("state", "e"), put("champion", "e")]).result(1)
    assert topic.manifests == [b"whole", b"more", b"none is new", b"mended"]


# ------------------------------------------------------------------ the folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store's folder that holds a part and a manifest: the state before."""
    store = LocalStore(tmp_path / "store")
    keep(store, b"before")
    store.seal(3, 5, b"before")
    return tmp_path / "store"


def is_as_before(folder: Path) -> bool:
    """Tell whether another process finds the state before, and nothing else."""
    store = LocalStore(folder)
    return (
        list(store.manifests(3)) == [(5, b"before")]
        and store.get(3, digest_of(b"before")) == b"before"
        and len(names(folder)) == 2
    )


def names(folder: Path) -> list[str]:
    """Return the names of all files in it that are no drafts."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".tmp"))


def drafts(folder: Path) -> list[Path]:
    """Return what is half written."""
    return list(folder.rglob("*.tmp"))


def put_after(store: LocalStore) -> None:
    """Put another part."""
    keep(store, b"after" * 100_000)


def seal_after(store: LocalStore) -> None:
    """Seal a manifest in the place of the one before."""
    store.seal(3, 5, b"after" * 100_000)


WRITES = pytest.mark.parametrize("write", [put_after, seal_after])


def test_files_and_folders_are_their_owners(folder: Path) -> None:
    """Models are nobody else's; the layout is what other tools see."""
    files = {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*.*")}
    assert files == {"3/manifests/00000000000000000005.json": 0o600}
    assert stat.S_IMODE((folder / "3/parts" / digest_of(b"before")).stat().st_mode) == 0o600
    for path in (folder, folder / "3", folder / "3/parts", folder / "3/manifests"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_manifests_of_strangers_are_not_read(folder: Path) -> None:
    """A note, a backup, a draft: no manifests."""
    for name in ("notes.txt", "5.json", ".x.tmp", "00000000000000000005.json~", "0000000000000000000\u096b.json"):
        (folder / "3/manifests" / name).write_bytes(b"no")
    assert list(LocalStore(folder).manifests(3)) == [(5, b"before")]


def test_put_again_writes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that is there is not even opened for writing, but its name is made to last."""
    recorder = Recorder(monkeypatch)
    keep(LocalStore(folder), b"before")
    assert "write" not in recorder.calls
    assert recorder.events[-1] == ("fsync", (folder / "3/parts").stat().st_ino)


@WRITES
@pytest.mark.parametrize("call", ["write", "fsync", "close", "replace"])
@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "No space left on device; make room; RIVERRUN_SNAPSHOT_STORE names another place"),
        (errno.EIO, "Input/output error; check the disk; RIVERRUN_SNAPSHOT_STORE names another place"),
    ],
)
def test_write_that_fails_leaves_the_state_before(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[LocalStore], None],
    call: str,
    number: int,
    said: str,
) -> None:
    """At every step: what the system said, which file, what to do; and no draft."""
    store = LocalStore(folder)
    store._made |= {folder / "3/parts", folder / "3/manifests"}  # as after its first write
    real, failed = getattr(os, call), []

    def fail(*arguments: Any) -> Any:
        if failed:
            return real(*arguments)
        failed.append(call)
        if call == "write":
            real(arguments[0], arguments[1][:1000])
        if call == "close":
            real(*arguments)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(local.os, call, fail)
    with pytest.raises(SnapshotError, match=said) as caught:
        write(store)
    monkeypatch.undo()
    assert str(caught.value).startswith(f"{folder}/3/")
    assert drafts(folder) == []
    assert is_as_before(folder)
    write(store)
    assert not is_as_before(folder)


def test_write_folder_not_synced_is_told_and_done_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last step: the file is there, and whether for good nobody knows; so it does not count as kept."""
    store = LocalStore(folder)
    keep(store, b"first")
    real = local._sync

    def fail(path: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(local, "_sync", fail)
    for _ in range(2):
        with pytest.raises(SnapshotError, match="Input/output error"):
            keep(store, b"second")
    monkeypatch.setattr(local, "_sync", real)
    assert store.get(3, keep(store, b"second")) == b"second"


LIMITED = """
import resource, sys
from tests.streams.worker.test_stores import *
store = LocalStore(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
keep(store, b"small")
for write in (put_after, seal_after):
    try:
        write(store)
    except SnapshotError as error:
        print(error)
"""

KILLED = """
import os, signal, sys
from tests.streams.worker.test_stores import *
folder, write, call, when = sys.argv[1:]
store = LocalStore(folder)
store._made |= {Path(folder) / "3/parts", Path(folder) / "3/manifests"}
real = getattr(os, call)
def die(*arguments):
    if when == "half":
        real(arguments[0], arguments[1][:1000])
    if when == "after":
        real(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(os, call, die)
globals()[write](store)
"""


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program beside this one."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_write_above_the_limit_of_the_system_is_told(folder: Path) -> None:
    """The kernel itself breaks the write off: half of the file is taken back, the process lives on."""
    done = run(LIMITED, folder)
    assert (done.returncode, done.stderr) == (0, "")
    for line, kind in zip(done.stdout.splitlines(), ("parts", "manifests"), strict=True):
        assert line.startswith(f"{folder}/3/{kind}/")
        assert line.endswith(": File too large; have the limit of file sizes raised (ulimit -f)")
    assert drafts(folder) == []
    LocalStore(folder).drop(3, [], [digest_of(b"small")])
    assert is_as_before(folder)


@WRITES
@pytest.mark.parametrize(
    ("call", "when"), [("write", "half"), ("fsync", "before"), ("replace", "before"), ("replace", "after")]
)
def test_write_killed_leaves_the_state_before_or_after(
    folder: Path, write: Callable[[LocalStore], None], call: str, when: str
) -> None:
    """SIGKILL between any two steps; never anything in between, and the next process goes on."""
    assert run(KILLED, folder, write.__name__, call, when).returncode == -9
    if when == "after":
        assert drafts(folder) == []
        assert not is_as_before(folder)
    else:
        [draft] = drafts(folder)
        assert draft.stat().st_size == (1000 if when == "half" else 500_000)
        assert is_as_before(folder)
    store = LocalStore(folder)
    write(store)
    assert store.get(3, digest_of(b"before")) == b"before"
    expected = b"after" * 100_000
    if write is put_after:
        assert store.get(3, digest_of(expected)) == expected
    else:
        assert list(store.manifests(3)) == [(5, expected)]


def test_drafts_of_killed_processes_are_removed_at_start(folder: Path) -> None:
    """Those of a day ago: a younger one may be another worker's at this moment."""
    old, young = folder / "3/parts/.old.tmp", folder / "3/manifests/.young.tmp"
    others = folder / "3/parts/notes.tmp"
    for path in (old, young, others):
        path.write_bytes(b"half")
    for path in (old, others):
        os.utime(path, (time.time() - DAY_SECONDS - 1,) * 2)
    os.utime(young, (time.time() - DAY_SECONDS + 100,) * 2)
    LocalStore(folder)
    assert [path.exists() for path in (old, young, others)] == [False, True, True]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what lets a day pass."""

    def pass_on() -> None:
        now = time.time() + DAY_SECONDS + 1
        monkeypatch.setattr(abandoned.time, "time", lambda: now)

    return pass_on


def sealed(digest: str) -> bytes:
    """Return the manifest of one part, as a worker signs it."""
    identity = Identity("p", "0123456789ab", "p.raw", 3, 4, "0.26.1")
    manifest = Manifest(identity, 5, (Part("champion", digest, 1, 0, 5),), 0, "0.1.0", "3.11.2")
    return signer_from_pem(generate()[0]).seal(manifest.to_document())


def test_parts_of_snapshots_that_failed_are_removed_at_start(tmp_path: Path, later: Callable[[], None]) -> None:
    """Those that no manifest names, whoever signed it, once they are a day old; of each partition its own."""
    store = LocalStore(tmp_path)
    named, unnamed = keep(store, b"named"), keep(store, b"unnamed")
    keep(store, b"named", 31)
    store.seal(3, 5, sealed(named))
    (tmp_path / "3/parts/notes.txt").write_bytes(b"a stranger's")
    LocalStore(tmp_path)
    assert len(names(tmp_path)) == 5
    later()
    LocalStore(tmp_path)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == [
        "3/manifests/00000000000000000005.json",
        f"3/parts/{named}",
        "3/parts/notes.txt",
    ]
    assert store.get(3, named) == b"named"
    assert keep(store, b"unnamed") == unnamed


@pytest.mark.parametrize("what", ["unreadable", "gone", "folder"])
def test_no_part_is_removed_where_a_manifest_cannot_be_read(
    tmp_path: Path, later: Callable[[], None], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """It may be the one that names the part: for want of rights, or dropped while it was looked for."""
    store = LocalStore(tmp_path)
    unnamed = keep(store, b"unnamed")
    for position in (4, 5):
        store.seal(3, position, sealed(MISSING))
    later()
    error = FileNotFoundError(errno.ENOENT, "gone") if what == "gone" else PermissionError(errno.EACCES, "no")
    real_list, real_read = os.listdir, Path.read_bytes

    def list_names(path: Path) -> list[str]:
        if what == "folder" and path.name == "manifests":
            raise error
        return real_list(path)

    def read(path: Path) -> bytes:
        if what != "folder" and path.name.endswith("5.json"):
            raise error
        return real_read(path)

    with monkeypatch.context() as patched:
        patched.setattr(abandoned.os, "listdir", list_names)
        patched.setattr(Path, "read_bytes", read)
        LocalStore(tmp_path)
    assert store.get(3, unnamed) == b"unnamed"
    LocalStore(tmp_path)
    assert unnamed not in names(tmp_path)


@pytest.mark.parametrize("name", [".draft.tmp", "note.json", "00000000000000000005.json~"])
def test_part_that_is_named_in_any_file_beside_the_manifests_stays(
    tmp_path: Path, later: Callable[[], None], name: str
) -> None:
    """Within a longer row of digits, too: what the digest is there for is not asked."""
    store = LocalStore(tmp_path)
    digest = keep(store, b"named")
    store.seal(3, 7, b"")
    later()
    (tmp_path / "3/manifests" / name).write_bytes(b"0a" + digest.encode() + b"b1")
    os.utime(tmp_path / "3/manifests" / name, (abandoned.time.time(),) * 2)
    LocalStore(tmp_path)
    assert store.get(3, digest) == b"named"


def test_part_that_is_put_again_is_as_good_as_new(tmp_path: Path) -> None:
    """A snapshot that failed left it, the next one has it again; a worker that starts now does not take it away."""
    store = LocalStore(tmp_path)
    digest = keep(store, b"again")
    path = tmp_path / "3/parts" / digest
    os.utime(path, (time.time() - DAY_SECONDS - 1,) * 2)
    keep(store, b"again")
    assert path.stat().st_mtime > time.time() - 60


def test_part_that_a_copy_brought_with_its_time_is_young(tmp_path: Path) -> None:
    """The manifests of a folder that is being restored may come after the parts."""
    store = LocalStore(tmp_path)
    digest = keep(store, b"restored")
    os.utime(tmp_path / "3/parts" / digest, (time.time() - 2 * DAY_SECONDS,) * 2)
    LocalStore(tmp_path)
    assert store.get(3, digest) == b"restored"


# ------------------------------------------------------------------ who only looks


def opened(folder: Path) -> SnapshotStore:
    """Return the store of a pipeline as commands open it."""
    return open_snapshots(Settings(snapshot_store=f"file://{folder}"), "p")


def test_who_only_looks_removes_nothing(tmp_path: Path, later: Callable[[], None]) -> None:
    """A worker's snapshot may be on its way for as long as it takes; what is abandoned the next worker removes."""
    store = LocalStore(tmp_path / "p")
    digest = keep(store, b"on its way")
    draft = tmp_path / "p/3/manifests/.old.tmp"
    draft.parent.mkdir()
    draft.write_bytes(b"half")
    os.utime(draft, (0, 0))
    later()
    assert list(opened(tmp_path).manifests(3)) == []
    assert store.get(3, digest) == b"on its way"
    assert draft.exists()


def test_who_only_looks_makes_nothing(tmp_path: Path) -> None:
    """The first worker makes the folder, for itself: one that somebody else made is not for it to write."""
    looking = opened(tmp_path)
    assert (list(looking.manifests(0)), looking.noted(0)) == ([], None)
    part = Part("champion", MISSING, 1, 0, 5)
    for write in (
        lambda: looking.put(0, part, b"x").result(10),
        lambda: looking.seal(0, 5, b"x", []).result(10),
        lambda: looking.drop(0, [5], [part]).result(10),
        lambda: looking.note(0, b"x"),
    ):
        with pytest.raises(InvariantError, match="opened to be read: got something to write"):
            write()
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------ the order of what reaches the disk


class Recorder:
    """Writes down which calls of the system reach which file or folder, by inode."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[tuple[str, int]] = []
        for name, inode in (
            ("write", lambda descriptor, *_: os.fstat(descriptor).st_ino),
            ("fsync", lambda descriptor: os.fstat(descriptor).st_ino),
            ("replace", lambda source, _: os.stat(source).st_ino),
            ("unlink", lambda path, **_: os.stat(path).st_ino if os.path.exists(path) else 0),
            ("mkdir", lambda path, *_: os.stat(Path(path).parent).st_ino),
        ):
            monkeypatch.setattr(os, name, self._recorded(name, getattr(os, name), inode))

    def _recorded(self, name: str, real: Any, inode: Callable[..., int]) -> Callable[..., Any]:
        def call(*arguments: Any, **further: Any) -> Any:
            self.events.append((name, inode(*arguments, **further)))
            return real(*arguments, **further)

        return call

    @property
    def calls(self) -> list[str]:
        """The names alone."""
        return [name for name, _ in self.events]

    def wrong(self, folder: Path) -> list[str]:
        """Say what a loss of power could do to a file that was put in place in a folder."""
        [at] = [index for index, name in enumerate(self.calls) if name == "replace"]
        _, draft = self.events[at]
        written = [index for index, event in enumerate(self.events) if event == ("write", draft)]
        synced = [index for index, event in enumerate(self.events) if event == ("fsync", draft)]
        named = [index for index, event in enumerate(self.events) if event == ("fsync", folder.stat().st_ino)]
        wrong = []
        if not any(written[-1] < index < at for index in synced):
            wrong.append("in place before its bytes are on the disk")
        if not any(at < index for index in named):
            wrong.append("its name is not on the disk")
        return wrong


def wrong_of(store: LocalStore, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return what is wrong with the way a store writes a part and a manifest."""
    found = []
    for write, kind in ((put_after, "parts"), (seal_after, "manifests")):
        with monkeypatch.context() as patched:
            recorder = Recorder(patched)
            write(store)
        found.append(recorder.wrong(folder / "3" / kind))
    return found


def test_write_reaches_the_disk_before_its_name_does(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write, sync the file, put it in place, sync the folder."""
    assert wrong_of(LocalStore(folder), folder, monkeypatch) == [[], []]


@pytest.mark.parametrize(
    ("line", "planted", "wrong"),
    [
        ("            os.fsync(descriptor)\n        finally", "            pass\n        finally", "bytes"),
        ("        raise\n    _sync(path.parent)", "        raise", "name"),
        (
            "            _write_all(descriptor, data)\n            os.fsync(descriptor)",
            "            os.fsync(descriptor)\n            _write_all(descriptor, data)",
            "bytes",
        ),
    ],
)
def test_planted_bug_in_the_order_is_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch, line: str, planted: str, wrong: str
) -> None:
    """The same module with one line missing, or in another place."""
    source = inspect.getsource(local)
    assert source.count(line) == 1
    namespace: dict[str, Any] = {"__name__": "planted"}
    exec(compile(source.replace(line, planted), "planted", "exec"), namespace)
    for found in wrong_of(namespace["LocalStore"](folder), folder, monkeypatch):
        assert [text for text in found if wrong in text] == found != []


def test_new_folders_are_on_the_disk_before_what_is_in_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each new name is synced in the folder that holds it."""
    recorder = Recorder(monkeypatch)
    store = LocalStore(tmp_path / "a/b")
    keep(store, b"data")
    monkeypatch.undo()
    first_write = recorder.calls.index("write")
    made = [index for index, name in enumerate(recorder.calls) if name == "mkdir"]
    assert len(made) == 4
    for index in made:
        assert ("fsync", recorder.events[index][1]) in recorder.events[index:first_write]


def test_drop_parts_go_when_the_manifests_are_gone_for_good(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loss of power never leaves a manifest that names parts which are not there."""
    store = LocalStore(folder)
    inodes = {
        "manifest": (folder / "3/manifests/00000000000000000005.json").stat().st_ino,
        "part": (folder / "3/parts" / digest_of(b"before")).stat().st_ino,
        "manifests": (folder / "3/manifests").stat().st_ino,
    }
    recorder = Recorder(monkeypatch)
    store.drop(3, [5], [digest_of(b"before")])
    order = [("unlink", inodes["manifest"]), ("fsync", inodes["manifests"]), ("unlink", inodes["part"])]
    assert [recorder.events.index(event) for event in order] == sorted(recorder.events.index(event) for event in order)


# ------------------------------------------------------------------ configuration


@pytest.mark.parametrize("url", ["kafka", "file://host/folder", "https://bucket", "/folder", ""])
def test_open_store_of_another_url_is_refused(url: str) -> None:
    """What it got, and what it takes."""
    with pytest.raises(ConfigurationError, match=f"RIVERRUN_SNAPSHOT_STORE: got '{url}', expected file:///absolute"):
        open_store(url)


def test_open_store_folder_with_a_space(tmp_path: Path) -> None:
    """A URL writes it as %20."""
    keep(open_store(f"file://{tmp_path}/my%20folder"), b"data")
    assert names(tmp_path / "my folder") == [digest_of(b"data")]


def test_folder_that_cannot_be_is_a_wrong_setting(tmp_path: Path) -> None:
    """A file is in the way."""
    (tmp_path / "file").write_text("")
    for folder in ("file", "file/below"):
        with pytest.raises(ConfigurationError, match=rf"^RIVERRUN_SNAPSHOT_STORE: {tmp_path}/file: .*, expected a fo"):
            LocalStore(tmp_path / folder)


def test_folder_taken_away_is_told(folder: Path) -> None:
    """By somebody, while the worker runs."""
    store = LocalStore(folder)
    keep(store, b"first")
    (folder / "3/parts").rename(folder / "gone")
    with pytest.raises(SnapshotError, match="No such file or directory; the folder was removed: restart the worker"):
        keep(store, b"second")
    store.drop(3, [5], [digest_of(b"before")])
    keep(LocalStore(folder), b"second")


def test_object_store_without_obstore_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """How to install it."""
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(
        ConfigurationError, match=r"s3://b/p needs obstore, which .*: pip install 'riverrun\[object-store"
    ):
        open_store("s3://b/p")


def test_object_store_wrong_option_is_a_wrong_setting() -> None:
    """Found at start."""
    pytest.importorskip("obstore")
    with pytest.raises(ConfigurationError, match=r"RIVERRUN_SNAPSHOT_STORE: s3://bucket: .*'nope'"):
        open_store("s3://bucket", nope=1)


def test_object_store_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where, what, and what to look at; nothing secret."""
    pytest.importorskip("obstore")
    use_s3(monkeypatch, "http://127.0.0.1:1")
    store = open_store("s3://bucket/p", retry_config={"max_retries": 0})
    for act in (
        lambda: keep(store, b"data"),
        lambda: store.get(3, MISSING),
        lambda: store.seal(3, 1, b""),
        lambda: list(store.manifests(3)),
        lambda: store.drop(3, [1], []),
    ):
        with pytest.raises(
            SnapshotError, match=r"^s3://bucket/p/3/.*; look at the bucket, at the credentials"
        ) as caught:
            act()
        assert "\n" not in str(caught.value)
        assert "hunter2" not in str(caught.value) + repr(store)


def test_object_store_without_its_bucket_is_told(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No part is reported as merely missing where nothing can be kept at all."""
    use_s3(monkeypatch, s3)
    store = open_store("s3://nowhere/p")
    for act in (
        lambda: keep(store, b"data"),
        lambda: store.get(3, MISSING),
        lambda: store.seal(3, 1, b""),
        lambda: list(store.manifests(3)),
        lambda: store.drop(3, [1], []),
    ):
        with pytest.raises(SnapshotError, match=r"^s3://nowhere/p/3/.*: NoSuchBucket: The specified .* exist; look at"):
            act()


@pytest.mark.parametrize("value", ["kafka", "file:///var/lib/riverrun", "s3://bucket", "s3://my.bucket-1/deep/prefix"])
def test_settings_take_a_store(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """The three kinds."""
    monkeypatch.setenv("RIVERRUN_SNAPSHOT_STORE", value)
    assert load_settings().snapshot_store == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("SNAPSHOT_STORE", url)
            for url in ("Kafka", "file://host/folder", "file:///", "s3://", "s3://B/x", "s3://b?x=1")
        ),
        *(("SNAPSHOT_INTERVAL", seconds) for seconds in ("-1", "86401", "nan", "inf", "often")),
    ],
)
def test_settings_refuse_by_the_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """What it holds, and what it takes."""
    monkeypatch.setenv(f"RIVERRUN_{name}", value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert str(caught.value).startswith(f"RIVERRUN_{name}: got '{value}', expected ")


def test_settings_default_to_the_keys_that_init_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    """And to snapshots in Kafka; an interval of 0 is no snapshots."""
    monkeypatch.setenv("RIVERRUN_SNAPSHOT_INTERVAL", "0")
    settings = load_settings()
    assert (settings.signing_key, settings.trusted_keys) == (
        Path(".riverrun/keys/signing.pem"),
        Path(".riverrun/keys/trusted"),
    )
    assert (settings.snapshot_store, settings.snapshot_interval) == ("kafka", 0)
