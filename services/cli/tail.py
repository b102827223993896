"""``riverrun tail``: what comes out of a pipeline."""

from enum import StrEnum
from itertools import islice
from typing import Annotated

import typer

from services.cli.options import NamedPipelineArgument, Output, OutputOption, ServersOption, settings_of
from services.cli.printing import print_json_line
from services.cli.reading import first_offset, read
from services.cli.showing import as_line, as_object
from services.describing import printable
from services.loading import pipeline_topic

_NEWEST = 10


class Which(StrEnum):
    """The topics of a pipeline."""

    PREDICTIONS = "predictions"
    LIFECYCLE = "lifecycle"
    DEAD_LETTERS = "dead-letters"
    RAW = "raw"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("tail", epilog="Example: riverrun tail predictions flights --from beginning -n 3")(tail)


def tail(
    which: Annotated[
        Which, typer.Argument(metavar="TOPIC", help="predictions, lifecycle, dead-letters or raw.", show_default=False)
    ],
    pipeline: NamedPipelineArgument,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="beginning|end|OFFSET|-N",
            help="Where to begin in each partition; -N: its newest N. Else the newest 10, or as many as -n says.",
            show_default=False,
        ),
    ] = None,
    count: Annotated[
        int | None, typer.Option("-n", min=1, help="Stop after so many; else follow until Ctrl-C.", show_default=False)
    ] = None,
    ends: Annotated[
        bool, typer.Option("--no-follow", help="Stop at the end, too, as it is when reading begins.")
    ] = False,
    servers: ServersOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Follow predictions, lifecycle events, dead letters or the input of a pipeline.

    With --output json each record is one line: position, time, key, headers and value.
    """
    start = start or f"-{count or _NEWEST}"
    try:
        first_offset(start, 0, 0)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    settings = settings_of(servers)
    records = read(settings, pipeline_topic(pipeline, which), start, follow=not ends)
    try:
        for record in islice(records, count):
            if output is Output.JSON:
                print_json_line(as_object(record))
            else:
                typer.echo(printable(as_line(record, which)))
    except KeyboardInterrupt:
        pass
    finally:
        records.close()
