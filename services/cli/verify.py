"""``riverrun verify``: a prediction made again, by the model as it was."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.errors import FAILED, WRONG
from services.cli.options import Output, OutputOption, PipelineArgument, ServersOption, settings_of
from services.cli.printing import counted, print_json
from services.loading import load_pipeline

if TYPE_CHECKING:
    from schemas.manifest import Manifest
    from schemas.operators import Operators
    from schemas.signing import TrustedKeys
    from services.verification import Verification
    from services.verification.search import Advance, Found
    from streams.pipeline import Pipeline
    from streams.worker.settings import Settings
    from streams.worker.stores.store import SnapshotStore

OLDER = 4
INCOMPARABLE = 5
_CODES = {
    "same": 0,
    "differs": FAILED,
    "older than the log": OLDER,
    "another declaration": INCOMPARABLE,
    "another version": INCOMPARABLE,
    "no such prediction": WRONG,
}
_COLOURS = {"same": "green", "differs": "red"}
_QUIET_SECONDS = 1.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("verify", epilog="Example: riverrun verify examples/flights.py:pipeline flights.raw-0-1042")(verify)


def verify(
    pipeline: PipelineArgument,
    prediction: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="The prediction's ce_id, flights.raw-0-1042; its event's position, 0@1042 or flights.raw[0]@1042; its "
            "own position, flights.predictions[0]@1050; else the event's own id, looked for from the newest "
            "prediction backwards, which takes ten seconds or so for each million.",
            show_default=False,
        ),
    ],
    snapshots: Annotated[
        bool, typer.Option("--snapshots/--no-snapshots", help="Begin at a snapshot, or at the beginning of the log.")
    ] = True,
    servers: ServersOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make a prediction again, with the model as it was then, and compare every field to the last bit.

    The model is rebuilt from the newest snapshot before the event, or the beginning of the log, and the log from there
    to the event. Nothing is written.

    Exit codes: 0 same, 1 differs, 2 no such prediction, 4 older than the log, 5 made by another declaration or version.
    """
    settings = settings_of(servers)
    declared = load_pipeline(pipeline)
    from services.verification.comparison import Outcome, Verification, verify
    from services.verification.logs import KafkaLogs
    from services.verification.rebuilding import Rebuilder
    from services.verification.search import NotFound, PredictionSearch

    with ExitStack() as stack:
        logs = stack.enter_context(closing(KafkaLogs(settings)))
        advance = stack.enter_context(slow_progress())
        found = PredictionSearch(declared.name, declared.source_topic, logs, advance).find(prediction)
        if isinstance(found, NotFound):
            made = None
            outcome: Outcome = "older than the log" if found.is_gone else "no such prediction"
            verification = Verification(outcome, found.reason)
        else:
            made = found
            store, trusted, remark = _past(settings, declared) if snapshots else (None, None, "")
            operators, doubt = _operators(settings)
            rebuilder = Rebuilder(declared, logs, store, trusted, operators, advance)
            rebuilder.remarks += [text for text in (remark, doubt) if text]
            verification = verify(found, declared, rebuilder)
    if output is Output.JSON:
        print_json(_report(declared, made, verification))
    elif verification.outcome == "no such prediction":
        typer.echo(f"riverrun: {prediction}: no such prediction: {verification.reason}", err=True)
    else:
        _print(declared, made, verification)
    raise typer.Exit(_CODES[verification.outcome])


def _past(settings: "Settings", pipeline: "Pipeline") -> "tuple[SnapshotStore | None, TrustedKeys | None, str]":
    """Return where snapshots are and whose are believed; what is missing of that leaves the log, and a remark."""
    from schemas import topics
    from schemas.errors import ConfigurationError
    from services.topics import partition_counts
    from streams.worker.keys import load_trusted
    from streams.worker.stores.opening import open_snapshots

    try:
        trusted = load_trusted(settings.trusted_keys)
    except ConfigurationError as error:
        return None, None, f"no snapshot is believed, nor is known what workers passed over: {error}"
    manifests = topics.manifests(pipeline.name)
    if settings.snapshot_store == "kafka" and manifests not in partition_counts(settings):
        return None, None, f"there are no snapshots: no topic {manifests}, and RIVERRUN_SNAPSHOT_STORE is kafka"
    try:
        return open_snapshots(settings, pipeline.name), trusted, ""
    except ConfigurationError as error:
        return None, None, f"there are no snapshots, nor is known what workers passed over: {error}"


