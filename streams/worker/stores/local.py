"""Snapshots in a folder of this machine."""

import errno
import os
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from schemas.errors import ConfigurationError, InvariantError, SnapshotError, StoreError
from streams.worker.stores.abandoned import remove_abandoned
from streams.worker.stores.layout import (
    is_part,
    manifest_name,
    manifests_folder,
    note_name,
    part_name,
    parts_folder,
    position_of,
)

_ELSEWHERE = "RIVERRUN_SNAPSHOT_STORE names another place"
_ADVICE = {
    errno.ENOSPC: f"make room; {_ELSEWHERE}",
    errno.EDQUOT: f"make room or have the quota raised; {_ELSEWHERE}",
    errno.EFBIG: "have the limit of file sizes raised (ulimit -f)",
    errno.EACCES: f"let this user write there; {_ELSEWHERE}",
    errno.EPERM: f"let this user write there; {_ELSEWHERE}",
    errno.EROFS: f"mount it writable; {_ELSEWHERE}",
    errno.ENOENT: "the folder was removed: restart the worker to recreate it",
}


class LocalStore:
    """Keep parts and manifests as files.

    A file appears under its name when all of it is on the disk, or not at all. Folders are for their owner only.

    Parameters
    ----------
    folder
        Made if it is not there. What killed processes left half written in it more than a day ago is removed, and so
        are parts that old which no manifest in it names: those of snapshots that were never finished.
    reads_only
        Make nothing and remove nothing: a folder that is not there holds no snapshots.

    Raises
    ------
    ConfigurationError
        The folder cannot be made or cleaned up.
    InvariantError
        By all that writes or removes, in a store that only reads.

    Examples
    --------
    >>> import hashlib, tempfile
    >>> digest = hashlib.sha256(b"a model").hexdigest()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = LocalStore(folder)
    ...     store.put(3, digest, b"a model")
    ...     store.get(3, digest)
    b'a model'
    """

    def __init__(self, folder: str | Path, *, reads_only: bool = False) -> None:
        self._folder = Path(folder)
        self._reads_only = reads_only
        self._made: set[Path] = set()
        if reads_only:
            return
        try:
            _make_folder(self._folder)
            remove_abandoned(self._folder)
        except OSError as error:
            raise ConfigurationError(
                f"RIVERRUN_SNAPSHOT_STORE: {error.filename or folder}: {error.strerror}, "
                "expected a folder that this user may write"
            ) from None

    def put(self, partition: int, digest: str, data: bytes) -> None:
        """Keep a part under its digest; one that is there is not written again.

        Raises
        ------
        SnapshotError
            Naming the file, what the system says and what to do; nothing of the part is left.
        """
        path = self._folder / part_name(partition, digest)
        self._require_writable(path)
        with _told(path):
            self._make_folders(path.parent)
            if _is_there(path, len(data)):
                _sync(path.parent)  # whoever wrote it may have been killed before it did
            else:
                _write(path, data)

    def get(self, partition: int, digest: str) -> bytes:
        """Return a part.

        Raises
        ------
        SnapshotError
            It is not there, or cannot be read.
        """
        path = self._folder / part_name(partition, digest)
        with _told(path):
            try:
                return path.read_bytes()
            except FileNotFoundError:
                raise SnapshotError(f"{path}: no such part; it was dropped, or never written") from None

    def stored(self, partition: int) -> Collection[str]:
        """Return the digests of the parts that are there.

        Raises
        ------
        SnapshotError
            The folder cannot be read.
        """
        return {name for name in self._names(parts_folder(partition)) if is_part(name)}

    def seal(self, partition: int, position: int, document: bytes) -> None:
        """Keep the manifest for a next position, in the place of one for the same position.

        Raises
        ------
        SnapshotError
            As `put`; the manifest that was there still is.
        """
        path = self._folder / manifest_name(partition, position)
        self._require_writable(path)
        with _told(path):
            self._make_folders(path.parent)
            _write(path, document)

    def manifests(self, partition: int) -> Iterator[tuple[int, bytes]]:
        """Yield position and manifest, the highest position first; each is read when it is asked for.

        Raises
        ------
        SnapshotError
            One cannot be read.
        """
        for position in self._positions(partition):
            path = self._folder / manifest_name(partition, position)
            with _told(path):
                try:
                    document = path.read_bytes()
                except FileNotFoundError:
                    continue  # dropped meanwhile
            yield position, document

    def drop(self, partition: int, positions: Iterable[int], digests: Iterable[str]) -> None:
        """Remove manifests, and then parts; what is not there is passed over.

        Raises
        ------
        SnapshotError
            One cannot be removed.
        """
        self._require_writable(self._folder)
        # A part goes when the manifests that name it are gone for good.
        for names in (
            [manifest_name(partition, position) for position in positions],
            [part_name(partition, digest) for digest in digests],
        ):
            for path in (self._folder / name for name in names):
                with _told(path):
                    path.unlink(missing_ok=True)
            for folder in {(self._folder / name).parent for name in names}:
                with _told(folder), suppress(FileNotFoundError):
                    _sync(folder)

    def note(self, partition: int, document: bytes) -> None:
        """Keep a document beside the manifests, in the place of the one before.

        Raises
        ------
        SnapshotError
            As `put`; the one that was there still is.
        """
        path = self._folder / note_name(partition)
        self._require_writable(path)
        with _told(path):
            self._make_folders(path.parent)
            _write(path, document)

    def noted(self, partition: int) -> bytes | None:
        """Return the document that was noted, None when there is none."""
        path = self._folder / note_name(partition)
        with _told(path):
            try:
                return path.read_bytes()
            except FileNotFoundError:
                return None

    def _positions(self, partition: int) -> list[int]:
        names = self._names(manifests_folder(partition))
        return sorted((found for name in names if (found := position_of(name)) is not None), reverse=True)

    def _names(self, name: str) -> list[str]:
        """Return the names in a folder, none where it was not made yet."""
        folder = self._folder / name
        with _told(folder):
            try:
                return os.listdir(folder)
            except FileNotFoundError:
                return []

    def _require_writable(self, path: Path) -> None:
        if self._reads_only:
            raise InvariantError(f"{path}: a store of snapshots that was opened to be read: got something to write")

    def _make_folders(self, folder: Path) -> None:
        """Make the folders of a partition, once; their names are on the disk when this returns."""
        if folder in self._made:
            return
        for path in (folder.parent, folder):
            path.mkdir(mode=0o700, exist_ok=True)
            _sync(path.parent)
        self._made.add(folder)


def _make_folder(path: Path) -> None:
    """Make a folder and those above it."""
    if not path.is_dir():
        _make_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
        _sync(path.parent)


def _write(path: Path, data: bytes) -> None:
    """Write a file that is under its name as a whole and for good, or not at all."""
    descriptor, draft = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
    try:
        try:
            _write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(draft, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(draft)
        raise
    _sync(path.parent)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _sync(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_there(path: Path, size: int) -> bool:
    """Tell whether a file has a size; if so it is as good as new, and not taken for one that was left behind."""
    try:
        if path.stat().st_size != size:
            return False
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say what the system says, and what to do."""
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, f"check the disk; {_ELSEWHERE}")
        raise StoreError(f"{path}: {error.strerror or error}; {advice}") from error
