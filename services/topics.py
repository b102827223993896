"""The topics of a pipeline on a broker: what should stand there, what does, and the way from one to the other.

`plan` is pure; `observe` and `apply_topics` talk to Kafka. Nothing is ever deleted, no retention shortened and no size
limit lowered, and the input topic never grows: its keys would move to partitions whose models have not learned them.
"""

import logging
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from schemas import topics as names
from schemas.errors import BrokerError
from schemas.topics import Topic
from streams.pipeline import Pipeline
from streams.worker.settings import Settings

log = logging.getLogger("riverrun.kafka")

Action = Literal["none", "create", "grow", "configure", "refuse"]

_ADMIN_SECONDS = 10.0
_BROKERS_CHOICE = -1
_AT_LEAST = ("retention.ms", "max.message.bytes")
_HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Existing:
    """A topic as the broker has it: partitions and settings."""

    partitions: int
    config: Mapping[str, str]


@dataclass(frozen=True)
class TopicPlan:
    """What is to happen to one topic.

    Parameters
    ----------
    topic
        The topic as declared.
    partitions
        How many it is to have.
    existing
        What the broker has; None where there is no such topic.
    changes
        Settings that differ: name → (got, expected).
    grow
        Whether it needs more partitions, and may have them.
    refusal
        Why it cannot be made to fit, None where it can.
    remark
        What is worth knowing and needs nothing to be done.
    """

    topic: Topic
    partitions: int
    existing: Existing | None = None
    changes: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    grow: bool = False
    refusal: str | None = None
    remark: str | None = None

    @property
    def name(self) -> str:
        """Full name of the topic."""
        return self.topic.name

    @property
    def action(self) -> Action:
        """What comes first: a refusal, a creation, more partitions, other settings, or nothing."""
        if self.refusal is not None:
            return "refuse"
        if self.existing is None:
            return "create"
        return "grow" if self.grow else "configure" if self.changes else "none"

    @property
    def config(self) -> dict[str, str]:
        """The settings it is to have."""
        return {**self.topic.config, **{name: wanted for name, (_, wanted) in self.changes.items()}}


def plan(pipeline: Pipeline, existing: Mapping[str, Existing], *, partitions: int | None = None) -> list[TopicPlan]:
    """Return what each topic needs, the input topic first.

    Parameters
    ----------
    pipeline
        The declaration.
    existing
        What the broker has, by name; topics that are not there are absent.
    partitions
        Partitions of the input topic where it is made, in place of the declaration's.

    Examples
    --------
    >>> from river import anomaly
    >>> pipeline = Pipeline("p", features={"a": float}, label=None, model=anomaly.HalfSpaceTrees(seed=1))
    >>> [(topic.name, topic.action, topic.partitions) for topic in plan(pipeline, {}, partitions=2)][1:3]
    [('p.predictions', 'create', 2), ('p.lifecycle', 'create', 1)]
    """
    wanted = partitions or pipeline.partitions
    source = existing.get(pipeline.source_topic)
    outputs = max(wanted, source.partitions if source else 0)
    record_limit = int(source.config.get("max.message.bytes", 0)) if source else 0
    plans = []
    for topic in names.topic_table(
        pipeline.name, pipeline.source_topic, max_record_bytes=max(pipeline.max_record_bytes, record_limit)
    ):
        if topic.name == pipeline.source_topic:
            declared = next(one for one in pipeline.topics if one.name == topic.name)
            plans.append(_plan_source(pipeline, declared, wanted, source))
        else:
            count = 1 if topic.name == names.lifecycle(pipeline.name) else outputs
            plans.append(_plan_output(topic, count, existing.get(topic.name)))
    return plans


