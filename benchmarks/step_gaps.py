"""How long a worker stands still while a snapshot of its model is written: the time from one step to the next.

    python -m benchmarks.step_gaps --dress bare

One process grows a forest to 10 MB and more, then has it dumped again and again while it steps on, by three ways:
riverrun's forked child, pickling in the loop, and a thread that pickles the model while it learns. The last two are
planted here, to show what each measure catches. After each dump the model is restored and compared with the one that
went on. Prints a line of JSON a dump.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import io
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import orjson

from benchmarks import pipelines, records
from benchmarks.snapshot_desk import CYCLE_SECONDS, Desk, Gaps, Outputs, kafka_store
from schemas.record import Record
from streams.snapshot import read_index, restore, write
from streams.task import Task
from streams.worker.forked import Forked, checkpoint

MODEL = "arf"
GROWN, QUIET, FOLLOWING = 25_000, 4_000, 2_000
STRETCH_RECORDS = 20_000
ATTEMPTS = 10

Write = Callable[[BinaryIO], object]


#: How a worker dresses; without transactions it waits in its loop until the pieces of a snapshot are stored.
GUARANTEES = ("exactly-once", "at-least-once")


class Inline:
    """Writes on the spot: nothing moves meanwhile."""

    failure, cpu_seconds = "", 0.0

    def __init__(self, write: Write) -> None:
        self._file = io.BytesIO()
        write(self._file)

    def size_bytes(self) -> int | None:
        """Return the size of the file."""
        return len(self._file.getbuffer())

    def file(self) -> BinaryIO:
        """Return the file at its beginning."""
        self._file.seek(0)
        return self._file


class Threaded:
    """Writes in a thread, while the model learns on; some times, for a dict may change while it is walked through."""

    cpu_seconds = 0.0

    def __init__(self, write: Write) -> None:
        self._file, self.failure = io.BytesIO(), ""
        self._thread = threading.Thread(target=self._run, args=(write,), daemon=True)
        self._thread.start()

    def _run(self, write: Write) -> None:
        for _ in range(ATTEMPTS):
            self._file, self.failure = io.BytesIO(), ""
            try:
                write(self._file)
                return
            except Exception as error:
                self.failure = repr(error)

    def size_bytes(self) -> int | None:
        """Return the size of the file, None while it is written, 0 when that failed."""
        if self._thread.is_alive():
            return None
        return 0 if self.failure else len(self._file.getbuffer())

    def file(self) -> BinaryIO:
        """Return the file at its beginning."""
        self._file.seek(0)
        return self._file


#: In this order: pickling a model makes it slower for good, unless another process does it.
WAYS = {"forked child": Forked, "thread": Threaded, "inline": Inline}


class Run:
    """A task that steps through a log and notes the moment after each step.

    Parameters
    ----------
    log
        The records.
    between
        Called with record and events after each step, within its time.
    """

    def __init__(self, log: list[Record], between: Callable[[Record, list], object]) -> None:
        self.task = Task(pipelines.arf, checkpoint=checkpoint)
        self.at = 0
        self._log, self.between = log, between

    def step(self, count: int, still: Callable[[], bool] = lambda: False) -> tuple[Gaps, list[float | None]]:
        """Step `count` times and then while something is still at work; return the gaps, and scores."""
        step, between = self.task.step, self.between
        gaps, scores, done = Gaps(), [], 0
        gaps.note()
        while done < count or still():
            if done >= count + STRETCH_RECORDS:
                raise RuntimeError(f"not done after {done} records")
            record = self._log[self.at + done]
            events = step(record)
            between(record, events)
            scores.append(events[0].score)
            done += 1
            gaps.note()
        self.at += done
        return gaps, scores


def scores_of(task: Task, log: list[Record]) -> list[float | None]:
    """Return what a task answers."""
    return [task.step(record)[0].score for record in log]


def digest(scores: list[float | None]) -> str:
    """Hash scores to the last bit."""
    return hashlib.sha256(repr(scores).encode()).hexdigest()[:16]


def bare(log: list[Record], dumps: int) -> Iterator[dict[str, object]]:
    """Dump in a plain loop; the gap holds the beginning of the dump and nothing of a store."""
    run = Run(log, _nothing)
    yield from _grow(run)
    for way, dump in WAYS.items():
        for _ in range(dumps):
            written: list[Forked | Inline | Threaded] = []

            def begin(record: Record, events: list, dump: Callable = dump, written: list = written) -> None:
                if not written:
                    written.append(dump(partial(write, run.task, ())))

            run.between = begin
            gaps, scores = run.step(1, lambda written=written: written[0].size_bytes() is None)
            start = run.at - len(scores) + 1
            run.between = _nothing
            _, more = run.step(FOLLOWING)
            size = {"size_bytes": written[0].size_bytes()}
            equal = _compare(lambda written=written: _restored(written[0]), log, start, (scores + more)[1:])
            yield {"way": way, **size, **gaps.summary(), **equal}


def worker(
    log: list[Record], dumps: int, bootstrap: str, keys: Path, ways: dict[str, Callable], *, flushes: bool
) -> Iterator[dict[str, object]]:
    """Dump as a worker does: librdkafka's threads alive, outputs encoded and produced, cycles that carry parts on."""
    outputs = Outputs(bootstrap, pipelines.arf, flushes=flushes)
    run = Run(log, outputs.emit)
    desk = Desk(pipelines.arf, run.task, kafka_store(pipelines.arf, outputs), keys)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    yield from _grow(run)
    for way, dump in ways.items():
        for _ in range(dumps):
            desk.begin(dump)
            due = time.perf_counter() + CYCLE_SECONDS

            def between(record: Record, events: list) -> None:
                nonlocal due
                outputs.emit(record, events)
                desk.position = record.offset + 1
                if time.perf_counter() >= due:
                    due = time.perf_counter() + CYCLE_SECONDS
                    desk.cycle()

            start = run.at
            run.between = between
            gaps, scores = run.step(1, lambda: desk.at_work)
            run.between = outputs.emit
            scores += run.step(FOLLOWING)[1]
            figures = {
                "way": way,
                "size_bytes": desk.snapshots.last_bytes,
                "dump_seconds": desk.dump_seconds,
                "until_sealed_seconds": desk.sealed_seconds,
                "longest_cycle_ms": max(desk.cycles) * 1e3,
                **gaps.summary(),
            }
            if desk.failed:
                yield {**figures, "size_bytes": 0, "equal": False, "why": desk.why}
                continue
            position = desk.snapshot.next
            yield {**figures, **_compare(desk.recover, log, position, scores[position - start :])}
    outputs.close()


