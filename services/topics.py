"""The topics of a pipeline on a broker: ask what is there, and make them fit the plan.

What they need is told by `services.topic_plan`, which knows no Kafka.
"""

import logging
import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from schemas.errors import BrokerError, RiverrunError
from services.topic_plan import Existing, TopicPlan, plan
from streams.pipeline import Pipeline
from streams.worker import metadata
from streams.worker.settings import Settings

log = logging.getLogger("riverrun.kafka")

_ADMIN_SECONDS = 10.0
_BROKERS_CHOICE = -1


def new_admin(settings: Settings) -> AdminClient:
    """Return a client for the broker's administration; keep it until its answers are there."""
    return AdminClient(settings.client(), logger=log)


def partition_counts(settings: Settings) -> dict[str, int]:
    """Return how many partitions each topic on the broker has.

    Raises
    ------
    BrokerError
        When no broker answers, or it refuses us.
    """
    return metadata.partition_counts(settings, _ADMIN_SECONDS)


def require_topic(
    settings: Settings,
    topic: str,
    advice: str = "riverrun topics apply PIPELINE makes the topics of a pipeline.",
    *,
    missing: type[RiverrunError] = BrokerError,
) -> int:
    """Return the number of partitions of a topic that has to be there.

    Parameters
    ----------
    settings
        Of the deployment.
    topic
        Its name.
    advice
        What to do where there is none.
    missing
        What is raised then: `ConfigurationError` where a user has named the topic, who may have misspelled it.

    Raises
    ------
    BrokerError
        When no broker answers, or there is no such topic: producing to it might make one with the broker's defaults.
    """
    count = partition_counts(settings).get(topic, 0)
    if not count:
        raise missing(f"{topic}: no such topic on {settings.bootstrap_servers}{metadata.unseen(settings)}. {advice}")
    return count


def has_had_records(settings: Settings, topic: str) -> bool:
    """Tell whether anything was ever written to a topic that has to be there, deleted since or not.

    Raises
    ------
    BrokerError
        As `require_topic`, and when the broker does not tell.
    """
    latest = {TopicPartition(topic, n): OffsetSpec.latest() for n in range(require_topic(settings, topic))}
    admin = new_admin(settings)  # by name: a client that is gone answers nothing
    answers = admin.list_offsets(latest, request_timeout=_ADMIN_SECONDS)
    return any(_result(answer, topic).offset > 0 for answer in answers.values())


def observe(admin: AdminClient, settings: Settings, wanted: list[str]) -> dict[str, Existing]:
    """Return those of the wanted topics that the broker has.

    Raises
    ------
    BrokerError
        When no broker answers, or does not tell.
    """
    known = partition_counts(settings)
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
