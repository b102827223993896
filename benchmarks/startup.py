"""From process start to the first prediction, and where the time goes.

    python -m benchmarks.startup --only riverrun,faust

Imports are measured in a process of their own; a contestant may print `@bench assigned <monotonic seconds>`.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks import machine, records, topics
from benchmarks.broker import fresh_broker
from benchmarks.child import Child, exit_on_sigterm
from benchmarks.contestants import Contestant, Job, select
from benchmarks.race import RaceError, wait_for
from benchmarks.table import save

RECORDS = 100
TIMEOUT_SECONDS = 60.0
_ASSIGNED = re.compile(r"@bench assigned ([\d.]+)")


def import_seconds(modules: tuple[str, ...], python: str = sys.executable) -> float | None:
    """Return how much longer an interpreter takes that imports the modules; nothing when it cannot."""
    times = []
    for statement in ("pass", f"import {', '.join(modules)}"):
        start = time.perf_counter()
        done = subprocess.run([python, "-c", statement], capture_output=True, timeout=TIMEOUT_SECONDS, check=False)
        if done.returncode:
            return None
        times.append(time.perf_counter() - start)
    return times[1] - times[0]


def measure(contestant: Contestant, model: str, payloads: list[bytes]) -> dict[str, float | None]:
    """Start a contestant on a waiting topic; return seconds to its assignment and to its first prediction."""
    with fresh_broker() as bootstrap, TemporaryDirectory() as folder:
        job = Job(bootstrap, model)
        topics.create(bootstrap, job.topics, 1)
        topics.fill(bootstrap, job.in_topic, payloads)
        start = time.monotonic()
        child = Child(contestant.command(job), Path(folder) / "log", contestant.environment(job))
        try:
            with topics.Watch(bootstrap, job.out_topic, 1) as watch:
                wait_for(child, watch.count, 1, start + TIMEOUT_SECONDS)
            first = time.monotonic()
            assigned = _ASSIGNED.search(child.log_text())
        finally:
            child.stop()
    return {
        "imports_seconds": import_seconds(contestant.imports),
        "assigned_seconds": float(assigned[1]) - start if assigned else None,
        "first_prediction_seconds": first - start,
    }


def middle(rounds: list[dict[str, float | None]], figure: str) -> float | None:
    """Return the median of a figure over the rounds that have it.

    Examples
    --------
    >>> middle([{"a": 1.0}, {"a": None}, {"a": 3.0}], "a")
    2.0
    """
    known = [value for figures in rounds if (value := figures[figure]) is not None]
    return median(known) if known else None


def main(
    only: Annotated[str, typer.Option(help="Contestants, comma-separated.")] = "",
    model: Annotated[str, typer.Option(help="Model.")] = "lr",
    repeat: Annotated[int, typer.Option(help="Rounds.", min=1)] = 3,
) -> None:
    """Start every contestant a few times; write results/startup.json."""
    exit_on_sigterm()
    payloads = list(records.generate(RECORDS))
    table = Table(title=f"seconds from process start, median of {repeat}")
    headings = ("imports_seconds", "assigned_seconds", "first_prediction_seconds")
    for heading in ("contestant", "imports", "assigned", "first prediction"):
        table.add_column(heading)
    rows: dict[str, object] = {}
    for contestant in select(only.split(",") if only else None):
        if reason := contestant.missing():
            table.add_row(contestant.name, f"skipped: {reason}")
            continue
        try:
            rounds = [measure(contestant, model, payloads) for _ in range(repeat)]
        except (RaceError, RuntimeError) as error:
            table.add_row(contestant.name, str(error))
            continue
        rows[contestant.name] = rounds
        middles = [middle(rounds, heading) for heading in headings]
        table.add_row(contestant.name, *("-" if value is None else f"{value:.2f}" for value in middles))
    Console(width=120).print(table)
    save("startup", {"machine": machine.describe(), "rows": rows})


if __name__ == "__main__":
    typer.run(main)
