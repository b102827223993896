"""Where snapshots are kept: the seam, and what makes of a store whose calls block one that a worker can use."""

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from schemas.errors import MissingPartError
from schemas.manifest import Part


class SnapshotStore(Protocol):
    """Keeps parts of snapshots, and the sealed manifests that name them, partition by partition.

    `put`, `seal` and `drop` return at once, and are called within a cycle of the worker. What they hand over may become
    durable with the cycle's transaction only; when that aborts, all of it is forgotten. `get` and `manifests` block:
    they are called while partitions are assigned, before anything is read.
    """

    def put(self, partition: int, part: Part, data: bytes) -> "Future[tuple[int, ...]]":
        """Store a part; the answer is its places."""

    def seal(self, partition: int, position: int, document: bytes, parts: Collection[Part]) -> "Future[None]":
        """Store the manifest of the snapshot at a position, once all the parts that it names are stored.

        Raises
        ------
        MissingPartError
            As the answer, where parts can go away by themselves: one is not there. The manifest is not stored then.
        """

    def get(self, partition: int, parts: Sequence[Part]) -> Iterator[bytes]:
        """Yield parts as they were stored.

        Raises
        ------
        SnapshotError
            When one is not there.
        """

    def manifests(self, partition: int) -> Iterator[bytes]:
        """Yield the manifests, the newest first, each read when it is asked for."""

    def drop(self, partition: int, positions: Collection[int], parts: Collection[Part]) -> "Future[None]":
        """Forget manifests, by position, and parts that no other one names."""

    def note(self, partition: int, document: bytes) -> None:
        """Keep a document beside the manifests, in the place of the one before; it is durable when this returns.

        Raises
        ------
        SnapshotError
            When it cannot be kept.
        """

    def noted(self, partition: int) -> bytes | None:
        """Return the newest document that was noted, None when there is none, or only one before many manifests."""


class BlockingStore(Protocol):
    """A folder or a bucket, where a part is found by its digest."""

    def put(self, partition: int, digest: str, data: bytes) -> None:
        """Store a part durably."""

    def get(self, partition: int, digest: str) -> bytes:
        """Return a part."""

    def stored(self, partition: int) -> Collection[str]:
        """Return the digests of the parts that are there."""

    def seal(self, partition: int, position: int, document: bytes) -> None:
        """Store a manifest durably."""

    def manifests(self, partition: int) -> Iterator[tuple[int, bytes]]:
        """Yield position and manifest, the newest first."""

    def drop(self, partition: int, positions: Collection[int], digests: Collection[str]) -> None:
        """Forget."""

    def note(self, partition: int, document: bytes) -> None:
        """Store a document durably in the place of the one before."""

    def noted(self, partition: int) -> bytes | None:
        """Return that document."""


class Threaded:
    """A `SnapshotStore` of a store whose calls block: a thread makes them, one after the other.

    Parameters
    ----------
    store
        The store.
    """

    def __init__(self, store: BlockingStore) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="riverrun-snapshots")

    def put(self, partition: int, part: Part, data: bytes) -> "Future[tuple[int, ...]]":
        """Store a part; it is found by its digest and has no places."""

        def put() -> tuple[int, ...]:
            self._store.put(partition, part.digest, data)
            return ()

        return self._thread.submit(put)

    def seal(self, partition: int, position: int, document: bytes, parts: Collection[Part]) -> "Future[None]":
        """Store a manifest, unless somebody has removed a part that it names: a person, or a rule of the bucket."""

        def seal() -> None:
            stored = self._store.stored(partition)
            missing = [part.name for part in parts if part.digest not in stored]
            if missing:
                raise MissingPartError(
                    f"{len(missing)} of its {len(parts)} parts are not there any more, {missing[0]} among them; "
                    "all are stored anew with the next one"
                )
            self._store.seal(partition, position, document)

        return self._thread.submit(seal)

    def get(self, partition: int, parts: Sequence[Part]) -> Iterator[bytes]:
        """Yield parts as they were stored."""
        return (self._store.get(partition, part.digest) for part in parts)

    def manifests(self, partition: int) -> Iterator[bytes]:
        """Yield the manifests, the newest first."""
        return (document for _, document in self._store.manifests(partition))

    def drop(self, partition: int, positions: Collection[int], parts: Collection[Part]) -> "Future[None]":
        """Forget manifests and parts."""
        return self._thread.submit(self._store.drop, partition, positions, {part.digest for part in parts})

    def note(self, partition: int, document: bytes) -> None:
        """Keep a document beside the manifests."""
        self._store.note(partition, document)

    def noted(self, partition: int) -> bytes | None:
        """Return it."""
        return self._store.noted(partition)
