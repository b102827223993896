"""``riverrun doctor``: what is wrong, and what to do about it."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.errors import PROBLEMS
from services.cli.options import Output, OutputOption, PipelineArgument, ServersOption, settings_of
from services.cli.printing import print_json
from services.describing import printable
from services.loading import load_pipeline

if TYPE_CHECKING:
    from schemas.errors import RiverrunError
    from schemas.record import Record
    from services.cli.checks import Check, Progress
    from streams.pipeline import Pipeline
    from streams.worker.settings import Settings

_SAMPLE_RECORDS = 2000
_BROKER_SECONDS = 15.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor", epilog="Example: riverrun doctor examples/flights.py:pipeline")(doctor)


def doctor(
    pipeline: PipelineArgument,
    servers: ServersOption = None,
    probe: Annotated[
        bool,
        typer.Option(
            "--probe",
            help="Find out, on temporary topics and within half a minute, whether the broker's transactions hold; "
            "exactly_once workers heed the verdict, which is kept in the topic riverrun.conformance.",
        ),
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Look at broker, topics, sizes, progress, partitioners and dead letters; exit code 3 when something is wrong."""
    settings = settings_of(servers)
    declared = load_pipeline(pipeline)
    checks = []
    for check in examine(declared, settings, pipeline, probe=probe):
        checks.append(check)
        if output is Output.TEXT:
            typer.secho("✓" if check.ok else "✗", fg="green" if check.ok else "red", nl=False)
            typer.echo(f" {check.name}: {printable(check.found)}")
            if check.advice:
                typer.echo(f"    → {check.advice}")
    is_well = all(check.ok for check in checks)
    if output is Output.JSON:
        found = {"pipeline": declared.name, "ok": is_well, "checks": [asdict(check) for check in checks]}
        print_json(found)
    if not is_well:
        raise typer.Exit(PROBLEMS)


