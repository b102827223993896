"""``riverrun models show``, ``diff`` and ``export``: the models in the newest snapshot."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from schemas.errors import SnapshotError
from services.cli.options import (
    NamedPipelineArgument,
    Output,
    OutputOption,
    PipelineArgument,
    ServersOption,
    settings_of,
)
from services.cli.printing import print_json, print_table
from services.loading import load_pipeline, pipeline_topic

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from schemas.manifest import Manifest
    from services.kept_models import KeptModels
    from services.model_files import Account
    from streams.inventory import KeptModel
    from streams.pipeline import Pipeline
    from streams.worker.settings import Settings

_HEADINGS = ["partition", "model", "role", "learned", "at offset", "bytes"]
_VERSION = "v3, v1@1500, or a role that one model has, such as champion."

PartitionOption = Annotated[
    int | None, typer.Option("--partition", min=0, help="Whose models; needed where there are several.")
]
VersionArgument = Annotated[str, typer.Argument(metavar="VERSION", help=_VERSION, show_default=False)]


def register(commands: typer.Typer) -> None:
    """Add the commands to ``riverrun models``."""
    commands.command("show", epilog="Example: riverrun models show examples/flights.py:pipeline")(show)
    commands.command("diff", epilog="Example: riverrun models diff examples/flights.py:pipeline v2 v3")(diff)
    commands.command("export", epilog="Example: riverrun models export flights v3 --to v3.pickle --partition 0")(export)


def show(
    pipeline: NamedPipelineArgument,
    partition: Annotated[int | None, typer.Option("--partition", min=0, help="Only this one; else all.")] = None,
    servers: ServersOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show the models that the newest snapshot holds: who serves, who learns beside it, and who is kept.

    No model is loaded. A pipeline with metrics or a detector of its own has to be named as FILE.py:NAME.
    """
    place = _Place.of(pipeline, servers)
    partitions = place.partitions(partition)
    kept_in = place.opened()
    reports = [_report(kept_in, number) for number in partitions]
    if all(one["snapshot"] is None for one in reports):
        raise SnapshotError(reports[0]["reason"])
    if output is Output.JSON:
        print_json(reports)
        return
    names = ("name", "role", "learned", "offset", "size_bytes")
    print_table(
        _HEADINGS, [[one["partition"], *(model[n] for n in names)] for one in reports for model in one["models"]]
    )
    for one in reports:
        typer.echo(f"[{one['partition']}]: {_in_words(one)}")


