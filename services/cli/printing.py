"""What a command shows: JSON for programs, tables and a progress bar for a terminal, plain columns for a pipe."""

import gzip
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import get_terminal_size
from textwrap import wrap
from typing import Any, BinaryIO, cast

import orjson
import typer

from schemas.errors import ConfigurationError
from schemas.lines import GZIP
from services.describing import printable

_BETWEEN_REFRESHES_BYTES = 64 * 1024
#: Columns of a terminal that prose needs beside the rest of its row.
_LEAST_PROSE = 40


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


def print_table(headings: Sequence[str], rows: Sequence[Sequence[object]], *, prose: bool = False) -> None:
    """Print rows: as a table on a terminal, else as aligned columns.

    Parameters
    ----------
    headings, rows
        The cells.
    prose
        Whether the last column is prose, which is wrapped between words where the terminal has no room for it, and
        stands beneath its row where there is hardly any. The other columns are not wrapped then.
    """
    texts = [[printable(str(cell)) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        lines = _aligned([list(headings), *texts])
    elif prose:
        lines = _beside_prose([list(headings), *texts], get_terminal_size().columns)
    else:
        _print_rich(headings, texts)
        return
    for line in lines:
        typer.echo(line)


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield rows as lines of aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _beside_prose(rows: Sequence[Sequence[str]], columns: int) -> Iterator[str]:
    """Yield rows whose last cell is prose as lines of so many columns: beside the other cells, or else beneath them."""
    beside = list(_aligned([row[:-1] for row in rows]))
    start = max(map(len, beside)) + 2
    is_beneath = columns - start < min(_LEAST_PROSE, max(len(row[-1]) for row in rows))
    if is_beneath:
        start = max(len(row[0]) for row in rows) + 2
    for line, row in zip(beside, rows, strict=True):
        parts = wrap(row[-1], max(columns - start, _LEAST_PROSE // 2), break_on_hyphens=False)
        if is_beneath:
            yield line
        else:
            yield (line.ljust(start) + "".join(parts[:1])).rstrip()
            del parts[:1]
        yield from (" " * start + part for part in parts)


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


@contextmanager
def open_lines(path: Path) -> Iterator[BinaryIO]:
    """Open a file of lines, compressed by gzip or not, or standard input for ``-``.

    It is opened once: a pipe that is opened again has lost what was read.

    Raises
    ------
    ConfigurationError
        In the block, when what is compressed is damaged, or cut off.
    """
    if str(path) == "-":
        yield sys.stdin.buffer
        return
    with path.open("rb") as file:
        if file.peek(len(GZIP))[: len(GZIP)] != GZIP:
            yield file
            return
        try:
            with gzip.open(file) as unpacked:
                yield cast(BinaryIO, unpacked)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ConfigurationError(
                f"{path}: got a damaged file, or a part of it, expected all of it: {error}"
            ) from None


def _size_bytes(path: Path) -> int | None:
    """Return how many bytes of lines a file has, None where that is not known."""
    if str(path) == "-" or not path.is_file():
        return None
    with path.open("rb") as file:
        return None if file.read(len(GZIP)) == GZIP else path.stat().st_size


@contextmanager
def progress(what: str, path: Path) -> Iterator[Callable[[int], None]]:
    """Show how far a file is read, on a terminal; yields what takes the bytes of each line."""
    if not sys.stderr.isatty():
        yield lambda size: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    total = _size_bytes(path)
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
