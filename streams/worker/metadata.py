"""What Kafka tells of its topics, or why it tells nothing: with this each command and each worker begins."""

import logging
import re
import time
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection, Uuid
from confluent_kafka.admin import AdminClient

from schemas.errors import BrokerError
from streams.worker.settings import Settings

#: Commands keep librdkafka's own log, riverrun.kafka, off the terminal; what is said here they show.
log = logging.getLogger("riverrun.worker")

_PATIENCE_SECONDS = 3.0
#: Polling stands still meanwhile; it is the cluster's controller that is asked.
_ID_SECONDS = 5.0
#: What a broker tells that knows no ids.
_NO_ID = str(Uuid(0, 0))
#: Which connection it was, and how long it stood: what librdkafka puts around what it has to say.
_AROUND = re.compile(r"^\S+(/bootstrap|/\d+): | \(after \d+ms in state \w+\)")
#: What a broker says that wants another certificate of ours, or any.
_OF_OUR_CERTIFICATE = ("alert certificate", "alert bad certificate", "alert handshake failure", "alert unknown ca")
_LOCAL = ("localhost", "127.0.0.1")
_UNREACHED = (KafkaError._RESOLVE, KafkaError._TIMED_OUT)


def partition_counts(settings: Settings, seconds: float) -> dict[str, int]:
    """Return how many partitions each topic has that we may know of.

    Parameters
    ----------
    settings
        Of the deployment.
    seconds
        How long a broker may be away. One that refuses us is not asked again.

    Raises
    ------
    BrokerError
        When no broker answers, or it refuses the log-in, or its certificate is not to be believed.
    """
    heard: list[KafkaError] = []
    # What is wrong is told once, by us.
    admin = AdminClient(
        settings.client(**{"error_cb": heard.append, "log_level": 0}), logger=logging.getLogger("riverrun.kafka")
    )
    begin, is_told = time.monotonic(), False
    while True:
        waited = time.monotonic() - begin
        try:
            # Ever longer, so that a slow broker is heard: errors come to our ears only in between.
            known = admin.list_topics(timeout=min(max(1.0, waited), max(0.1, seconds - waited))).topics
        except KafkaException as error:
            admin.poll(0.1)
            _refuse(settings, heard)
            waited, why = time.monotonic() - begin, _silence(settings, error.args[0].str(), heard)
            if waited >= seconds:
                raise BrokerError(why) from None
            if waited >= _PATIENCE_SECONDS and not is_told:
                is_told = True
                log.warning("%s Asked again for %.0f s.", why, seconds - waited)
        else:
            return {name: len(topic.partitions) for name, topic in known.items() if topic.error is None}


def topic_id(settings: Settings, topic: str, level: int = logging.WARNING) -> str:
    """Return Kafka's id of a topic, which no other topic ever has; empty where the broker knows none, or does not tell.

    That is no reason to stand still, and logged at a level: what is known of a topic without its id may be of any of
    its name.
    """
    try:
        admin = AdminClient(settings.client(), logger=logging.getLogger("riverrun.kafka"))
        told = admin.describe_topics(TopicCollection([topic]), request_timeout=_ID_SECONDS)[topic].result()
    except KafkaException as error:
        if error.args[0].code() != KafkaError._UNSUPPORTED_FEATURE:
            log.log(
                level,
                "%s: the broker does not tell its id (%s): snapshots of a deleted topic of its name would not be known",
                topic,
                error.args[0].str(),
            )
        return ""
    known = str(told.topic_id)
    return "" if known == _NO_ID else known


def unseen(settings: Settings) -> str:
    """Return what a topic that is missing may be as well, where Kafka knows who asks: it hides what may not be seen.

    Examples
    --------
    >>> unseen(Settings(security_protocol="SASL_SSL", sasl_username="ann"))
    ', or none that user ann may describe (docs/security.md)'
    >>> unseen(Settings())
    ''
    """
    identity = settings.identity
    return f", or none that {identity} may describe (docs/security.md)" if identity else ""


def _refuse(settings: Settings, heard: list[KafkaError]) -> None:
    """Raise where a broker has refused us: to ask again would not help."""
    for error in heard:
        if error.code() == KafkaError._AUTHENTICATION:
            raise BrokerError(
                f"{settings.bootstrap_servers}: the broker refuses the log-in of {settings.identity} "
                f"({_said(error)}). Are RIVERRUN_SASL_USERNAME, RIVERRUN_SASL_PASSWORD and RIVERRUN_SASL_MECHANISM "
                "right?"
            )
        text = error.str().lower()
        if any(alert in text for alert in _OF_OUR_CERTIFICATE):
            raise BrokerError(
                f"{settings.bootstrap_servers}: the broker refuses our certificate, or misses one ({_said(error)}). "
                "Are ssl.certificate.location and ssl.key.location in RIVERRUN_KAFKA right (docs/security.md)?"
            )
        if error.code() == KafkaError._SSL:
            raise BrokerError(
                f"{settings.bootstrap_servers}: no TLS with the broker ({_said(error)}). Is RIVERRUN_SSL_CA_LOCATION "
                "the file of the authority that the broker's certificate is from, and does that carry the name under "
                "which the broker is asked, and has it not expired?"
            )


def _silence(settings: Settings, text: str, heard: list[KafkaError]) -> str:
    """Return why there is no answer: nobody is reached, or who is breaks off, as where one of the two wants TLS."""
    said = [error for error in heard if error.code() != KafkaError._ALL_BROKERS_DOWN]
    is_reached = bool(heard) and not any(e.code() in _UNREACHED or "Connect to" in e.str() for e in said)
    if not is_reached:
        servers = settings.bootstrap_servers
        if said and all(error.code() == KafkaError._RESOLVE for error in said):
            names = "names are" if "," in servers else "name is"
            return f"{servers}: the {names} not known (DNS). Is RIVERRUN_BOOTSTRAP_SERVERS right?"
        is_local = any(server.strip().rpartition(":")[0] in _LOCAL for server in servers.split(","))
        advice = " riverrun broker start starts a local one." if is_local else ""
        return f"{servers}: no Kafka answers ({text}). Is RIVERRUN_BOOTSTRAP_SERVERS right?{advice}"
    why = f"connections are broken off: {_said(said[-1])}" if said else "connections are broken off"
    protocol = settings.client()["security.protocol"]
    return (
        f"{settings.bootstrap_servers}: no Kafka answers ({why}). Is RIVERRUN_SECURITY_PROTOCOL right, "
        f"is it {protocol} that the broker speaks there?"
    )


def _said(error: Any) -> str:
    return _AROUND.sub("", error.str())
