"""Which share of the time a worker's dumps take: `Snapshots` itself, by a clock that is moved by hand.

python -m benchmarks.dump_share --seconds 0.5,5 --partitions 1,4
"""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from faust.types import TP

from benchmarks import pipelines
from schemas.manifest import Manifest
from streams.snapshot import identity_of
from streams.task import Task
from streams.worker.keys import SIGNING_FILE, TRUSTED_FOLDER, load_signer, load_trusted, make_keys
from streams.worker.settings import Settings
from streams.worker.snapshots import Snapshots

HOURS, CYCLE_SECONDS = 5.0, 0.1


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class Dump:
    """A file that is there after so many seconds of a clock, all of them at work."""

    failure = ""

    def __init__(self, write: Callable[[BinaryIO], object], seconds: float, clock: Clock) -> None:
        self._file = io.BytesIO()
        write(self._file)
        self._ready_at, self._clock = clock.now + seconds, clock
        self.cpu_seconds = seconds

    def size_bytes(self) -> int | None:
        """Return its size, None until it is there."""
        return len(self._file.getbuffer()) if self._clock.now >= self._ready_at else None

    def file(self) -> BinaryIO:
        """Return it at its beginning."""
        self._file.seek(0)
        return self._file


class AtOnce:
    """Stands in for the thread that lists manifests: the clock does not wait for threads."""

    def submit(self, call: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Call, and return the answer."""
        done: Future[Any] = Future()
        done.set_result(call(*arguments))
        return done


class Nowhere:
    """A store that keeps nothing, at once."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        done: Future[tuple[int, ...]] = Future()
        done.set_result(())
        return lambda *arguments: [] if name == "manifests" else done


class Shard:
    """A task whose position moves."""

    def __init__(self, partition: int, partitions: int) -> None:
        self.task = Task(pipelines.lr, partition, partitions)
        self.position = self.committed = 0
        self.snapshot: Manifest | None = None
        self.skips: tuple[int, ...] = ()


def simulate(dump_seconds: float, partitions: int) -> dict[str, float]:
    """Return the share of the time in which a dump ran, and how many were taken of each partition an hour."""
    clock, dumps = Clock(), 0

    def dump(write: Callable[[BinaryIO], object]) -> Dump:
        nonlocal dumps
        dumps += 1
        return Dump(write, dump_seconds, clock)

    with TemporaryDirectory(prefix="riverrun-bench-") as folder:
        make_keys(Path(folder))
        signer, trusted = load_signer(Path(folder) / SIGNING_FILE), load_trusted(Path(folder) / TRUSTED_FOLDER)
    interval = Settings.model_fields["snapshot_interval"].default
    snapshots = Snapshots(Nowhere(), signer, trusted, interval, dump, clock)  # type: ignore[arg-type]
    snapshots._reader = AtOnce()  # type: ignore[assignment]
    shards = {TP(pipelines.lr.source_topic, n): Shard(n, partitions) for n in range(partitions)}
    while clock.now < HOURS * 3600:
        for shard in shards.values():
            shard.position = shard.committed = shard.position + 1
        snapshots.advance(shards, lambda tp: identity_of(pipelines.lr, tp.partition, partitions))
        clock.now += CYCLE_SECONDS
    return {
        "dump_seconds": dump_seconds,
        "partitions": partitions,
        "share": dumps * dump_seconds / clock.now,
        "per_partition_and_hour": dumps / partitions / HOURS,
    }
