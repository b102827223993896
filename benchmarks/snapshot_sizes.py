"""What a large state costs: a million labels that wait, and forests of 10 MB.

    python -m benchmarks.snapshot_sizes --keys .riverrun/keys --folder store

Takes snapshots while it steps on as a worker does, each one after 30,000 more events and as many labels. With
`--recover` it restores the newest, as a worker does that was killed. Prints a line of JSON a snapshot.
"""

from __future__ import annotations

import argparse
import gc
import random
import resource
import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path

import orjson
from river import metrics, utils

from benchmarks import pipelines, records
from benchmarks.child import peak_rss_megabytes
from benchmarks.snapshot_desk import CYCLE_SECONDS, Desk, Gaps, Outputs, kafka_store, local_store
from benchmarks.work import WINDOW, make_model
from riverrun import ChampionVersions, Label, Pipeline
from schemas.record import Record
from streams import pickling
from streams.label_join import Asked
from streams.learner import Learner
from streams.successor import Successor
from streams.task import Task
from streams.versions import Frozen
from streams.worker.forked import ForkedCheckpoint, checkpoint
from streams.worker.stores.store import SnapshotStore

PIPELINE = Pipeline(
    "bench-pending",
    features=dict.fromkeys(pipelines.FEATURES, float),
    label=Label("label", ttl=timedelta(days=30)),
    model=make_model("arf"),
    id_field="id",
    policy=ChampionVersions(milestone=1_000_000),
    metrics=[utils.Rolling(metrics.Accuracy, WINDOW)],
    max_pending_bytes=1024**3,
)
ROLES = ("champion", "successor", "frozen")
GROWN, CHURN, SPREAD = 25_000, 30_000, 200_000


