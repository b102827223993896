"""``riverrun topics``: what should stand on the broker, and making it so."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.errors import FAILED
from services.cli.options import Output, OutputOption, PipelineArgument, ServersOption, settings_of
from services.cli.printing import counted, print_json, print_table
from services.loading import load_pipeline

if TYPE_CHECKING:
    from services.topic_plan import TopicPlan

PartitionsOption = Annotated[
    int | None,
    typer.Option(min=1, help="Partitions of a new input topic; else as declared.", show_default=False),
]
CopiesOption = Annotated[
    int | None,
    typer.Option(
        "--replication-factor", min=1, help="Copies of a new topic; else the broker's default.", show_default=False
    ),
]
_DONE = {"create": "created", "grow": "grown", "configure": "configured", "none": "unchanged", "refuse": "refused"}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(
        help="The topics of a pipeline: what is needed, and making it so.",
        epilog="Example: riverrun topics apply examples/flights.py:pipeline",
        no_args_is_help=True,
    )
    commands.command("plan", epilog="Example: riverrun topics plan examples/flights.py:pipeline")(show_plan)
    commands.command("apply", epilog="Example: riverrun topics apply examples/flights.py:pipeline --partitions 4")(
        apply
    )
    app.add_typer(commands, name="topics")


def show_plan(
    pipeline: PipelineArgument,
    partitions: PartitionsOption = None,
    servers: ServersOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show what each topic needs, what is there and what differs; changes nothing.

    Exit code 1 when something is refused, as apply would leave with.
    """
    settings = settings_of(servers)
    declared = load_pipeline(pipeline)
    from services.topic_plan import replay_horizon
    from services.topics import plan_topics

    plans = plan_topics(declared, settings, partitions=partitions)
    now, then = replay_horizon(plans[0]), replay_horizon(plans[0], applied=True)
    if output is Output.JSON:
        horizons = {"replay_horizon": now, "replay_horizon_after_apply": then}
        print_json({"pipeline": declared.name, **horizons, "topics": [as_dict(one) for one in plans]})
    else:
        rows = [(one.name, one.partitions, one.action, one.topic.holds, _settings(one)) for one in plans]
        print_table(("topic", "partitions", "to do", "holds", "settings"), rows, prose=True)
        horizon = now if now == then else f"{now} now, {then} after apply"
        typer.echo(f"replay horizon: {horizon} ({plans[0].name}): how far back a model can be rebuilt")
        _print_notes(plans)
    if any(one.refusal for one in plans):
        raise typer.Exit(FAILED)


def apply(
    pipeline: PipelineArgument,
    partitions: PartitionsOption = None,
    replication_factor: CopiesOption = None,
    servers: ServersOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Create missing topics, grow those of the outputs, set settings that differ.

    Nothing is deleted, no retention shortened; the input topic never grows, nor is compaction taken from it. Exit code
    1 when something was refused.
    """
    settings = settings_of(servers)
    declared = load_pipeline(pipeline)
    from services.topic_plan import describe
    from services.topics import apply_topics

    plans = apply_topics(declared, settings, partitions=partitions, replication_factor=replication_factor)
    if output is Output.JSON:
        print_json({"pipeline": declared.name, "topics": [as_dict(one) for one in plans]})
    else:
        for one in plans:
            what = f": {describe(one.changes)}" if one.changes else ""
            typer.echo(f"{_DONE[one.action]:<10}  {one.name} ({counted(one.partitions, 'partition')}){what}")
        _print_notes(plans)
    if any(one.refusal for one in plans):
        raise typer.Exit(FAILED)


def _settings(one: "TopicPlan") -> str:
    from services.topic_plan import describe

    return describe(one.changes) or ", ".join(f"{name}={value}" for name, value in one.config.items())


def _print_notes(plans: "list[TopicPlan]") -> None:
    for one in plans:
        if one.remark:
            typer.echo(f"{one.name}: {one.remark}")
        if one.refusal:
            typer.echo(f"riverrun: {one.refusal}", err=True)


def as_dict(one: "TopicPlan") -> dict[str, Any]:
    """Return what a program wants to know about the plan of one topic."""
    return {
        "name": one.name,
        "action": one.action,
        "partitions": one.partitions,
        "existing_partitions": one.existing.partitions if one.existing else None,
        "config": one.config,
        "changes": {name: {"got": got, "expected": wanted} for name, (got, wanted) in one.changes.items()},
        "refusal": one.refusal,
        "remark": one.remark,
        "key": one.topic.key,
        "holds": one.topic.holds,
    }
