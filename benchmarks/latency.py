"""How long after an event is due can its prediction be read: open loop, one event after the other at a fixed rate.

    python -m benchmarks.latency --only riverrun,confluent --rate 1000 --seconds 10

The row `broker` is the floor: the same producer and reader on one topic, nobody between. How busy the machine is stands
beside each row: where all cores are, threads wait for each other, and percentiles tell of that, too. Apache Kafka
compiles itself in its first half minute under load: `--ramp 30` waits for it. Below the table stands where riverrun's
time goes, by its own metrics (`riverrun_record_seconds`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import psutil
import typer
from confluent_kafka import Producer
from rich.console import Console
from rich.table import Table

from benchmarks import machine, records, topics
from benchmarks.broker import Engine, fresh_broker
from benchmarks.child import Child, exit_on_sigterm
from benchmarks.contestants import Contestant, Job, select
from benchmarks.legs import Legs
from benchmarks.race import RaceError
from benchmarks.stopwatch import READER_SETTINGS, Arrivals, Stopwatch
from benchmarks.table import save
from services.broker.ports import free_port

PRODUCER_SETTINGS = {"linger.ms": 0, "partitioner": "murmur2_random"}
WARM_UP_RECORDS = 1_000
RAMP_SECONDS = 1
START_TIMEOUT_SECONDS = 60.0
DRAIN_TIMEOUT_SECONDS = 30.0


def play(
    bootstrap: str, topic: str, payloads: list[bytes], rate: int, ramp: int, mark: Callable[[], object]
) -> tuple[Arrivals, float]:
    """Produce one record every 1/rate seconds; after the first `ramp` records it counts, which `mark` is told.

    Returns
    -------
    due_at
        When each was *due*, in monotonic nanoseconds. Due, not sent: a late producer counts as latency instead of
        hiding it.
    busy
        Share of the machine's cores that was busy after the first `ramp` records, in [0, 1].
    """
    producer = Producer({"bootstrap.servers": bootstrap, **PRODUCER_SETTINGS})
    producer.list_topics(topic, timeout=topics.REQUEST_TIMEOUT_SECONDS)
    interval, start = 1_000_000_000 // rate, time.monotonic_ns() + 50_000_000
    due_at: Arrivals = {}
    for index, payload in enumerate(payloads):
        if index == ramp:
            psutil.cpu_percent()
            mark()
        due = start + index * interval
        if (left := due - time.monotonic_ns()) > 0:
            time.sleep(left / 1e9)
        key = records.key_of(payload)
        due_at[key] = due
        producer.produce(topic, payload, key)
        producer.poll(0)
    busy = psutil.cpu_percent() / 100
    producer.flush(DRAIN_TIMEOUT_SECONDS)
    return due_at, busy


def measure(
    contestant: Contestant | None,
    model: str,
    payloads: list[bytes],
    rate: int,
    engine: Engine = Engine.EMBEDDED,
    ramp_seconds: int = RAMP_SECONDS,
) -> dict[str, Any]:
    """Return p50, p99 and maximum in milliseconds, how many predictions never came, and how busy the machine was.

    Of riverrun, p50 and p99 of the legs of its records, too.

    Parameters
    ----------
    contestant
        Who predicts; nobody measures the broker's floor.
    payloads
        `WARM_UP_RECORDS` at once, the ramp at the rate but not counted, the rest measured.
    engine
        What runs as broker.
    ramp_seconds
        Length of the ramp.
    """
    ramp = ramp_seconds * rate
    with fresh_broker(engine) as bootstrap, TemporaryDirectory() as folder:
        job = Job(bootstrap, model)
        topics.create(bootstrap, job.topics, 1)
        topics.fill(bootstrap, job.in_topic, payloads[:WARM_UP_RECORDS])
        stopwatch = Stopwatch(bootstrap, job.out_topic if contestant else job.in_topic, 1)
        log = Path(folder) / "log"
        environment = contestant.environment(job) if contestant else {}
        legs = Legs(free_port()) if contestant and contestant.tells_legs else None
        if legs:
            environment["RIVERRUN_METRICS_PORT"] = str(legs.port)
        child = Child(contestant.command(job), log, environment) if contestant else None
        told: dict[str, Any] = {}
        try:
            if not stopwatch.wait_until_seen(WARM_UP_RECORDS, START_TIMEOUT_SECONDS):
                raise RaceError(f"no predictions for the warm-up: {child.last_words() if child else 'broker'}")
            due_at, busy = play(
                bootstrap, job.in_topic, payloads[WARM_UP_RECORDS:], rate, ramp, legs.mark if legs else lambda: None
            )
            stopwatch.wait_until_seen(len(payloads), DRAIN_TIMEOUT_SECONDS)
            if legs:
                told["legs_ms"] = legs.percentiles()
        finally:
            if child:
                child.stop()
            arrivals = stopwatch.stop()
    measured = [records.key_of(payload) for payload in payloads[WARM_UP_RECORDS + ramp :]]
    waits = [(arrivals[key] - due_at[key]) / 1e6 for key in measured if key in arrivals]
    return summarise(waits, len(measured)) | {"busy": busy} | told


def summarise(milliseconds: list[float], expected: int) -> dict[str, Any]:
    """Return the percentiles of the waits.

    Examples
    --------
    >>> summarise([float(wait) for wait in range(1, 102)], 102)
    {'p50_ms': 51.0, 'p99_ms': 100.0, 'max_ms': 101.0, 'missing': 1}
    """
    if len(milliseconds) < 2:
        raise RaceError(f"{len(milliseconds)} of {expected} predictions came")
    cuts = quantiles(milliseconds, n=100, method="inclusive")
    missing = expected - len(milliseconds)
    return {"p50_ms": cuts[49], "p99_ms": cuts[98], "max_ms": max(milliseconds), "missing": missing}


def main(
    only: Annotated[str, typer.Option(help="Contestants, comma-separated.")] = "",
    model: Annotated[str, typer.Option(help="Model.")] = "lr",
    rate: Annotated[int, typer.Option(help="Events a second.", min=1)] = 1_000,
    seconds: Annotated[int, typer.Option(help="Measured time.", min=1)] = 10,
    ramp: Annotated[int, typer.Option(help="Seconds before that, at the same rate.", min=1)] = RAMP_SECONDS,
    engine: Annotated[Engine, typer.Option(help="Broker; each contestant has a fresh one.")] = Engine.EMBEDDED,
) -> None:
    """Measure the floor and every contestant in turn; write results/latency.json."""
    exit_on_sigterm()
    payloads = list(records.generate(WARM_UP_RECORDS + (ramp + seconds) * rate))
    table = Table(title=f"latency at {rate:,} events/s, {seconds} s, {engine.value} broker, due → readable")
    for heading in ("contestant", "p50 ms", "p99 ms", "max ms", "missing", "cores busy"):
        table.add_column(heading)
    legs = Table(title="of these, where riverrun's records spend their time")
    for heading in ("contestant", "leg", "p50 ms", "p99 ms"):
        legs.add_column(heading)
    rows: dict[str, object] = {}
    for contestant in [None, *select(only.split(",") if only else None)]:
        name = contestant.name if contestant else "broker"
        if contestant and (reason := contestant.missing()):
            table.add_row(name, f"skipped: {reason}")
            continue
        try:
            rows[name] = figures = measure(contestant, model, payloads, rate, engine, ramp)
            waits = (f"{value:.1f}" for value in list(figures.values())[:3])
            table.add_row(name, *waits, str(figures["missing"]), f"{figures['busy']:.0%}")
            for leg, percentiles in figures.get("legs_ms", {}).items():
                legs.add_row(name, leg, *(f"{value:.1f}" for value in percentiles))
        except (RaceError, RuntimeError) as error:
            rows[name] = {"error": str(error)}
            table.add_row(name, str(error))
    Console(width=120).print(table)
    if legs.row_count:
        Console(width=120).print(legs)
    settings = {"producer": PRODUCER_SETTINGS, "reader": READER_SETTINGS}
    save(
        engine.named("latency"),
        {
            "engine": engine.value,
            "rate": rate,
            "seconds": seconds,
            "ramp_seconds": ramp,
            **settings,
            "machine": machine.describe(),
            "rows": rows,
        },
    )


if __name__ == "__main__":
    typer.run(main)
