"""Whether a broker's transactions hold: the verdict of ``riverrun doctor --probe``, and what a worker makes of it."""

import logging
import time
from typing import Any

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from msgspec import Struct

from schemas.errors import BrokerError
from streams.worker.settings import Settings

log = logging.getLogger("riverrun.worker")

#: Compacted, one partition; the key is the cluster's id, so that a copy on another cluster says nothing of that one.
TOPIC = "riverrun.conformance"
#: Key of the verdict on a cluster that has no id.
NAMELESS = "nameless-cluster"

_BROKER_SECONDS = 5.0
_POLL_SECONDS = 0.5


class Trial(Struct, frozen=True):
    """One check of a broker, and how it went.

    Parameters
    ----------
    name
        What was to be shown, such as ``zombies fenced``.
    passed
        Whether it was.
    found
        What was seen.
    """

    name: str
    passed: bool
    found: str


class Verdict(Struct, frozen=True):
    """What a probe has found out about a cluster.

    Parameters
    ----------
    cluster
        Its id.
    riverrun
        Version of the riverrun that probed.
    probed_at
        When, as ISO 8601.
    trials
        Its checks.

    Examples
    --------
    >>> trials = [Trial("zombies fenced", False, "both committed"), Trial("aborted records hidden", True, "0 of 5")]
    >>> [failure.name for failure in Verdict("c", "0.1.0", "2026-01-31T12:00:00+00:00", trials).failures]
    ['zombies fenced']
    """

    cluster: str
    riverrun: str
    probed_at: str
    trials: list[Trial]

    @property
    def failures(self) -> list[Trial]:
        """The checks that went wrong."""
        return [trial for trial in self.trials if not trial.passed]


def heed_verdict(settings: Settings) -> None:
    """See that exactly-once can hold on this cluster: silent after a good verdict, one warning without any.

    Raises
    ------
    BrokerError
        When a probe has found that it cannot.
    """
    try:
        verdict = read_verdict(settings)
    except BrokerError as error:
        log.warning("exactly_once: no verdict on the broker's transactions (%s): riverrun doctor --probe", error)
        return
    if verdict is None:
        log.warning(
            "exactly_once: transactions on %s have not been probed; run riverrun doctor --probe PIPELINE",
            settings.bootstrap_servers,
        )
    elif verdict.failures:
        raise BrokerError(_refusal(verdict, settings))


def _refusal(verdict: Verdict, settings: Settings) -> str:
    found = "; ".join(f"{failure.name}: {failure.found}" for failure in verdict.failures)
    return (
        f"{settings.bootstrap_servers}: exactly_once does not hold there, the probe of {verdict.probed_at} found: "
        f"{found}. RIVERRUN_PROCESSING_GUARANTEE=at_least_once does without; once the broker is mended, probe again: "
        "riverrun doctor --probe PIPELINE"
    )


def read_verdict(settings: Settings) -> Verdict | None:
    """Return the newest verdict on the cluster, None when there is none.

    Raises
    ------
    BrokerError
        When it cannot be read.
    """
    config = settings.client(
        **{
            "group.id": "riverrun-conformance",  # librdkafka wants one; nothing is committed under it
            "client.id": "riverrun-conformance",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_uncommitted",
            "fetch.wait.max.ms": 10,
        }
    )
    consumer = Consumer(config, logger=logging.getLogger("riverrun.kafka"))
    try:
        known = consumer.list_topics(TOPIC, timeout=_BROKER_SECONDS)
        error = known.topics[TOPIC].error
        if error is None:
            return _decode(_last_record(consumer, cluster_id(known)))
        if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return None
        raise KafkaException(error)
    except KafkaException as error:
        raise BrokerError(f"{TOPIC}: {error.args[0].str()}") from None
    finally:
        consumer.close()


def cluster_id(known: Any) -> str:
    """Return the id in a cluster's metadata; `NAMELESS` stands for one that has none."""
    return known.cluster_id or NAMELESS


def _last_record(consumer: Consumer, cluster: str) -> Message | None:
    """Return the last record with the cluster's key."""
    consumer.assign([TopicPartition(TOPIC, 0, OFFSET_BEGINNING)])
    last = None
    deadline = time.monotonic() + _BROKER_SECONDS
    while time.monotonic() < deadline:
        message = consumer.poll(_POLL_SECONDS)
        if message is None:
            continue
        error = message.error()
        if error is None:
            last = message if message.key() == cluster.encode() else last
        elif error.code() == KafkaError._PARTITION_EOF:
            return last
        elif not error.retriable():
            raise KafkaException(error)
    raise BrokerError(f"{TOPIC}[0]: not read to its end within {_BROKER_SECONDS:g} s")


def _decode(record: Message | None) -> Verdict | None:
    if record is None or record.value() is None:
        return None
    try:
        return msgspec.json.decode(record.value(), type=Verdict)
    except msgspec.DecodeError as error:
        raise BrokerError(f"{TOPIC}[0]@{record.offset()}: got no verdict: {error}") from None
