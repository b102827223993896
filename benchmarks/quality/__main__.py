"""``python -m benchmarks.quality``: policies and rivals in all worlds; tables, and a file of all figures.

make quality ARGS="--only recurring,real --seeds 3"
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Collection
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import connection
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from benchmarks.quality import ledger, playing, tables
from benchmarks.quality.worlds import World, all_worlds, recorded_worlds

app = typer.Typer(add_completion=False)
RESULT = Path(__file__).parents[1] / "results" / "quality.jsonl"
_MANY = {"stationary": 100, "flapping": 100, "real": 1, "real delayed": 1}
_INTERRUPTED = 130


@app.command()
def main(
    only: Annotated[str, typer.Option(help="Rows, comma-separated; all unless given.")] = "",
    seeds: Annotated[
        int | None, typer.Option(help="Of each stream; 100 for stationary and flapping, 10 elsewhere.")
    ] = None,
    bases: Annotated[str, typer.Option(help="lr, ht or both.")] = "lr,ht",
    files: Annotated[
        str,
        typer.Option(
            "--csv",
            help="Play real streams of your own in place of the table's worlds: CSV files, comma-separated; the first "
            "line names the columns, the last one is the label, the others are numbers; 50,000 lines of each.",
        ),
    ] = "",
    without: Annotated[str, typer.Option(help="Rivals or policies that are left out, comma-separated.")] = "",
    workers: Annotated[int, typer.Option(help="Processes.")] = os.cpu_count() or 1,
    out: Annotated[
        Path, typer.Option(help="JSON lines with all figures, one a game as it ends. What it has is not played again.")
    ] = RESULT,
    again: Annotated[Path | None, typer.Option(help="Print the tables of such a file again, and play nothing.")] = None,
) -> None:
    """Play all worlds and print what has to be reached, and what is.

    A run that was killed or stopped (Ctrl-C) goes on where it was, if the code is the same: say the same once more.
    What players would be needed for that are left out is not judged.
    """
    if again is not None:
        tables.show(ledger.read(again))
        return
    if os.environ.get("PYTHONHASHSEED") != "0":
        command = [sys.executable, "-m", "benchmarks.quality", *sys.argv[1:]]
        os.execve(sys.executable, command, os.environ | {"PYTHONHASHSEED": "0"})
    book = ledger.Ledger(out, ledger.code())
    if book.put_aside is not None:
        print(f"{out} was of other code: it is {book.put_aside} now", file=sys.stderr)
    worlds = [world for path in files.split(",") for world in recorded_worlds(path)] if files else all_worlds()
    keys = _plan(worlds, set(filter(None, only.split(","))), bases.split(","), seeds)
    players = set(playing.PLAYERS) - set(without.split(","))
    jobs = [(key, missing) for key in keys if (missing := _wanted(book, key, players))]
    began, stopped = time.monotonic(), False
    try:
        _play_all(jobs, book, workers)
    except KeyboardInterrupt:
        stopped = True
    results = book.games(keys)
    tables.show(results)
    print(
        f"{len(results)} of {len(keys)} games, {len(jobs)} of them to play, in {time.monotonic() - began:.0f} s, {out}"
    )
    if stopped:
        raise typer.Exit(_INTERRUPTED)


def _plan(
    worlds: Collection[World], rows: Collection[str], bases: Collection[str], seeds: int | None
) -> list[ledger.Key]:
    """Return the games, the first seed of everything first."""
    known = {world.row for world in worlds}
    if unknown := set(rows) - known:
        raise typer.BadParameter(f"{', '.join(unknown)}; expected {', '.join(sorted(known))}", param_hint="--only")
    keys = [
        (world.name, base, seed)
        for world in worlds
        if world.row in (rows or known)
        for base in bases
        for seed in range(1, 1 + min(seeds or 1000, _MANY.get(world.row, 10)))
    ]
    return sorted(keys, key=lambda key: key[2])


def _wanted(book: ledger.Ledger, key: ledger.Key, players: Collection[str]) -> set[str]:
    """Return who has to play a game; policies play together or not at all, since their times are compared."""
    missing = book.missing(key, players)
    policies = set(players) & set(playing.policies.POLICIES)
    return missing | policies if missing & policies else missing


def _play_all(jobs: list[tuple[ledger.Key, set[str]]], book: ledger.Ledger, workers: int) -> None:
    with ProcessPoolExecutor(workers, initializer=_begin) as pool, Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("games", total=len(jobs))
        running = {pool.submit(playing.play, *key, missing): missing for key, missing in jobs}
        try:
            for future in as_completed(running):
                book.add(future.result(), running[future])
                progress.advance(bar)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _begin() -> None:
    """End a process at Ctrl-C without a word, and when the one that has started it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent: Any = multiprocessing.parent_process()

    def follow() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


if __name__ == "__main__":
    app()