def _plan_source(pipeline: Pipeline, topic: Topic, wanted: int, source: Existing | None) -> TopicPlan:
    if source is None:
        return TopicPlan(topic, wanted)
    changes = _changes(topic, source)
    refusal = remark = None
    if source.partitions < wanted:
        refusal = (
            f"{topic.name}: got {source.partitions} partitions, expected {wanted}: not grown, since keys would move to "
            f"partitions whose models have not learned them. Declare partitions={source.partitions}, or name a new "
            "pipeline and send the records again."
        )
    elif source.partitions > wanted:
        remark = f"has {source.partitions} partitions, {wanted} declared: all of them are read"
    if pipeline.source is not None and changes:
        remark = "settings left alone, since source= names another's topic: " + describe(changes)
        if "cleanup.policy" in changes:
            refusal = f"{topic.name}: cleanup.policy: got {changes['cleanup.policy'][0]!r}, expected 'delete': "
            refusal += "compaction drops records that the model has learned from. Name another source."
        changes = {}
    return TopicPlan(topic, max(wanted, source.partitions), source, changes, refusal=refusal, remark=remark)


def _plan_output(topic: Topic, wanted: int, existing: Existing | None) -> TopicPlan:
    if existing is None:
        return TopicPlan(topic, wanted)
    grow = existing.partitions < wanted
    return TopicPlan(topic, max(wanted, existing.partitions), existing, _changes(topic, existing), grow=grow)


def _changes(topic: Topic, existing: Existing) -> dict[str, tuple[str, str]]:
    found = {}
    for name, wanted in topic.config.items():
        got = existing.config.get(name, "")
        enough = name in _AT_LEAST and got.lstrip("-").isdigit() and (int(got) >= int(wanted) or got == "-1")
        if got != wanted and not enough:
            found[name] = (got, wanted)
    return found


def describe(changes: Mapping[str, tuple[str, str]]) -> str:
    """Return changes in words.

    Examples
    --------
    >>> describe({"retention.ms": ("1", "2")})
    'retention.ms 1 → 2'
    """
    return ", ".join(f"{name} {got or '(unset)'} → {wanted}" for name, (got, wanted) in changes.items())


def replay_horizon(source: TopicPlan) -> str:
    """Return how far back the state of a model can be rebuilt: the retention of the input topic.

    Examples
    --------
    >>> replay_horizon(TopicPlan(Topic("p.raw", "entity", "", {"retention.ms": "86400000"}), 1))
    '1 day'
    """
    config = {**source.config, **(source.existing.config if source.existing else {})}
    config |= {name: wanted for name, (_, wanted) in source.changes.items()}
    milliseconds, size = int(config.get("retention.ms", -1)), int(config.get("retention.bytes", -1))
    hours = milliseconds / _HOUR_MS
    count, unit = (hours / 24, "day") if hours >= 24 else (hours, "hour")
    horizon = "no end" if milliseconds < 0 else f"{count:g} {unit}{'' if count == 1 else 's'}"
    return horizon if size < 0 else f"{horizon}, at most {size:,} bytes a partition"


# ---------------------------------------------------------------------- the broker


def new_admin(settings: Settings) -> AdminClient:
    """Return a client for the broker's administration; keep it until its answers are there."""
    return AdminClient(settings.client(), logger=log)


def partition_counts(admin: AdminClient, settings: Settings) -> dict[str, int]:
    """Return how many partitions each topic on the broker has.

    Raises
    ------
    BrokerError
        When no broker answers.
    """
    try:
        known = admin.list_topics(timeout=_ADMIN_SECONDS).topics
    except KafkaException as error:
        raise BrokerError(
            f"{settings.bootstrap_servers}: no Kafka answers ({error.args[0].str()}). Is RIVERRUN_BOOTSTRAP_SERVERS "
            "right? riverrun broker start starts a local one."
        ) from None
    return {name: len(topic.partitions) for name, topic in known.items() if topic.error is None}


def require_topic(settings: Settings, topic: str) -> int:
    """Return the number of partitions of a topic that has to be there.

    Raises
    ------
    BrokerError
        When no broker answers, or there is no such topic: producing to it might make one with the broker's defaults.
    """
    count = partition_counts(new_admin(settings), settings).get(topic, 0)
    if not count:
        raise BrokerError(
            f"{topic}: no such topic on {settings.bootstrap_servers}. riverrun topics apply PIPELINE makes the topics "
            "of a pipeline."
        )
    return count


