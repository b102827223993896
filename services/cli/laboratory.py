"""``riverrun backtest`` with several combinations: what is asked of the laboratory, and what is shown of it."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from schemas.errors import ConfigurationError
from services.cli.errors import FAILED, INTERRUPTED
from services.cli.options import Output, settings_of
from services.cli.printing import counted, open_lines, print_json, print_table

if TYPE_CHECKING:
    from services.laboratory.comparison import Comparison
    from services.laboratory.outcome import Job, Outcome
    from services.laboratory.processes import Engine
    from services.laboratory.source import FileSource, KeyCount, TopicSource

_BLOCK_BYTES = 1024 * 1024
_BETWEEN_LINES_SECONDS = 30.0


class EngineName(StrEnum):
    """Where combinations are played."""

    PROCESSES = "processes"
    DASK = "dask"


class LossName(StrEnum):
    """How a class's loss is measured."""

    ZERO_ONE = "zero-one"
    LOG = "log"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the command line asks of the laboratory."""

    file: Path | None
    pipelines: list[str]
    models: list[str]
    policies: list[str]
    topic: str | None = None
    start: str = "beginning"
    end: str = "end"
    servers: str | None = None
    key_field: str | None = None
    partition: int | None = None
    partitions: int = 1
    loss: LossName = LossName.ZERO_ONE
    baseline: str | None = None
    workers: int | None = None
    engine: EngineName = EngineName.PROCESSES
    scheduler: str | None = None
    html: Path | None = None
    output: Output = Output.TEXT
    command: list[str] = field(default_factory=list)


def experiment(asked: Asked) -> None:
    """Play all combinations, show what came of them, and leave with 1 if one of them failed or answered nothing.

    After ^C those are shown that have been played by then: what took an hour is not lost for what would take another.
    """
    from services.laboratory.combination import combine, spread
    from services.laboratory.comparison import compare, find_baseline, titles
    from services.laboratory.outcome import Job, LossForm

    engine = _engine(asked)
    pipelines = [path for one in asked.pipelines for path in spread(one)]
    models = [path for one in asked.models for path in spread(one)]
    policies = [policy.strip() for one in asked.policies for policy in one.split(",")]
    if asked.html is not None:
        _try_to_write(asked.html)
    with _source(asked) as (source, partitions, of):
        combinations = combine(pipelines, models, policies, partitions, of)
        names = titles([one for one in combinations if one.partition == partitions[0]])
        find_baseline(names, asked.baseline)
        loss: LossForm = "log" if asked.loss is LossName.LOG else "zero_one"
        seed = os.environ.get("PYTHONHASHSEED", "random")
        watched: set[tuple[str, int]] = set()
        jobs = []
        for one in combinations:
            place = one.pipeline, one.partition
            watches = asked.html is not None and place not in watched
            jobs.append(Job(one, source, loss, "0" if seed in ("", "random") else seed, watches))
            watched.add(place)
        comparison = compare(_play(engine, jobs), asked.baseline, combinations)
        told = {"records": _told(source), "command": _command(asked), "engine": asked.engine.value}
    is_interrupted = len(comparison.entries) < comparison.asked
    if is_interrupted:
        played = f"{len(comparison.entries)} of {comparison.asked} combinations played"
        typer.echo(f"riverrun: interrupted: {played}", err=True)
    if not comparison.entries:
        raise typer.Exit(INTERRUPTED)
    if asked.html is not None:
        from services.laboratory.page import render

        asked.html.write_text(render(comparison, told), encoding="utf-8")
    print_json(_as_json(comparison)) if asked.output is Output.JSON else _print(comparison, asked.html)
    keys = max((run.keys for entry in comparison.entries for run in entry.runs), key=lambda keys: keys.events)
    tell_keyless(keys, asked.key_field)
    if is_interrupted:
        raise typer.Exit(INTERRUPTED)
    if any(entry.error or entry.is_silent for entry in comparison.entries):
        raise typer.Exit(FAILED)


def _try_to_write(path: Path) -> None:
    """Find out now, not in an hour, whether a file can be written; one that was not there is not there afterwards."""
    was_there = path.exists()
    path.open("ab").close()
    if not was_there:
        path.resolve().unlink()  # not a link that led to it


def tell_keyless(keys: "KeyCount", key_field: str | None) -> None:
    """Say how many lines have not the field that is their key, if any."""
    if not keys.keyless:
        return
    all_of_them = keys.keyless == keys.events
    who = f"{counted(keys.keyless, 'line')} without field {key_field!r}{', which no line has' if all_of_them else ''}"
    what = f"taken without a key, into partition 0{'. Is the name right?' if all_of_them else ''}"
    typer.echo(f"riverrun: {who}: {what}", err=True)


def _engine(asked: Asked) -> "Engine":
    workers = asked.workers or os.cpu_count() or 1
    if asked.engine is EngineName.DASK:
        from services.laboratory.cluster import Cluster

        return Cluster(asked.scheduler, workers)
    if asked.scheduler is not None:
        raise ConfigurationError("--scheduler requires --engine dask")
    from services.laboratory.processes import Processes

    return Processes(workers)


@contextmanager
def _source(asked: Asked) -> "Iterator[tuple[FileSource | TopicSource, list[int], int]]":
    """Return where the records come from, the partitions that are played, and how many there are."""
    from services.laboratory.source import FileSource

    if asked.topic is not None:
        yield _stretch(asked, asked.topic)
        return
    assert asked.file is not None
    everything = asked.key_field is not None and asked.partition is None
    partitions = list(range(asked.partitions)) if everything else [asked.partition or 0]
    if asked.file.is_file():
        yield FileSource(str(asked.file.absolute()), asked.key_field), partitions, asked.partitions
        return
    if asked.scheduler is not None:
        raise ConfigurationError(f"{asked.file}: got a pipe, expected a file that the workers of --scheduler can read")
    with tempfile.NamedTemporaryFile(prefix="riverrun-", suffix=".jsonl") as kept, open_lines(asked.file) as lines:
        while block := lines.read(_BLOCK_BYTES):
            kept.write(block)
        kept.flush()
        yield FileSource(kept.name, asked.key_field), partitions, asked.partitions


def _stretch(asked: Asked, topic: str) -> "tuple[TopicSource, list[int], int]":
    """Return the stretch of a topic, its bounds fixed as they are now."""
    from services.laboratory.source import TopicSource
    from services.verification.logs import KafkaLogs

    settings = settings_of(asked.servers)
    with closing(KafkaLogs(settings)) as logs:
        of = logs.partitions(topic)
        partitions = list(range(of)) if asked.partition is None else [asked.partition]
        if partitions[-1] >= of:
            raise ConfigurationError(f"--partition: got {partitions[-1]}, expected less than {of}, as {topic} has")
        ranges = {}
        for partition in partitions:
            low, high = logs.extent(topic, partition)
            ranges[partition] = _bounds(asked.start, asked.end, low, high)
    return TopicSource(settings.bootstrap_servers, topic, ranges), partitions, of


def _bounds(start: str, end: str, low: int, high: int) -> tuple[int, int]:
    """Return the first offset of a stretch, and the one after its last.

    Examples
    --------
    >>> _bounds("beginning", "end", 10, 50), _bounds("-5", "48", 10, 50), _bounds("20", "-45", 10, 50)
    ((10, 50), (45, 48), (20, 20))
    """
    from services.cli.reading import first_offset, is_offset

    if end not in ("beginning", "end") and not is_offset(end):
        raise ConfigurationError(f"--to: got {end!r}, expected end, an offset, or -N for N before the end")
    try:
        first = first_offset(start, low, high)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    return first, max(first, min(high, first_offset(end, low, high)))


def _play(engine: "Engine", jobs: "list[Job]") -> "list[Outcome]":
    """Return the outcomes in the order of the jobs, showing how far they are; after ^C those that are there."""
    found: dict[int, Outcome] = {}
    with (
        suppress(KeyboardInterrupt),
        _progress(len(jobs)) as tell,
        closing(engine.run(jobs, tell)) as outcomes,  # type: ignore[type-var]
    ):
        for place, outcome in outcomes:
            found[place] = outcome
            tell(place, 1.0)
    return [found[place] for place in sorted(found)]


@contextmanager
def _progress(many: int) -> Iterator[Callable[[int, float], None]]:
    """Show how much of all combinations is done; yields what takes a job's share.

    A bar on a terminal; elsewhere a line now and then, for what is played may take hours.
    """
    import sys

    if not sys.stderr.isatty():
        yield _lines(many)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    shares = [0.0] * many
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"0 of {many} combinations", total=many)

        def tell(place: int, share: float) -> None:
            shares[place] = max(shares[place], min(1.0, share))
            done = sum(share == 1.0 for share in shares)
            bar.update(task, completed=sum(shares), description=f"{done} of {many} combinations")

        yield tell


def _lines(many: int) -> Callable[[int, float], None]:
    """Return what takes a job's share, and tells on standard error how many have ended."""
    ended: set[int] = set()
    told = time.monotonic()

    def tell(place: int, share: float) -> None:
        nonlocal told
        if share < 1.0 or place in ended:
            return
        ended.add(place)
        if len(ended) < many and time.monotonic() - told >= _BETWEEN_LINES_SECONDS:
            told = time.monotonic()
            typer.echo(f"riverrun: {len(ended)} of {many} combinations", err=True)

    return tell


