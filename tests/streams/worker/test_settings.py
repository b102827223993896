"""Settings of a deployment: from the environment, refused by name."""

from pathlib import Path

import pytest

from schemas.errors import ConfigurationError
from streams.worker.settings import Settings, ignored_variables, load_settings


def test_environment_fills_in_and_the_command_line_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command line leaves out (None) comes from the environment, else from the defaults."""
    monkeypatch.setenv("RIVERRUN_BOOTSTRAP_SERVERS", "kafka-1:9092, kafka-2:9092")
    monkeypatch.setenv("RIVERRUN_COMMIT_INTERVAL", "2.5")
    settings = load_settings(bootstrap_servers=None, commit_interval=0.5)
    assert (settings.bootstrap_servers, settings.commit_interval) == ("kafka-1:9092, kafka-2:9092", 0.5)
    assert (settings.on_state_lost, settings.worker_id) == ("stop", None)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("BOOTSTRAP_SERVERS", "kafka", "host:port, or several with commas between"),
        ("BOOTSTRAP_SERVERS", "kafka:9092,", "host:port, or several with commas between"),
        ("COMMIT_INTERVAL", "0", "more than 0"),
        ("COMMIT_INTERVAL", "often", "a number"),
        ("BATCH_RECORDS", "many", "a whole number"),
        ("PROCESSING_GUARANTEE", "exactly-once", "exactly_once or at_least_once"),
        ("ON_STATE_LOST", "hope", "stop, fresh or earliest"),
        ("METRICS_PORT", "70000", "65535 or less"),
        ("METRICS_PORT", "-1", "0 or more"),
        ("SECURITY_PROTOCOL", "TLS", "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"),
        ("SNAPSHOT_STORE", "yaml", "kafka, file:///absolute/folder or s3://bucket[/prefix]"),
        ("LOG_LEVEL", "verbose", "DEBUG, INFO, WARNING or ERROR"),
    ],
)
def test_value_that_cannot_be_is_refused_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    """The variable, what it holds, what it takes: in one line."""
    monkeypatch.setenv(f"RIVERRUN_{name}", value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert str(caught.value) == f"RIVERRUN_{name}: got '{value}', expected {expected}"


def test_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password reaches librdkafka and no log line."""
    monkeypatch.setenv("RIVERRUN_SASL_PASSWORD", "hunter2")
    settings = load_settings()
    assert settings.client()["sasl.password"] == "hunter2"
    assert "hunter2" not in repr(settings)
    monkeypatch.setenv("RIVERRUN_KAFKA", '{"sasl.password": "hunter3"}')
    settings = load_settings()
    assert settings.client()["sasl.password"] == "hunter3"
    assert "hunter3" not in repr(settings)