def _operators(settings: "Settings") -> "tuple[Operators | None, str]":
    """Return whose commands are obeyed, None where that is not known here, and a remark that says so."""
    from schemas.errors import ConfigurationError
    from streams.worker.keys import load_operators

    try:
        return load_operators(settings), ""
    except ConfigurationError as error:
        return None, f"commands are obeyed whoever signed them: {error}"


# ------------------------------------------------------------------ what is shown


def _print(pipeline: "Pipeline", found: "Found | None", verification: "Verification") -> None:
    for name, text in _account(pipeline, found, verification):
        typer.echo(f"{name:<14}{text}")
    for difference in verification.differences:
        typer.echo(f"{difference.field:<14}{difference.found}, made again: {difference.rebuilt}")
    for remark in verification.remarks:
        typer.echo(f"{'remark':<14}{remark}")
    typer.secho(verification.outcome, fg=_COLOURS.get(verification.outcome, "yellow"), bold=True, nl=False)
    typer.echo(f": {verification.reason}" if verification.reason else "")


def _account(pipeline: "Pipeline", found: "Found | None", verification: "Verification") -> Iterator[tuple[str, str]]:
    """Yield what was done, line by line."""
    if found is not None:
        fields = found.fields
        yield "prediction", f"{found.record.position}: {fields.get('prediction')}, score {fields.get('score')}"
        yield "event", f"{found.cause}, id {fields.get('id')}"
        learned = counted(fields.get("learned", 0), "example")
        yield "model", f"{fields.get('model')} {fields.get('version')}, {learned} learned"
        here = "" if fields.get("declaration") == pipeline.declaration else f", here {pipeline.declaration}"
        yield "declaration", f"{fields.get('declaration')}{here}"
    rebuilt = verification.rebuilt
    if rebuilt is not None:
        yield "rebuilt from", _base_in_words(rebuilt.snapshot)
        yield "replayed", f"{counted(rebuilt.replayed, 'record')} in {rebuilt.seconds:.2f} s"


def _base_in_words(snapshot: "Manifest | None") -> str:
    from schemas.cloudevents import format_time

    if snapshot is None:
        return "the beginning of the log"
    identity, age = snapshot.identity, _duration(time.time() - snapshot.time / 1000)
    taken = format_time(snapshot.time)
    return f"the snapshot at {identity.topic}[{identity.partition}]@{snapshot.next}, taken {taken}, {age} ago"


def _duration(seconds: float) -> str:
    """Return a time in the largest unit of which there are two.

    Examples
    --------
    >>> _duration(5.2), _duration(150), _duration(198_000)
    ('5 s', '2 min', '55 h')
    """
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length and (unit != "days" or seconds >= 3 * length):
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _report(pipeline: "Pipeline", found: "Found | None", verification: "Verification") -> dict[str, Any]:
    import msgspec

    rebuilt = verification.rebuilt
    snapshot = None if rebuilt is None else rebuilt.snapshot
    return {
        "outcome": verification.outcome,
        "reason": verification.reason,
        "pipeline": pipeline.name,
        "declaration": pipeline.declaration,
        "position": None if found is None else str(found.record.position),
        "event": None if found is None else str(found.cause),
        "found": None if found is None else found.fields,
        "rebuilt": None if rebuilt is None else msgspec.to_builtins(rebuilt.prediction),
        "differences": msgspec.to_builtins(verification.differences),
        "snapshot": None if snapshot is None else {"position": snapshot.next, "time": snapshot.time},
        "replayed": None if rebuilt is None else rebuilt.replayed,
        "seconds": None if rebuilt is None else round(rebuilt.seconds, 3),
        "remarks": verification.remarks,
    }


@contextmanager
def slow_progress() -> "Iterator[Advance]":
    """Show how far something is that takes more than a second, on a terminal."""
    began = time.monotonic()
    with ExitStack() as shown:
        update: Callable[[str, int, int], None] | None = None

        def advance(what: str, done: int, total: int) -> None:
            nonlocal update
            if update is None and sys.stderr.isatty() and time.monotonic() - began > _QUIET_SECONDS:
                update = shown.enter_context(_bar())
            if update is not None:
                update(what, done, total)

        yield advance


@contextmanager
def _bar() -> Iterator[Callable[[str, int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("")
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)
