"""What exactly-once costs beside at-least-once, by the time between two commits: CPU, and how long a prediction waits.

    python -m benchmarks.commit_intervals --intervals 50,100,250,1000

Both commit equally often, and race interleaved over the same records, round after round; the ratio is of rounds.
"""

from __future__ import annotations

from statistics import median
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks import latency, machine, records
from benchmarks.broker import Engine
from benchmarks.child import exit_on_sigterm
from benchmarks.contestants import select, with_interval
from benchmarks.race import Course, RaceError, race
from benchmarks.table import save

NAMES = ("riverrun", "riverrun-eos")
WARM_UP, TAIL = 5_000, 10_000
TIMEOUT_SECONDS = 300.0
RATE, SECONDS = 1_000, 8

console = Console(width=120)


def rounds_of(payloads: list[bytes], measured: int, interval: int, engine: Engine) -> dict[str, float]:
    """Race both once; return CPU seconds per 100k records by name."""
    course = Course(payloads, WARM_UP, measured, 1, TIMEOUT_SECONDS, engine)
    found = {}
    for contestant in select(list(NAMES)):
        figures = race(with_interval(contestant, interval), "lr", course)
        if not figures["complete"] or figures["duplicates"]:
            raise RaceError(f"{contestant.name}@{interval}: outputs are not what they should be: {figures}")
        found[contestant.name] = float(figures["cpu_seconds_per_100k"])
    return found


def waits_of(payloads: list[bytes], interval: int, engine: Engine) -> dict[str, float]:
    """Return the latency of exactly-once at 1,000 events/s."""
    [contestant] = select(["riverrun-eos"])
    return latency.measure(with_interval(contestant, interval), "lr", payloads, RATE, engine)


def measure(intervals: list[int], size: int, repeat: int, engine: Engine) -> dict[int, dict[str, object]]:
    """Race and time at each interval, `interval → figures`; a round has all intervals: they share its noise."""
    payloads = list(records.generate(WARM_UP + size + TAIL))
    timed = list(records.generate(latency.WARM_UP_RECORDS + (latency.RAMP_SECONDS + SECONDS) * RATE))
    rows: dict[int, dict[str, object]] = {interval: {"rounds": [], "latency": []} for interval in intervals}
    for number in range(repeat):
        for interval, row in rows.items():
            row["rounds"].append(cpu := rounds_of(payloads, size, interval, engine))
            row["latency"].append(wait := waits_of(timed, interval, engine))
            ratio = cpu["riverrun-eos"] / cpu["riverrun"]
            console.print(f"{interval} ms · round {number + 1}: ratio {ratio:.2f}, p50 {wait['p50_ms']:.0f} ms")
    for row in rows.values():
        ratios = [r["riverrun-eos"] / r["riverrun"] for r in row["rounds"]]
        row["ratio"] = [median(ratios), min(ratios), max(ratios)]
        row |= {name: median(r[name] for r in row["rounds"]) for name in NAMES}
        row |= {figure: median(wait[figure] for wait in row["latency"]) for figure in ("p50_ms", "p99_ms", "max_ms")}
    return rows


def main(
    intervals: Annotated[str, typer.Option(help="Milliseconds between commits, comma-separated.")] = "50,100,250,1000",
    size: Annotated[int, typer.Option("--records", help="Measured records a race.", min=100)] = 50_000,
    repeat: Annotated[int, typer.Option(help="Rounds.", min=1)] = 3,
    engine: Annotated[Engine, typer.Option(help="Broker; each race has a fresh one.")] = Engine.EMBEDDED,
) -> None:
    """Measure at each interval; write results/commit-intervals.json."""
    exit_on_sigterm()
    rows = measure([int(interval) for interval in intervals.split(",")], size, repeat, engine)
    table = Table(title=f"exactly-once, logistic regression: {size:,} records, {repeat} round(s), {engine.value}")
    for heading in ("interval ms", "at-least-once CPU s/100k", "exactly-once", "ratio", "p50 ms", "p99 ms", "max ms"):
        table.add_column(heading, justify="right")
    for interval, row in rows.items():
        middle, low, high = row["ratio"]
        cpu = (f"{row[name]:.2f}" for name in NAMES)
        waits = (f"{row[figure]:.0f}" for figure in ("p50_ms", "p99_ms", "max_ms"))
        table.add_row(str(interval), *cpu, f"{middle:.2f} ({low:.2f}-{high:.2f})", *waits)
    console.print(table)
    content = {"records": size, "repeat": repeat, "engine": engine.value, "machine": machine.describe()}
    save(engine.named("commit-intervals"), {**content, "rows": {str(interval): row for interval, row in rows.items()}})


if __name__ == "__main__":
    typer.run(main)
