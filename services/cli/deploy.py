"""``riverrun deploy``: a changed declaration takes over at a place in the log."""

import time
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.answers import REFUSED, Answers
from services.cli.errors import FAILED
from services.cli.options import Output, OutputOption, PipelineArgument, ServersOption, settings_of, user_name
from services.cli.printing import counted, print_json
from services.loading import load_pipeline

if TYPE_CHECKING:
    from services.commanding import Sent
    from services.deployment import Handover, Standings
    from streams.pipeline import Pipeline
    from streams.takeover import Takeover
    from streams.worker.settings import Settings

_GROUP_SECONDS = 30.0
_REFUSAL_SECONDS = 2.0


#: Fields of a declaration that the Avro schema of events is made of.
_IN_AVRO = {"features", "label", "id_field"}
_AVRO_ADVICE = (
    "\nProducers of Avro, if there are any, write under the schema of riverrun schema from there on; records under the "
    "one before may be misread, unless they name it in ce_dataschema: then they become dead letters"
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("deploy", epilog="Example: riverrun deploy examples/flights.py:pipeline --why 'wind as a feature'")(
        deploy
    )


def deploy(
    pipeline: PipelineArgument,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="A changed model serves at once, instead of learning beside the old one.")
    ] = False,
    why: Annotated[str, typer.Option(help="For those who read the log later.")] = "",
    wait: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="How long to wait for the workers to hand over.")
    ] = 60.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and declare nothing.")] = False,
    servers: ServersOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Declare a pipeline anew in its log; then start the workers with it.

    Workers with the declaration before read up to that place, commit, take a snapshot and wait; those with the new one
    go on from there. Models and waiting labels are taken over; a changed model, or changed features, start a new model
    that learns beside the old one and takes over when it has learned enough. Exit code 1 when the workers have not come
    to the place in time, or have refused: the command is signed with RIVERRUN_SIGNING_KEY.
    """
    settings = settings_of(servers)
    declared = load_pipeline(pipeline)
    from services import deployment

    standings = _standings(declared, settings)
    takeover = _changes(declared, settings, standings)
    if output is Output.TEXT:
        typer.echo(_told(declared, takeover, fresh))
    if dry_run:
        if output is Output.JSON:
            print_json(_fields(declared, takeover))
        return
    sent = deployment.declare(declared, settings, fresh=fresh, who=user_name(), why=why)
    offsets = sent.offsets
    if output is Output.TEXT:
        typer.echo("declared at " + ", ".join(f"{declared.source_topic}[{p}]@{o}" for p, o in sorted(offsets.items())))
    left, refusals = _wait(declared, settings, sent, standings, wait)
    if output is Output.JSON:
        positions = {str(partition): offset for partition, offset in sorted(offsets.items())}
        waiting_for = [one.partition for one in left]
        print_json(
            {**_fields(declared, takeover), "positions": positions, "waiting_for": waiting_for, "refused": refusals}
        )
    elif refusals:
        for partition, reason in refusals.items():
            typer.echo(f"{declared.source_topic}[{partition}]: refused: {reason}", err=True)
    elif left:
        for one in left:
            where = f"{declared.source_topic}[{one.partition}]"
            typer.echo(f"{where}: committed {one.committed} of {one.position}, snapshot at {one.snapshot}", err=True)
        typer.echo(f"riverrun: {_advice(declared, standings, left)}", err=True)
    else:
        typer.echo("handed over: start the workers with this declaration now")
    if left or refusals:
        raise typer.Exit(FAILED)


def _refusals(answers: Answers, seconds: float) -> dict[int, str]:
    """Return why partitions have refused a command, of those that do so within some seconds."""
    return {n: answer.body["reason"] for n, answer in answers.within(seconds).items() if answer.kind == REFUSED}


def _advice(pipeline: "Pipeline", standings: "Standings | None", left: "list[Handover]") -> str:
    """Return what has to be done about the first of the partitions that are not handed over."""
    from schemas.errors import SnapshotError

    first = left[0]
    try:
        newest = None if standings is None else standings.newest(first.partition)
        successor = None if standings is None else standings.successor(first.partition, newest)
    except SnapshotError as error:
        return f"the snapshots cannot be read, neither here nor, perhaps, by the workers: {error}"
    if newest is not None and successor is not None and first.committed <= newest.next:
        if successor.declaration == pipeline.declaration:
            return f"it was handed over to this declaration at {newest.next}: start the workers with it"
        before = newest.identity.declaration
        whose = "this one" if before == pipeline.declaration else f"{before}, the one before,"
        return (
            f"nobody has read on under {successor.declaration}, which begins at {newest.next}. If its workers cannot: "
            f"start those of {whose} with RIVERRUN_ON_NEW_DECLARATION=relearn, which pass over it and go on from there"
        )
    return "a worker with the declaration before has to read up to there; then restart it"


def _standings(pipeline: "Pipeline", settings: "Settings") -> "Standings | None":
    """Return what knows the declarations before, None when this machine cannot read the snapshots."""
    from schemas.errors import ConfigurationError
    from services.deployment import Standings
    from streams.worker.metadata import topic_id

    try:
        return Standings(pipeline, settings, topic_id(settings, pipeline.source_topic))
    except ConfigurationError as error:
        typer.echo(f"riverrun: what changes is not known here: {error}", err=True)
        return None


def _changes(pipeline: "Pipeline", settings: "Settings", standings: "Standings | None") -> "Takeover | None":
    """Ask the newest snapshots, and the log behind them, what the declaration before was."""
    from services.deployment import changes
    from services.groups import committed_offsets
    from services.topics import require_topic

    partitions = require_topic(settings, pipeline.source_topic)
    if standings is None:
        return None
    group = settings.group_of(pipeline.name)
    committed = committed_offsets(settings, group, pipeline.source_topic, range(partitions), _GROUP_SECONDS)
    for partition in range(partitions):
        newest = standings.newest(partition)
        if newest is not None:
            waits = committed.get(partition, 0) <= newest.next  # else it was passed over, or is under way
            return changes(pipeline, newest, standings.successor(partition, newest) if waits else None)
    return None


def _told(pipeline: "Pipeline", takeover: "Takeover | None", fresh: bool) -> str:
    if takeover is None:
        return f"{pipeline.name}: declaration {pipeline.declaration}; no snapshot tells of another one"
    if not takeover.changed:
        return f"{pipeline.name}: declaration {pipeline.declaration} is what the log has already: nothing changes"
    how = "serves at once" if fresh else "learns beside the old one until it has learned enough"
    model = f"; the new model {how}" if takeover.renews_model else "; the model stays"
    what = ", ".join(takeover.changed)
    avro = _AVRO_ADVICE if _IN_AVRO & set(takeover.changed) else ""
    return f"{pipeline.name}: declaration {takeover.replaced} → {pipeline.declaration}: {what}{model}{avro}"


def _fields(pipeline: "Pipeline", takeover: "Takeover | None") -> dict[str, object]:
    replaced, changed = (None, []) if takeover is None else (takeover.replaced, list(takeover.changed))
    return {
        "pipeline": pipeline.name,
        "declaration": pipeline.declaration,
        "replaced": replaced,
        "changed": changed,
    }


def _wait(
    pipeline: "Pipeline",
    settings: "Settings",
    sent: "Sent",
    standings: "Standings | None",
    seconds: float,
) -> "tuple[list[Handover], dict[int, str]]":
    """Return the partitions that are not handed over after some seconds, and why some refuse."""
    from rich.console import Console

    from schemas.errors import SnapshotError
    from services.deployment import handovers

    def snapshot_at(partition: int) -> int | None:
        if standings is None:
            return None
        try:
            manifest = standings.newest(partition)
        except SnapshotError:
            return None
        return -1 if manifest is None else manifest.next

    deadline = time.monotonic() + seconds
    left: list[Handover] = []
    with (
        Console(stderr=True).status("waiting for the workers to hand over") as status,
        closing(Answers(settings, pipeline.name, sent.id, set(sent.offsets))) as answers,
        closing(handovers(pipeline, settings, sent.offsets, snapshot_at)) as rounds,
    ):
        for found in rounds:
            left = [one for one in found if not one.is_done]
            status.update(f"waiting for {counted(len(left), 'partition')} to be handed over")
            refusals = _refusals(answers, 0)
            if refusals or time.monotonic() >= deadline:
                return left, refusals
        # Where nothing else waits, a snapshot of this place is there before the command is read.
        return left, _refusals(answers, _REFUSAL_SECONDS)