def examine(pipeline: "Pipeline", settings: "Settings", path: str, *, probe: bool = False) -> "Iterator[Check]":
    """Yield what there is to say about a pipeline and its import path, the broker first; without one no more."""
    from confluent_kafka import KafkaException

    from schemas.errors import BrokerError
    from schemas.topics import lifecycle, manifests
    from schemas.topics import snapshots as snapshot_parts
    from services.cli import checks
    from services.cli.answers import holds
    from services.cli.reading import read
    from services.topic_plan import replay_horizon
    from services.topics import plan_topics

    try:
        plans = plan_topics(pipeline, settings)
    except BrokerError as error:
        yield checks.check_broker(error, settings.bootstrap_servers)
        return
    yield checks.check_broker(None, settings.bootstrap_servers)
    if probe:
        yield from probe_broker(settings)
    yield from checks.check_topics(plans)
    yield from checks.check_sizes(pipeline, plans)
    source = plans[0]
    if source.existing is None:
        return
    partitions = source.existing.partitions
    group = settings.group_of(pipeline.name)
    progress = None
    try:
        progress = progress_of(settings, group, source.name, partitions)
    except KafkaException as error:
        yield checks.check_untold(group, error.args[0].str())
    else:
        snapshot_topics = {manifests(pipeline.name), snapshot_parts(pipeline.name)}
        kept = [plan for plan in plans if plan.name in snapshot_topics] if settings.snapshots_in_kafka else []
        aligned = min([partitions, *(plan.existing.partitions for plan in kept if plan.existing)])
        snapshots, begins, unread = snapshots_of(pipeline, settings, aligned)  # of the others there are none yet
        if unread is not None:
            yield checks.check_unread(unread)
        yield from checks.check_progress(group, progress, replay_horizon(source), None if unread else snapshots)
        yield from checks.check_declarations(pipeline.declaration, progress, begins, path)
        yield count_workers(settings, group, progress, path)
    if any(plan.existing for plan in plans if plan.name == lifecycle(pipeline.name)):
        yield checks.check_holds(pipeline.name, holds(settings, pipeline.name))
    newest = -max(1, _SAMPLE_RECORDS // partitions)
    sample = list(read(settings, source.name, str(newest), follow=False))
    yield from checks.check_label_memory(pipeline, sample)
    yield from checks.check_partitioners(sample, partitions, source.name)
    dead_letters = plans[3]
    if dead_letters.existing is not None:
        letters = read(settings, dead_letters.name, str(newest), follow=False)
        yield checks.check_dead_letters(_read_of(sample, progress), letters, path)


def _read_of(sample: "list[Record]", progress: "dict[str, Progress] | None") -> "list[Record]":
    """Return the records that workers have read; all of them where that is not known."""
    if progress is None:
        return sample
    committed = {where: at.committed or 0 for where, at in progress.items()}
    return [one for one in sample if one.offset < committed.get(f"{one.topic}[{one.partition}]", 0)]


def count_workers(settings: "Settings", group: str, progress: "dict[str, Progress]", path: str) -> "Check":
    """Ask who is in the group; what the broker does not tell is no fault."""
    from confluent_kafka import KafkaException

    from services.cli.checks import Check, check_workers
    from services.groups import member_count

    try:
        members = member_count(settings, group, _BROKER_SECONDS)
    except KafkaException as error:
        return Check("workers", True, f"the broker does not tell who is in group {group}: {error.args[0].str()}")
    waiting = 0 if members else still_to_read(settings, group, progress)
    return check_workers(group, members, waiting, path)


def still_to_read(settings: "Settings", group: str, progress: "dict[str, Progress]") -> int:
    """Return how many offsets lie behind what was read, if there is a record: markers of transactions are none."""
    from faust.types import TP

    from streams.worker.log_ends import LogEnds

    positions = {}
    for where, at in progress.items():
        topic, _, partition = where.removesuffix("]").rpartition("[")
        if at.lag:
            positions[TP(topic, int(partition))] = max(at.committed or 0, at.low)
    ends = LogEnds(settings, group, _BROKER_SECONDS)
    ends.beyond(positions)  # a position is looked behind when it stands still
    return sum(end - positions[tp] for tp, end in ends.beyond(positions).items())


def snapshots_of(
    pipeline: "Pipeline", settings: "Settings", partitions: int
) -> "tuple[dict[str, int], dict[str, tuple[int, str]], RiverrunError | None]":
    """Return where each partition's newest believed snapshot is, what begins there, and why that is not all."""
    from schemas.errors import ConfigurationError, SnapshotError
    from services.deployment import Standings
    from streams.worker.metadata import topic_id

    snapshots: dict[str, int] = {}
    begins: dict[str, tuple[int, str]] = {}
    if not settings.snapshot_interval:
        return snapshots, begins, None  # workers look for none either
    try:
        standings = Standings(pipeline, settings, topic_id(settings, pipeline.source_topic))
        for n in range(partitions):
            where, newest = f"{pipeline.source_topic}[{n}]", standings.newest(n)
            if newest is not None:
                snapshots[where] = newest.next
                successor = standings.successor(n, newest)
                if successor is not None:
                    begins[where] = newest.next, successor.declaration
    except (ConfigurationError, SnapshotError) as error:
        return snapshots, begins, error
    return snapshots, begins, None


def probe_broker(settings: "Settings") -> "Iterator[Check]":
    """Probe the broker's transactions, and keep the verdict there."""
    from schemas.errors import BrokerError
    from services import conformance
    from services.cli import checks
    from streams.worker.conformance import TOPIC

    trials = []
    try:
        for trial in conformance.probe(settings):
            trials.append(trial)
            yield checks.check_trial(trial)
        yield checks.check_verdict(conformance.store(settings, trials), TOPIC)
    except BrokerError as error:
        yield checks.check_unprobed(error)


def progress_of(settings: "Settings", group: str, topic: str, partitions: int) -> "dict[str, Progress]":
    """Ask where each partition begins, ends and was committed; by names such as ``flights.raw[0]``."""
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import OffsetSpec

    from services.cli.checks import Progress
    from services.groups import committed
    from services.topics import new_admin

    admin = new_admin(settings)
    wanted = [TopicPartition(topic, partition) for partition in range(partitions)]
    lows = admin.list_offsets(dict.fromkeys(wanted, OffsetSpec.earliest()), request_timeout=_BROKER_SECONDS)
    low = {place.partition: answer.result().offset for place, answer in lows.items()}
    highs = admin.list_offsets(dict.fromkeys(wanted, OffsetSpec.latest()), request_timeout=_BROKER_SECONDS)
    high = {place.partition: answer.result().offset for place, answer in highs.items()}
    found = committed(settings, group, topic, range(partitions), _BROKER_SECONDS)
    at = {n: (found[n].offset, found[n].declaration) if n in found else (None, "") for n in range(partitions)}
    return {f"{topic}[{n}]": Progress(low[n], high[n], *at[n]) for n in range(partitions)}