def test_variable_that_is_empty_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Compose and Helm leave them: a folder of nothing would be the one the worker was started in."""
    for name in ("OPERATOR_KEYS", "SIGNING_KEY", "METRICS_PORT", "KAFKA", "SNAPSHOT_STORE"):
        monkeypatch.setenv(f"RIVERRUN_{name}", "")
    assert load_settings() == Settings()


def test_group_of_a_pipeline_has_its_name_unless_one_is_set() -> None:
    """Workers, and those who ask how far they are, mean the same."""
    assert Settings().group_of("p") == "riverrun-p"
    assert Settings(group_id="g").group_of("p") == "g"


def test_further_kafka_settings_win_over_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """`RIVERRUN_KAFKA` is a JSON object of librdkafka's settings, for every client."""
    monkeypatch.setenv("RIVERRUN_KAFKA", '{"linger.ms": 50, "client.rack": "a"}')
    client = load_settings().client(**{"linger.ms": 1, "client.id": "riverrun"})
    assert client == {
        "bootstrap.servers": "localhost:9092",
        "receive.message.max.bytes": 2_000_000_000,
        "security.protocol": "PLAINTEXT",
        "linger.ms": 50,
        "client.rack": "a",
        "client.id": "riverrun",
    }


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ('{"sasl.password": hunter2', "RIVERRUN_KAFKA: got no JSON, expected an object"),
        ('"sasl.password=hunter2"', "RIVERRUN_KAFKA: got something else, expected a JSON object"),
    ],
)
def test_kafka_settings_that_are_no_object_are_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, value: str, told: str
) -> None:
    """They may hold a password."""
    monkeypatch.setenv("RIVERRUN_KAFKA", value)
    with pytest.raises(ConfigurationError, match=f"^{told}") as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ('{"nosuch.setting": "hunter2"}', r'No such configuration property: "nosuch\.setting"'),
        ('{"client.id": "a", "session.timeout.ms": "long"}', 'Invalid value for configuration property "session.tim'),
        ('{"error_cb": "hunter2"}', "expected error_cb property as a callable function"),
        ('{"debug": "hunter2"}', "debug has a value that is not taken"),
        ('{"security.protocol": "hunter2"}', r"security\.protocol has a value that is not taken"),
        ('{"plugin.library.paths": "hunter2"}', r"plugin\.library\.paths has a value that is not taken"),
        ('{"acks": 7000}', r'Configuration property "request\.required\.acks" is outside allowed range -1\.\.1000'),
    ],
)
def test_kafka_settings_that_librdkafka_does_not_take_are_refused(
    monkeypatch: pytest.MonkeyPatch, value: str, told: str
) -> None:
    """By the variable they stand in, before a client is made."""
    monkeypatch.setenv("RIVERRUN_KAFKA", value)
    with pytest.raises(
        ConfigurationError, match=f"^RIVERRUN_KAFKA: {told}.*; expected settings of librdkafka"
    ) as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)
    assert "7000" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        '{"bootstrap.servers": "kafka:9092", "group.id": "g", "linger.ms": 5, "enable.idempotence": true}',
        '{"security.protocol": "SASL_SSL", "sasl.mechanisms": "PLAIN"}',
    ],
)
def test_kafka_settings_that_want_others_beside_them_are_taken(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """Those of producers and of consumers; what is still missing may stand in another variable."""
    monkeypatch.setenv("RIVERRUN_KAFKA", value)
    load_settings()


def test_sasl_without_a_mechanism_is_refused_by_the_variable_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """However the protocol is set, and however the mechanism may be."""
    told = "^RIVERRUN_SASL_MECHANISM: got nothing, expected a mechanism, since the security protocol is SASL_"
    monkeypatch.setenv("RIVERRUN_SECURITY_PROTOCOL", "SASL_SSL")
    for mechanism in (None, ""):
        if mechanism is not None:
            monkeypatch.setenv("RIVERRUN_SASL_MECHANISM", mechanism)
        with pytest.raises(ConfigurationError, match=told):
            load_settings()
    monkeypatch.setenv("RIVERRUN_SASL_MECHANISM", "PLAIN")
    assert load_settings().client()["sasl.mechanism"] == "PLAIN"
    monkeypatch.delenv("RIVERRUN_SASL_MECHANISM")
    monkeypatch.setenv("RIVERRUN_KAFKA", '{"sasl.mechanisms": "SCRAM-SHA-512"}')
    load_settings()
    monkeypatch.setenv("RIVERRUN_SECURITY_PROTOCOL", "PLAINTEXT")
    monkeypatch.setenv("RIVERRUN_KAFKA", '{"security.protocol": "sasl_plaintext"}')
    with pytest.raises(ConfigurationError, match=told):
        load_settings()


def test_certificates_that_are_not_there_are_refused_by_their_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RIVERRUN_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("RIVERRUN_SASL_MECHANISM", "PLAIN")
    absent, present = tmp_path / "absent.pem", tmp_path / "ca.pem"
    present.touch()
    monkeypatch.setenv("RIVERRUN_SSL_CA_LOCATION", str(absent))
    with pytest.raises(ConfigurationError, match=f"^ssl.ca.location: got {absent}, expected a file that is there "):
        load_settings()
    for ca in (present, tmp_path, "probe"):
        monkeypatch.setenv("RIVERRUN_SSL_CA_LOCATION", str(ca))
        load_settings()
    monkeypatch.setenv("RIVERRUN_KAFKA", f'{{"ssl.key.location": "{absent}"}}')
    with pytest.raises(ConfigurationError, match=r"^ssl.key.location: got .*absent.pem, expected .* \(RIVERRUN_KAFKA"):
        load_settings()
    monkeypatch.setenv("RIVERRUN_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
    load_settings()  # nobody reads it
    monkeypatch.setenv("RIVERRUN_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("RIVERRUN_KAFKA", '{"ssl.key.location": 7}')
    with pytest.raises(ConfigurationError, match=r"^ssl.key.location: got 7, "):
        load_settings()


def test_misspelled_setting_is_refused_and_what_others_may_set_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes sets variables for each service, those of one called riverrun begin like ours."""
    for name in (
        "PORT",
        "PORT_9100_TCP_ADDR",
        "SERVICE_HOST",
        "SERVICE_PORT",
        "SSL_CERT_LOCATION",
    ):
        monkeypatch.setenv(f"RIVERRUN_{name}", "tcp://10.0.0.1:9100")
    load_settings()
    monkeypatch.setenv("RIVERRUN_COMIT_INTERVAL", "3")
    with pytest.raises(
        ConfigurationError, match=r"^RIVERRUN_COMIT_INTERVAL: no such setting, expected RIVERRUN_COMMIT"
    ):
        load_settings()


def test_variable_that_no_setting_reads_is_told_unless_kubernetes_makes_it() -> None:
    """Misspelled further off than what is refused, it would be ignored without a word."""
    of_a_service = (
        "SERVICE_HOST",
        "SERVICE_PORT_HTTP",
        "PORT",
        "PORT_9100_TCP",
        "PORT_9100_TCP_ADDR",
        "API_SERVICE_PORT",
    )
    environment = [
        "PATH",
        "RIVERRUN_STALL_LIMIT",
        "riverrun_stop_limit",
        *(f"RIVERRUN_{name}" for name in of_a_service),
    ]
    assert ignored_variables(environment) == []
    assert ignored_variables(["RIVERRUN_SNAPSHOTS_INTERVAL_SECONDS", "RIVERRUN_SSL_CERT_LOCATION", "RIVERRUN_X"]) == [
        "RIVERRUN_SNAPSHOTS_INTERVAL_SECONDS: no such setting, ignored; RIVERRUN_SNAPSHOT_INTERVAL may be meant",
        "RIVERRUN_SSL_CERT_LOCATION: no such setting, ignored; RIVERRUN_SSL_CA_LOCATION may be meant",
        "RIVERRUN_X: no such setting, ignored; README.md has them all",
    ]
