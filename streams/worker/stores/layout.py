"""The names of parts and manifests: ``3/parts/<digest>`` and ``3/manifests/<position>.json``."""

import re

from schemas.errors import InvariantError, SnapshotError

_DIGEST = re.compile(r"[0-9a-f]{64}")
_MANIFEST = re.compile(r"([0-9]{20})\.json", re.ASCII)
_MAX_POSITION = 10**20


def parts_folder(partition: int) -> str:
    """Return the folder of a partition's parts.

    Examples
    --------
    >>> parts_folder(3)
    '3/parts'
    """
    return f"{_checked(partition)}/parts"


def manifests_folder(partition: int) -> str:
    """Return the folder of a partition's manifests.

    Examples
    --------
    >>> manifests_folder(3)
    '3/manifests'
    """
    return f"{_checked(partition)}/manifests"


def part_name(partition: int, digest: str) -> str:
    """Return the name of a part.

    Raises
    ------
    SnapshotError
        The digest is no SHA-256 in hex; digests are read from manifests, and are no way to another file.

    Examples
    --------
    >>> part_name(3, "../../secret")
    Traceback (most recent call last):
    ...
    schemas.errors.SnapshotError: digest of a part: got '../../secret', expected a SHA-256 as 64 hex digits
    """
    if not _DIGEST.fullmatch(digest):
        raise SnapshotError(f"digest of a part: got {digest!r}, expected a SHA-256 as 64 hex digits")
    return f"{parts_folder(partition)}/{digest}"


def is_part(name: str) -> bool:
    """Tell whether a file in a folder of parts is one.

    Examples
    --------
    >>> is_part("0" * 64), is_part("notes.txt")
    (True, False)
    """
    return _DIGEST.fullmatch(name) is not None


def manifest_name(partition: int, position: int) -> str:
    """Return the name of the manifest for a next position; names sort as positions do.

    Examples
    --------
    >>> manifest_name(3, 1042)
    '3/manifests/00000000000000001042.json'
    """
    if not 0 <= position < _MAX_POSITION:
        raise InvariantError(f"position of a manifest: got {position}, expected an offset")
    return f"{manifests_folder(partition)}/{position:020d}.json"


def note_name(partition: int) -> str:
    """Return the name of the document that is kept beside a partition's manifests.

    Examples
    --------
    >>> note_name(3)
    '3/manifests/note.json'
    """
    return f"{manifests_folder(partition)}/note.json"


def position_of(name: str) -> int | None:
    """Return the position in the last part of a manifest's name, None where the file is another.

    Examples
    --------
    >>> position_of("3/manifests/00000000000000001042.json"), position_of("notes.txt")
    (1042, None)
    """
    found = _MANIFEST.fullmatch(name.rpartition("/")[2])
    return int(found[1]) if found else None


def _checked(partition: int) -> int:
    if partition < 0:
        raise InvariantError(f"partition of a snapshot: got {partition}, expected 0 or more")
    return partition
