"""What a deployment sets: brokers, security, intervals. All of it comes from ``RIVERRUN_…`` in the environment."""

import difflib
import logging
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from schemas.errors import ConfigurationError

#: How much alike names are when one letter is wrong.
_NEARLY = 0.94
_ALIKE = 0.8
#: What Kubernetes tells pods of services whose names begin with ours.
_OF_A_SERVICE = re.compile(r"RIVERRUN_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)")
_SERVERS = ("bootstrap.servers", "metadata.broker.list")
_NO_CLIENT = "Failed to create"
_VALUE = re.compile(r" value \S+ is outside")
_PROPERTY = re.compile(r'configuration property "([\w.]+)"', re.IGNORECASE)
#: What librdkafka says without the value, which may be secret.
_WITHOUT_VALUE = re.compile(
    r'No such configuration property: "[^"]*"|(Invalid value for c|C)onfiguration property "[\w.]+"'
    r'( cannot be set to empty value| is outside allowed range \S+)?|Expected bool value for "[\w.]+": true or false'
    r"|expected \w+ property as a callable function"
)
_EXPECTED = "settings of librdkafka (its CONFIGURATION.md has their names and ranges)"
_STORE_URL = re.compile(r"file:///[^?#\s]+|s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^?#\s]*)?")


class Settings(BaseSettings):
    """Settings of a worker and of the command line. A variable that is empty counts as one that is not set.

    Parameters
    ----------
    bootstrap_servers
        Comma-separated ``host:port`` of Kafka.
    security_protocol, sasl_mechanism, sasl_username, sasl_password, ssl_ca_location
        As librdkafka's settings of these names.
    kafka
        Further librdkafka settings as a JSON object, for every client; they win over ours.
    group_id
        Consumer group; ``riverrun-<pipeline>`` unless set.
    worker_id
        Stable name of this worker, such as a StatefulSet's ordinal: it makes the group membership static.
    processing_guarantee
        ``exactly_once``: outputs and offsets in one transaction. ``at_least_once``: offsets after outputs; some latency
        less, for brokers without transactions.
    commit_interval
        Seconds between commits. Raising it makes them cheaper and a restart repeat more; exactly-once readers see
        outputs with the commit. 0.1 with ``exactly_once``, 1 with ``at_least_once``, unless set.
    batch_records
        Largest number of records handed to an agent at once.
    batch_seconds
        Work that one batch may take; it bounds the time in which the worker does nothing else.
    on_state_lost
        When the log no longer reaches back to where the state came from: ``stop``, go on with a ``fresh`` model,
        or relearn from the ``earliest`` record left.
    on_new_declaration
        When the log was folded under another declaration, and does not say that this one begins: ``wait`` for
        ``riverrun deploy``, or ``relearn`` all of the log under this one.
    signing_key
        File of the private key that snapshots are signed with, as ``riverrun keys init`` makes it: only its owner may
        read it, or, where that is somebody else, its group, too.
    trusted_keys
        Folder of the public keys (``*.pem``) whose snapshots are believed. A key taken out is not believed any more.
    commands
        Whose commands are obeyed: ``signed``, those of operators whose keys are known, or ``open``, of everybody who
        may write to the topic. The command line signs with `signing_key`, or not at all with ``open``.
    operator_keys
        Folder of the operators' public keys (``*.pem``); `trusted_keys` unless set. The key of an operator who left is
        to stay there while the log reaches back to what was signed with it, else a replay would refuse that.
    snapshot_store
        Where snapshots are kept: ``kafka`` in topics beside the log, ``file:///folder`` in a folder of this machine,
        ``s3://bucket/prefix`` in an object store.
    snapshot_interval
        Seconds between snapshots of a partition. Raising it costs less and makes recovery replay more of the log;
        0 takes none, and recovery replays all of it.
    stall_limit
        Seconds without a commit, while there is something to commit, after which the worker ends; likewise without a
        record read, while there is one to read. Raising it bears with slower models and brokers; 0 never ends it.
    stop_limit
        Seconds that an end may take, after a signal or an error, before the worker ends as if it were killed: what was
        not committed by then is done again. Raising it gives slow models and brokers more time; 0 waits until all is
        done or Kafka is given up.
    metrics_port
        Port of the Prometheus endpoint, 0 for none.
    metrics_host
        Address or name of this machine on which it listens; empty for all addresses.
    log_level
        ``DEBUG``, ``INFO``, ``WARNING`` or ``ERROR``.

    Examples
    --------
    >>> Settings(bootstrap_servers="kafka:9092").client()["bootstrap.servers"]
    'kafka:9092'
    """

    model_config = SettingsConfigDict(env_prefix="RIVERRUN_", extra="forbid", env_ignore_empty=True)

    bootstrap_servers: str = "localhost:9092"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: str | None = Field(default=None, repr=False)
    ssl_ca_location: str | None = None
    kafka: dict[str, Any] = Field(default={}, repr=False)
    group_id: str | None = None
    worker_id: str | None = None
    processing_guarantee: Literal["exactly_once", "at_least_once"] = "exactly_once"
    commit_interval: float | None = Field(default=None, gt=0, le=60)
    batch_records: int = Field(default=1000, ge=1, le=10_000)
    batch_seconds: float = Field(default=0.05, gt=0, le=10)
    on_state_lost: Literal["stop", "fresh", "earliest"] = "stop"
    on_new_declaration: Literal["wait", "relearn"] = "wait"
    signing_key: Path = Path(".riverrun/keys/signing.pem")
    trusted_keys: Path = Path(".riverrun/keys/trusted")
    commands: Literal["signed", "open"] = "signed"
    operator_keys: Path | None = None
    snapshot_store: str = "kafka"
    snapshot_interval: float = Field(default=30.0, ge=0, le=86_400)
    stall_limit: float = Field(default=120.0, ge=0, le=86_400)
    stop_limit: float = Field(default=25.0, ge=0, le=86_400)
    metrics_port: int = Field(default=0, ge=0, le=65535)
    metrics_host: str = ""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    def group_of(self, pipeline: str) -> str:
        """Return the consumer group of a pipeline's workers.

        Parameters
        ----------
        pipeline
            Its name.
        """
        return self.group_id or f"riverrun-{pipeline}"

    @property
    def commit_seconds(self) -> float:
        """Seconds between commits."""
        if self.commit_interval is not None:
            return self.commit_interval
        return 0.1 if self.processing_guarantee == "exactly_once" else 1.0

    @property
    def snapshots_in_kafka(self) -> bool:
        """Whether snapshots are taken, and kept in topics."""
        return self.snapshot_interval > 0 and self.snapshot_store == "kafka"

    @property
    def identity(self) -> str | None:
        """As whom Kafka knows us; None where it asks nobody who they are."""
        client = self.client()
        protocol = str(client["security.protocol"]).upper()
        if protocol.startswith("SASL"):
            name = client.get("sasl.username")
            return f"user {name}" if name else "this user"
        has_certificate = any(name.startswith(("ssl.certificate", "ssl.keystore")) for name in client)
        return "the owner of this certificate" if protocol == "SSL" and has_certificate else None

    @field_validator("bootstrap_servers")
    @classmethod
    def _check_servers(cls, value: str) -> str:
        for server in value.split(","):
            host, _, port = server.strip().rpartition(":")
            if not host or not port.isdigit():
                raise ValueError("host:port, or several with commas between")
        return value

    @field_validator("snapshot_store")
    @classmethod
    def _check_store(cls, value: str) -> str:
        if value != "kafka" and not _STORE_URL.fullmatch(value):
            raise ValueError("kafka, file:///absolute/folder or s3://bucket[/prefix]")
        return value

    def client(self, **further: Any) -> dict[str, Any]:
        """Return the configuration of a librdkafka client."""
        secured = {
            "security.protocol": self.security_protocol,
            "sasl.mechanism": self.sasl_mechanism,
            "sasl.username": self.sasl_username,
            "sasl.password": self.sasl_password,
            "ssl.ca.location": self.ssl_ca_location,
        }
        config = {
            "bootstrap.servers": self.bootstrap_servers,
            # noida-db answers a fetch with all it has, whatever was asked for; Kafka itself heeds the limits.
            "receive.message.max.bytes": 2_000_000_000,
        }
        config |= {k: v for k, v in secured.items() if v is not None}
        return {**config, **further, **self.kafka}


