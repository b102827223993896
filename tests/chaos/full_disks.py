"""The disk that snapshots are kept on is full while they are written; then the worker is killed."""

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streams.worker.stores.layout import position_of
from tests.chaos.forgeries import snapshots, started_from
from tests.chaos.site import Site
from tests.chaos.stage import Stage
from tests.chaos.trial import Findings
from tests.streams.worker.kafka import until

#: Case → bytes that are left on the disk: none, or what a part begins to be written into.
CASES = {"no byte left": 0, "a page left": 4096}
_DISK = 4 * 1024 * 1024
_RATE = 500


def run(stage: Stage, case: str, seed: int, shocks: int, folder: Path) -> Findings:
    """Have snapshots taken, fill the disk, have some fail, kill, start, and make room again."""
    disk = folder.with_name(f"{folder.name}.disk")
    settings = {"snapshot_interval": 0.2, "snapshot_store": f"file://{disk}"}
    with _disk(disk), Site(stage.single[1], folder, folder.name, settings=settings) as site:
        post = site.crew.post("w0")
        load = site.load(_RATE, seed)
        until(lambda: snapshots(post.worker, "taken") >= 2, 120, "two snapshots")
        ballast = _fill(disk, CASES[case])
        failed = snapshots(post.worker, "failed")
        until(lambda: snapshots(post.worker, "failed") >= failed + 3, 120, "three snapshots that fail")
        site.wait_until_working()
        good = _positions(disk)
        post.vacant = True
        site.crew.kill("w0")
        until(lambda: post.worker is None, 20, "the end of the worker")
        post.vacant = False
        until(lambda: snapshots(post.worker, "failed") >= 1, 120, "a snapshot that fails after the start")
        start = started_from(post.worker)
        ballast.unlink()
        until(lambda: snapshots(post.worker, "taken") >= 1, 120, "a snapshot when there is room")
        load.stop()
        site.finish()
        counts = site.judge()
        counts["bad_loaded"] = start not in good
        counts["deaths"] = len(site.crew.ends()) - 1
    return Findings(counts, shocks=1, notes=[f"good ones at {good}, started at {start}"])


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """Mount a small disk of memory; takes root."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _fill(folder: Path, left: int) -> Path:
    """Write a file that leaves so many bytes of a disk free, whoever writes beside it."""
    path = folder / "ballast"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        file.truncate(os.fstat(file.fileno()).st_size - left)
    return path


def _positions(disk: Path) -> list[int]:
    """Return the next positions of the snapshots on a disk."""
    return sorted(found for path in disk.rglob("*.json") if (found := position_of(path.name)) is not None)
