"""What a command shows: JSON for programs, tables and a progress bar for a terminal, plain columns for a pipe."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import typer

_BETWEEN_REFRESHES_BYTES = 64 * 1024


def counted(count: int, noun: str) -> str:
    """Return a number of things in words.

    Examples
    --------
    >>> counted(1, "record"), counted(2, "record")
    ('1 record', '2 records')
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"


def print_json(data: Any) -> None:
    """Print one JSON value, indented."""
    typer.echo(orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode())


def print_json_line(data: Any) -> None:
    """Print one JSON value on one line."""
    typer.echo(orjson.dumps(data, option=orjson.OPT_NON_STR_KEYS).decode())


def print_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows: as a table on a terminal, else as aligned columns."""
    texts = [[str(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _print_rich(headings, texts)
        return
    widths = [max(len(cell) for cell in column) for column in zip(headings, *texts, strict=True)]
    for row in (list(headings), *texts):
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(padded).rstrip())


def _print_rich(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(cell.replace("[", r"\[") for cell in row))
    Console().print(table)


def open_lines(path: Path) -> BinaryIO:
    """Open a file of lines, or standard input for ``-``."""
    return sys.stdin.buffer if str(path) == "-" else path.open("rb")


@contextmanager
def progress(what: str, path: Path) -> Iterator[Callable[[int], None]]:
    """Show how far a file is read, on a terminal; yields what takes the bytes of each line."""
    if not sys.stderr.isatty():
        yield lambda size: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    total = None if str(path) == "-" else path.stat().st_size
    columns = (TextColumn(what), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        waiting = 0

        def advance(size: int) -> None:
            nonlocal waiting
            waiting += size
            if waiting >= _BETWEEN_REFRESHES_BYTES or total is None:
                bar.advance(task, waiting)
                waiting = 0

        yield advance
        bar.advance(task, waiting)
