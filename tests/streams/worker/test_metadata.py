"""The first question to Kafka: it is answered, or it is said why not."""

import logging
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from schemas.errors import BrokerError
from streams.worker import metadata
from streams.worker.metadata import partition_counts
from streams.worker.settings import Settings

DOWN = KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down")
REFUSED = KafkaError(KafkaError._TRANSPORT, "kafka:9092/bootstrap: Connect to ipv4#10.0.0.1:9092 failed: Refused")
UNKNOWN_NAME = KafkaError(KafkaError._RESOLVE, "kafka:9092/bootstrap: Failed to resolve 'kafka:9092': not known")
WRONG = "SASL authentication error: Authentication failed: Invalid username or password"
LOG_IN = KafkaError(
    KafkaError._AUTHENTICATION, f"sasl_ssl://kafka:9092/bootstrap: {WRONG} (after 301ms in state AUTH_REQ)"
)
UNKNOWN_CA = KafkaError(KafkaError._SSL, "ssl://kafka:9092/bootstrap: SSL handshake failed: certificate verify failed")
PLAIN = KafkaError(KafkaError._TRANSPORT, "ssl://kafka:9092/bootstrap: SSL handshake failed: Disconnected")
SETTINGS = Settings(bootstrap_servers="kafka:9092", security_protocol="SASL_SSL", sasl_username="ann")


