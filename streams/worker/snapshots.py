"""Takes snapshots of the tasks while they work: a child writes what has changed, cycles carry it to the store."""

import logging
import platform
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from typing import Any, BinaryIO, Protocol

from faust.types import TP
from msgspec.structs import replace

from schemas.errors import MissingPartError, SnapshotError
from schemas.manifest import Identity, Manifest, Part
from schemas.signing import Signer, TrustedKeys
from streams.ladder import orphans, outlived
from streams.snapshot import Dump, read_index, write
from streams.task import Task
from streams.worker.forked import Forked
from streams.worker.stores.authentic import opened
from streams.worker.stores.store import SnapshotStore

log = logging.getLogger("riverrun.worker")

#: Dumps may take this share of the time, those of all partitions together.
_SHARE = 0.018
_BYTES_A_CYCLE = 4 * 1024 * 1024
#: Parts that a slow store may be behind with when it is given more: what waits for it is in memory.
_BEHIND = 2
_SWEEP_EVERY = 20


class Snapshotted(Protocol):
    """A shard as snapshots see it."""

    task: Task
    position: int
    committed: int
    snapshot: Manifest | None
    skips: tuple[int, ...]


class Writing(Protocol):
    """A file that is being written, such as `Forked`."""

    failure: str
    cpu_seconds: float

    def size_bytes(self) -> int | None:
        """Return its size, None until it is written, 0 when that failed."""

    def file(self) -> BinaryIO:
        """Return the file at its beginning."""