def _told(source: "FileSource | TopicSource") -> str:
    from services.laboratory.source import TopicSource

    if isinstance(source, TopicSource):
        return ", ".join(f"{source.topic}[{p}]@{first} to {end}" for p, (first, end) in source.ranges.items())
    return Path(source.path).name


def _command(asked: Asked) -> str:
    import shlex

    return shlex.join(["riverrun", *asked.command])


def _as_json(comparison: "Comparison") -> dict[str, Any]:
    from msgspec import to_builtins

    said: dict[str, Any] = to_builtins(comparison)
    for entry, row in zip(comparison.entries, said["entries"], strict=True):
        row |= {"error": entry.error, "micros": entry.micros, "champion_changes": entry.champion_changes}
        row["drifts"] = entry.drifts
    return {**said, "baseline": comparison.entries[comparison.baseline].title}


def _print(comparison: "Comparison", html: Path | None) -> None:
    from services.laboratory.interval import show

    rows: list[list[object]] = []
    for entry in comparison.entries:
        if entry.error:
            rows.append([entry.title, "failed", "-", "-", "-", "-", "-", "-"])
            continue
        digest = " ".join(run.digest for run in entry.runs)
        micros = "-" if entry.micros is None else f"{entry.micros:.1f}"
        ratio = "-" if entry.ratio is None else f"{entry.ratio:.2f}"
        difference = show(entry.difference, "+")
        rows.append(
            [entry.title, show(entry.loss), difference, entry.drifts, entry.champion_changes, micros, ratio, digest]
        )
    headings = (
        "combination",
        "mean loss [95 %]",
        "difference [95 %]",
        "drifts",
        "changes",
        "µs/event",
        "ratio",
        "digest",
    )
    print_table(headings, rows)
    for entry in comparison.entries:
        if entry.error:
            typer.echo(f"{entry.title}: {entry.error}", err=True)
    for remark in comparison.remarks:
        typer.echo(remark)
    if html is not None:
        typer.echo(f"report: {html}")
