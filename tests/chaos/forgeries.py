"""What stands in the topics of snapshots is damaged, forged or repeated; then a worker starts."""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
from confluent_kafka import Message, Producer

from schemas.manifest import Manifest, Part
from schemas.signing import Signer, generate, signer_from_pem
from streams.task import Task
from streams.worker.keys import load_signer, load_trusted
from streams.worker.recovery import Recovery
from streams.worker.settings import Settings
from streams.worker.stores.opening import open_snapshots
from streams.worker.stores.store import SnapshotStore
from tests.chaos.site import Site
from tests.chaos.stage import Stage
from tests.chaos.trial import Findings
from tests.streams.worker.events import inline
from tests.streams.worker.kafka import until

_RATE = 500
_FURTHER = 500
_ASSIGNED = re.compile(r"assigned (?:\S+\[0\]|\d+ partitions of \S+: 0) from (\d+)")


class Forger:
    """Writes to the topics of the snapshots of partition 0.

    Parameters
    ----------
    site
        Whose topics; its worker has been killed.
    rng
        Chance.
    """

    def __init__(self, site: Site, rng: random.Random) -> None:
        self.site = site
        self.rng = rng
        self.signer = load_signer(site.private_key)
        self._trusted = load_trusted(site.trusted_keys)
        self._producer = Producer({"bootstrap.servers": site.kafka.bootstrap, "log_level": 2})
        settings = Settings(bootstrap_servers=site.kafka.bootstrap)
        self._store = open_snapshots(settings, site.pipeline.name)
        #: Damaged snapshots that were offered to a recovery, and those that it loaded all the same.
        self.offered = self.loaded = 0
        self.written = [m for m in site.kafka.read(site.manifests)[0] if m.value() and not m.key().endswith(b"/note")]

    def manifest(self, message: Message) -> Manifest:
        """Return what is in a record of a manifest."""
        return Manifest.from_document(self._trusted.open(message.value()))

    def newest(self) -> list[tuple[str, bytes]]:
        """Return what the newest snapshot consists of: its manifest, whose name is empty, and its parts."""
        manifest = self.manifest(self.written[-1])
        parts = sorted(manifest.parts, key=lambda part: part.places)
        found = zip((part.name for part in parts), self._store.get(0, parts), strict=True)
        return [("", self.written[-1].value()), *found]

    def offer(self, name: str, damaged: bytes) -> None:
        """Have the newest snapshot restored from a store that returns other bytes of the manifest or of a part."""
        newest = self.manifest(self.written[-1])
        store = _Damaged(self._store, self.written[-1].value(), name, damaged)
        recovery = Recovery(cast(SnapshotStore, store), self._trusted)
        found = recovery.recover(lambda: Task(self.site.pipeline), newest.identity, 0, newest.next)
        self.offered += 1
        self.loaded += found.manifest is not None and found.manifest.next == newest.next

    def append(self, topic: str, key: bytes, value: bytes | None) -> int:
        """Write a record; return its offset."""
        offsets: list[int] = []
        self._producer.produce(topic, value, key, partition=0, on_delivery=lambda _, m: offsets.append(m.offset()))
        self._producer.flush(20)
        return offsets[0]

    def sign(self, manifest: Manifest, signer: Signer | None = None, key: bytes | None = None) -> None:
        """Append a manifest, under the key it would have."""
        document = (signer or self.signer).seal(manifest.to_document())
        self.append(self.site.manifests, key or f"0/{manifest.next}".encode(), document)

    def flipped(self, data: bytes) -> bytes:
        """Return bytes of which one bit is another."""
        changed = bytearray(data)
        changed[self.rng.randrange(len(data))] ^= 1 << self.rng.randrange(8)
        return bytes(changed)

    def chunk(self, place: int) -> Message:
        """Return a chunk of a part."""
        return next(m for m in self.site.kafka.read(self.site.snapshots)[0] if m.offset() == place)


class _Damaged:
    """A store of one snapshot that returns other bytes of one of its pieces."""

    def __init__(self, store: SnapshotStore, manifest: bytes, name: str, damaged: bytes) -> None:
        self._store, self._manifest, self._name, self._damaged = store, manifest, name, damaged

    def manifests(self, partition: int) -> Iterator[bytes]:
        """Yield the manifest."""
        yield self._manifest if self._name else self._damaged

    def get(self, partition: int, parts: Sequence[Part]) -> Iterator[bytes]:
        """Yield the parts."""
        for part, data in zip(parts, self._store.get(partition, parts), strict=True):
            yield self._damaged if part.name == self._name else data


def flip_manifest(forger: Forger) -> bool:
    """The newest manifest again, with a bit flipped."""
    last = forger.written[-1]
    forger.append(forger.site.manifests, last.key(), forger.flipped(last.value()))
    return False


def cut_off_manifest(forger: Forger) -> bool:
    """The newest manifest again, cut off."""
    last = forger.written[-1]
    forger.append(forger.site.manifests, last.key(), last.value()[: forger.rng.randrange(1, len(last.value()))])
    return False


def replay(forger: Forger) -> bool:
    """An old manifest again, as the newest record."""
    old = forger.rng.choice(forger.written[:-1])
    forger.append(forger.site.manifests, old.key(), old.value())
    return True


def replay_under_new_key(forger: Forger) -> bool:
    """An old manifest under a key that claims the position after the newest."""
    old = forger.rng.choice(forger.written[:-1])
    forger.append(forger.site.manifests, b"0/%d" % (forger.manifest(forger.written[-1]).next + 1), old.value())
    return True


