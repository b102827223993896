"""Race every contestant over the same records, round after round, and print one table.

python -m benchmarks.run --only riverrun,confluent --models lr,hat --partitions 1,4
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import orjson
import typer
from rich.console import Console

from benchmarks import machine, records, table
from benchmarks.broker import Engine
from benchmarks.child import exit_on_sigterm
from benchmarks.contestants import Contestant, select
from benchmarks.race import Course, RaceError, race
from benchmarks.table import Entry
from benchmarks.work import MODEL_NAMES

WARM_UP = 5_000
TAIL = 10_000
SLOW_MODEL_RECORDS, SLOW_MODEL_WARM_UP = 10_000, 1_000
QUICK_RECORDS, QUICK_WARM_UP, QUICK_TAIL = 2_000, 500, 500
TIMEOUT_SECONDS = 300.0
CLOSE = ("riverrun", "confluent")

console = Console(width=150 if not sys.stdout.isatty() else None)


@dataclass(frozen=True)
class Heat:
    """One model on one number of partitions: a course for all contestants."""

    model: str
    course: Course
    data: Path


def heats(
    models: list[str],
    partitions: list[int],
    size: int,
    warm_up: int,
    tail: int,
    timeout_seconds: float,
    folder: Path,
    engine: Engine,
) -> list[Heat]:
    """Make the courses; the forest runs a tenth of the records, for a record costs it ten times as much."""
    courses = []
    for model in models:
        count, warm = (size, warm_up)
        if model == "arf" and size > SLOW_MODEL_RECORDS:
            count, warm = SLOW_MODEL_RECORDS, SLOW_MODEL_WARM_UP
        total = warm + count + tail
        data = folder / f"{total}.jsonl"
        if not data.exists():
            records.save(list(records.generate(total)), data)
        payloads = records.load(data)
        for number in partitions:
            courses.append(Heat(model, Course(payloads, warm, count, number, timeout_seconds, engine), data))
    return courses


def run_reference(heat: Heat) -> dict[str, object]:
    """Measure the bare work in a child process."""
    course = heat.course
    argv = [sys.executable, "-m", "benchmarks.reference", "--data", str(heat.data), "--model", heat.model]
    argv += ["--warm-up", str(course.warm_up), "--measured", str(course.measured)]
    argv += ["--partitions", str(course.partitions)]
    try:
        done = subprocess.run(argv, capture_output=True, timeout=course.timeout_seconds, check=True)
    except subprocess.SubprocessError as error:
        raise RaceError(f"reference: {error}") from error
    return orjson.loads(done.stdout)


def compete(contestant: Contestant | None, heat: Heat) -> dict[str, object]:
    """Run one contestant, or the reference when there is none."""
    return run_reference(heat) if contestant is None else race(contestant, heat.model, heat.course)


def run_heat(heat: Heat, contestants: list[Contestant | None], repeat: int) -> Iterator[Entry]:
    """Run the rounds interleaved, A B C A B C, and yield one entry a contestant."""
    names = [contestant.name if contestant else "reference" for contestant in contestants]
    entries = [Entry(name, heat.model, heat.course.partitions) for name in names]
    for number in range(repeat):
        for contestant, entry in zip(contestants, entries, strict=True):
            if contestant and (reason := contestant.missing()):
                entry.failures = [f"skipped: {reason}"]
                continue
            where = f"{entry.contestant} · {heat.model} · {heat.course.partitions} partition(s) · round {number + 1}"
            try:
                entry.rounds[number] = figures = compete(contestant, heat)
                console.print(f"{where}: {figures['cpu_seconds_per_100k']:.2f} CPU s/100k", highlight=False)
            except (RaceError, RuntimeError, ValueError) as error:
                entry.failures.append(str(error))
                console.print(f"{where}: {error}", style="red", markup=False)
    yield from entries


def instead(snapshots: bool, intervals: str, repeat: int, size: int, engine: Engine) -> None:
    """Measure something else, by a module that races do not need."""
    from benchmarks import commit_intervals
    from benchmarks import snapshots as of_snapshots

    if snapshots:
        of_snapshots.main(repeat=repeat, engine=engine)
    if intervals:
        commit_intervals.main(intervals, size, repeat, engine)


def main(
    only: Annotated[str, typer.Option(help="Contestants, comma-separated; `reference` is one.")] = "",
    models: Annotated[str, typer.Option(help=f"Some of {','.join(MODEL_NAMES)}.")] = ",".join(MODEL_NAMES),
    partitions: Annotated[str, typer.Option(help="Partition counts, comma-separated.")] = "1,4",
    repeat: Annotated[int, typer.Option(help="Rounds.", min=1)] = 3,
    size: Annotated[int, typer.Option("--records", help="Measured records a race.", min=100)] = 100_000,
    timeout: Annotated[float, typer.Option(help="Seconds a race may take.")] = TIMEOUT_SECONDS,
    engine: Annotated[Engine, typer.Option(help="Broker; each race has a fresh one.")] = Engine.EMBEDDED,
    quick: Annotated[bool, typer.Option(help="One tiny round: does everything still run?")] = False,
    snapshots: Annotated[bool, typer.Option("--snapshots", help="Measure snapshots instead, see there.")] = False,
    commit_intervals: Annotated[
        str, typer.Option(help="Instead: exactly-once beside at-least-once at these, ms: 50,100,250,1000.")
    ] = "",
) -> None:
    """Race the contestants; write results/latest.json (a quick run: results/quick.json).

    Unless --only names them, other frameworks race with one model on one partition: that says what there is to say.
    """
    exit_on_sigterm()
    if snapshots or commit_intervals:
        return instead(snapshots, commit_intervals, repeat, size, engine)
    wanted = only.split(",") if only else None
    try:
        contestants: list[Contestant | None] = list(select(wanted))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if wanted is None or "reference" in wanted:
        contestants.insert(0, None)
    warm_up, tail = WARM_UP, TAIL
    if quick:
        size, warm_up, tail, repeat = QUICK_RECORDS, QUICK_WARM_UP, QUICK_TAIL, 1
    entries: list[Entry] = []
    with TemporaryDirectory(prefix="riverrun-bench-") as folder:
        numbers = [int(number) for number in partitions.split(",")]
        for heat in heats(models.split(","), numbers, size, warm_up, tail, timeout, Path(folder), engine):
            first = heat.model == MODEL_NAMES[0] and heat.course.partitions == 1
            racing = contestants if wanted or first else [c for c in contestants if c is None or c.name in CLOSE]
            entries += run_heat(heat, racing, repeat)
    title = f"{size:,} records after {warm_up:,}, {repeat} round(s), {engine.value} broker: median (min-max)"
    console.print(table.render(entries, title))
    content = {
        "records": size,
        "warm_up": warm_up,
        "repeat": repeat,
        "engine": engine.value,
        "machine": machine.describe(),
    }
    content["entries"] = [table.summary(entry, entries) for entry in entries]
    console.print(f"written: {table.save(engine.named('quick' if quick else 'latest'), content).name}")
    if any(entry.failures and not entry.failures[0].startswith("skipped") for entry in entries):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
