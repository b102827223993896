"""The probe of a broker: run the checks, keep the verdict on the cluster, leave nothing else behind."""

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version

import msgspec
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from schemas.errors import BrokerError
from services.conformance.checks import CHECKS, CheckFailed
from services.conformance.site import POLL_SECONDS, Clients, Site
from services.topics import new_admin
from streams.worker.conformance import TOPIC, Trial, Verdict, cluster_id
from streams.worker.settings import Settings

log = logging.getLogger("riverrun.conformance")

_PROBE_SECONDS = 30.0
_RESERVED_SECONDS = 4.0  # kept for each check to come, however long the others take
_ADMIN_SECONDS = 10.0
_CLEANING_SECONDS = 5.0
_BROKERS_CHOICE = -1


def probe(settings: Settings, clients: Clients | None = None) -> Iterator[Trial]:
    """Check a broker, within half a minute; what was made for it is deleted at the end.

    Parameters
    ----------
    settings
        Of the deployment.
    clients
        Makers of clients; those of the deployment unless told otherwise.

    Yields
    ------
    What each check has found, as soon as it has. One that could not be finished counts as failed.

    Raises
    ------
    BrokerError
        When the broker does not make a topic.
    """
    clients = clients or Clients(settings)
    admin = new_admin(settings)
    topic = f"riverrun.probe.{uuid.uuid4().hex}"
    groups = [f"{topic}.{name.replace(' ', '-')}" for name in CHECKS]
    _make_topic(admin, NewTopic(topic, len(CHECKS), _BROKERS_CHOICE))
    end = time.monotonic() + _PROBE_SECONDS
    try:
        for i, (name, check) in enumerate(CHECKS.items()):
            deadline = end - _RESERVED_SECONDS * (len(CHECKS) - 1 - i)
            yield _try(name, check, Site(clients, topic, i, groups[i], deadline))
    finally:
        _clean_up(admin, topic, groups)


def _try(name: str, check: Callable[[Site], str], site: Site) -> Trial:
    try:
        return Trial(name, True, check(site))
    except CheckFailed as failed:
        return Trial(name, False, str(failed))
    except Exception as error:
        is_kafkas = isinstance(error, KafkaException)
        what = error.args[0].str() if is_kafkas else f"{type(error).__name__}: {error}"
        return Trial(name, False, f"could not be finished: {' '.join(what.split())}")


def store(settings: Settings, trials: list[Trial]) -> Verdict:
    """Keep a verdict on the cluster, where its workers look for it.

    Returns
    -------
    What is kept, under the cluster's id.

    Raises
    ------
    BrokerError
        When the broker does not take it.
    """
    admin = new_admin(settings)
    _make_topic(admin, NewTopic(TOPIC, 1, _BROKERS_CHOICE, config={"cleanup.policy": "compact"}))
    producer = Producer(settings.client(**{"acks": "all", "linger.ms": 0}), logger=logging.getLogger("riverrun.kafka"))
    try:
        cluster = cluster_id(producer.list_topics(TOPIC, timeout=_ADMIN_SECONDS))
    except KafkaException as error:
        raise BrokerError(f"{TOPIC}: the verdict was not taken: {error.args[0].str()}") from None
    probed_at = datetime.now(UTC).isoformat(timespec="seconds")
    verdict = Verdict(cluster, version("riverrun"), probed_at, trials)
    refusals: list[KafkaError | None] = []
    value, key = msgspec.json.encode(verdict), cluster.encode()
    producer.produce(TOPIC, value, key, 0, on_delivery=lambda error, _: refusals.append(error))
    producer.flush(_ADMIN_SECONDS)
    if refusals != [None]:
        why = refusals[0].str() if refusals and refusals[0] is not None else f"no answer in {_ADMIN_SECONDS:g} s"
        raise BrokerError(f"{TOPIC}[0]: the verdict was not taken: {why}")
    return verdict


def _make_topic(admin: AdminClient, topic: NewTopic) -> None:
    """Make a topic that is not there yet, and wait until it is led."""
    try:
        admin.create_topics([topic], request_timeout=_ADMIN_SECONDS)[topic.topic].result(_ADMIN_SECONDS + 1)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise BrokerError(f"{topic.topic}: the broker did not make it: {error.args[0].str()}") from None
    deadline = time.monotonic() + _ADMIN_SECONDS
    while not _is_led(admin, topic.topic):
        if time.monotonic() > deadline:
            raise BrokerError(f"{topic.topic}: made, but not visible after {_ADMIN_SECONDS:g} s: try again")
        time.sleep(POLL_SECONDS)


def _is_led(admin: AdminClient, topic: str) -> bool:
    """Tell whether the broker knows the topic, and who leads its partitions."""
    try:
        known = admin.list_topics(topic, timeout=_ADMIN_SECONDS).topics[topic]
    except KafkaException:
        return False
    return known.error is None and all(partition.leader >= 0 for partition in known.partitions.values())


def _clean_up(admin: AdminClient, topic: str, groups: Sequence[str]) -> None:
    """Delete what the checks have left, as far as the broker lets us; what stays is told."""
    try:
        admin.delete_topics([topic], request_timeout=_CLEANING_SECONDS)[topic].result(_CLEANING_SECONDS + 1)
    except KafkaException as error:
        log.warning("%s: left behind, topic and groups, delete them by hand: %s", topic, error.args[0].str())
        return
    deadline = time.monotonic() + _CLEANING_SECONDS
    left = _delete_groups(admin, groups)
    while left and time.monotonic() < deadline:  # a group is empty some time after its last member has left
        time.sleep(POLL_SECONDS)
        left = _delete_groups(admin, list(left))
    for group, why in left.items():
        log.warning("%s: left behind, delete the group by hand: %s", group, why)


def _delete_groups(admin: AdminClient, groups: Sequence[str]) -> dict[str, str]:
    """Return those groups that could not be deleted, and why."""
    left = {}
    for group, answer in admin.delete_consumer_groups(list(groups), request_timeout=_CLEANING_SECONDS).items():
        try:
            answer.result(_CLEANING_SECONDS + 1)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
                left[group] = error.args[0].str()
    return left
