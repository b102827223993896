"""``python -m benchmarks.quality``: policies and rivals in all worlds; one table, and JSON beside it.

make quality ARGS="--only recurring,real --seeds 3"
"""

from __future__ import annotations

import os
import sys
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import mean
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.quality import judging, policies, rivals
from benchmarks.quality.worlds import all_worlds

app = typer.Typer(add_completion=False)
RESULT = Path(__file__).parents[1] / "results" / "quality.json"
_MANY = {"stationary": 100, "flapping": 100, "real": 1, "real delayed": 1}
_RETURN = 1000
Job = tuple[str, str, int, tuple[str, ...]]


@app.command()
def main(
    only: Annotated[str, typer.Option(help="Rows, comma-separated; all unless given.")] = "",
    seeds: Annotated[
        int | None, typer.Option(help="Of each stream; 100 for stationary and flapping, 10 elsewhere.")
    ] = None,
    bases: Annotated[str, typer.Option(help="lr, ht or both.")] = "lr,ht",
    without: Annotated[str, typer.Option(help="Rivals or policies that are left out, comma-separated.")] = "",
    workers: Annotated[int, typer.Option(help="Processes.")] = os.cpu_count() or 1,
    out: Annotated[Path, typer.Option(help="JSON with all figures.")] = RESULT,
    again: Annotated[Path | None, typer.Option(help="Print the tables of such a file again, and play nothing.")] = None,
) -> None:
    """Play all worlds and print what has to be reached, and what is.

    What players would be needed for that are left out is not judged.
    """
    if again is not None:
        _print(orjson.loads(again.read_bytes()))
        return
    if os.environ.get("PYTHONHASHSEED") != "0":
        command = [sys.executable, "-m", "benchmarks.quality", *sys.argv[1:]]
        os.execve(sys.executable, command, os.environ | {"PYTHONHASHSEED": "0"})
    rows = set(only.split(",")) if only else {world.row for world in all_worlds()}
    jobs: list[Job] = [
        (world.name, base, seed, tuple(without.split(",")))
        for world in all_worlds()
        if world.row in rows
        for base in bases.split(",")
        for seed in range(1, 1 + min(seeds or 1000, _MANY.get(world.row, 10)))
    ]
    results: list[dict[str, Any]] = []
    began = time.monotonic()
    with ProcessPoolExecutor(workers) as pool, Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("worlds", total=len(jobs))
        for result in pool.map(_play, jobs):
            results.append(result)
            progress.advance(bar)
    out.write_bytes(orjson.dumps(results, option=orjson.OPT_INDENT_2))
    _print(results)
    print(f"{len(jobs)} games in {time.monotonic() - began:.0f} s, {out}")


def _play(job: Job) -> dict[str, Any]:
    name, base, seed, without = job
    world = next(world for world in all_worlds() if world.name == name)
    stream = world.build(seed)
    result: dict[str, Any] = {
        "world": name,
        "row": world.row,
        "base": base,
        "seed": seed,
        "events": len(stream.examples),
    }
    result |= {
        key: {} for key in ("accuracy", "actions", "cpu_seconds", "suppressed", "alarms", "detections", "slowest_ms")
    }
    returns = _returns(stream.concepts)
    if returns:
        result["returns"] = {}
    games: dict[str, policies.Game] = {}
    for rival, make in rivals.rivals(world, stream, base, seed).items():
        if rival not in without:
            player, start = make(), time.process_time()
            right = rivals.play(player, world, stream)
            games[rival] = policies.Game(right, player.actions, cpu_seconds=time.process_time() - start)
    for policy, declared in policies.POLICIES.items():
        if policy not in without:
            games[policy] = policies.play(declared, world, stream, base)
    for player_name, game in games.items():
        counted = [ok for place, ok in enumerate(game.right) if place not in stream.lies]
        result["accuracy"][player_name] = sum(counted) / len(counted)
        result["actions"][player_name] = game.actions
        result["cpu_seconds"][player_name] = round(game.cpu_seconds, 3)
        result["suppressed"][player_name] = game.suppressed
        result["alarms"][player_name] = len(game.detections)
        result["detections"][player_name] = game.detections[:20]
        result["slowest_ms"][player_name] = round(game.slowest_ms, 1)
        if returns:
            wrong = [not game.right[i] for start in returns for i in range(start, start + _RETURN)]
            result["returns"][player_name] = mean(wrong)
    return result


def _returns(concepts: list[int]) -> list[int]:
    """Return the places at which a concept begins that was there before."""
    known: set[int] = set()
    places: list[int] = []
    for place, concept in enumerate(concepts):
        if place == 0 or concept != concepts[place - 1]:
            if concept in known:
                places.append(place)
            known.add(concept)
    return places


def _print(results: list[dict[str, Any]]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 200)
    names = list(results[0]["accuracy"])
    table = Table(title="accuracy, mean over seeds (actions)")
    for column in ("world", "base", "seeds", *names):
        table.add_column(column)
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for result in results:
        groups[result["world"], result["base"]].append(result)
    for (world, base), of in groups.items():
        cells = [
            f"{mean(r['accuracy'][n] for r in of):.3f} ({mean(r['actions'][n] for r in of):.0f})"
            if all(n in r["accuracy"] for r in of)
            else ""
            for n in names
        ]
        table.add_row(world, base, str(len(of)), *cells)
    console.print(table)
    table = Table(title="what has to be reached")
    for column in ("row", "policy", "wanted", "found", ""):
        table.add_column(column)
    for row, name, wanted, found, reached in judging.requirements(results):
        table.add_row(row, name, wanted, found, "yes" if reached else "[red]no[/]")
    console.print(table)
    if "observe only" in names:
        console.print(_costs(results))


def _costs(results: list[dict[str, Any]]) -> Table:
    """Lay out what policies cost: processor time by that of the one that never acts, and the longest step."""
    ours = [name for name in policies.POLICIES if name in results[0]["accuracy"]]
    table = Table(title="processor time by that of observe only; longest step, ms")
    for column in ("row", "base", *ours):
        table.add_column(column)
    groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for result in results:
        groups[result["row"], result["base"]].append(result)
    for (row, base), of in groups.items():
        spent = {name: sum(r["cpu_seconds"][name] for r in of) for name in ours}
        slowest = {name: max(r["slowest_ms"][name] for r in of) for name in ours}
        table.add_row(row, base, *(f"{spent[n] / spent['observe only']:.2f}; {slowest[n]:.0f}" for n in ours))
    return table


if __name__ == "__main__":
    app()
