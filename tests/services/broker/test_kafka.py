"""Apache Kafka as a broker of one machine, tested on the real thing."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType
from typer.testing import CliRunner

from schemas.errors import BrokerError
from services.broker import EmbeddedBroker, KafkaBroker
from services.cli import app
from tests.services.broker.processes import create, eventually, in_sync, is_gone, produce, read_first

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[KafkaBroker]:
    """A broker that is not started yet, and stopped afterwards whatever the test does."""
    broker = KafkaBroker(tmp_path / "data", dies_with_parent=True)
    yield broker
    broker.stop()


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """Three nodes, all of them up."""
    broker = KafkaBroker(tmp_path_factory.mktemp("three"), brokers=3, dies_with_parent=True)
    with broker:
        yield broker


def setting(bootstrap: str, topic: str, name: str) -> str | None:
    """Return a setting of a topic; None from a node that has not heard of the topic yet."""
    admin, resource = AdminClient({"bootstrap.servers": bootstrap}), ConfigResource(ResourceType.TOPIC, topic)
    try:
        described = admin.describe_configs([resource])[resource].result(10)
    except KafkaException:
        return None
    return str(described[name].value)


def read(*arguments: str, code: int = 0) -> dict[str, object]:
    """Run a command that prints one JSON object."""
    result = CliRunner().invoke(app, [*arguments, "--output", "json"])
    assert result.exit_code == code, result.output
    return dict(json.loads(result.stdout))


def test_start_answers_and_carries_records(apache_kafka: str) -> None:
    """A record that was produced is consumed with its key, value and headers."""
    create(apache_kafka, "rivers")
    produce(apache_kafka, b"Liffey")
    assert read_first(apache_kafka) == (b"k", b"Liffey", [("ce_id", b"1")])


def test_topic_nobody_made_is_not_made_by_asking(apache_kafka: str) -> None:
    """A misspelt name is an error, as on a cluster that is looked after."""
    producer = Producer({"bootstrap.servers": apache_kafka})
    for _ in range(2):
        found = producer.list_topics("nowhere", timeout=10).topics["nowhere"]
        assert found.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_stop_then_start_keeps_the_data(broker: KafkaBroker) -> None:
    """After a stop the process is gone, no port is taken, and the next start serves what was written before."""
    create(broker.start(), "rivers")
    produce(broker.start(), b"Anna")
    record = broker.status().record
    assert record is not None
    assert record.engine == "Apache Kafka"
    assert (broker.data_dir / "broker.log").is_file()
    broker.stop()
    assert all(is_gone(pid, 0.1) for pid in record.pids)
    assert broker.status().state == "stopped"
    assert (broker.data_dir / "kafka" / "node-1" / ".kafka_cleanshutdown").exists()
    assert read_first(broker.start())[1] == b"Anna"


def test_commands_find_the_engine_by_themselves(tmp_path: Path) -> None:
    """``stop`` and ``status`` are not told which engine runs; another engine does not take its place."""
    where = ("--data-dir", str(tmp_path / "b"))
    started = read("broker", "start", *where, "--engine", "kafka", "--port", "0")
    try:
        found = read("broker", "status", *where)
        assert (found["state"], found["engine"]) == ("running", "Apache Kafka")
        assert found["bootstrap"] == started["bootstrap"]
        with pytest.raises(BrokerError, match="got a running Apache Kafka, expected noida-db or nothing"):
            EmbeddedBroker(tmp_path / "b").start()
    finally:
        assert read("broker", "stop", *where)["was_running"]
    assert read("broker", "status", *where, code=1)["state"] == "stopped"


def test_start_with_another_number_of_nodes_is_refused(broker: KafkaBroker) -> None:
    """The storage is formatted for the number that it was made with."""
    broker.start()
    broker.stop()
    with pytest.raises(BrokerError, match="got --brokers 3, expected 1, with which it was made"):
        KafkaBroker(broker.data_dir, brokers=3).start()
    assert broker.status().state == "stopped"


def test_parent_that_is_killed_takes_the_broker_along(broker: KafkaBroker) -> None:
    """With dies_with_parent, nothing runs on after the owner was killed without a chance to clean up."""
    script = (
        "import sys, time; from pathlib import Path; from services.broker import KafkaBroker; "
        "KafkaBroker(Path(sys.argv[1]), dies_with_parent=True).start(); print('up', flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen([sys.executable, "-c", script, str(broker.data_dir)], cwd=ROOT, stdout=subprocess.PIPE)
    with owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"up\n"
        record = broker.status().record
        assert record is not None
        owner.send_signal(signal.SIGKILL)
    assert all(is_gone(pid, 20) for pid in record.pids)
    assert eventually(lambda: broker.status().state == "stopped", 10)


def test_node_that_is_killed_is_missed_by_nobody_and_catches_up(three: KafkaBroker) -> None:
    """Two of three copies acknowledge; the third is in sync again once its node is back."""
    bootstrap = three.start()
    create(bootstrap, "copied", replication_factor=3)
    assert eventually(lambda: in_sync(bootstrap, "copied") == [1, 2, 3], 20)
    produce(bootstrap, b"before", "copied")
    three.kill(2)
    assert three.status().state == "degraded"
    produce(bootstrap, b"meanwhile", "copied")
    assert eventually(lambda: in_sync(bootstrap, "copied") == [1, 3], 20)
    three.start_node(2)
    assert three.status().state == "running"
    assert eventually(lambda: in_sync(bootstrap, "copied") == [1, 2, 3], 30)
    three.stop_node(1)
    produce(bootstrap, b"without the first", "copied")
    three.start_node(1)
    assert eventually(lambda: in_sync(bootstrap, "copied") == [1, 2, 3], 30)
    assert read_first(bootstrap, "copied")[1] == b"before"


def test_three_nodes_keep_three_copies_unless_told_otherwise(three: KafkaBroker) -> None:
    """Kafka's own choice of replication factor is three, and two copies are enough to go on."""
    bootstrap = three.start()
    create(bootstrap, "by-default", replication_factor=-1)
    assert eventually(lambda: in_sync(bootstrap, "by-default") == [1, 2, 3], 20)
    assert eventually(lambda: setting(bootstrap, "by-default", "min.insync.replicas") == "2", 20)
