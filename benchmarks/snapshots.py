"""What snapshots cost: the gap between two steps, their size, their share of the time, and the way back.

    make bench ARGS="--snapshots"
    python -m benchmarks.snapshots --only gaps,share

Each measure is a module, and runs in processes of its own: `step_gaps`, `snapshot_sizes`, `dump_share`, `recoveries`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Annotated, Any

import orjson
import psutil
import typer
from rich.console import Console
from rich.table import Table

from benchmarks import dump_share, machine, recoveries, step_gaps, topics
from benchmarks.broker import Engine, fresh_broker
from benchmarks.child import exit_on_sigterm
from benchmarks.table import load, save
from streams.worker.keys import make_keys

MEASURES = ("gaps", "sizes", "share", "manifests", "age")
ENDS = ("raw", "predictions", "lifecycle", "dead-letters", "manifests", "snapshots")
MANIFESTS, BEHIND = [10, 10_000], [0, 10_000, 50_000, None]
DUMP_SECONDS, PARTITIONS = (0.05, 0.5, 5.0), (1, 4)
LOOK_SECONDS = 0.5

Row = dict[str, Any]
console = Console(width=150 if not sys.stdout.isatty() else None)


class Memory(Thread):
    """Looks at the memory of a process and of its children, from outside.

    Attributes
    ----------
    peaks
        Megabytes: resident set of the process and of its largest child, what that child has for itself alone, and what
        all take together (a page that is shared counts once).
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peaks: dict[str, float] = {}
        self._process = psutil.Process(pid)
        self.start()

    def run(self) -> None:
        """Look until the process has ended."""
        with suppress(psutil.Error):
            while self._process.status() != psutil.STATUS_ZOMBIE:
                self._look()
                time.sleep(LOOK_SECONDS)

    def _look(self) -> None:
        infos = []
        for process in [self._process, *self._process.children()]:
            with suppress(psutil.NoSuchProcess):
                infos.append(process.memory_full_info())
        seen = {"parent_rss": infos[0].rss, "together": sum(info.pss for info in infos)}
        if len(infos) > 1:
            seen |= {"child_rss": max(i.rss for i in infos[1:]), "child_own": max(i.uss for i in infos[1:])}
        for name, size in seen.items():
            self.peaks[name] = max(self.peaks.get(name, 0.0), size / 1e6)


def run(module: str, *arguments: str) -> tuple[list[Row], dict[str, float]]:
    """Run a measure in a process of its own; return what it printed, and the peaks of its memory."""
    argv = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        memory = Memory(process.pid)
        rows = [orjson.loads(line) for line in process.stdout or ()]
    memory.join()
    if process.returncode:
        raise RuntimeError(f"{' '.join(argv[1:])}: ended with {process.returncode}")
    return rows, memory.peaks


def gaps(engine: Engine, dumps: int) -> dict[str, list[Row]]:
    """Measure the gaps between steps, in a plain loop and dressed as a worker, each on a broker of its own."""
    found = {"plain loop": run("step_gaps", "--dress", "bare", "--dumps", str(dumps))[0]}
    for guarantee in step_gaps.GUARANTEES:
        with fresh_broker(engine) as bootstrap, TemporaryDirectory(prefix="riverrun-bench-") as keys:
            make_keys(Path(keys))
            topics.create(bootstrap, [f"bench-arf.{end}" for end in ENDS], 1)
            dressed = ("--dress", guarantee, "--bootstrap", bootstrap, "--keys", keys)
            found[f"worker, {guarantee}"] = run("step_gaps", *dressed, "--dumps", str(dumps))[0]
    return found


def sizes(engine: Engine, pending: int, archived: int) -> Row:
    """Measure snapshots of a large state, and the way back from them."""
    with fresh_broker(engine) as bootstrap, TemporaryDirectory(prefix="riverrun-bench-") as place:
        make_keys(Path(place))
        topics.create(bootstrap, [f"bench-pending.{end}" for end in ENDS], 1)
        stores = ("--keys", place, "--folder", f"{place}/store", "--bootstrap", bootstrap)
        taken, peaks = run("snapshot_sizes", *stores, "--pending", str(pending), "--archived", str(archived))
        recovered, _ = run("snapshot_sizes", *stores, "--recover")
    return {"pending": pending, "taken": taken, "peaks_megabytes": peaks, "recovered": recovered}


def shares() -> list[Row]:
    """Simulate the default interval."""
    return [dump_share.simulate(seconds, partitions) for seconds in DUMP_SECONDS for partitions in PARTITIONS]


def gaps_table(found: dict[str, list[Row]]) -> Table:
    """Lay out the gaps: medians over the dumps, and the worst."""
    table = Table(title="gap between two steps while an ARF(10) is dumped: ms")
    headings = ("dress", "way", "MB", "p99", "max: median", "max: worst", "own time: worst", "restored = undisturbed")
    for heading in headings:
        table.add_column(heading)
    for dress, rows in found.items():
        for way in dict.fromkeys(row["way"] for row in rows):
            of = [row for row in rows if row["way"] == way]
            equal = [row["equal"] for row in of if "equal" in row]
            why = next((row["why"] for row in of if row.get("why")), "")
            table.add_row(
                dress,
                way,
                f"{max(row.get('size_bytes', 0) for row in of) / 1e6:.1f}",
                f"{median(row['p99_ms'] for row in of):.1f}",
                f"{median(row['max_ms'] for row in of):.1f}",
                f"{max(row['max_ms'] for row in of):.1f}",
                f"{max(row['own_max_ms'] for row in of):.1f}",
                f"{sum(equal)} of {len(equal)} {why}" if equal else "-",
            )
    return table


