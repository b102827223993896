"""What lies in the folder of a store and belongs to no snapshot: drafts, and parts that no manifest names."""

import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from streams.worker.stores.layout import is_part

log = logging.getLogger("riverrun.worker")

#: A snapshot takes as many cycles as it has pieces, and waits for its commit: hours, where a bucket or a disk is slow.
_ABANDONED_SECONDS = 86_400
_DIGESTS = re.compile(rb"[0-9a-f]{64,}")
_DIGEST_DIGITS = 64


def remove_abandoned(folder: Path) -> None:
    """Remove what was being written when its process was killed, and what was written of snapshots that failed.

    Parameters
    ----------
    folder
        Of a `LocalStore`.

    Raises
    ------
    OSError
        A draft cannot be removed.
    """
    deadline = time.time() - _ABANDONED_SECONDS
    for kind in ("parts", "manifests"):
        for draft in folder.glob(f"*/{kind}/.*.tmp"):
            with suppress(FileNotFoundError):
                if draft.stat().st_mtime < deadline:
                    draft.unlink()
    for parts in folder.glob("*/parts"):
        with suppress(OSError):  # what cannot be looked at, or removed, stays
            _remove_unnamed(parts, parts.parent / "manifests", deadline)


def _remove_unnamed(parts: Path, manifests: Path, deadline: float) -> None:
    """Remove the parts that no manifest names; younger ones may be of a snapshot that is being written.

    Nothing is believed for that: a digest in whatever file lies beside the manifests keeps its part. Where one of them
    cannot be read, or goes away meanwhile, all parts stay.
    """
    # Parts first, manifests then: one that is sealed in between is read, too.
    unnamed = {name.encode() for name in os.listdir(parts) if is_part(name) and _is_old(parts / name, deadline)}
    for document in _documents(manifests) if unnamed else ():
        for digits in _DIGESTS.findall(document):
            unnamed.difference_update(
                digits[at : at + _DIGEST_DIGITS] for at in range(len(digits) - _DIGEST_DIGITS + 1)
            )
    removed = [path for path in sorted(parts / name.decode() for name in unnamed) if _is_old(path, deadline)]
    for path in removed:
        path.unlink(missing_ok=True)
    if removed:
        log.info("removed %d parts of unfinished snapshots from %s", len(removed), parts)


def _documents(folder: Path) -> Iterator[bytes]:
    """Yield what the files in a folder hold."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:  # nothing was ever sealed
        return
    for path in (folder / name for name in names):
        if not path.is_dir():
            yield path.read_bytes()


def _is_old(path: Path, deadline: float) -> bool:
    """Tell whether a file was written, or put there with its time by a copy, before some time."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    return max(status.st_mtime, status.st_ctime) < deadline
