"""``riverrun models``: who serves, and what operators want of it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli import kept
from services.cli.answers import REFUSED, answers_to
from services.cli.errors import FAILED
from services.cli.loading import pipeline_name, pipeline_topic
from services.cli.options import (
    NamedPipelineArgument,
    Output,
    OutputOption,
    ServersOption,
    settings_of,
    user_name,
)
from services.cli.printing import print_json, print_table
from services.cli.reading import read
from services.cli.showing import body_of, describe_lifecycle, headers_of

if TYPE_CHECKING:
    from schemas.commands import Command
    from streams.worker.settings import Settings

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

PartitionsOption = Annotated[
    list[int] | None,
    typer.Option("--partition", min=0, help="Only there; may be given again. Else in all.", show_default=False),
]
ExpectOption = Annotated[
    str | None,
    typer.Option(
        "--expect",
        metavar="VERSION",
        help="The champion it is meant for; any: whichever serves. Else that of the newest predictions.",
        show_default=False,
    ),
]
WhyOption = Annotated[str, typer.Option(help="For those who read the log later.")]
WaitOption = Annotated[
    float, typer.Option(metavar="SECONDS", min=0, help="How long to wait for the answers of the partitions.")
]


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
    app.add_typer(commands, name="models")


def ls(pipeline: NamedPipelineArgument, servers: ServersOption = None, output: OutputOption = Output.TEXT) -> None:
    """Show who serves in each partition, as its newest prediction says."""
    rows = [
        {name: body[name] for name in ("partition", "version", "model", "learned", "offset", "declaration")}
        for body in _newest_predictions(settings_of(servers), pipeline).values()
    ]
    if output is Output.JSON:
        print_json(rows)
        return
    print_table(["partition", "champion", "model", "learned", "at offset"], [[*row.values()][:5] for row in rows])


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
    """Let another model serve; a refusal names those that could."""
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
    """Let a model serve again that has served before."""
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

        make = {"retrain": Retrain, "freeze": Freeze, "pin": Pin, "resume": Resume}[name]
        _order(make, pipeline, partition, expect, why, wait, servers, output)

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
    from services.commanding import send
    from services.topics import require_topic

    settings, name, topic = settings_of(servers), pipeline_name(pipeline), pipeline_topic(pipeline, "raw")
    partitions = range(require_topic(settings, topic))
    for number in wanted or ():
        if number not in partitions:
            raise typer.BadParameter(f"--partition: got {number}, expected less than {len(partitions)}: {topic}")
    seen = _newest_predictions(settings, pipeline) if expect is None else {}
    who = user_name()
    commands = {
        number: make(
            pipeline=name,
            expected=seen[number]["version"] if number in seen else expect if expect not in (None, "any") else "",
            who=who,
            why=why,
        )
        for number in wanted or partitions
    }
    sent = send(settings, topic, commands, "models")
    if output is Output.TEXT:
        typer.echo("written to " + ", ".join(f"{topic}[{p}]@{o}" for p, o in sorted(sent.offsets.items())))
    answers = answers_to(settings, pipeline, sent.id, set(commands), wait)
    silent = sorted(set(commands) - answers.keys())
    if output is Output.JSON:
        told = [{"type": kind, **body} for kind, body in answers.values()]
        print_json({"command": sent.id, "answers": told, "silent": silent})
    else:
        for kind, body in answers.values():
            typer.echo(describe_lifecycle(kind, body))
        for number in silent:
            typer.echo(
                f"{topic}[{number}]: no answer in {wait:g} s; it is obeyed when a worker reads that far", err=True
            )
    if silent or any(kind == REFUSED for kind, _ in answers.values()):
        raise typer.Exit(FAILED)


def _newest_predictions(settings: "Settings", pipeline: str) -> dict[int, dict[str, Any]]:
    """Return the newest prediction of each partition that has any."""
    found: dict[int, dict[str, Any]] = {}
    for record in read(settings, pipeline_topic(pipeline, "predictions"), "-1", follow=False):
        body = body_of(record, headers_of(record))
        if isinstance(body, dict) and "version" in body:
            found[record.partition] = body
    return dict(sorted(found.items()))
