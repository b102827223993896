"""How long a restart takes: by the number of snapshots there are, and by the age of the newest.

python -m benchmarks.recoveries --manifests 10,10000 --behind 0,10000,50000
"""

from __future__ import annotations

import io
import re
import time
from concurrent.futures import Future
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import msgspec
import orjson
from confluent_kafka import Consumer, TopicPartition

from benchmarks import pipelines, records, topics
from benchmarks.broker import Engine, fresh_broker
from benchmarks.child import Child
from benchmarks.contestants import Job, select
from benchmarks.race import RaceError, wait_for
from benchmarks.snapshot_desk import CLIENT, Desk, Outputs, kafka_store, local_store
from benchmarks.work import make_model
from riverrun import Label, ObserveOnly, Pipeline
from schemas.errors import SealError
from schemas.manifest import Manifest, Part
from schemas.record import Record
from streams.snapshot import Dump, identity_of, read_index, write
from streams.task import Task
from streams.worker.keys import SIGNING_FILE, load_signer, make_keys
from streams.worker.stores.kafka import KafkaStore

BATCH = 100
RECORDS, NEW_RECORDS = 20_000, 100
TIMEOUT_SECONDS, POLL_SECONDS = 120.0, 0.01
SNAPSHOT_OFTEN, SNAPSHOT_NEVER = 0.2, 86_400
_ASSIGNED = re.compile(r"^(\S+ \S+) .*assigned \S+ from (\d+), (\d+) records to replay", re.MULTILINE)


def small(name: str) -> Pipeline:
    """Return a pipeline whose snapshots are small."""
    return Pipeline(
        name,
        features=dict.fromkeys(pipelines.FEATURES, float),
        label=Label("label"),
        model=make_model("lr"),
        id_field="id",
        policy=ObserveOnly(),
        dedupe_window=100,
    )


def fill(desk: Desk, count: int, outputs: Outputs | None) -> None:
    """Store so many snapshots of the same state, one for each position up to it, as if each were new."""
    task, identity = desk.task, identity_of(desk.task.pipeline, 0, 1)
    for offset, payload in enumerate(records.generate(count)):
        task.step(Record(task.pipeline.source_topic, 0, offset, 1_700_000_000_000, records.key_of(payload), payload))
    file = io.BytesIO()
    write(task, (), file)
    dump, data, signer = read_index(file), file.getvalue(), load_signer(desk.keys / SIGNING_FILE)
    for first in range(1, count + 1, BATCH):
        placed: dict[int, list[tuple[Part, Future[tuple[int, ...]]]]] = {}
        for position in range(first, min(first + BATCH, count + 1)):
            parts = [msgspec.structs.replace(part, since=position) for part in dump.parts]
            placed[position] = [(p, desk.store.put(0, p, _bytes_of(p, dump, data))) for p in parts]
        if outputs:
            outputs.flush()
        for position, stored in placed.items():
            parts = tuple(msgspec.structs.replace(part, places=places.result()) for part, places in stored)
            now = round(time.time() * 1000)
            manifest = Manifest(identity, position, parts, now, "bench", "bench", declared=task.pipeline.declared)
            sealed = desk.store.seal(0, position, signer.seal(manifest.to_document()))
    if outputs:
        outputs.flush()
    sealed.result()


def _bytes_of(part: Part, dump: Dump, data: bytes) -> bytes:
    start = dump.starts[part.digest]
    return data[start : start + part.size_bytes]


def listed_seconds(desk: Desk) -> float:
    """Return how long it takes to read and believe all manifests, as a sweep does."""
    began = time.perf_counter()
    for document in desk.store.manifests(0):
        with suppress(SealError):
            Manifest.from_document(desk.trusted.open(document))
    return time.perf_counter() - began


def by_manifests(counts: list[int], repeat: int, engine: Engine, *, folder: bool) -> dict[int, dict[str, object]]:
    """Return seconds of `Recovery.recover` by the number of snapshots in a store, repeats interleaved."""
    with fresh_broker(engine) as bootstrap, TemporaryDirectory(prefix="riverrun-bench-") as place:
        keys = Path(place)
        make_keys(keys)
        desks: dict[int, Desk] = {}
        producers: list[Outputs] = []
        for count in counts:
            pipeline = small(f"bench-{count}")
            outputs = None if folder else Outputs(bootstrap, pipeline, linger_ms=0)
            if outputs:
                producers.append(outputs)
                topics.create(bootstrap, [topic.name for topic in pipeline.topics], 1)
            store = kafka_store(pipeline, outputs) if outputs else local_store(keys / f"store-{count}")
            desks[count] = Desk(pipeline, Task(pipeline), store, keys)
            fill(desks[count], count, outputs)
        rows: dict[int, dict[str, object]] = {count: {"seconds": [], "cpu_seconds": []} for count in counts}
        for _ in range(repeat):
            for count, desk in desks.items():
                desk.position = count
                began, cpu = time.perf_counter(), time.process_time()
                task = desk.recover()
                rows[count]["seconds"].append(time.perf_counter() - began)
                rows[count]["cpu_seconds"].append(time.process_time() - cpu)
                if task.next_offset != count:
                    raise RuntimeError(f"recovered {task.next_offset}, expected {count}")
        for count, row in rows.items():
            row |= {"median_seconds": median(row["seconds"]), "listed_seconds": listed_seconds(desks[count])}
        for outputs in producers:
            outputs.close()
    return rows