def observe(admin: AdminClient, settings: Settings, wanted: list[str]) -> dict[str, Existing]:
    """Return those of the wanted topics that the broker has.

    Raises
    ------
    BrokerError
        When no broker answers, or does not tell.
    """
    known = partition_counts(admin, settings)
    there = [name for name in dict.fromkeys(wanted) if name in known]
    if not there:
        return {}
    answers = admin.describe_configs(
        [ConfigResource(ResourceType.TOPIC, name) for name in there], request_timeout=_ADMIN_SECONDS
    )
    configs = {resource.name: _result(answer, resource.name) for resource, answer in answers.items()}
    return {
        name: Existing(known[name], {key: entry.value or "" for key, entry in configs[name].items()}) for name in there
    }


def plan_topics(pipeline: Pipeline, settings: Settings, *, partitions: int | None = None) -> list[TopicPlan]:
    """Ask the broker what is there and return what each topic needs."""
    admin = new_admin(settings)
    return plan(pipeline, observe(admin, settings, [one.name for one in pipeline.topics]), partitions=partitions)


def apply_topics(
    pipeline: Pipeline, settings: Settings, *, partitions: int | None = None, replication_factor: int | None = None
) -> list[TopicPlan]:
    """Make the topics of a pipeline fit, as far as that loses nothing; what fits already is left alone.

    Parameters
    ----------
    pipeline
        The declaration.
    settings
        Of the deployment.
    partitions
        Partitions of a new input topic, in place of the declaration's.
    replication_factor
        Copies of each new topic; None leaves it to the broker.

    Returns
    -------
    The plan that was carried out, all but its refusals. New topics can be produced to at once.

    Raises
    ------
    BrokerError
        When the broker does not answer, or refuses.
    """
    admin = new_admin(settings)
    plans = plan(pipeline, observe(admin, settings, [one.name for one in pipeline.topics]), partitions=partitions)
    copies = _BROKERS_CHOICE if replication_factor is None else replication_factor
    missing = [NewTopic(p.name, p.partitions, copies, config=p.config) for p in plans if p.action == "create"]
    if missing:
        for name, answer in admin.create_topics(missing, request_timeout=_ADMIN_SECONDS).items():
            _result(answer, name, fine=KafkaError.TOPIC_ALREADY_EXISTS)
    growing = [NewPartitions(p.name, p.partitions) for p in plans if p.existing and p.grow]
    if growing:
        for name, answer in admin.create_partitions(growing, request_timeout=_ADMIN_SECONDS).items():
            _result(answer, name)
    altered = [_altered(p) for p in plans if p.existing and p.changes]
    if altered:
        for resource, answer in admin.incremental_alter_configs(altered, request_timeout=_ADMIN_SECONDS).items():
            _result(answer, resource.name)
    _wait_until_visible(admin, {p.name: p.partitions for p in plans if p.action in ("create", "grow")})
    return plans


def _altered(topic: TopicPlan) -> ConfigResource:
    entries = [
        ConfigEntry(name, wanted, incremental_operation=AlterConfigOpType.SET)
        for name, (_, wanted) in topic.changes.items()
    ]
    return ConfigResource(ResourceType.TOPIC, topic.name, incremental_configs=entries)


def _result(answer: "Future[Any]", name: str, *, fine: int | None = None) -> Any:
    try:
        return answer.result(_ADMIN_SECONDS + 1)
    except KafkaException as error:
        if error.args[0].code() == fine:
            return None
        raise BrokerError(f"{name}: the broker refused: {error.args[0].str()}") from None


def _wait_until_visible(admin: AdminClient, wanted: Mapping[str, int]) -> None:
    deadline = time.monotonic() + _ADMIN_SECONDS
    left = dict(wanted)
    while left:
        known = admin.list_topics(timeout=_ADMIN_SECONDS).topics
        left = {name: count for name, count in left.items() if not _is_led(known.get(name), count)}
        if left and time.monotonic() > deadline:
            raise BrokerError(f"{', '.join(left)}: made, but not visible after {_ADMIN_SECONDS:g} s: try again")
        if left:
            time.sleep(0.05)


def _is_led(topic: Any, partitions: int) -> bool:
    if topic is None or topic.error is not None or len(topic.partitions) < partitions:
        return False
    return all(partition.leader >= 0 for partition in topic.partitions.values())