def load_settings(**overrides: Any) -> Settings:
    """Return the settings of the environment, with those of the command line on top.

    Raises
    ------
    ConfigurationError
        Naming the environment variable, what it holds and what it takes.
    """
    _refuse_misspelled(os.environ)
    try:
        settings = Settings(**{name: value for name, value in overrides.items() if value is not None})
    except SettingsError as error:
        # The one setting that is JSON; what it holds may be secret.
        told = 'got no JSON, expected an object of librdkafka\'s settings, such as {"debug": "broker"}'
        raise ConfigurationError(f"RIVERRUN_KAFKA: {told} ({error.__cause__})") from None
    except ValidationError as error:
        first = error.errors()[0]
        name = "RIVERRUN_" + "_".join(str(part) for part in first["loc"]).upper()
        secret = name in ("RIVERRUN_KAFKA", "RIVERRUN_SASL_PASSWORD")
        got = "something else" if secret else repr(first["input"])
        raise ConfigurationError(f"{name}: got {got}, expected {_expected(first)}") from None
    _check_kafka(settings.kafka)
    _check_mechanism(settings.client())
    _check_files(settings.client())
    return settings


_WORDS = {
    "literal_error": "{expected}",
    "value_error": "{error}",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than_equal": "{le:g} or less",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "float_parsing": "a number",
    "dict_type": "a JSON object",
}