def _refuse(*_: object) -> None:
    raise AssertionError("nothing is written here")


class Deployment:
    """A worker on a topic, that is killed and started again.

    Parameters
    ----------
    bootstrap
        The broker.
    folder
        For logs.
    """

    def __init__(self, bootstrap: str, folder: Path) -> None:
        self.job = Job(bootstrap, "lr")
        topics.create(bootstrap, self.job.topics, 1)
        [self._contestant] = select(["riverrun-eos"])
        self._folder, self._starts = folder, 0
        group = {"group.id": f"riverrun-{self.job.pipeline}", "log_level": 3}
        self._asker = Consumer({"bootstrap.servers": bootstrap, **group})
        self._store = KafkaStore(self.job.pipeline, {"bootstrap.servers": bootstrap, **CLIENT}, _refuse, _refuse)
        self._partition = TopicPartition(self.job.in_topic, 0)

    def start(self, snapshot_interval: float) -> Child:
        """Start a worker that is a static member of its group: a new one takes its place at once."""
        self._starts += 1
        further = {"RIVERRUN_WORKER_ID": "bench", "RIVERRUN_SNAPSHOT_INTERVAL": f"{snapshot_interval:g}"}
        log = self._folder / f"log-{self._starts}"
        return Child(self._contestant.command(self.job), log, self._contestant.environment(self.job) | further)

    def committed(self) -> int:
        """Ask for the committed offset."""
        [answer] = self._asker.committed([self._partition], timeout=topics.REQUEST_TIMEOUT_SECONDS)
        return max(0, answer.offset)

    def until_committed(self, child: Child, position: int) -> None:
        """Wait for a commit."""
        wait_for(child, self.committed, position, time.monotonic() + TIMEOUT_SECONDS, POLL_SECONDS)

    def until_snapshot(self, position: int) -> None:
        """Wait until the newest snapshot is of a position."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while self.newest_snapshot() != position:
            if time.monotonic() > deadline:
                raise RaceError(f"no snapshot at {position}; the newest is at {self.newest_snapshot()}")
            time.sleep(SNAPSHOT_OFTEN)

    def newest_snapshot(self) -> int | None:
        """Ask for the position of the newest manifest."""
        newest = next(self._store.manifests(0), None)
        return None if newest is None else orjson.loads(newest)["document"]["next"]

    def close(self) -> None:
        """End the clients."""
        self._asker.close()


def restart(payloads: list[bytes], behind: int | None, engine: Engine) -> dict[str, float]:
    """Kill a worker whose newest snapshot is so many records old, or that has none; return what the next one needs."""
    with fresh_broker(engine) as bootstrap, TemporaryDirectory() as folder:
        deployment = Deployment(bootstrap, Path(folder))
        feed = topics.Feed(bootstrap, deployment.job.in_topic, payloads)
        first, last = RECORDS, RECORDS + (behind or 0)
        feed.up_to(first)
        child = deployment.start(SNAPSHOT_OFTEN if behind is not None else 0)
        try:
            deployment.until_committed(child, first)
            if behind is not None:
                deployment.until_snapshot(first)
            if behind:
                child.kill()
                child = deployment.start(SNAPSHOT_NEVER)
                feed.up_to(last)
                deployment.until_committed(child, last)
            child.kill()
            feed.up_to(last + NEW_RECORDS)
            began, wall = time.monotonic(), time.time()
            child = deployment.start(SNAPSHOT_NEVER if behind is not None else 0)
            deployment.until_committed(child, last + 1)
            seconds, cpu = time.monotonic() - began, child.cpu_seconds()
            at, start, replayed = _ASSIGNED.search(child.log_text()).groups()
        finally:
            child.kill()
            deployment.close()
    assigned = datetime.strptime(at, "%Y-%m-%d %H:%M:%S,%f").timestamp() - wall
    if behind is not None and int(replayed) != behind:
        raise RuntimeError(f"replayed {replayed} records from {start}, expected {behind}")
    figures = {"first_commit_seconds": seconds, "assigned_seconds": assigned, "replayed": int(replayed)}
    return figures | {"replay_seconds": seconds - assigned, "cpu_seconds": cpu}


def by_age(behinds: list[int | None], repeat: int, engine: Engine) -> dict[str, list[dict[str, float]]]:
    """Return the restarts by how far the newest snapshot is behind, repeats interleaved; None is without snapshots."""
    payloads = list(records.generate(RECORDS + max(behind or 0 for behind in behinds) + NEW_RECORDS))
    rows: dict[str, list[dict[str, float]]] = {}
    for _ in range(repeat):
        for behind in behinds:
            rows.setdefault("none" if behind is None else str(behind), []).append(restart(payloads, behind, engine))
    return rows
