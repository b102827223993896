"""The tables: how right, what has to be reached, what was done and what it cost, and how soon drift was seen."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from statistics import mean
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.quality import judging
from benchmarks.quality.playing import PLAYERS
from benchmarks.quality.policies import OBSERVER, POLICIES
from benchmarks.quality.stopwatch import added, share_beyond

Result = dict[str, Any]


def show(results: list[Result]) -> None:
    """Print all that games can tell."""
    if not results:
        print("no game has ended yet")
        return
    console = Console(width=None if sys.stdout.isatty() else 200)
    for table in (_right(results), _reached(results), _done(results), _seen(results)):
        if table.row_count:
            console.print(table)


def _table(title: str, columns: Iterable[str]) -> Table:
    table = Table(title=title)
    for column in columns:
        table.add_column(column)
    return table


def _right(results: list[Result]) -> Table:
    names = [name for name in PLAYERS if any(name in r["accuracy"] for r in results)]
    table = _table("accuracy, mean over seeds (actions)", ("world", "base", "seeds", *names))
    for (world, base), of in judging.by_stream(results).items():
        cells = [
            f"{mean(r['accuracy'][n] for r in of):.3f} ({mean(r['actions'][n] for r in of):.0f})"
            if all(n in r["accuracy"] for r in of)
            else ""
            for n in names
        ]
        table.add_row(world, base, str(len(of)), *cells)
    return table


def _reached(results: list[Result]) -> Table:
    table = _table("what has to be reached", ("row", "policy", "wanted", "found", ""))
    for row, name, wanted, found, reached in judging.requirements(results):
        table.add_row(row, name, wanted, found, "yes" if reached else "[red]no[/]")
    return table


def _done(results: list[Result]) -> Table:
    """Lay out what policies cost and hold back, stream by stream."""
    played = judging.players(results)
    ours = [name for name in POLICIES if name in played and name != OBSERVER]
    title = (
        "processor time by that of observe only, alone (calm) and with shadows; share of the stream with shadows; what "
        "they take beyond their models; longest step; models held back a game: world stands still, budget spent"
    )
    table = _table(title, ("world", "base", *ours))
    for (world, base), of in judging.by_stream(results).items() if OBSERVER in played else ():
        table.add_row(world, base, *(_cost(name, of) for name in ours))
    return table


def _cost(name: str, of: list[Result]) -> str:
    sums = added(r["costs"][name] for r in of)
    told = []
    for part in ("calm", "shadows"):
        events, ours, observer = sums[part]
        told.append(f"{ours / max(1, observer):.2f}" if events else "-")
    told.append(f"{sums['shadows'][0] / sums['records'][0]:.0%}")
    if (beyond := share_beyond(r["costs"][name] for r in of)) is not None:
        told.append(f"{beyond:+.0%}")
    told.append(f"{max(r['slowest_ms'][name] for r in of):.0f} ms")
    if name in judging.OURS:
        told.append(
            ", ".join(f"{mean(r['held'][name].get(why, 0) for r in of):.1f}" for why in ("no change", "budget"))
        )
    return "; ".join(told)


def _seen(results: list[Result]) -> Table:
    """Lay out how soon a change is detected, and how often nothing is."""
    title = (
        "labelled events from the change to its detection, mean (missed; false alarms a game before it): in the task, "
        "by a bare ADWIN, with blocks of a measured length"
    )
    table = _table(title, ("world", "base", "seeds", "task", "bare ADWIN", 'blocks="auto"', "their length"))
    for (world, base), of in judging.by_stream(r for r in results if "detection" in r).items():
        found = [r["detection"] for r in of]
        cells = [_delay(found, name) for name in ("task", "bare", "auto")]
        lengths = sorted({f["blocks"] for f in found})
        table.add_row(world, base, str(len(of)), *cells, ", ".join(map(str, lengths)))
    return table


def _delay(found: list[dict[str, Any]], name: str) -> str:
    delays = [f["delay"][name] for f in found if f["delay"][name] is not None]
    delay = f"{mean(delays):.0f}" if delays else "-"
    changes = any(f["delay"][any_] is not None for f in found for any_ in f["delay"])
    missed = f"{len(found) - len(delays)}; " if changes else ""
    return f"{delay} ({missed}{mean(f['false'][name] for f in found):.1f})"
