"""``riverrun send``: lines of JSON into a topic."""

import time
from collections.abc import Iterable, Iterator
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.lines import other_format
from services.cli.errors import FAILED
from services.cli.options import FileArgument, KeyFieldOption, Output, OutputOption, ServersOption, settings_of
from services.cli.printing import counted, open_lines, print_json, progress
from services.describing import printable
from services.loading import pipeline_topic

if TYPE_CHECKING:
    from services.cli.sender import Sender

#: Refused lines that are told one by one.
_TOLD = 20
#: Lines after which a key field that none of them has is a wrong one.
_LOOKED_AT = 100


class Kind(StrEnum):
    """What a bare line is."""

    EVENT = "event"
    LABEL = "label"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("send", epilog="Example: riverrun send events.jsonl --topic flights.raw --key-field carrier")(send)


def send(
    file: FileArgument,
    pipeline: Annotated[
        str | None,
        typer.Argument(metavar="[PIPELINE]", help="Send to the input topic of this one.", show_default=False),
    ] = None,
    topic: Annotated[str | None, typer.Option(help="Send to this topic.", show_default=False)] = None,
    key_field: KeyFieldOption = None,
    kind: Annotated[Kind, typer.Option("--type", help="What a bare line is.")] = Kind.EVENT,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Records per second; else as fast as it goes.", show_default=False)
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first line that cannot be sent.")] = False,
    servers: ServersOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Send lines of JSON to a topic, partitioned by key as Java's clients do.

    A line is a bare event or label, or a CloudEvent in JSON, which brings its own key and type. A dead letter, as
    riverrun tail --output json shows it, stands for its record, which is sent as riverrun resend does. Other lines are
    reported, the first twenty one by one, and left out; the exit code is then 1.
    """
    if (pipeline is None) == (topic is None):
        raise typer.BadParameter("got both or neither, expected a PIPELINE or --topic")
    settings = settings_of(servers)
    from services.cli.sender import Sender

    target = topic or pipeline_topic(pipeline or "", "raw")
    with open_lines(file) as opened:
        lines = opened if key_field is None else with_key_field(opened, key_field)
        sender = Sender(settings, target, key_field=key_field, is_label=kind is Kind.LABEL)
        try:
            _send_lines(sender, lines, file, rate, strict)
        finally:
            sender.flush()
            _report(sender, key_field, output)
    sender.check()
    if sender.refused:
        raise typer.Exit(FAILED)


def with_key_field(lines: Iterable[bytes], key_field: str) -> Iterator[bytes]:
    """Return the lines, once it is seen that not all of the first lack the field that is to be their key.

    Raises
    ------
    BadParameter
        When none of the first hundred has it, or of all when there are fewer; lines that bring a key of their own, or
        cannot be sent, do not count.
    """
    held, lacking = [], list[dict[str, object]]()
    rest = iter(lines)
    for line in rest:
        held.append(line)
        fields = _fields_of(line)
        if fields is None:
            continue
        if "specversion" in fields or "headers" in fields or fields.get(key_field) is not None:
            break
        lacking.append(fields)
        if len(lacking) == _LOOKED_AT:
            raise _no_key_field(key_field, lacking)
    else:
        if lacking:
            raise _no_key_field(key_field, lacking)
    return chain(held, rest)


def _fields_of(line: bytes) -> dict[str, object] | None:
    import orjson

    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return fields if isinstance(fields, dict) else None


def _no_key_field(key_field: str, lacking: list[dict[str, object]]) -> typer.BadParameter:
    return typer.BadParameter(
        f"--key-field: got {key_field!r}, which has no value in the first {counted(len(lacking), 'line')}, expected a "
        f"field of theirs: {', '.join(lacking[0])}. Nothing was sent."
    )


def _send_lines(sender: "Sender", lines: Iterable[bytes], file: Path, rate: float | None, strict: bool) -> None:
    name = "stdin" if str(file) == "-" else str(file)
    began = time.monotonic()
    with progress(f"sending to {sender.topic}", file) as advance:
        for number, line in enumerate(lines, 1):
            advance(len(line))
            if not (text := line.strip()):
                continue
            try:
                sender.send(text)
            except ValueError as error:
                if sender.refused <= _TOLD:
                    form = other_format(text) if number == 1 else ""
                    typer.echo(printable(f"{name}:{number}: {error}{f'; {form}' if form else ''}"), err=True)
                if strict:
                    return
            if rate is not None:
                sender.serve(began + sender.sent / rate - time.monotonic())
    if sender.refused > _TOLD:
        typer.echo(f"{name}: {counted(sender.refused - _TOLD, 'line')} more cannot be sent", err=True)


def _report(sender: "Sender", key_field: str | None, output: Output) -> None:
    counts = {"sent": sender.sent, "acknowledged": sender.acknowledged, "refused": sender.refused}
    if output is Output.JSON:
        print_json({"topic": sender.topic, **counts, "without_key": sender.without_key})
    else:
        further = f", {counted(sender.refused, 'line')} refused" if sender.refused else ""
        typer.echo(f"sent {sender.sent}, acknowledged {sender.acknowledged} in {sender.topic}{further}")
    if sender.without_key and key_field is not None:
        keyless = counted(sender.without_key, "line")
        typer.echo(f"riverrun: {keyless} without field {key_field!r}: sent without a key", err=True)