class FakeAdmin:
    """Hears of errors when it is polled, as librdkafka's does, and answers at the so-manieth question."""

    def __init__(self, config: dict[str, Any], errors: list[KafkaError], answers_at: int) -> None:
        self._hear, self._errors, self._left = config["error_cb"], errors, answers_at

    def list_topics(self, *, timeout: float) -> Any:
        self._left -= 1
        if self._left == 0:
            error = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
            topics = {"p.raw": (None, 3), "q.raw": (error, 0)}
            return SimpleNamespace(
                topics={name: SimpleNamespace(error=e, partitions=range(count)) for name, (e, count) in topics.items()}
            )
        time.sleep(min(timeout, 0.05))
        raise KafkaException(KafkaError(KafkaError._TRANSPORT, "Failed to get metadata: Local: Transport failure"))

    def poll(self, _: float) -> None:
        for error in self._errors:
            self._hear(error)


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have a broker that is heard of by these errors, and answers at the so-manieth question, or never."""

    def broker(*errors: KafkaError, answers_at: int = 0) -> None:
        monkeypatch.setattr(metadata, "AdminClient", lambda config, **_: FakeAdmin(config, list(errors), answers_at))

    return broker


def test_partition_counts_broker_away_for_a_while_is_waited_for(broker: Callable[..., None]) -> None:
    """It may be starting; topics of which it tells nothing are not there."""
    broker(DOWN, REFUSED, answers_at=3)
    assert partition_counts(SETTINGS, 10) == {"p.raw": 3}


def test_partition_counts_log_in_refused_raises_at_once(broker: Callable[..., None]) -> None:
    """Who was refused, what the broker says, which settings: asked again it would say the same."""
    broker(LOG_IN, DOWN)
    begin = time.monotonic()
    with pytest.raises(BrokerError) as caught:
        partition_counts(SETTINGS, 10)
    assert time.monotonic() - begin < 3
    assert str(caught.value) == (
        f"kafka:9092: the broker refuses the log-in of user ann ({WRONG}). Are RIVERRUN_SASL_USERNAME, "
        "RIVERRUN_SASL_PASSWORD and RIVERRUN_SASL_MECHANISM right?"
    )


def test_partition_counts_log_in_refused_by_one_of_several_brokers_is_passed_over(broker: Callable[..., None]) -> None:
    """Another one has answered."""
    broker(LOG_IN, answers_at=1)
    assert partition_counts(SETTINGS, 10) == {"p.raw": 3}


@pytest.mark.parametrize(
    ("heard", "told"),
    [
        (
            [UNKNOWN_CA],
            r"no TLS with the broker \(SSL .*verify failed\)\. Is RIVERRUN_SSL_CA.*the name .* has it not expired\?",
        ),
        *(
            (
                [KafkaError(code, f"ssl://kafka:9092/bootstrap: {said}"), DOWN],
                r"the broker .* ssl\.certificate\.location",
            )
            for code in (KafkaError._SSL, KafkaError._TRANSPORT)
            for said in (
                "SSL handshake failed: error:0A00045C:SSL routines::tlsv13 alert certificate required: number 116",
                "SSL handshake failed: error:0A000412:SSL routines::sslv3 alert bad certificate: SSL alert number 42",
                "SSL handshake failed: error:0A000410:SSL routines::sslv3 alert handshake failure: alert number 40",
            )
        ),
        (
            [DOWN],
            r"no Kafka answers \(connections are broken off\)\. Is RIVERRUN_SECURITY_PROTOCOL right, is it SASL_SSL",
        ),
        (
            [DOWN, PLAIN],
            r"no Kafka answers \(connections are broken off: SSL handshake failed: Disconnected\)",
        ),
        ([DOWN, REFUSED], r"no Kafka answers \(Failed to get metadata: .*\)\. Is RIVERRUN_BOOTSTRAP_SERVERS right"),
        ([UNKNOWN_NAME, DOWN], r"the name is not known \(DNS\)\. Is RIVERRUN_BOOTSTRAP_SERVERS right\?$"),
        ([], r"no Kafka answers \(Failed to get metadata: .*\)\. Is RIVERRUN_BOOTSTRAP_SERVERS right"),
    ],
)
def test_partition_counts_no_answer_tells_which_setting_may_be_wrong(
    broker: Callable[..., None], heard: list[KafkaError], told: str
) -> None:
    """The authority, the protocol, or the address."""
    broker(*heard)
    with pytest.raises(BrokerError, match=f"^kafka:9092: {told}"):
        partition_counts(SETTINGS, 0.2)


@pytest.mark.parametrize(
    ("servers", "is_local"), [("kafka:9092", False), ("localhost:9092", True), ("127.0.0.1:1,kafka:9092", True)]
)
def test_partition_counts_local_broker_is_advised_only_where_one_is_asked(
    broker: Callable[..., None], servers: str, is_local: bool
) -> None:
    """On the way to a cluster elsewhere it would be no help."""
    broker(DOWN, REFUSED)
    with pytest.raises(BrokerError) as caught:
        partition_counts(Settings(bootstrap_servers=servers), 0.2)
    assert ("riverrun broker start" in str(caught.value)) is is_local


def test_partition_counts_long_silence_is_told_once_while_it_waits(
    broker: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that says nothing for a quarter of a minute looks as if it hung."""
    said: list[str] = []
    monkeypatch.setattr(metadata, "_PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(metadata.log, "warning", lambda text, *values: said.append(text % values))
    broker(DOWN)
    with pytest.raises(BrokerError):
        partition_counts(SETTINGS, 0.4)
    assert len(said) == 1
    assert "connections are broken off" in said[0]
    assert said[0].endswith("Asked again for 0 s.")


def test_partition_counts_long_silence_is_told_by_commands_too(
    broker: Callable[..., None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """They keep librdkafka's log to themselves, and would be silent for 10 s."""
    monkeypatch.setattr(metadata, "_PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(logging.getLogger("riverrun.kafka"), "propagate", False)
    broker(DOWN)
    with pytest.raises(BrokerError):
        partition_counts(SETTINGS, 0.4)
    assert "Asked again for" in caplog.text


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, ""),
        ({"security_protocol": "SSL"}, ""),
        ({"security_protocol": "SSL", "kafka": {"ssl.keystore.location": "k.p12"}}, "the owner of this certificate"),
        ({"security_protocol": "SASL_SSL", "sasl_username": "ann"}, "user ann"),
        ({"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"}, "this user"),
    ],
)
def test_unseen_names_whose_view_it_is_where_kafka_asks_for_that(settings: dict[str, Any], told: str) -> None:
    """Kafka hides what somebody may not describe; where it asks nobody, a topic that is not seen is not there."""
    assert metadata.unseen(Settings(**settings)) == (
        f", or none that {told} may describe (docs/security.md)" if told else ""
    )