class Snapshots:
    """Takes snapshots, one at a time, of the shard whose last one is oldest.

    A snapshot is of the moment at which its child was forked. Its parts go to the store bit by bit, in later cycles,
    and its manifest once the position of that moment is committed: so a manifest is never ahead of its commit.

    Parameters
    ----------
    store
        Where they are kept.
    signer
        Signs the manifests.
    trusted
        Keys whose manifests are taken into account when old ones are dropped.
    interval_seconds
        Time between two snapshots of a partition, at least, whoever takes them; longer when the dumps of all shards
        together would take more than a fiftieth of the time.
    dump
        Has a file written, of this moment.
    clock
        Seconds, monotonic.
    """

    def __init__(
        self,
        store: SnapshotStore,
        signer: Signer,
        trusted: TrustedKeys,
        interval_seconds: float,
        dump: Callable[[Callable[[BinaryIO], object]], Writing] = Forked,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.taken = self.failed = 0
        self.last_seconds = 0.0
        self.last_bytes = 0
        self._store = store
        self._signer = signer
        self._trusted = trusted
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="riverrun-manifests")
        self._interval = interval_seconds
        self._dump = dump
        self._clock = clock
        self._due: dict[TP, float] = {}
        #: When the next one may be taken at the earliest, for the cost of the last dump.
        self._may_be_due: dict[TP, float] = {}
        #: The shards of this assignment whose due time has been looked at.
        self._assigned: set[TP] = set()
        self._hastened: set[TP] = set()
        self._since_sweep: Counter[TP] = Counter()
        #: The shards of whose last snapshot parts are gone: the next one stores all of them.
        self._anew: set[TP] = set()
        self._work: Iterator[bool] | None = None
        self._working_on: TP | None = None

    def forget(self, *, aborted: bool = False) -> None:
        """Drop the snapshot at work: its partition is ours no more, or its cycle was aborted.

        When the next ones are due is kept: a group that rebalances often takes as many as another. What a rebalance
        cut off is due again as soon as its dump allows; what may have made a cycle abort is not hurried.
        """
        if self._working_on in self._may_be_due and not aborted:
            self._due[self._working_on] = self._may_be_due[self._working_on]
        self._work = self._working_on = None
        self._assigned, self._hastened = set(), set()

    def hasten(self, tp: TP) -> None:
        """Let the next snapshot of a shard be due now, if it has moved."""
        self._hastened.add(tp)

    def is_done(self, shards: Mapping[TP, Any]) -> bool:
        """Tell whether none is at work, and none is due now."""
        return self._work is None and self._most_due(shards) is None

    def advance(self, shards: Mapping[TP, Any], identity: Callable[[TP], Identity]) -> TP | None:
        """Go on with the snapshot at work, or begin one that is due.

        Parameters
        ----------
        shards
            What there is to take snapshots of.
        identity
            Whose state a partition's is.

        Returns
        -------
        The partition for which something was handed to the store, that has to be committed now.
        """
        if self._work is None:
            self._working_on = self._most_due(shards)
            if self._working_on is None:
                return None
            self._hastened.discard(self._working_on)
            share = _SHARE / len(shards)
            self._work = self._take(self._working_on, shards[self._working_on], identity(self._working_on), share)
        stored_for = None
        try:
            return self._working_on if next(self._work) else None
        except StopIteration:
            pass
        except (SnapshotError, OSError) as error:
            self.failed += 1
            stored_for = self._working_on  # something may have been handed over before it failed
            log.warning("no snapshot of %s[%d]: %s", *self._working_on, error)  # type: ignore[misc]
        self._work = self._working_on = None
        return stored_for

    def _most_due(self, shards: Mapping[TP, Snapshotted]) -> TP | None:
        now = self._clock()
        for tp in shards.keys() - self._assigned:
            self._due[tp] = max(self._due.get(tp, now), now + self._remaining_seconds(shards[tp]))
        self._assigned = set(shards)
        asked_for = {tp for tp in shards if self._due[tp] <= now} | self._hastened
        due = [tp for tp, shard in shards.items() if tp in asked_for and _has_moved(shard)]
        return min(due, key=self._due.__getitem__, default=None)

    def _remaining_seconds(self, shard: Snapshotted) -> float:
        """Return what is left of the interval at an assignment: since the last snapshot, whoever has taken it."""
        if shard.snapshot is None:
            return 0.0 if shard.committed > 0 else self._interval  # nobody knows for how long there has been none
        age = time.time() - shard.snapshot.time / 1000
        return min(max(0.0, self._interval - age), self._interval)

    def _take(self, tp: TP, shard: Snapshotted, identity: Identity, share: float) -> Iterator[bool]:
        """Take one snapshot, a step a cycle; yield whether something was handed to the store."""
        began, position, time_ms = self._clock(), shard.position, round(time.time() * 1000)
        self._put_off(tp, began, 0.0)  # until its cost is known
        last = shard.snapshot
        stored: Collection[Part] = last.parts if last is not None and tp not in self._anew else ()
        written = self._dump(partial(write, shard.task, stored))
        while (size := written.size_bytes()) is None:
            yield False
        # Of the processor, not of the clock: a busy machine is no reason for fewer snapshots.
        self._put_off(tp, began, written.cpu_seconds / share)
        if size == 0:
            raise SnapshotError(written.failure)
        dump = read_index(written.file())
        places: dict[str, Future[tuple[int, ...]]] = {}
        handed_bytes, writing = 0, new_writing()
        for part in (replace(part, writing=writing) for part in dump.parts):
            if part.digest in dump.starts and part.digest not in places:
                data = _read(written.file(), dump.starts[part.digest], part.size_bytes)
                places[part.digest] = self._store.put(tp.partition, part, data)
                handed_bytes += len(data)
                if handed_bytes >= _BYTES_A_CYCLE:
                    handed_bytes = 0
                    yield True
                    while sum(not place.done() for place in places.values()) > _BEHIND:
                        yield False
        yield True
        while not all(place.done() for place in places.values()) or shard.committed < position:
            yield False
        manifest = Manifest(
            identity,
            position,
            tuple(_placed(part, places, writing) for part in dump.parts),
            time_ms,
            version("riverrun"),
            platform.python_version(),
            last.next if last is not None else None,
            shard.skips,
            shard.task.pipeline.declared,
        )
        document = self._signer.seal(manifest.to_document())
        sealed = self._store.seal(tp.partition, position, document, manifest.parts)
        yield True
        while not sealed.done():
            yield False
        try:
            sealed.result()
        except MissingPartError:
            self._anew.add(tp)
            raise
        self._anew.discard(tp)
        shard.snapshot = manifest
        self.taken += 1
        self.last_seconds, self.last_bytes = written.cpu_seconds, _new_bytes(dump)
        self._since_sweep[tp] += 1
        if self._since_sweep[tp] >= _SWEEP_EVERY:
            self._since_sweep[tp] = 0
            yield from self._sweep(tp, identity)

    def _put_off(self, tp: TP, began: float, cost_seconds: float) -> None:
        """Let the next snapshot of a partition be due an interval after this one began, or when it has paid for it."""
        self._may_be_due[tp] = began + cost_seconds
        self._due[tp] = began + max(self._interval, cost_seconds)

    def _sweep(self, tp: TP, identity: Identity) -> Iterator[bool]:
        """Drop the snapshots that the ladder does not keep, with the parts that only they name.

        Those of a deleted topic of that name stand beside the ladder, whatever their offsets are.
        """
        listing = self._reader.submit(self._list, tp.partition)
        while not listing.done():
            yield False
        manifests = listing.result()
        ours = [manifest for manifest in manifests if not manifest.identity.is_of_former(identity)]
        gone = outlived(ours, round(time.time() * 1000))
        if not gone:
            return
        dropped = self._store.drop(tp.partition, [manifest.next for manifest in gone], orphans(gone, manifests))
        yield True
        while not dropped.done():
            yield False
        dropped.result()

    def _list(self, partition: int) -> list[Manifest]:
        """Return the manifests of a partition that can be believed."""
        found = (one.manifest for one in opened(self._store, self._trusted, partition))
        return [manifest for manifest in found if manifest is not None]


def _has_moved(shard: Snapshotted) -> bool:
    return shard.position > (0 if shard.snapshot is None else shard.snapshot.next)


def _read(file: BinaryIO, start: int, size_bytes: int) -> bytes:
    file.seek(start)
    return file.read(size_bytes)


def _new_bytes(dump: Dump) -> int:
    return sum(part.size_bytes for part in dump.parts if part.digest in dump.starts)


def _placed(part: Part, places: Mapping[str, "Future[tuple[int, ...]]"], writing: str) -> Part:
    """Return a part with its places, if it was stored anew."""
    if part.digest not in places:
        return part
    return replace(part, places=places[part.digest].result(), writing=writing)


def new_writing() -> str:
    """Return a name for what one snapshot stores; no two are alike."""
    return uuid.uuid4().hex[:12]
