"""``riverrun backtest``: what a worker would have answered."""

import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.loading import load_pipeline
from services.cli.options import FileArgument, KeyFieldOption, Output, OutputOption, PipelineArgument
from services.cli.printing import open_lines, print_json, progress
from services.cli.showing import describe_lifecycle

if TYPE_CHECKING:
    from schemas.record import Record
    from services.backtest import Backtest
    from streams.pipeline import Pipeline


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("backtest", epilog="Example: riverrun backtest events.jsonl examples/flights.py:pipeline")(backtest)


def backtest(
    file: FileArgument,
    pipeline: PipelineArgument,
    key_field: KeyFieldOption = None,
    partition: Annotated[int, typer.Option(min=0, help="Which partition the file stands for.")] = 0,
    partitions: Annotated[int, typer.Option(min=1, help="How many partitions there are.")] = 1,
    predictions: Annotated[
        Path | None, typer.Option(metavar="OUT.jsonl", help="Write each prediction there.", show_default=False)
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Fold recorded events through the pipeline, as a worker does with a partition, and report.

    With --key-field, only those records are taken that `riverrun send` would put into the partition.
    """
    if partition >= partitions:
        raise typer.BadParameter(f"--partition: got {partition}, expected less than --partitions {partitions}")
    declared = load_pipeline(pipeline)
    import msgspec

    from schemas.errors import InvariantError
    from schemas.events import PredictionMade
    from services.backtest import Backtest

    test = Backtest(declared, partition=partition, partitions=partitions)
    began = time.perf_counter()
    encode = msgspec.json.Encoder().encode
    with (
        open_lines(file) as lines,
        predictions.open("wb") if predictions else nullcontext() as out,
        progress(f"folding through {declared.name}", file) as advance,
    ):
        for _, events in test.run(_records(_counted(lines, advance), declared, key_field, partition, partitions)):
            if out is not None:
                out.writelines(encode(event) + b"\n" for event in events if isinstance(event, PredictionMade))
    report = _report(test, time.perf_counter() - began)
    print_json(report) if output is Output.JSON else _print(report, test)
    books = test.task.books
    if not books.balanced:
        raise InvariantError(f"books: got {books.read} records read, expected the sum of their outcomes {books.count}")


def _counted(lines: Any, advance: Any) -> Iterator[bytes]:
    for line in lines:
        advance(len(line))
        yield line


def _records(
    lines: Iterator[bytes], pipeline: "Pipeline", key_field: str | None, partition: int, partitions: int
) -> "Iterator[Record]":
    """Yield the file's records; with a key field, those whose home the partition is, at the offsets they get there."""
    from msgspec.structs import replace

    from schemas.lines import parse_line, records_of
    from schemas.murmur2 import home_partition

    records = records_of(lines, pipeline.source_topic, partition=partition)
    if key_field is None:
        yield from records
        return
    offset = 0
    for record in records:
        key = record.key
        if record.headers is None and record.value is not None:
            try:
                key = parse_line(record.value, key_field=key_field).key
            except ValueError:
                key = None
        if key is None or home_partition(key, partitions) == partition:
            yield replace(record, key=key, offset=offset)
            offset += 1


def _report(test: "Backtest", seconds: float) -> dict[str, Any]:
    from msgspec import structs

    from streams.accounting import OUTCOMES, REMARKS

    task, count = test.task, test.task.books.count
    return {
        "pipeline": task.pipeline.name,
        "declaration": task.pipeline.declaration,
        "records": task.books.read,
        "seconds": round(seconds, 3),
        "records_per_second": round(task.books.read / seconds) if seconds else 0,
        "outcomes": {name: count[name] for name in OUTCOMES if count[name]},
        "remarks": {name: count[name] for name in REMARKS if count[name]},
        "balanced": task.books.balanced,
        "metrics": task.evaluation.values,
        "dead_letters": dict(test.dead_letters),
        "lifecycle": [{"type": event.type, **structs.asdict(event)} for event in test.lifecycle],
        "predictions": test.digest.count,
        "digest": test.digest.hexdigest(),
    }


def _print(report: dict[str, Any], test: "Backtest") -> None:
    from msgspec import structs

    from streams.accounting import OUTCOMES, REMARKS

    typer.echo(f"{report['records']} records in {report['seconds']:.1f} s, {report['records_per_second']} records/s")
    for name, count in {**report["outcomes"], **report["remarks"]}.items():
        typer.echo(f"  {count:>9}  {name:<16} {(OUTCOMES | REMARKS)[name]}")
    for stage, count in report["dead_letters"].items():
        typer.echo(f"  {count:>9}  dead letters at stage {stage}")
    for name, value in report["metrics"].items():
        typer.echo(f"{name}: {value:.4f}")
    for event in test.lifecycle:
        typer.echo(describe_lifecycle(event.type, structs.asdict(event)))
    typer.echo(f"{report['predictions']} predictions, digest {report['digest']}, declaration {report['declaration']}")