def _expected(error: Any) -> str:
    """Return in words what a setting takes, not in pydantic's.

    Examples
    --------
    >>> _expected({"type": "literal_error", "ctx": {"expected": "'stop', 'fresh' or 'earliest'"}, "msg": ""})
    'stop, fresh or earliest'
    """
    words = _WORDS.get(error["type"])
    return words.format(**error.get("ctx", {})).replace("'", "") if words else str(error["msg"])


def _check_kafka(kafka: dict[str, Any]) -> None:
    """Refuse settings that librdkafka does not know, and values that it does not take."""
    if not kafka:
        return
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    alone = {name: value for name, value in kafka.items() if name not in _SERVERS}  # nothing to connect to
    try:
        AdminClient(alone, logger=logging.getLogger("riverrun.kafka"))
    except KafkaException as error:
        text = error.args[0].str().strip()
        if text.startswith(_NO_CLIENT):
            return  # which may take settings that are not among these: who needs a client hears of it
        raise ConfigurationError(f"RIVERRUN_KAFKA: {_untold(text, kafka)}; expected {_EXPECTED}") from None
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"RIVERRUN_KAFKA: {_untold(str(error), kafka)}; expected {_EXPECTED}") from None


def _untold(text: str, kafka: dict[str, Any]) -> str:
    """Return what librdkafka says of a setting, but for its value; only which it is, where the words are not known.

    Examples
    --------
    >>> _untold('Invalid value "hunter2" for configuration property "debug"', {"debug": "hunter2"})
    'debug has a value that is not taken'
    >>> _untold('Configuration property "acks" value 7000 is outside allowed range -1..1000', {"acks": 7000})
    'Configuration property "acks" is outside allowed range -1..1000'
    """
    text = _VALUE.sub(" is outside", text)
    if _WITHOUT_VALUE.fullmatch(text):
        return text
    named = _PROPERTY.search(text)
    return f"{named[1] if named else ' or '.join(kafka)} has a value that is not taken"


def _check_mechanism(client: dict[str, Any]) -> None:
    """Refuse SASL without a mechanism: librdkafka would try Kerberos, which it is mostly built without."""
    protocol = str(client["security.protocol"]).upper()
    if protocol.startswith("SASL") and not (client.get("sasl.mechanism") or client.get("sasl.mechanisms")):
        raise ConfigurationError(
            f"RIVERRUN_SASL_MECHANISM: got nothing, expected a mechanism, since the security protocol is {protocol}: "
            "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER, or GSSAPI where librdkafka is built with it"
        )


def _check_files(client: dict[str, Any]) -> None:
    """Refuse certificates and keys that are not there: what OpenSSL says of them names no file."""
    if "SSL" not in str(client["security.protocol"]).upper():
        return
    for name, path in client.items():
        is_file = name.startswith("ssl.") and name.endswith(".location") and path not in (None, "probe")
        if is_file and not os.access(str(path), os.R_OK):
            told = "a file that this user may read" if Path(str(path)).exists() else "a file that is there"
            where = "RIVERRUN_SSL_CA_LOCATION or RIVERRUN_KAFKA" if name == "ssl.ca.location" else "RIVERRUN_KAFKA"
            raise ConfigurationError(f"{name}: got {path}, expected {told} ({where})")


def ignored_variables(environment: Iterable[str]) -> list[str]:
    """Return what to say of variables that begin like a setting and are none.

    Parameters
    ----------
    environment
        Names of variables; those that Kubernetes makes for services are passed over.

    Examples
    --------
    >>> ignored_variables(["RIVERRUN_STOP_LIMIT_SECONDS", "RIVERRUN_SERVICE_HOST"])
    ['RIVERRUN_STOP_LIMIT_SECONDS: no such setting, ignored; RIVERRUN_STOP_LIMIT may be meant']
    """
    known, said = _variables(), []
    for name in environment:
        if name.startswith("RIVERRUN_") and name.upper() not in known and not _OF_A_SERVICE.fullmatch(name):
            meant = difflib.get_close_matches(name.upper(), known, 1, _ALIKE)
            hint = f"{meant[0]} may be meant" if meant else "README.md has them all"
            said.append(f"{name}: no such setting, ignored; {hint}")
    return said


def _variables() -> list[str]:
    return [f"RIVERRUN_{name}".upper() for name in Settings.model_fields]


def _refuse_misspelled(environment: Iterable[str]) -> None:
    """Refuse what is nearly a setting; others may have variables of their own that begin alike."""
    known = _variables()
    for name in environment:
        if name.startswith("RIVERRUN_") and name.upper() not in known:
            meant = difflib.get_close_matches(name.upper(), known, 1, _NEARLY)
            if meant:
                raise ConfigurationError(f"{name}: no such setting, expected {meant[0]} or another one of README.md")