def _nothing(record: Record, events: list) -> None:
    """Do nothing after a step."""


def _grow(run: Run) -> Iterator[dict[str, object]]:
    run.step(GROWN)
    yield {"way": "no dump", **run.step(QUIET)[0].summary()}


def _restored(written: Forked | Inline | Threaded) -> Task:
    """Return a task of what was written."""
    if not written.size_bytes():
        raise RuntimeError(written.failure)
    dump = read_index(written.file())
    data = {}
    for part in dump.parts:
        file = written.file()
        file.seek(dump.starts[part.digest])
        data[part.name] = file.read(part.size_bytes)
    task = Task(pipelines.arf, checkpoint=checkpoint)
    restore(task, data)
    return task


def _compare(load: Callable[[], Task], log: list[Record], start: int, scores: list[float | None]) -> dict[str, object]:
    """Restore, and compare the next answers with those that were given, to the last bit."""
    try:
        began = time.perf_counter()
        task = load()
        seconds = time.perf_counter() - began
        if task.next_offset != start:
            return {"equal": False, "why": f"it is of {task.next_offset}, not of {start}"}
        again = scores_of(task, log[start : start + FOLLOWING])
    except Exception as error:
        return {"equal": False, "why": repr(error)[:200]}
    given = scores[:FOLLOWING]
    wrong = sum(a != b for a, b in zip(again, given, strict=True))
    return {
        "equal": digest(again) == digest(given),
        "why": f"{wrong} of {len(given)} differ" if wrong else "",
        "restore_seconds": seconds,
    }


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dress", choices=("bare", *GUARANTEES), required=True)
    parser.add_argument("--dumps", type=int, default=5)
    parser.add_argument("--bootstrap")
    parser.add_argument("--keys", type=Path)
    arguments = parser.parse_args()
    size = GROWN + QUIET + len(WAYS) * arguments.dumps * 3 * FOLLOWING + STRETCH_RECORDS
    log = [
        Record("bench-arf.raw", 0, offset, 0, records.key_of(payload), payload)
        for offset, payload in enumerate(islice(records.generate(2 * size), size))  # one concept: trees are kept
    ]
    if arguments.dress == "bare":
        measured = bare(log, arguments.dumps)
    else:
        flushes = arguments.dress == "at-least-once"
        ways = {"forked child": Forked} if flushes else WAYS
        measured = worker(log, arguments.dumps, arguments.bootstrap, arguments.keys, ways, flushes=flushes)
    for figures in measured:
        print(orjson.dumps(figures).decode(), flush=True)


if __name__ == "__main__":
    main()
