"""A store of snapshots in memory, a dump on the spot, a shard: what snapshots need, without processes and brokers."""

import io
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, BinaryIO

from faust.types import TP

from schemas.errors import SnapshotError
from schemas.manifest import Manifest, Part
from schemas.signing import TrustedKeys, generate, public_key_from_pem, signer_from_pem
from streams.pipeline import Pipeline
from streams.snapshot import identity_of
from streams.task import Task
from streams.worker.snapshots import Snapshots

PRIVATE, PUBLIC = generate()
SIGNER = signer_from_pem(PRIVATE)
TRUSTED = TrustedKeys([public_key_from_pem(PUBLIC)])


class MemoryStore:
    """Keeps what it is given; `late` keeps answers back until they are asked for."""

    def __init__(self) -> None:
        self.parts: dict[str, bytes] = {}
        self.documents: list[tuple[int, bytes]] = []
        self.notes: dict[int, bytes] = {}
        self.put_bytes = 0
        self.late: list[Callable[[], None]] | None = None

    def _answer(self, value: Any) -> "Future[Any]":
        done: Future[Any] = Future()
        if self.late is None:
            done.set_result(value)
        else:
            self.late.append(lambda: done.set_result(value))
        return done

    def put(self, partition: int, part: Part, data: bytes) -> "Future[tuple[int, ...]]":
        """Keep a part."""
        self.parts[part.digest] = data
        self.put_bytes += len(data)
        return self._answer((len(self.parts),))

    def seal(self, partition: int, position: int, document: bytes, parts: Collection[Part]) -> "Future[None]":
        """Keep a manifest."""
        self.documents.append((position, document))
        return self._answer(None)

    def get(self, partition: int, parts: Sequence[Part]) -> Iterator[bytes]:
        """Yield parts."""
        for part in parts:
            if part.digest not in self.parts:
                raise SnapshotError(f"no part {part.name}")
            yield self.parts[part.digest]

    def manifests(self, partition: int) -> Iterator[bytes]:
        """Yield manifests, the newest first."""
        return (document for _, document in reversed(self.documents))

    def drop(self, partition: int, positions: Collection[int], parts: Collection[Part]) -> "Future[None]":
        """Forget."""
        self.documents = [(p, document) for p, document in self.documents if p not in positions]
        for part in parts:
            del self.parts[part.digest]
        return self._answer(None)

    def note(self, partition: int, document: bytes) -> None:
        """Keep a note."""
        self.notes[partition] = document

    def noted(self, partition: int) -> bytes | None:
        """Return it."""
        return self.notes.get(partition)


class Written:
    """A dump on the spot."""

    failure = ""
    cpu_seconds = 0.0

    def __init__(self, write: Callable[[BinaryIO], object]) -> None:
        self._file = io.BytesIO()
        try:
            write(self._file)
        except SnapshotError as error:
            self._file, self.failure = io.BytesIO(), str(error)

    def size_bytes(self) -> int:
        """Its size, 0 when it failed."""
        return len(self._file.getvalue())

    def file(self) -> BinaryIO:
        """The file."""
        self._file.seek(0)
        return self._file


class Shard:
    """A task and where it stands."""

    def __init__(self, task: Task, position: int = 0) -> None:
        self.task = task
        self.position = self.committed = position
        self.snapshot: Manifest | None = None
        self.skips: tuple[int, ...] = ()


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


class Desk:
    """Snapshots of one shard of a pipeline, by hand."""

    def __init__(self, pipeline: Pipeline, store: MemoryStore | None = None, interval: float = 10.0) -> None:
        self.pipeline = pipeline
        self.store = store or MemoryStore()
        self.clock = Clock()
        self.topic_id = ""
        self.shard = Shard(Task(pipeline))
        self.tp = TP(pipeline.source_topic, 0)
        self.snapshots = Snapshots(self.store, SIGNER, TRUSTED, interval, Written, self.clock)

    def advance(self, cycles: int = 1) -> list[bool]:
        """Go on for some cycles; tell in which of them something was stored."""
        identity = identity_of(self.pipeline, 0, 1, self.topic_id)
        return [
            self.snapshots.advance({self.tp: self.shard}, lambda _: identity) is not None  # type: ignore[arg-type]
            for _ in range(cycles)
        ]

    def take(self) -> None:
        """Take one snapshot of what is there, committed as it is."""
        self.shard.committed = self.shard.position
        taken = self.snapshots.taken
        self.advance()
        self.clock.now += 100
        for _ in range(100):
            self.advance()
            if self.snapshots.taken > taken:
                return
        raise AssertionError("no snapshot was taken")
