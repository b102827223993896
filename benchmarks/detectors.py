"""What detectors cost and what they see: their time by that of ADWIN, false alarms, delays.

python -m benchmarks.detectors
python -m benchmarks.detectors --flights
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from river import drift

from examples import flights
from riverrun import Drift, ObserveOnly
from schemas.events import DriftDetected
from schemas.record import Record
from services.flights import flight_log
from streams.task import Task

LENGTH = 10_000
DETECTORS: dict[str, Drift] = {
    "ADWIN pair": Drift(),
    'ADWIN pair, blocks="auto"': Drift(blocks="auto"),
    "ADWIN pair, blocks=8": Drift(blocks=8),
    "drift.PageHinkley()": Drift(detector=drift.PageHinkley()),
    'drift.PageHinkley(threshold=20, mode="up")': Drift(detector=drift.PageHinkley(threshold=20, mode="up")),
    "drift.KSWIN(alpha=1e-4)": Drift(detector=drift.KSWIN(alpha=1e-4)),
    "drift.binary.HDDMA()": Drift(detector=drift.binary.HDDMA()),
    "drift.binary.HDDMW()": Drift(detector=drift.binary.HDDMW()),
    "drift.binary.DDM()": Drift(detector=drift.binary.DDM()),
    "drift.binary.EDDM()": Drift(detector=drift.binary.EDDM()),
    "drift.binary.FHDDM()": Drift(detector=drift.binary.FHDDM()),
    "drift.NoDrift()": Drift(detector=drift.NoDrift()),
}
#: Takes a thousand times as long as the others, so it gets fewer streams.
SLOW = "drift.KSWIN(alpha=1e-4)"
BLOCKS = {1: Drift(), 8: Drift(blocks=8), "auto": Drift(blocks="auto")}


def wander(rng: random.Random, phi: float) -> Iterator[float]:
    """Yield an AR(1) of variance 1."""
    step = math.sqrt(1 - phi * phi)
    value = rng.gauss(0, 1)
    while True:
        value = phi * value + step * rng.gauss(0, 1)
        yield value


def zero_one(seed: int, rate: Callable[[int, float], float], phi: float = 0.0) -> list[float]:
    """Return 0/1 losses whose rate depends on the place and on an AR(1)."""
    rng, hidden = random.Random(seed), wander(random.Random(-seed - 1), phi)
    return [float(rng.random() < rate(i, next(hidden))) for i in range(LENGTH)]


def autocorrelated(seed: int, phi: float, jump: float = 0.0) -> list[float]:
    """Return an AR(1) that jumps in the middle."""
    values = wander(random.Random(seed), phi)
    return [next(values) + (jump if i >= LENGTH // 2 else 0.0) for i in range(LENGTH)]


def drifts(declared: Drift, signal: list[float], seed: int) -> list[int]:
    """Return the places at which a detector says drift."""
    detector = declared.new_detector(str(seed))
    changes = (detector.update(value, i) for i, value in enumerate(signal))
    return [i for i, change in enumerate(changes) if change is not None and change.level == "drift"]


def false_alarms(declared: Drift, signals: list[list[float]]) -> float:
    """Return how many of them there are in a signal without a change."""
    return statistics.mean(len(drifts(declared, signal, i)) for i, signal in enumerate(signals))


def delay(declared: Drift, signals: list[list[float]]) -> tuple[float, int]:
    """Return the median delay of a change in the middle, and how many are seen at all."""
    found = [next((i for i in drifts(declared, s, n) if i >= LENGTH // 2), None) for n, s in enumerate(signals)]
    delays = [at - LENGTH // 2 for at in found if at is not None]
    return statistics.median(delays) if delays else math.nan, len(delays)


def microseconds(declared: Drift, rounds: int) -> float:
    """Return the processor time of a value: the least of several rounds."""
    signal = zero_one(7, lambda i, hidden: 0.2)
    took = []
    for _ in range(rounds):
        update = declared.new_detector("time").update
        began = time.process_time()
        for i, value in enumerate(signal):
            update(value, i)
        took.append((time.process_time() - began) / LENGTH * 1e6)
    return min(took)


def row(*cells: Any) -> None:
    """Print a row of a table."""
    print("|", " | ".join(f"{c:.2f}" if isinstance(c, float) else str(c) for c in cells), "|", flush=True)


def seen(result: tuple[float, int], of: int) -> str:
    """Return a delay in words."""
    median, count = result
    return "none" if count == 0 else f"{median:.0f}" + ("" if count == of else f" ({count} of {of})")


def compare_detectors(count: int) -> None:
    """Print what each detector costs and does on 0/1 losses."""
    calm = [zero_one(seed, lambda i, hidden: 0.2) for seed in range(count)]
    weather = [zero_one(seed, lambda i, hidden: 0.2 + 0.07 * hidden, 0.99) for seed in range(count)]
    rises = [
        [zero_one(seed, lambda i, hidden, to=to: 0.1 if i < LENGTH // 2 else to) for seed in range(count)]
        for to in (0.2, 0.3, 0.5)
    ]
    unit = microseconds(DETECTORS["ADWIN pair"], 5)
    print(f"0/1 losses, {count} streams of {LENGTH:,} each ({SLOW}: {max(1, count // 5)})")
    print(f"one value costs the ADWIN pair {unit:.2f} µs here\n")
    row("detector", "cost", "false alarms", "… weather", ".1 → .2", ".1 → .3", ".1 → .5")
    row(*["---"] * 7)
    for name, declared in DETECTORS.items():
        cost = microseconds(declared, 1 if name == SLOW else 5) / unit
        some = max(1, count // 5) if name == SLOW else count
        calmly, stormy = false_alarms(declared, calm[:some]), false_alarms(declared, weather[:some])
        row(f"`{name}`", cost, calmly, stormy, *(seen(delay(declared, rise[:some]), some) for rise in rises))


def compare_blocks(count: int) -> None:
    """Print what blocks do to an AR(1)."""
    print(f"\nAR(1) of variance 1, {count} streams of {LENGTH:,} each; the jump is of two standard deviations\n")
    row("φ", *(f"false alarms, blocks={size}" for size in BLOCKS), *(f"delay, blocks={size}" for size in BLOCKS))
    row(*["---"] * 7)
    for phi in (0.0, 0.5, 0.9, 0.95, 0.99):
        calm = [autocorrelated(seed, phi) for seed in range(count)]
        jumps = [autocorrelated(seed, phi, 2.0) for seed in range(count)]
        alarms = [false_alarms(declared, calm) for declared in BLOCKS.values()]
        row(phi, *alarms, *(seen(delay(declared, jumps), count) for declared in BLOCKS.values()))


def watch_flights() -> None:
    """Print how often drift is seen in a year of flights, by a pipeline that never acts."""
    row("blocks", "drifts", "when: loss before → after")
    row(*["---"] * 3)
    for blocks in (1, 8, 256, "auto"):
        watched = replace(flights.pipeline, drift=Drift(blocks=blocks, cooldown=0), policy=ObserveOnly())
        task, found = Task(watched), list[str]()
        for offset, line in enumerate(flight_log()):
            for event in task.step(Record("flights.raw", 0, offset, 0, line.key, line.value, line.headers)):
                if isinstance(event, DriftDetected):
                    day = datetime.fromtimestamp(event.time / 1000, UTC)
                    found.append(f"{day:%d %b}: {event.before:.2f} → {event.after:.2f}")
        row(blocks, len(found), ", ".join(found) if len(found) < 5 else "…")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=20, help="streams of each kind")
    parser.add_argument("--flights", action="store_true", help="count drifts in a year of flights instead")
    arguments = parser.parse_args()
    if arguments.flights:
        watch_flights()
    else:
        compare_detectors(arguments.streams)
        compare_blocks(arguments.streams)