def sizes_table(found: Row) -> Table:
    """Lay out the snapshots of a large state."""
    table = Table(title=f"{found['pending']:,} labels wait; champion and challenger are ARF(10)")
    headings = (
        "store",
        "nr",
        "dump s",
        "child CPU s",
        "stored after",
        "MB",
        "manifest KB",
        "max gap ms",
        "own max ms",
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in found["taken"]:
        table.add_row(
            row["store"],
            str(row["number"] + 1),
            f"{row['dump_seconds']:.1f}",
            f"{row['child_cpu_seconds']:.1f}",
            f"{row['until_sealed_seconds']:.1f}",
            f"{row['part_bytes'] / 1e6:.1f}",
            f"{row['manifest_bytes'] / 1e3:.0f}",
            f"{row['max_ms']:.0f}",
            f"{row['own_max_ms']:.0f}",
        )
    for row in found["recovered"]:
        seconds, cpu = f"{row['recovery_seconds']:.1f}", f"{row['recovery_cpu_seconds']:.1f}"
        table.add_row(row["store"], "back", seconds, cpu, "", f"RSS {row['rss_megabytes']:.0f}")
    peaks = ", ".join(f"{name} {size:,.0f} MB" for name, size in found["peaks_megabytes"].items())
    table.caption = f"peaks: {peaks}"
    return table


def shares_table(rows: list[Row]) -> Table:
    """Lay out the shares."""
    table = Table(title="time in which a dump runs, default interval")
    for heading in ("seconds a dump", "partitions", "share", "snapshots of a partition an hour"):
        table.add_column(heading, justify="right")
    for row in rows:
        share, rate = f"{row['share']:.2%}", f"{row['per_partition_and_hour']:.1f}"
        table.add_row(f"{row['dump_seconds']:g}", str(row["partitions"]), share, rate)
    return table


def manifests_table(found: dict[str, dict[int, Row]]) -> Table:
    """Lay out recovery by the number of snapshots."""
    table = Table(title="recovery by the number of snapshots there are: seconds")
    for heading in ("store", "snapshots", "median", "min - max", "CPU: median", "to list all"):
        table.add_column(heading, justify="right")
    for store, rows in found.items():
        for count, row in rows.items():
            spread = f"{min(row['seconds']):.3f} - {max(row['seconds']):.3f}"
            wall, cpu = (f"{median(row[clock]):.3f}" for clock in ("seconds", "cpu_seconds"))
            table.add_row(store, f"{count:,}", wall, spread, cpu, f"{row['listed_seconds']:.3f}")
    return table


def age_table(found: dict[str, list[Row]]) -> Table:
    """Lay out restarts by the age of the newest snapshot."""
    table = Table(title="kill -9 to the first new commit, logistic regression: median seconds")
    for heading in ("records behind", "replayed", "to the assignment", "to the commit", "min - max", "CPU"):
        table.add_column(heading, justify="right")
    for behind, rows in found.items():
        seconds = [row["first_commit_seconds"] for row in rows]
        table.add_row(
            "no snapshot" if behind == "none" else f"{int(behind):,}",
            f"{rows[0]['replayed']:,}",
            f"{median(row['assigned_seconds'] for row in rows):.2f}",
            f"{median(seconds):.2f}",
            f"{min(seconds):.2f} - {max(seconds):.2f}",
            f"{median(row['cpu_seconds'] for row in rows):.2f}",
        )
    return table


def measure(wanted: list[str], engine: Engine, repeat: int, pending: int, archived: int) -> dict[str, Any]:
    """Make the wanted measures, and print a table of each."""
    found: dict[str, Any] = {}
    if "gaps" in wanted:
        found["gaps"] = gaps(engine, repeat)
        console.print(gaps_table(found["gaps"]))
    if "sizes" in wanted:
        found["sizes"] = sizes(engine, pending, archived)
        console.print(sizes_table(found["sizes"]))
    if "share" in wanted:
        found["share"] = shares()
        console.print(shares_table(found["share"]))
    if "manifests" in wanted:
        stores = {"topics": False, "folder": True}
        counted = {
            name: recoveries.by_manifests(MANIFESTS, 2 * repeat + 1, engine, folder=folder)
            for name, folder in stores.items()
        }
        console.print(manifests_table(counted))
        found["manifests"] = {name: {str(count): row for count, row in rows.items()} for name, rows in counted.items()}
    if "age" in wanted:
        found["age"] = recoveries.by_age(BEHIND, repeat, engine)
        console.print(age_table(found["age"]))
    return found


def main(
    only: Annotated[str, typer.Option(help=f"Some of {','.join(MEASURES)}.")] = ",".join(MEASURES),
    repeat: Annotated[int, typer.Option(help="Rounds.", min=1)] = 3,
    pending: Annotated[int, typer.Option(help="Labels that wait.", min=1)] = 1_000_000,
    archived: Annotated[int, typer.Option(help="Further models, after the first measure.", min=0)] = 5,
    engine: Annotated[Engine, typer.Option(help="Broker.")] = Engine.EMBEDDED,
) -> None:
    """Measure, print tables, and write results/snapshots.json; what was not measured now stays as it was there."""
    exit_on_sigterm()
    wanted = only.split(",")
    if unknown := sorted(set(wanted) - set(MEASURES)):
        raise typer.BadParameter(f"got {', '.join(unknown)}, expected some of {', '.join(MEASURES)}")
    found = measure(wanted, engine, repeat, pending, archived)
    name = engine.named("snapshots")
    content = {**load(name), **{key: {"machine": machine.describe(), "rows": value} for key, value in found.items()}}
    console.print(f"written: {save(name, content).name}")


if __name__ == "__main__":
    typer.run(main)
