"""An operator's command: written to the partitions, and answered by them."""

from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from services.champion_history import CHANGES
from services.cli.answers import REFUSED, Answers, lifecycle_events, newest_of
from services.cli.errors import FAILED
from services.cli.options import Output, settings_of, user_name
from services.cli.printing import print_json
from services.cli.reading import read
from services.cli.showing import body_of, headers_of
from services.describing import describe_lifecycle
from services.loading import pipeline_name, pipeline_topic

if TYPE_CHECKING:
    from schemas.commands import Command
    from services.commanding import Sent
    from streams.worker.settings import Settings

PartitionsOption = Annotated[
    list[int] | None,
    typer.Option("--partition", min=0, help="Only there; may be given again. Else in all.", show_default=False),
]
ExpectOption = Annotated[
    str | None,
    typer.Option(
        "--expect",
        metavar="VERSION",
        help="The champion it is meant for; any: whichever serves. Else the one that models ls shows.",
        show_default=False,
    ),
]
WhyOption = Annotated[str, typer.Option(help="For those who read the log later.")]
WaitOption = Annotated[
    float, typer.Option(metavar="SECONDS", min=0, help="How long to wait for the answers of the partitions.")
]

#: Lifecycle events that tell who serves from there on, and what they tell of it.
_SERVES = (*CHANGES, "riverrun.declaration.changed")
_SAID = ("version", "learned", "offset", "declaration")
#: Says of the commands, by partition, that they cannot be written to a topic, by raising.
Check = Callable[["Settings", str, "dict[int, Command]"], None]


class Issued(NamedTuple):
    """A command that is in the log, and waits for its answers."""

    settings: "Settings"
    pipeline: str
    topic: str
    sent: "Sent"


def issue(
    make: "Callable[..., Command]",
    pipeline: str,
    wanted: list[int] | None,
    expect: str | None,
    why: str,
    servers: str | None,
    check: Check | None = None,
) -> Issued:
    """Write a command into the log of each wanted partition."""
    from services.commanding import send
    from services.topics import require_topic

    settings, name, topic = settings_of(servers), pipeline_name(pipeline), pipeline_topic(pipeline, "raw")
    partitions = range(require_topic(settings, topic))
    for number in wanted or ():
        if number not in partitions:
            raise typer.BadParameter(f"--partition: got {number}, expected less than {len(partitions)}: {topic}")
    seen = champions(settings, pipeline) if expect is None else {}
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
    if check is not None:
        check(settings, topic, commands)
    return Issued(settings, pipeline, topic, send(settings, topic, commands, "models"))


def conclude(
    issued: Issued, wait: float, output: Output, further: Callable[[list[int]], dict[str, Any]] = lambda _: {}
) -> list[int]:
    """Wait for the answers and show them; exit code 1 where it was refused or not read in time.

    Parameters
    ----------
    issued
        The command.
    wait
        Seconds.
    output
        For whom.
    further
        Returns what programs are told beside that, given the partitions that have obeyed.

    Returns
    -------
    The partitions: all of them have obeyed.
    """
    settings, pipeline, topic, sent = issued
    if output is Output.TEXT:
        typer.echo("written to " + ", ".join(f"{topic}[{p}]@{o}" for p, o in sorted(sent.offsets.items())))
    with closing(Answers(settings, pipeline, sent.id, set(sent.offsets))) as heard:
        answers = heard.within(wait)
    obeyed = [number for number, answer in answers.items() if answer.kind != REFUSED]
    silent = sorted(sent.offsets.keys() - answers.keys())
    if output is Output.JSON:
        told = [
            {"type": kind, **body, "followed": [{"type": kind, **body} for kind, body in followed]}
            for kind, body, followed in answers.values()
        ]
        print_json({"command": sent.id, "answers": told, "silent": silent, **further(obeyed)})
    else:
        for kind, body, followed in answers.values():
            typer.echo(describe_lifecycle(kind, body))
            for what in followed:
                typer.echo(f"  {describe_lifecycle(*what)}")
        for number in silent:
            typer.echo(
                f"{topic}[{number}]: no answer in {wait:g} s; it is obeyed when a worker reads that far", err=True
            )
    if len(obeyed) < len(sent.offsets):
        raise typer.Exit(FAILED)
    return obeyed


def champions(settings: "Settings", pipeline: str) -> dict[int, dict[str, Any]]:
    """Return the newest prediction of each partition that has any, with who serves since, if that is another one."""
    found: dict[int, dict[str, Any]] = {}
    for record in read(settings, pipeline_topic(pipeline, "predictions"), "-1", follow=False):
        body = body_of(record, headers_of(record))
        if isinstance(body, dict) and "version" in body:
            found[record.partition] = body
    for kind, body in lifecycle_events(settings, pipeline, newest_of(len(found))):
        champion = found.get(body["partition"])
        if kind in _SERVES and champion is not None and body["offset"] >= champion["offset"]:
            if body["version"] != champion["version"]:
                champion |= {"model": None, "learned": None}  # not every event says so
            champion |= {name: body[name] for name in _SAID if name in body}
    return dict(sorted(found.items()))
