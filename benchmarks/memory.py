"""Does a worker's memory grow with the stream: resident set after 100k, 1M and 3M records.

    python -m benchmarks.memory --only riverrun --records 3000000

The driver produces in step with consumption, so that a backlog is never what is measured. The broker keeps everything
in memory: about 0.6 GB a million records and topic.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
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

MILESTONES = (100_000, 1_000_000, 3_000_000)
DISTINCT_RECORDS = 100_000
CHUNK_RECORDS, BACKLOG_RECORDS = 10_000, 20_000
STALL_SECONDS = 60.0


def endless(payloads: list[bytes]) -> Iterator[bytes]:
    """Repeat the records for ever, each time under a new id.

    Examples
    --------
    >>> list(islice(endless([b'{"id":"a000000","age":40}']), 2))
    [b'{"id":"a000000","age":40}', b'{"id":"a000001","age":40}']
    """
    for index, payload in enumerate(cycle(payloads)):
        rest = payload[payload.index(b'"', 7) :]
        yield b'{"id":"' + records.record_id(index).encode() + rest


def measure(contestant: Contestant, model: str, milestones: list[int], payloads: list[bytes]) -> dict[int, float]:
    """Return the resident set in megabytes at each milestone, `milestone → megabytes`."""
    with fresh_broker() as bootstrap, TemporaryDirectory() as folder:
        job = Job(bootstrap, model)
        topics.create(bootstrap, job.topics, 1)
        child = Child(contestant.command(job), Path(folder) / "log", contestant.environment(job))
        source, sent, sizes = endless(payloads), 0, dict[int, float]()
        try:
            with topics.Watch(bootstrap, job.out_topic, 1) as watch:
                for milestone in milestones:
                    while sent < milestone:
                        chunk = list(islice(source, min(CHUNK_RECORDS, milestone - sent)))
                        topics.fill(bootstrap, job.in_topic, chunk)
                        sent += len(chunk)
                        wait_for(child, watch.count, sent - BACKLOG_RECORDS, time.monotonic() + STALL_SECONDS)
                    wait_for(child, watch.count, milestone, time.monotonic() + STALL_SECONDS)
                    sizes[milestone] = child.rss_megabytes()
        finally:
            child.stop()
    return sizes


def main(
    only: Annotated[str, typer.Option(help="Contestants, comma-separated.")] = "riverrun",
    model: Annotated[str, typer.Option(help="Model.")] = "lr",
    size: Annotated[int, typer.Option("--records", help="Stop at this many records.", min=1_000)] = MILESTONES[-1],
) -> None:
    """Measure at the milestones up to `--records`; write results/memory.json."""
    exit_on_sigterm()
    milestones = sorted({milestone for milestone in MILESTONES if milestone < size} | {size})
    payloads = list(records.generate(min(size, DISTINCT_RECORDS)))
    table = Table(title="resident set, MB")
    for heading in ("contestant", *(f"{milestone:,}" for milestone in milestones)):
        table.add_column(heading)
    rows: dict[str, object] = {}
    for contestant in select(only.split(",")):
        if reason := contestant.missing():
            table.add_row(contestant.name, f"skipped: {reason}")
            continue
        try:
            sizes = measure(contestant, model, milestones, payloads)
        except (RaceError, RuntimeError) as error:
            table.add_row(contestant.name, str(error))
            continue
        rows[contestant.name] = {str(milestone): megabytes for milestone, megabytes in sizes.items()}
        table.add_row(contestant.name, *(f"{megabytes:.0f}" for megabytes in sizes.values()))
    Console(width=120).print(table)
    save("memory", {"machine": machine.describe(), "rows": rows})


if __name__ == "__main__":
    typer.run(main)
