"""``riverrun models import``: a model from elsewhere into a running pipeline."""

import hashlib
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from schemas.errors import ModelFileError
from services.cli.options import Output, OutputOption, PipelineArgument, ServersOption
from services.cli.ordering import PartitionsOption, WaitOption, WhyOption, conclude, issue
from services.cli.printing import print_json
from services.loading import load_pipeline

if TYPE_CHECKING:
    from schemas.commands import Command, Import
    from streams.pipeline import Pipeline
    from streams.worker.settings import Settings

_EXAMPLE = "Example: riverrun models import v3.pickle examples/flights.py:pipeline --partition 1 --why 'as in Berlin'"
_LONGEST_ORIGIN = 400


def register(commands: typer.Typer) -> None:
    """Add the command to ``riverrun models``."""
    commands.command("import", epilog=_EXAMPLE)(bring)


def bring(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="As models export, or riverrun.export_model, has written it.", show_default=False
        ),
    ],
    pipeline: PipelineArgument,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,…",
            help="What it was trained with, where FILE.json does not say; else those of the pipeline are assumed.",
            show_default=False,
        ),
    ] = None,
    learned: Annotated[
        int | None,
        typer.Option(min=0, help="Examples it has learned, where FILE.json does not say; else 0.", show_default=False),
    ] = None,
    partition: PartitionsOption = None,
    expect: Annotated[
        str, typer.Option("--expect", metavar="VERSION", help="Only where this champion serves; any: whichever does.")
    ] = "any",
    why: WhyOption = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say whether it would be taken, and write nothing.")
    ] = False,
    wait: WaitOption = 30.0,
    servers: ServersOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Keep a model from elsewhere among the archived versions, where it may serve by evidence or by promote.

    The model goes into the log, in one signed record for each partition: whoever may read the topic may read it. Its
    pickle is read by the list of River's classes and the declaration's, and nothing else is run. Refused with the
    reason: another feature set, another version of River, another kind of task, unknown classes. Of a bounded archive
    the version goes that was not wanted for the longest time. Needs ChampionVersions or Pool.
    """
    from streams.versions import imported_version

    declared = load_pipeline(pipeline)
    found = _read(file, declared, features, learned)
    _check(file, declared, found)
    if output is Output.TEXT:
        _describe(file, found)
    if dry_run:
        if output is Output.JSON:
            print_json({"file": str(file), "taken": True, **_told(found)})
        else:
            typer.echo("it would be taken; nothing was written")
        return
    issued = issue(found.command, pipeline, partition, expect, why, servers, partial(_hold_size, declared))
    names = {number: f"{imported_version(offset)}@{found.learned}" for number, offset in issued.sent.offsets.items()}

    def further(obeyed: list[int]) -> dict[str, Any]:
        return {"file": str(file), "models": {str(number): names[number] for number in obeyed}, **_told(found)}

    obeyed = conclude(issued, wait, output, further)
    if output is Output.TEXT:
        for number in obeyed:
            typer.echo(f"to let it serve: riverrun models promote {pipeline} {names[number]} --partition {number}")


class _Found(NamedTuple):
    """A model from a file, what is known of it, and what is assumed."""

    command: "partial[Import]"
    size_bytes: int
    learned: int
    features: tuple[str, ...]
    assumed: list[str]


def _read(file: Path, declared: "Pipeline", features: str | None, learned: int | None) -> _Found:
    """Read a file and what lies beside it; what nobody says is assumed, and told."""
    from schemas.commands import Import
    from services.model_files import read_model
    from streams.foreign import pack

    data, account = read_model(file)
    names = None if features is None else tuple(name.strip() for name in features.split(",") if name.strip())
    assumed: list[str] = []
    if account is not None:
        _hold_unsaid(file, "--learned", learned, account.learned)
        _hold_unsaid(file, "--features", names, account.features)
        learned, names = account.learned, account.features or names
    else:
        assumed.append(f"River {version('river')}")
    if learned is None:
        assumed.append("0 examples learned")
    if names is None:
        names = tuple(declared.features)
        assumed.append("the declared features")
    origin = f"{(account.origin if account else '') or file.name:.{_LONGEST_ORIGIN}}"
    command = partial(
        Import,
        model=pack(data),
        learned=learned or 0,
        features=names,
        river=account.river if account is not None else version("river"),
        origin=f"{origin}, sha256 {hashlib.sha256(data).hexdigest():.12}",
    )
    return _Found(command, len(data), learned or 0, names, assumed)


def _hold_unsaid(file: Path, option: str, given: Any, said: Any) -> None:
    if None not in (given, said) and given != said:
        raise typer.BadParameter(f"{option}: got {given}, but {file}.json says {said}")


def _check(file: Path, declared: "Pipeline", found: _Found) -> None:
    """Refuse here what each partition would refuse, before anything is in the log."""
    from streams.imports import admit

    refusal = admit(found.command(pipeline=declared.name), declared, 0)
    if isinstance(refusal, str):
        raise ModelFileError(f"{file}: {refusal}")


def _hold_size(declared: "Pipeline", settings: "Settings", topic: str, commands: "dict[int, Command]") -> None:
    """Refuse what no record can hold, and say what to raise."""
    from services.commanding import size_of
    from services.topics import new_admin, observe

    size = max(size_of(settings, topic, command) for command in commands.values())
    limit = int(observe(new_admin(settings), settings, [topic])[topic].config.get("max.message.bytes") or size)
    if size <= min(limit, declared.max_record_bytes):
        return
    raise ModelFileError(
        f"{topic}: a record of {size} bytes would be needed, and max_record_bytes of {declared.name} is "
        f"{declared.max_record_bytes}, max.message.bytes of the topic {limit}: declare max_record_bytes={size} or more "
        "(riverrun topics apply, riverrun deploy), or import a smaller model"
    )


def _told(found: _Found) -> dict[str, Any]:
    return {
        "learned": found.learned,
        "features": found.features,
        "size_bytes": found.size_bytes,
        "assumed": found.assumed,
    }


def _describe(file: Path, found: _Found) -> None:
    command = found.command.keywords
    packed = len(command["model"])
    typer.echo(
        f"{file}: {found.learned} learned, {found.size_bytes} bytes ({packed} packed), from {command['origin']}; "
        f"features {', '.join(found.features)}"
    )
    if found.assumed:
        from services.model_files import account_path

        account = account_path(file)
        why = f"{account.name} does not say" if account.exists() else f"there is no {account.name}"
        typer.echo(f"assumed, because {why}: {', '.join(found.assumed)}")
