"""``riverrun drift``: why a drift was seen, and what was made of it."""

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.champion_history import without_drift
from services.cli.answers import all_lifecycle_events
from services.cli.drift_lines import HEADINGS, listed
from services.cli.options import NamedPipelineArgument, Output, OutputOption, ServersOption, settings_of
from services.cli.printing import counted, print_json, print_table
from services.describing import describe_lifecycle, describe_moved
from services.loading import load_pipeline

if TYPE_CHECKING:
    from services.drift_story import Story
    from services.loss_curve import Bin, LossCurve
    from streams.worker.settings import Settings

_EXAMPLE = "Example: riverrun drift show examples/flights.py:pipeline 0@1042"
_SHOWN = 20
_BAR = 24
_NAME_ONLY = "labels cannot be read: name the declaration as FILE.py:NAME, it says where in a record the label is"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(help="Drifts: why they were seen, what came of them.", epilog=_EXAMPLE, no_args_is_help=True)
    commands.command("ls", epilog="Example: riverrun drift ls flights --partition 0")(ls)
    commands.command("show", epilog=_EXAMPLE)(show)
    app.add_typer(commands, name="drift")


def ls(
    pipeline: NamedPipelineArgument,
    partition: Annotated[int | None, typer.Option(min=0, help="Only this one; else all.", show_default=False)] = None,
    last: Annotated[int, typer.Option(metavar="N", min=1, help="The newest so many.")] = 50,
    servers: ServersOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """List drifts, and warnings that were taken back: where, when, what moved, and what came of it."""
    from services.drift_story import drifts

    events = all_lifecycle_events(settings_of(servers), pipeline)
    events = [event for event in events if partition in (None, event["partition"])]
    told = drifts(events, last)
    if output is Output.JSON:
        print_json([{**drift, "consequences": consequences} for drift, consequences in told])
        return
    if told:
        print_table(HEADINGS, [listed(drift, consequences) for drift, consequences in told], prose=True)
    if changes := len(without_drift(events)):
        by_evidence = f"{counted(changes, 'change')} of the champion by evidence"
        said = f"{by_evidence}, without a drift" if told else f"no drift was detected; {by_evidence}"
        typer.echo(f"{said}: riverrun history {pipeline}")
    elif not told:
        typer.echo("no drift was seen")


def show(
    pipeline: NamedPipelineArgument,
    drift: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="A position, 0@1042 as ls has it, or flights.raw[0]@1042; else as the lifecycle topic has it, "
            "flights.raw-0-1042/drift.detected, or an end of it that no other has.",
            show_default=False,
        ),
    ],
    servers: ServersOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show why a drift was seen: what moved, what the policy made of it, and the loss before and after.

    The loss needs the declaration (FILE.py:NAME), and is made of predictions and labels around the change, of 20,000
    offsets at most. Nothing is replayed.
    """
    from services.drift_story import find, story

    settings = settings_of(servers)
    events = all_lifecycle_events(settings, pipeline)
    try:
        told = story(events, find(events, drift))
    except LookupError as error:
        raise typer.BadParameter(f"{drift}: {error}") from None
    curve = _curve(settings, pipeline, told)
    if output is Output.JSON:
        import msgspec

        print_json({**msgspec.to_builtins(told), "curve": msgspec.to_builtins(curve)})
        return
    for name, text in _account(told):
        typer.echo(f"{name:<10}{text}")
    _print_curve(told, curve)


def _curve(settings: "Settings", pipeline: str, told: "Story") -> "LossCurve":
    from services.loss_curve import LossCurve, loss_curve
    from services.verification.logs import KafkaLogs

    if ":" not in pipeline and not pipeline.endswith(".py"):
        return LossCurve("", [], None, None, _NAME_ONLY)
    declared = load_pipeline(pipeline)
    with closing(KafkaLogs(settings)) as logs:
        return loss_curve(declared, logs, told.drift, _change_of(told.drift))


def _change_of(drift: dict[str, Any]) -> int:
    """Return the offset of the last event before a change."""
    return int(drift["change_offset"] if "change_offset" in drift else drift["window_offset"] - 1)


# ------------------------------------------------------------------ what is shown


def _account(told: "Story") -> Iterator[tuple[str, str]]:
    """Yield the story line by line."""
    from schemas.cloudevents import format_time

    drift = told.drift
    yield "drift", f"{drift['type'].removeprefix('riverrun.drift.')}  {drift['id']}"
    yield "at", f"{told.source}[{drift['partition']}]@{drift['offset']}, {format_time(drift['time'])}"
    yield "champion", drift["version"]
    yield from _what(drift)
    if told.warning is not None:
        yield "warned", _line(told.warning)
    for event in told.inputs[-_SHOWN:]:
        yield "inputs", _line(event)
    for event in told.consequences[:_SHOWN]:
        yield "already" if event["offset"] < drift["offset"] else "then", _line(event)
    if not told.consequences:
        yield "then", "nothing, up to now"
    if (more := len(told.consequences) - _SHOWN) > 0:
        yield "then", f"{counted(more, 'more event')}, see --output json"


def _line(event: dict[str, Any]) -> str:
    return describe_lifecycle(event["type"], {name: value for name, value in event.items() if name != "type"})


def _what(drift: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what was seen to change.

    Examples
    --------
    >>> fields = {"signal": "loss", "before": 0.1, "after": 0.25, "width": 96, "change_offset": 7, "delta": 0.002}
    >>> dict(_what({**fields, "segment": "UA"}))
    {'loss': '0.1 → 0.25 over 96 labels behind offset 7, delta 0.002', 'segment': 'UA'}
    """
    if "moved" in drift:
        where = f"in the window {drift['window_offset']}..{drift['window_end']}, false discovery rate {drift['rate']:g}"
        yield "moved", f"{drift['count']} of {drift['watched']} signals {where}"
        for signal in drift["moved"]:
            yield "", f"{describe_moved(signal)}, against what came from {signal['reference_offset']} on"
        return
    moved = f"{drift['before']:.4g} → {drift['after']:.4g} over {counted(drift['width'], 'label')}"
    yield drift["signal"], f"{moved} behind offset {drift['change_offset']}, delta {drift['delta']:g}"
    if drift.get("segment"):
        yield "segment", drift["segment"]


def _print_curve(told: "Story", curve: "LossCurve") -> None:
    if curve.bins:
        of = f" of segment {curve.segment}" if curve.segment else ""
        before, after = (_loss(mean) for mean in (curve.before, curve.after))
        typer.echo(f"\nmean {curve.loss} loss of the answers{of}, {before} before the change, {after} behind it:\n")
        largest = max((one.loss or 0.0 for one in curve.bins), default=0.0)
        rows = [_row(one, largest, told.drift) for one in curve.bins]
        print_table(["from offset", "labels", "loss", "", "champion", ""], rows)
    if curve.remark:
        typer.echo(f"{'remark':<10}{curve.remark}")


def _row(one: "Bin", largest: float, drift: dict[str, Any]) -> list[str]:
    marks = ["change"] if one.start == _change_of(drift) + 1 else []
    marks += ["seen"] if one.start <= drift["offset"] < one.end else []
    bar = "█" * round(_BAR * (one.loss or 0.0) / largest) if largest else ""
    champions = " ".join(one.versions)
    return [
        str(one.start),
        str(one.labelled),
        _loss(one.loss),
        bar,
        champions,
        ", ".join(marks) and f"◀ {', '.join(marks)}",
    ]


def _loss(mean: float | None) -> str:
    return "-" if mean is None else f"{mean:.3f}"
