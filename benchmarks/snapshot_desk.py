"""A worker's snapshots without the worker: one task, a store, a producer, and cycles by hand."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import quantiles
from typing import Any, BinaryIO

from confluent_kafka import Consumer, Producer
from faust.types import TP

from schemas.errors import SnapshotError
from schemas.manifest import Manifest, Part
from schemas.outgoing import Outgoing, OutgoingEncoder
from schemas.record import Record
from streams.pipeline import Pipeline
from streams.snapshot import identity_of
from streams.task import Task
from streams.worker.emitter import Emitter, OnDelivery
from streams.worker.forked import Forked, checkpoint
from streams.worker.keys import SIGNING_FILE, TRUSTED_FOLDER, load_signer, load_trusted
from streams.worker.recovery import Recovery
from streams.worker.snapshots import Snapshots, Writing
from streams.worker.stores import LocalStore
from streams.worker.stores.kafka import KafkaStore
from streams.worker.stores.store import SnapshotStore, Threaded

NEVER_SECONDS, CYCLE_SECONDS = 1e9, 0.1
CLIENT = {"receive.message.max.bytes": 2_000_000_000, "log_level": 3}
PRODUCER = {"enable.idempotence": True, "message.max.bytes": 64 * 1024 * 1024}

Way = Callable[[Callable[[BinaryIO], object]], Writing]


class Outputs:
    """A producer as the worker has it, and a consumer that another thread polls.

    Parameters
    ----------
    bootstrap
        The broker; the topics of the pipeline are there.
    pipeline
        Whose outputs are produced.
    linger_ms
        As librdkafka's setting.
    flushes
        Whether pieces of a snapshot are waited for, as they are without transactions.
    """

    def __init__(self, bootstrap: str, pipeline: Pipeline, linger_ms: int = 5, *, flushes: bool = False) -> None:
        self.config = {"bootstrap.servers": bootstrap, **CLIENT}
        self._flushes = flushes
        self._encode = OutgoingEncoder(pipeline.name).encode
        self._emitter = Emitter()
        self._emitter.producer = Producer(
            {**self.config, **PRODUCER, "linger.ms": linger_ms}, logger=logging.getLogger("bench")
        )
        self._consumer = Consumer({**self.config, "group.id": "bench-desk", "auto.offset.reset": "earliest"})
        self._consumer.subscribe([pipeline.source_topic])
        self._ended = threading.Event()
        self._poller = threading.Thread(target=self._poll, daemon=True)
        self._poller.start()

    def emit(self, record: Record, events: list[Any]) -> None:
        """Encode what a step returned, and produce it."""
        self._emitter.emit([self._encode(event, record) for event in events])

    def hand_over(self, messages: Sequence[Outgoing], on_delivery: OnDelivery) -> None:
        """Produce pieces of a snapshot as a worker does."""
        self._emitter.emit(messages, on_delivery)
        if self._flushes:
            self._emitter.flush()

    def poll(self) -> None:
        """Hear what the broker has stored."""
        self._emitter.emit([])

    def flush(self) -> None:
        """Wait for the broker."""
        self._emitter.flush()

    def close(self) -> None:
        """End the consumer."""
        self._ended.set()
        self._poller.join()
        self._consumer.close()

    def _poll(self) -> None:
        while not self._ended.is_set():
            self._consumer.poll(0.1)


class Gaps:
    """The moments between two steps, by the clock and by the processor time of this thread.

    The first holds what a client sees, and what other programs take of the machine; the second only what this thread
    does itself, and what the system does for it, such as the copy of a page after a fork.
    """

    def __init__(self) -> None:
        self._wall: list[float] = []
        self._own: list[float] = []

    def note(self) -> None:
        """Note a moment."""
        self._wall.append(time.perf_counter())
        self._own.append(time.thread_time())

    def summary(self) -> dict[str, float]:
        """Return p99 and maximum, in milliseconds."""
        wall, own = ([(b - a) * 1e3 for a, b in pairwise(moments)] for moments in (self._wall, self._own))
        p99 = quantiles(wall, n=100, method="inclusive")[98] if len(wall) > 1 else wall[0]
        return {"p99_ms": p99, "max_ms": max(wall), "own_max_ms": max(own), "steps": len(wall)}


class Counting:
    """A store that counts what is stored.

    Parameters
    ----------
    store
        The store.
    """

    def __init__(self, store: SnapshotStore) -> None:
        self.part_bytes = self.manifest_bytes = 0
        self._store = store
        self.get, self.manifests, self.drop = store.get, store.manifests, store.drop

    def put(self, partition: int, part: Part, data: bytes) -> Any:
        """Store a part."""
        self.part_bytes += len(data)
        return self._store.put(partition, part, data)

    def seal(self, partition: int, position: int, document: bytes, parts: Collection[Part]) -> Any:
        """Store a manifest."""
        self.manifest_bytes += len(document)
        return self._store.seal(partition, position, document, parts)


def kafka_store(pipeline: Pipeline, outputs: Outputs) -> SnapshotStore:
    """Return the store in topics, its messages produced among the outputs."""
    return KafkaStore(pipeline.name, outputs.config, outputs.hand_over, lambda messages: None)


def local_store(folder: Path) -> SnapshotStore:
    """Return the store in a folder."""
    return Threaded(LocalStore(folder))


class Desk:
    """Takes snapshots of a task by `Snapshots`, when it is told to.

    Parameters
    ----------
    pipeline
        The declaration.
    task
        The task.
    store
        Where to.
    keys
        Folder of a pair of keys.

    Attributes
    ----------
    position
        Next position of the task; it counts as committed with the next cycle.
    dump_seconds, sealed_seconds
        From the begin of the last snapshot until its file was written, and until its manifest was stored.
    cycles
        Seconds that each cycle of it took.
    """

    def __init__(self, pipeline: Pipeline, task: Task, store: SnapshotStore, keys: Path) -> None:
        self.task, self.position, self.committed = task, task.next_offset, task.next_offset
        self.snapshot: Manifest | None = None
        self.skips: tuple[int, ...] = ()
        self.dump_seconds = self.sealed_seconds = 0.0
        self.cycles: list[float] = []
        self.store = Counting(store)
        self.keys = keys
        self._pipeline, self._identity = pipeline, identity_of(pipeline, 0, 1)
        self._way: Way = Forked
        self.written: Writing | None = None
        self._skew = self._began = 0.0
        self._tp = TP(pipeline.source_topic, 0)
        self.trusted = load_trusted(keys / TRUSTED_FOLDER)
        signer = load_signer(keys / SIGNING_FILE)
        self.snapshots = Snapshots(self.store, signer, self.trusted, NEVER_SECONDS, self._dump, self._now)
        self.snapshots.advance({self._tp: self}, lambda tp: self._identity)

    def _now(self) -> float:
        return time.monotonic() + self._skew

    def _dump(self, write: Callable[[BinaryIO], object]) -> Writing:
        self.written = self._way(write)
        return self.written

    def begin(self, way: Way = Forked) -> None:
        """Have the next cycle begin a snapshot."""
        self.position = self.task.next_offset
        self._way, self.cycles, self.written, self.dump_seconds = way, [], None, 0.0
        self._skew += 100 * NEVER_SECONDS
        self._before = self.snapshots.taken, self.snapshots.failed
        self._began = time.perf_counter()

    @property
    def at_work(self) -> bool:
        """Whether the snapshot is neither stored nor failed."""
        return (self.snapshots.taken, self.snapshots.failed) == self._before

    @property
    def failed(self) -> bool:
        """Whether it failed."""
        return self.snapshots.failed > self._before[1]

    @property
    def why(self) -> str:
        """Why it failed."""
        return self.written.failure if self.written else ""

    def cycle(self) -> None:
        """Go on with the snapshot as each commit of a worker does."""
        began = time.perf_counter()
        self.snapshots.advance({self._tp: self}, lambda tp: self._identity)
        self.cycles.append(time.perf_counter() - began)
        self.committed = self.position
        if not self.dump_seconds and self.written is not None and self.written.size_bytes() is not None:
            self.dump_seconds = time.perf_counter() - self._began
        if not self.at_work:
            self.sealed_seconds = time.perf_counter() - self._began

    def recover(self) -> Task:
        """Restore the newest snapshot as a worker does after it was killed."""
        fresh = lambda: Task(self._pipeline, checkpoint=checkpoint)  # noqa: E731
        recovered = Recovery(self.store, self.trusted).recover(fresh, self._identity, 0, self.position)
        if recovered.task is None:
            raise SnapshotError("nothing was recovered")
        return recovered.task