class State:
    """A task with a large state, and how it goes on.

    Parameters
    ----------
    pending
        Events that wait for their label.
    archived
        Versions in the archive, beside champion and successor.
    """

    def __init__(self, pending: int, archived: int) -> None:
        self.task = Task(PIPELINE, checkpoint=checkpoint)
        self._payloads = records.generate(100 * GROWN)
        self._random, self._asked = random.Random(1), 0
        self._waiting: list[str] = []
        self.archived: list[Frozen] = []
        self._grow(archived)
        self.ask(pending)

    def records(self) -> Iterator[Record]:
        """Yield the next events, labels inline."""
        for offset in range(self.task.next_offset, 2**62):
            payload = next(self._payloads)
            yield Record(PIPELINE.source_topic, 0, offset, 1_700_000_000_000, records.key_of(payload), payload)

    def _grow(self, archived: int) -> None:
        """Let the champion learn; what it was half way is the successor, and what it was on the way is archived."""
        kept_at = [GROWN * (number + 1) // (archived + 1) for number in range(archived)]
        for number, record in enumerate(islice(self.records(), GROWN)):
            if number in kept_at:
                self.archived.append(self._frozen(record.offset))
            if number == GROWN // 2:
                successor = self._copied()
            self.task.step(record)
        self.task.lifecycle.successor = Successor(successor, "drift", "")

    def _copied(self) -> Learner:
        """Return a learner with the champion's model as it is now, by another process: pickling makes models slow."""
        learner = self.task.lifecycle._new_learner("")
        learner.model = ForkedCheckpoint(self.task.lifecycle.champion.model).load()
        return learner

    def _frozen(self, offset: int) -> Frozen:
        """Return the champion as it is now, as an archive keeps it."""
        champion = self.task.lifecycle.champion
        data = pickling.dumps(ForkedCheckpoint(champion.model).load(), further=PIPELINE.classes)
        return Frozen(data, champion.version, champion.learned, offset, PIPELINE.kind, PIPELINE.classes)

    def ask(self, count: int) -> None:
        """Let so many more events wait."""
        join, now = self.task.join, 1_700_000_000_000
        xs = [orjson.loads(payload) for payload in records.generate(1000)]
        for x in xs:
            del x["id"], x["label"]
        for number in range(self._asked, self._asked + count):
            event_id = f"w{number:08d}"
            x = xs[number % 1000] | {"salary": number + 0.25}
            if join.ask(event_id, now, Asked(number, True, None, x)):
                raise RuntimeError("events were evicted")
            self._waiting.append(event_id)
        self._asked += count

    def answer(self, count: int) -> None:
        """Let labels come, for some of the events that have waited longest."""
        for _ in range(count):
            place = self._random.randrange(min(SPREAD, len(self._waiting)))
            event_id, self._waiting[place] = self._waiting[place], self._waiting[-1]
            self._waiting.pop()
            self.task.join.pending.remove(event_id)


def rss_megabytes() -> float:
    """Return the resident set now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def take(state: State, desk: Desk, outputs: Outputs | None) -> dict[str, object]:
    """Take one snapshot while the task steps on."""
    rss, before = rss_megabytes(), (desk.store.part_bytes, desk.store.manifest_bytes)
    child = resource.getrusage(resource.RUSAGE_CHILDREN)
    desk.begin()
    gaps, due, clock = Gaps(), time.perf_counter(), time.perf_counter
    gaps.note()
    for record in state.records():
        events = state.task.step(record)
        desk.position = record.offset + 1
        if outputs:
            outputs.emit(record, events)
        if clock() >= due:
            desk.cycle()
            due = clock() + CYCLE_SECONDS
        gaps.note()
        if not desk.at_work:
            break
    if desk.failed:
        raise RuntimeError(desk.why)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "pending": len(state.task.join.pending),
        "dump_seconds": desk.dump_seconds,
        "until_sealed_seconds": desk.sealed_seconds,
        "part_bytes": desk.store.part_bytes - before[0],
        "manifest_bytes": desk.store.manifest_bytes - before[1],
        "model_bytes": {part.name: part.size_bytes for part in desk.snapshot.parts if part.name.startswith(ROLES)},
        "child_cpu_seconds": after.ru_utime + after.ru_stime - child.ru_utime - child.ru_stime,
        "cycles_seconds": sum(desk.cycles),
        "longest_cycle_ms": max(desk.cycles) * 1e3,
        "rss_megabytes": rss,
        **gaps.summary(),
    }


def recover(store: SnapshotStore, keys: Path) -> dict[str, object]:
    """Restore the newest snapshot."""
    desk = Desk(PIPELINE, Task(PIPELINE), store, keys)
    desk.position = 2**53
    before, began, cpu = rss_megabytes(), time.perf_counter(), time.process_time()
    task = desk.recover()
    return {
        "recovery_seconds": time.perf_counter() - began,
        "recovery_cpu_seconds": time.process_time() - cpu,
        "pending": len(task.join.pending),
        "rss_before_megabytes": before,
        "rss_megabytes": rss_megabytes(),
        "peak_rss_megabytes": peak_rss_megabytes(),
    }


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=Path, required=True)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--bootstrap")
    parser.add_argument("--pending", type=int, default=1_000_000)
    parser.add_argument("--archived", type=int, default=0)
    parser.add_argument("--snapshots", type=int, default=3)
    parser.add_argument("--recover", action="store_true")
    arguments = parser.parse_args()
    outputs = Outputs(arguments.bootstrap, PIPELINE) if arguments.bootstrap else None
    stores = {"folder": local_store(arguments.folder)} if arguments.folder else {}
    if outputs:
        stores["topics"] = kafka_store(PIPELINE, outputs)
    if arguments.recover:
        for name, store in stores.items():
            print(orjson.dumps({"store": name, **recover(store, arguments.keys)}).decode(), flush=True)
        return
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    state = State(arguments.pending, arguments.archived)
    for name, store in stores.items():
        measure(name, state, Desk(PIPELINE, state.task, store, arguments.keys), outputs, arguments.snapshots)
    if arguments.archived:
        for version in state.archived:
            state.task.lifecycle.shadows.contest.past.archive.keep(version)
        for name, store in stores.items():
            desk = Desk(PIPELINE, state.task, store, arguments.keys)
            measure(f"{name}, {arguments.archived} archived", state, desk, outputs, arguments.snapshots)


def measure(name: str, state: State, desk: Desk, outputs: Outputs | None, snapshots: int) -> None:
    """Take snapshots, each on top of the one before, and print their figures."""
    for number in range(snapshots):
        if number:
            state.answer(CHURN)
            state.ask(CHURN)
        print(orjson.dumps({"store": name, "number": number, **take(state, desk, outputs)}).decode(), flush=True)


if __name__ == "__main__":
    main()
