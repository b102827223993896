"""``riverrun history``: who served, from when to when, and why."""

from typing import Annotated, Any

import typer

from services.cli.answers import lifecycle_events
from services.cli.loading import pipeline_topic
from services.cli.options import NamedPipelineArgument, Output, OutputOption, ServersOption, settings_of
from services.cli.printing import print_json, print_table

CHANGES = ("riverrun.model.promoted", "riverrun.model.rolled-back", "riverrun.model.retrained")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("history", epilog="Example: riverrun history flights --partition 0")(history)


def history(
    pipeline: NamedPipelineArgument,
    partition: Annotated[int | None, typer.Option(min=0, help="Only this one; else all.", show_default=False)] = None,
    servers: ServersOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show each change of the champion: when, from whom to whom, and what spoke for it."""
    from services.topics import require_topic

    settings = settings_of(servers)
    if partition is not None:
        there = require_topic(settings, pipeline_topic(pipeline, "predictions"))
        if partition >= there:
            raise typer.BadParameter(f"--partition: got {partition}, expected less than {there}")
    told: dict[int, list[dict[str, Any]]] = {}
    for kind, body in lifecycle_events(settings, pipeline, "beginning"):
        if kind in CHANGES and partition in (None, body["partition"]):
            told.setdefault(body["partition"], []).append({"type": kind, **body})
    rows = [row for number in sorted(told) for row in _without_repetition(told[number])]
    if output is Output.JSON:
        print_json(rows)
        return
    if not rows:
        typer.echo("nothing has changed: the first champion serves")
        return
    print_table(["partition", "time", "offset", "what", "from", "to", "why"], [_line(row) for row in rows])


def _without_repetition(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out what `model.promoted` says again of the same change."""
    promoted = {(e["offset"], e["version"]) for e in events if e["type"] == "riverrun.model.promoted"}
    return [
        e for e in events if not (e["type"] == "riverrun.model.retrained" and (e["offset"], e["version"]) in promoted)
    ]


def _line(row: dict[str, Any]) -> list[str]:
    from schemas import cloudevents as ce

    to = row["version"] + (f" ({row['restored']})" if row.get("restored", row["version"]) != row["version"] else "")
    kind = row["type"].removeprefix("riverrun.model.")
    return [
        str(row["partition"]),
        ce.format_time(row["time"]),
        str(row["offset"]),
        kind,
        row["replaced"],
        to,
        _why(row),
    ]


def _why(row: dict[str, Any]) -> str:
    """Return in words what spoke for a change.

    Examples
    --------
    >>> _why({"evidence": 57.0, "events": 20, "loss": 0.1, "replaced_loss": 0.5, "reason": ""})
    'loss 0.1 instead of 0.5 on 20 events (e-value 57)'
    >>> _why({"reason": "flights.raw-0-7/drift.detected"})
    'flights.raw-0-7/drift.detected'
    """
    if not row.get("evidence"):
        return str(row["reason"])
    losses = f"loss {row['loss']:.2g} instead of {row['replaced_loss']:.2g}"
    return f"{losses} on {row['events']} events (e-value {row['evidence']:.3g})"
