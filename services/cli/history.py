"""``riverrun history``: who served, from when to when, and why."""

from typing import Annotated

import typer

from services.champion_history import held, held_back
from services.champion_history import history as told
from services.cli.answers import all_lifecycle_events
from services.cli.history_lines import HEADINGS, describe_held, describe_held_back, listed
from services.cli.options import NamedPipelineArgument, Output, OutputOption, ServersOption, settings_of
from services.cli.printing import print_json, print_table
from services.loading import pipeline_topic


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("history", epilog="Example: riverrun history flights --partition 0")(history)


def history(
    pipeline: NamedPipelineArgument,
    partition: Annotated[int | None, typer.Option(min=0, help="Only this one; else all.", show_default=False)] = None,
    servers: ServersOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show each change of the champion: when, from whom to whom, and what spoke for it.

    Orders to freeze, pin and resume are among them. At the end it is said what is frozen or pinned still, and how many
    better models were held back.
    """
    from services.topics import require_topic

    settings = settings_of(servers)
    if partition is not None:
        there = require_topic(settings, pipeline_topic(pipeline, "predictions"))
        if partition >= there:
            raise typer.BadParameter(f"--partition: got {partition}, expected less than {there}")
    events = [event for event in all_lifecycle_events(settings, pipeline) if partition in (None, event["partition"])]
    rows = told(events)
    if output is Output.JSON:
        print_json(rows)
        return
    if rows:
        print_table(HEADINGS, [listed(row) for row in rows], prose=True)
    else:
        typer.echo("nothing has changed: the first champion serves")
    for line in describe_held(held(rows), pipeline):
        typer.echo(line)
    if counts := held_back(events):
        typer.echo(describe_held_back(counts, pipeline))
