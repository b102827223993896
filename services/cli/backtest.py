"""``riverrun backtest``: what a worker would have answered."""

import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.errors import FAILED
from services.cli.laboratory import Asked, EngineName, LossName, experiment, tell_keyless
from services.cli.options import KeyFieldOption, Output, OutputOption, ServersOption, check_file, check_output
from services.cli.printing import open_lines, print_json, progress
from services.cli.reading import is_offset
from services.describing import describe_lifecycle
from services.loading import load_pipeline

if TYPE_CHECKING:
    from services.backtest import Backtest

_COMPARING = "Comparing"
_UNIT = "before and after: absolute residual over a unit, at most 1 (docs/backtest.md), in other units than the metrics"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "backtest",
        epilog="Example: riverrun backtest events.jsonl examples/flights.py:pipeline --policy declared,pool",
    )(backtest)


def backtest(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="JSON lines; - reads standard input. None with --topic.", show_default=False
        ),
    ],
    pipelines: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PIPELINE...",
            help="The declaration: FILE.py:NAME or MODULE:NAME; several are compared.",
            show_default=False,
        ),
    ] = None,
    key_field: KeyFieldOption = None,
    partition: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Which partition the file stands for; 0 unless given. Comparing, all with --key-field or --topic.",
            show_default=False,
        ),
    ] = None,
    partitions: Annotated[int, typer.Option(min=1, help="How many partitions there are.")] = 1,
    predictions: Annotated[
        Path | None, typer.Option(metavar="OUT.jsonl", help="Write each prediction there.", show_default=False)
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME,…",
            help="Compare policies: declared, observe-only, reset-on-drift, background-challenger, champion-versions, "
            "pool; with parameters as pool:alpha=0.01.",
            show_default=False,
            rich_help_panel=_COMPARING,
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE.py:NAME,…",
            help="Compare with other River models, or whole pipelines; repeatable.",
            show_default=False,
            rich_help_panel=_COMPARING,
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="TITLE",
            help="Combination that the others are held against; else the first.",
            show_default=False,
            rich_help_panel=_COMPARING,
        ),
    ] = None,
    loss: Annotated[
        LossName | None,
        typer.Option(
            help="Loss of classes that is compared; else zero-one.", show_default=False, rich_help_panel=_COMPARING
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="REPORT.html",
            help="Write a report there, one file.",
            show_default=False,
            rich_help_panel=_COMPARING,
        ),
    ] = None,
    topic: Annotated[
        str | None,
        typer.Option(help="Read a topic in place of a file.", show_default=False, rich_help_panel=_COMPARING),
    ] = None,
    start: Annotated[
        str,
        typer.Option(
            "--from", metavar="WHERE", help="beginning, an offset, or -N, by partition.", rich_help_panel=_COMPARING
        ),
    ] = "beginning",
    end: Annotated[
        str,
        typer.Option("--to", metavar="WHERE", help="end, an offset (not read), or -N.", rich_help_panel=_COMPARING),
    ] = "end",
    servers: ServersOption = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Combinations at a time; else one a core.", show_default=False, rich_help_panel=_COMPARING
        ),
    ] = None,
    engine: Annotated[
        EngineName | None,
        typer.Option(help="Where they are played; else processes.", show_default=False, rich_help_panel=_COMPARING),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Of a dask cluster.", show_default=False, rich_help_panel=_COMPARING),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Fold recorded events through the pipeline, as a worker does with a partition, and report.

    With --key-field, only those records are taken that `riverrun send` would put into the partition.

    With several pipelines, or any of the options for comparing, each combination of pipeline, model and policy is
    folded in a process of its own, and they are held against each other on the same events: docs/backtest.md.
    """
    if topic is None and partition is not None and partition >= partitions:
        raise typer.BadParameter(f"--partition: got {partition}, expected less than --partitions {partitions}")
    paths = [file, *(pipelines or ())] if topic is not None else list(pipelines or ())
    if topic is None:
        check_file(Path(file))
    if not paths:
        raise typer.BadParameter("got no PIPELINE, expected FILE.py:NAME or MODULE:NAME behind the FILE")
    for option, written in (("--predictions", predictions), ("--html", html)):
        check_output(option, written, [file, *paths, *(name for names in model or () for name in names.split(","))])
    asks = (policy, model, baseline, loss, html, topic, workers, engine, scheduler)
    if len(paths) == 1 and all(option is None for option in asks):
        if (start, end) != ("beginning", "end"):
            raise typer.BadParameter("--from, --to: got a file, expected --topic with them")
        _fold(Path(file), paths[0], key_field, partition or 0, partitions, predictions, output)
        return
    _check_comparing(topic, key_field, predictions, start, end)
    experiment(
        Asked(
            file=Path(file) if topic is None else None,
            pipelines=paths,
            models=model or [],
            policies=policy or [],
            topic=topic,
            start=start,
            end=end,
            servers=servers,
            key_field=key_field,
            partition=partition,
            partitions=partitions,
            loss=loss or LossName.ZERO_ONE,
            baseline=baseline,
            workers=workers,
            engine=engine or EngineName.PROCESSES,
            scheduler=scheduler,
            html=html,
            output=output,
            command=sys.argv[1:],
        )
    )


def _check_comparing(topic: str | None, key_field: str | None, predictions: Path | None, start: str, end: str) -> None:
    """Refuse options that do not go together."""
    if predictions is not None:
        raise typer.BadParameter("--predictions: got several combinations, expected a FILE, one PIPELINE and no more")
    if topic is None and (start, end) != ("beginning", "end"):
        raise typer.BadParameter("--from, --to: got a file, expected --topic with them")
    if _is_reversed(start, end):
        raise typer.BadParameter(f"--from, --to: got {start} and {end}, expected --to at or behind --from")
    if topic is not None and key_field is not None:
        raise typer.BadParameter("--key-field: got a topic, whose records have their keys, expected a file with it")


def _is_reversed(start: str, end: str) -> bool:
    """Tell whether a stretch ends before it begins, whatever the topic holds.

    Examples
    --------
    >>> _is_reversed("50", "10"), _is_reversed("-5", "-10"), _is_reversed("50", "-10"), _is_reversed("50", "end")
    (True, True, False, False)
    """
    return (
        is_offset(start) and is_offset(end) and start.startswith("-") == end.startswith("-") and int(start) > int(end)
    )


def _fold(
    file: Path,
    pipeline: str,
    key_field: str | None,
    partition: int,
    partitions: int,
    predictions: Path | None,
    output: Output,
) -> None:
    """Fold one file through one pipeline and report."""
    declared = load_pipeline(pipeline)
    import msgspec

    from schemas.errors import InvariantError
    from schemas.events import PredictionMade
    from schemas.lines import other_format
    from services.backtest import Backtest
    from services.laboratory.source import KeyCount, partition_records

    test, keys = Backtest(declared, partition=partition, partitions=partitions), KeyCount()
    began = time.perf_counter()
    encode = msgspec.json.Encoder().encode
    with (
        open_lines(file) as lines,
        predictions.open("wb") if predictions else nullcontext() as out,
        progress(f"folding through {declared.name}", file) as advance,
    ):
        for _, events in test.run(
            partition_records(_counted(lines, advance), declared.source_topic, key_field, partition, partitions, keys)
        ):
            if out is not None:
                out.writelines(encode(event) + b"\n" for event in events if isinstance(event, PredictionMade))
    report = _report(test, time.perf_counter() - began)
    print_json(report) if output is Output.JSON else _print(report, test)
    tell_keyless(keys, key_field)
    _tell_entities(test)
    books = test.task.books
    if not books.balanced:
        raise InvariantError(f"books: got {books.read} records read, expected the sum of their outcomes {books.count}")
    if not test.digest.count and (key_field is None or partitions == 1):  # of a share there may be no record
        form = other_format(test.first_dead_letters[0].record.value or b"") if test.first_dead_letters else ""
        why = f": {form}" if form else ""
        typer.echo(f"{file}: got {books.read} records and no event among them that could be scored{why}", err=True)
        raise typer.Exit(FAILED)


def _unlabelled(test: "Backtest") -> str:
    """Say why no answer has got its label, where events were scored."""
    from streams.accounting import OUTCOMES

    label, count = test.task.pipeline.label, test.task.books.count
    if label is None or not count["scored"]:
        return ""
    if not label.comes_late:
        return f": no event has a value in {label.name!r}; labels that come later need a ttl"
    outcome = max((name for name in OUTCOMES if name.startswith("label_")), key=count.__getitem__)
    return f": {count[outcome]} {OUTCOMES[outcome]}" if count[outcome] else ": no label was among the records"


def _tell_entities(test: "Backtest") -> None:
    """Say what keeps the models of entities from answering."""
    if getattr(test.task.lifecycle.champion.model, "entities", {}).keys() == {""}:
        typer.echo("no record has a key: one entity has learned all. --key-field names the field that is it", err=True)
    counted = _entities(test)
    if counted and counted["answered"] and not counted["answered_by_own"]:
        typer.echo(
            f"no entity has learned min_learned={counted['min_learned']} examples, the most is "
            f"{counted['most_learned']}: the shared model has answered all. A smaller one, "
            "model_per=PerKey(min_learned=…), lets their own models answer",
            err=True,
        )


def _entities(test: "Backtest") -> dict[str, int] | None:
    """Return how many entities there are, and how many events their own models have answered; None without them."""
    from streams.per_key import PerKey

    task, count, per_key = test.task, test.task.books.count, test.task.pipeline.model_per
    if not isinstance(per_key, PerKey):
        return None
    learned = getattr(task.lifecycle.champion.model, "learned", {})
    return {
        "count": len(learned),
        "answered": count["scored"],
        "answered_by_own": count["scored"] - count["shared_answered"],
        "most_learned": max(learned.values(), default=0),
        "min_learned": per_key.min_learned,
    }


def _full(test: "Backtest") -> dict[str, int]:
    """Return the bound of each feature that has had more categories than it may, as far as one knows."""
    return test.task.preprocessor.full if test.task.books.count["other_category"] else {}


def _counted(lines: Any, advance: Any) -> Iterator[bytes]:
    for line in lines:
        advance(len(line))
        yield line


def _report(test: "Backtest", seconds: float) -> dict[str, Any]:
    import msgspec

    from streams.accounting import OUTCOMES, REMARKS

    task, count = test.task, test.task.books.count
    estimate = task.watcher.estimated if task.watcher else {}
    values = task.evaluation.values
    entities = _entities(test)
    return {
        "pipeline": task.pipeline.name,
        "declaration": task.pipeline.declaration,
        "records": task.books.read,
        "seconds": round(seconds, 3),
        "records_per_second": round(task.books.read / seconds) if seconds else 0,
        "outcomes": {name: count[name] for name in OUTCOMES if count[name]},
        "remarks": {name: count[name] for name in REMARKS if count[name]},
        "balanced": task.books.balanced,
        **({"categories_full": full} if (full := _full(test)) else {}),
        **({} if entities is None else {"entities": entities}),
        "metrics": {**(values if task.evaluation.count else dict.fromkeys(values)), **estimate},
        **({"metrics_without_value": failures} if (failures := task.evaluation.failures) else {}),
        "dead_letters": dict(test.dead_letters),
        "first_dead_letters": [
            {"offset": letter.record.offset, "stage": letter.stage, "reason": letter.reason}
            for letter in test.first_dead_letters
        ],
        "lifecycle": [{"type": event.type, **msgspec.to_builtins(event)} for event in test.lifecycle],
        "predictions": test.digest.count,
        "digest": test.digest.hexdigest(),
    }


def _print(report: dict[str, Any], test: "Backtest") -> None:
    import msgspec

    from schemas.events import DriftWarned
    from streams.accounting import OUTCOMES, REMARKS

    typer.echo(f"{report['records']} records in {report['seconds']:.1f} s, {report['records_per_second']} records/s")
    for name, count in {**report["outcomes"], **report["remarks"]}.items():
        typer.echo(f"  {count:>9}  {name:<16} {(OUTCOMES | REMARKS)[name]}")
    for stage, count in report["dead_letters"].items():
        typer.echo(f"  {count:>9}  dead letters at stage {stage}")
    for letter in report["first_dead_letters"]:
        typer.echo(f"    offset {letter['offset']}: {letter['reason']}")
    for name, bound in report.get("categories_full", {}).items():
        typer.echo(f"feature {name}: max_categories={bound:,} was reached, further values are __other__ to the model")
    if entities := report.get("entities"):
        own = f"{entities['answered_by_own']} of {entities['answered']}"
        typer.echo(f"answered by the entities' own models: {own}; entities: {entities['count']}")
    for name, error in report.get("metrics_without_value", {}).items():
        typer.echo(f"{name}: no value, it raised {error}")
    why = _unlabelled(test)
    for name, value in report["metrics"].items():
        typer.echo(f"{name}: no answer has got its label{why}" if value is None else f"{name}: {value:.4f}")
    for event in test.lifecycle:
        line = describe_lifecycle(event.type, msgspec.to_builtins(event))
        typer.echo(line if event.time else line.split("  ", 1)[1])  # a bare line has no time
    if test.task.pipeline.kind == "regression" and any(isinstance(event, DriftWarned) for event in test.lifecycle):
        typer.echo(_UNIT)
    typer.echo(f"{report['predictions']} predictions, digest {report['digest']}, declaration {report['declaration']}")
