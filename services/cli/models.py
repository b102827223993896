"""``riverrun models``: who serves, and what operators want of it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli import importing, kept
from services.cli.answers import holds
from services.cli.options import NamedPipelineArgument, Output, OutputOption, ServersOption, settings_of
from services.cli.ordering import (
    ExpectOption,
    PartitionsOption,
    WaitOption,
    WhyOption,
    champions,
    conclude,
    issue,
)
from services.cli.printing import print_json, print_table

if TYPE_CHECKING:
    from schemas.commands import Command

HELP = (
    "The models of a pipeline. A command is written into the log of each partition and takes effect at its place "
    "there, behind what waits before it; it is refused where another champion serves by then than the one that was "
    "seen. "
    "Offsets of the input never move."
)

#: Commands that need no more than a partition, and what they do.
_PLAIN = {
    "retrain": "Start a fresh model beside the champion; it takes over when it has learned enough.",
    "freeze": "Score on and learn nothing, until resume.",
    "pin": "Keep the champion, whatever the evidence, until resume; it goes on learning.",
    "resume": "Learn again, and let evidence decide again.",
}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(help=HELP, epilog="Example: riverrun models ls flights", no_args_is_help=True)
    commands.command("ls", epilog="Example: riverrun models ls flights")(ls)
    commands.command("promote", epilog="Example: riverrun models promote flights v7 --partition 0")(promote)
    commands.command("rollback", epilog="Example: riverrun models rollback flights --to v1@1500")(rollback)
    for name, what in _PLAIN.items():
        commands.command(name, help=what, epilog=f"Example: riverrun models {name} flights --why 'a new season'")(
            _plain(name)
        )
    kept.register(commands)
    importing.register(commands)
    app.add_typer(commands, name="models")


def ls(pipeline: NamedPipelineArgument, servers: ServersOption = None, output: OutputOption = Output.TEXT) -> None:
    """Show who serves in each partition, as its newest prediction says, or a change behind it; and what holds it.

    What it had learned before that offset: the label of that event may have taught it one example more since.
    """
    settings = settings_of(servers)
    held = holds(settings, pipeline)
    names = ("partition", "version", "model", "learned", "offset", "declaration")
    rows = [
        {**{name: body[name] for name in names}, "held": sorted(held.get(partition, ()))}
        for partition, body in champions(settings, pipeline).items()
    ]
    if output is Output.JSON:
        print_json(rows)
        return
    if not rows:
        typer.echo("no partition has answered an event yet")
        return
    cells = [[*("" if row[name] is None else row[name] for name in names[:5]), ", ".join(row["held"])] for row in rows]
    print_table(["partition", "champion", "model", "learned before", "offset", "held"], cells)


def promote(
    pipeline: NamedPipelineArgument,
    model: Annotated[str, typer.Argument(help="Version of the model that is to serve.", show_default=False)],
    partition: PartitionsOption = None,
    expect: ExpectOption = None,
    why: WhyOption = "",
    wait: WaitOption = 30.0,
    servers: ServersOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Let another model serve; a refusal names those that could. Only ChampionVersions, Pool and a race keep others."""
    from schemas.commands import Promote

    _order(lambda **common: Promote(model=model, **common), pipeline, partition, expect, why, wait, servers, output)


def rollback(
    pipeline: NamedPipelineArgument,
    to: Annotated[str, typer.Option(help="Which model; else the one that served before.", show_default=False)] = "",
    partition: PartitionsOption = None,
    expect: ExpectOption = None,
    why: WhyOption = "",
    wait: WaitOption = 30.0,
    servers: ServersOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Let a model serve again that has served before; ChampionVersions, Pool and a race keep them."""
    from schemas.commands import RollBack

    _order(lambda **common: RollBack(to=to, **common), pipeline, partition, expect, why, wait, servers, output)


def _plain(name: str) -> "Callable[..., None]":
    """Return a command of `_PLAIN`."""

    def order(
        pipeline: NamedPipelineArgument,
        partition: PartitionsOption = None,
        expect: ExpectOption = None,
        why: WhyOption = "",
        wait: WaitOption = 30.0,
        servers: ServersOption = None,
        output: OutputOption = Output.TEXT,
    ) -> None:
        from schemas.commands import Freeze, Pin, Resume, Retrain

        kinds: dict[str, Callable[..., Command]] = {"retrain": Retrain, "freeze": Freeze, "pin": Pin, "resume": Resume}
        _order(kinds[name], pipeline, partition, expect, why, wait, servers, output)

    return order


def _order(
    make: "Callable[..., Command]",
    pipeline: str,
    wanted: list[int] | None,
    expect: str | None,
    why: str,
    wait: float,
    servers: str | None,
    output: Output,
) -> None:
    """Write a command and wait for its answers; exit code 1 where it was refused or not read in time."""
    conclude(issue(make, pipeline, wanted, expect, why, servers), wait, output)