def diff(
    pipeline: PipelineArgument,
    a: Annotated[str, typer.Argument(metavar="A", help=_VERSION, show_default=False)],
    b: Annotated[str, typer.Argument(metavar="B", help="The other one.", show_default=False)],
    partition: PartitionOption = None,
    servers: ServersOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show where two models of a partition differ: classes, parameters, and the numbers they have learned.

    Of weights and other tables the five entries that differ most are named. The nodes of a tree are not looked into.
    """
    from services.model_diff import differences

    kept = _Place.of(pipeline, servers).only(partition)
    found = [kept.find(a), kept.find(b)]
    accounts = [_account(kept, model) for model in found]
    is_same = len({kept.part(model.part).digest for model in found}) == 1
    differing = [] if is_same else differences(*kept.load(found))
    if output is Output.JSON:
        import msgspec

        told = msgspec.to_builtins(differing)
        print_json({**_taken(kept.manifest), "a": accounts[0], "b": accounts[1], "same": is_same, "differences": told})
        return
    rows = [
        ["", name, *(account[name] for account in accounts)] for name in ("role", "learned", "offset", "size_bytes")
    ]
    rows += [[one.where, one.what, _number(one.a), _number(one.b)] for one in differing]
    print_table(["where", "what", *(model.name for model in found)], rows)
    if not differing:
        typer.echo("the same to the last byte" if is_same else "they differ in what is not looked into")


def export(
    pipeline: NamedPipelineArgument,
    model: VersionArgument,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="A new file.", show_default=False)],
    partition: PartitionOption = None,
    servers: ServersOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Write a model of the newest snapshot into a file, once its bytes are known to be those that were signed.

    It is a pickle, which is not loaded here; FILE.json beside it says what models import has to know. Both are for
    their owner's eyes only; none is overwritten.
    """
    from services.model_files import account_path, write_model

    for file in (to, account_path(to)):
        if file.exists():
            raise typer.BadParameter(
                f"--to: {file}: got a file that is there, which stays as it is; expected a new one"
            )
    place = _Place.of(pipeline, servers)
    kept = place.only(partition)
    found = kept.find(model)
    [data] = kept.data([found.part])
    known = _known(place, kept, found)
    write_model(to, data, known)
    account = {**_account(kept, found), **_taken(kept.manifest), "file": str(to), "features": known.features}
    if output is Output.JSON:
        print_json(account)
        return
    typer.echo(
        f"{to}: {found.name} ({found.role}), {found.learned} learned, {len(data)} bytes, sha256 {account['digest']}"
    )
    typer.echo(f"It is a pickle of River {known.river}, Python {known.python}. To load it:")
    typer.echo("  from streams.pickling import loads  # takes River's classes, and those named in further=, no others")
    typer.echo(f"  model = loads(open({str(to)!r}, 'rb').read(), further=pipeline.classes)")
    typer.echo(f"Into a pipeline: riverrun models import {to} FILE.py:NAME")
    if known.features is None:
        typer.echo("It is not known which features it was trained with: name the declaration it was taken under.")


def _known(place: "_Place", kept: "KeptModels", found: "KeptModel") -> "Account":
    """Return what another pipeline has to know of a model; the features only where this declaration has the same."""
    from services.model_files import Account

    manifest, declared = kept.manifest, place.declared
    is_same = declared is not None and manifest.declared.get("features") == declared.declared["features"]
    return Account(
        origin=f"{manifest.identity.topic}[{manifest.identity.partition}] {found.name} at {manifest.next}",
        learned=found.learned,
        features=tuple(declared.features) if declared is not None and is_same else None,
        river=manifest.identity.river,
        python=manifest.python,
        sha256=kept.part(found.part).digest,
    )


# ------------------------------------------------------------------ where from


class _Place(NamedTuple):
    """Where the models of a pipeline are, and what they may be made of."""

    settings: "Settings"
    name: str
    topic: str
    classes: "Collection[Any]"
    declared: "Pipeline | None" = None

    @classmethod
    def of(cls, pipeline: str, servers: str | None) -> "_Place":
        """Return the place of a pipeline that is given by import path or by its name."""
        settings = settings_of(servers)
        if ":" not in pipeline and not pipeline.endswith(".py"):
            return cls(settings, pipeline, pipeline_topic(pipeline, "raw"), ())
        declared = load_pipeline(pipeline)
        return cls(settings, declared.name, declared.source_topic, declared.classes, declared)

    def partitions(self, wanted: int | None) -> list[int]:
        """Return the wanted partition, else all that there are."""
        from services.topics import require_topic

        count = require_topic(self.settings, self.topic)
        if wanted is not None and wanted >= count:
            raise typer.BadParameter(f"--partition: got {wanted}, expected less than {count}: {self.topic}")
        return list(range(count)) if wanted is None else [wanted]

    def only(self, wanted: int | None) -> "KeptModels":
        """Return the models of the wanted partition, or of the only one."""
        partitions = self.partitions(wanted)
        if len(partitions) > 1:
            raise typer.BadParameter(
                f"--partition: got none, expected one of 0 to {partitions[-1]}: each has models of its own"
            )
        return self.opened()(partitions[0])

    def opened(self) -> "Callable[[int], KeptModels]":
        """Open keys and store, once; return what returns the models of a partition."""
        from services.kept_models import KeptModels, open_kept
        from streams.worker.keys import load_trusted
        from streams.worker.metadata import topic_id

        trusted = load_trusted(self.settings.trusted_keys)
        store = open_kept(self.settings, self.name)
        here = topic_id(self.settings, self.topic)
        return lambda partition: KeptModels(store, trusted, self.name, self.topic, partition, self.classes, here)


def _report(kept_in: "Callable[[int], KeptModels]", partition: int) -> dict[str, Any]:
    """Return what a partition's newest snapshot holds; where there is none to be read, why."""
    try:
        kept = kept_in(partition)
        models = [_account(kept, model) for model in kept.models()]
    except SnapshotError as error:
        return {"partition": partition, "snapshot": None, "reason": str(error), "models": []}
    return {"partition": partition, **_taken(kept.manifest), "models": models}


# ------------------------------------------------------------------ what is shown


def _account(kept: "KeptModels", model: "KeptModel") -> dict[str, Any]:
    """Return what is known of a model without loading it; one that learns is as it was at the snapshot."""
    part = kept.part(model.part)
    offset = kept.manifest.next - 1 if model.offset is None else model.offset
    return {
        "name": model.name,
        "role": model.role,
        "learned": model.learned,
        "offset": offset,
        "size_bytes": part.size_bytes,
        "digest": part.digest,
    }


def _taken(manifest: "Manifest") -> dict[str, Any]:
    return {"snapshot": manifest.next, "time": manifest.time, "declaration": manifest.identity.declaration}


def _in_words(report: dict[str, Any]) -> str:
    from schemas.cloudevents import format_time

    if report["snapshot"] is None:
        return str(report["reason"])
    return f"snapshot at {report['snapshot']}, taken {format_time(report['time'])}"


def _number(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value