def foreign_pipeline(forger: Forger) -> bool:
    """The snapshot of another pipeline, signed with the key of both."""
    last = forger.manifest(forger.written[-1])
    identity = msgspec.structs.replace(last.identity, pipeline="another", topic="another.raw")
    forger.sign(msgspec.structs.replace(last, identity=identity, next=last.next + 1))
    return True


def other_partition(forger: Forger) -> bool:
    """The snapshot of another partition."""
    last = forger.manifest(forger.written[-1])
    forger.sign(msgspec.structs.replace(last, identity=msgspec.structs.replace(last.identity, partition=1)))
    return False


def stranger(forger: Forger) -> bool:
    """A manifest whose signature fits, by a key that nobody trusts."""
    last = forger.manifest(forger.written[-1])
    forger.sign(msgspec.structs.replace(last, next=last.next - 1), signer_from_pem(generate()[0]))
    return True


def flipped_chunk(forger: Forger) -> bool:
    """The newest manifest, signed again, that names a chunk with a bit flipped."""
    last = forger.manifest(forger.written[-1])
    chosen = forger.rng.choice(last.parts)
    chunk = forger.chunk(chosen.places[0])
    place = forger.append(forger.site.snapshots, chunk.key(), forger.flipped(chunk.value()))
    return _with_places(forger, last, chosen.name, (place, *chosen.places[1:]))


def swapped_chunk(forger: Forger) -> bool:
    """The newest manifest, signed again, that names the chunk of another part."""
    last = forger.manifest(forger.written[-1])
    chosen, other = forger.rng.sample(last.parts, 2)
    return _with_places(forger, last, chosen.name, other.places)


def _with_places(forger: Forger, last: Manifest, name: str, places: tuple[int, ...]) -> bool:
    parts = [msgspec.structs.replace(part, places=places) if part.name == name else part for part in last.parts]
    forger.sign(msgspec.structs.replace(last, parts=tuple(parts)))
    return False


def other_position(forger: Forger) -> bool:
    """The newest state, in the place of its own manifest, for an earlier position: records would be learned twice."""
    newest = forger.written[-1]
    last = forger.manifest(newest)
    forger.append(forger.site.manifests, newest.key(), None)
    forger.sign(msgspec.structs.replace(last, next=last.next - forger.rng.randrange(1, 100)))
    return False


def flipped_everywhere(forger: Forger) -> bool:
    """The newest snapshot as a store might return it, a hundred times with a bit flipped somewhere."""
    for name, data in forger.rng.choices(forger.newest(), k=100):
        forger.offer(name, forger.flipped(data))
    return True


def cut_off_everywhere(forger: Forger) -> bool:
    """The newest snapshot as a store might return it, cut off at every kilobyte."""
    for name, data in forger.newest():
        for end in range(0, len(data), 1024):
            forger.offer(name, data[:end])
    return True


#: Name → what is written; it returns whether the newest good snapshot still has to serve, else one before it does.
FORGERIES: dict[str, Callable[[Forger], bool]] = {
    "manifest with a flipped bit": flip_manifest,
    "manifest cut off": cut_off_manifest,
    "old manifest again": replay,
    "old manifest under a new key": replay_under_new_key,
    "another pipeline's": foreign_pipeline,
    "another partition's": other_partition,
    "signed by a stranger": stranger,
    "chunk with a flipped bit": flipped_chunk,
    "chunk of another part": swapped_chunk,
    "claims an earlier position": other_position,
    "100 flipped bits": flipped_everywhere,
    "cut off at every kilobyte": cut_off_everywhere,
}
CASES = tuple(FORGERIES)


def run(stage: Stage, case: str, seed: int, shocks: int, folder: Path) -> Findings:
    """Have snapshots taken, kill, forge, and start: what is restored must be a good one, and go on as undisturbed."""
    rng = random.Random(seed)
    settings = {"snapshot_interval": 0.2}
    with Site(stage.single[1], folder, folder.name, model=rng.choice(("lr", "nb")), settings=settings) as site:
        post = site.crew.post("w0")
        load = site.load(_RATE, seed)
        until(lambda: snapshots(post.worker, "taken") >= 2, 120, "two snapshots")
        load.stop()
        site.finish()
        post.vacant = True
        site.crew.kill("w0")
        until(lambda: post.worker is None, 20, "the end of the worker")
        forger = Forger(site, rng)
        good = [forger.manifest(message).next for message in forger.written]
        newest_serves = FORGERIES[case](forger)
        site.produce(inline(_FURTHER, seed + 1, start=load.written))
        post.vacant = False
        site.finish()
        refused = snapshots(post.worker, "refused")
        start = started_from(post.worker)
        counts = site.judge()
    counts["bad_loaded"] = start not in (good[-1:] if newest_serves else [0, *good[:-1]])
    counts["bad_loaded"] += forger.loaded
    counts["not_refused"] = refused == 0 and not forger.offered
    offered = f", {forger.offered} damaged ones offered" if forger.offered else ""
    return Findings(counts, notes=[f"good ones at {good}, started at {start}, refused {refused:g}{offered}"])


def snapshots(worker: Any, outcome: str) -> float:
    """Return how many snapshots of a worker had an outcome, 0 where there is none."""
    return worker.metrics("riverrun_snapshots_total", "outcome").get(outcome, 0.0) if worker is not None else 0.0


def started_from(worker: Any) -> int:
    """Return the position from which a worker began to read partition 0 when it started."""
    return int(_ASSIGNED.findall(worker.log)[0])
