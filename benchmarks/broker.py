"""A fresh Kafka broker for one race: noida-db, by riverrun's own hands when it is there, or Apache Kafka, warmed up."""

from __future__ import annotations

import shutil
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory

from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.child import Child

try:
    from services.broker import EmbeddedBroker, KafkaBroker
except ImportError:  # the peers can be measured without the project's own dependencies
    EmbeddedBroker = KafkaBroker = None

START_TIMEOUT_SECONDS = 20.0
WARM_UP_RECORDS, WARM_UP_BYTES = 50_000, 200
WARM_UP_TIMEOUT_SECONDS = 60.0


class Engine(StrEnum):
    """What runs as broker."""

    EMBEDDED = "embedded"
    KAFKA = "kafka"

    def named(self, results: str) -> str:
        """Return the name of a file of results: those of one engine never take the place of the other's."""
        return results if self is Engine.EMBEDDED else f"{results}-{self.value}"


@contextmanager
def fresh_broker(engine: Engine = Engine.EMBEDDED) -> Iterator[str]:
    """Run an empty broker on a free port and yield its bootstrap address.

    A broker of its own keeps one contestant's topics, groups and the broker's memory out of the next one's measure.

    Parameters
    ----------
    engine
        Apache Kafka has carried some records on a scratch topic when it is handed out: a new JVM interprets its code,
        and compiles it at the expense of whoever comes first.
    """
    with TemporaryDirectory(prefix="riverrun-bench-", ignore_cleanup_errors=True) as folder:
        if engine is Engine.KAFKA:
            if KafkaBroker is None:
                raise RuntimeError("Apache Kafka is started by riverrun, which is not installed here: make bench")
            with KafkaBroker(Path(folder), dies_with_parent=True) as bootstrap:
                warm_up(bootstrap)
                yield bootstrap
            return
        if EmbeddedBroker is not None:
            with EmbeddedBroker(Path(folder), dies_with_parent=True) as bootstrap:
                yield bootstrap
            return
        broker, bootstrap = _start(Path(folder))
        try:
            yield bootstrap
        finally:
            broker.kill()


def warm_up(bootstrap: str) -> None:
    """Carry records through a scratch topic, by a group that commits, and remove the topic."""
    topic, admin = "bench-warm-up", AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(START_TIMEOUT_SECONDS)
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0, "log_level": 3})
    for number in range(WARM_UP_RECORDS):
        producer.produce(topic, bytes(WARM_UP_BYTES), str(number))
        if number % 10 == 0:  # small requests, as the contestants send them
            producer.poll(0.0002)
    if left := producer.flush(WARM_UP_TIMEOUT_SECONDS):
        raise RuntimeError(f"warm-up: {left} of {WARM_UP_RECORDS} records were not acknowledged")
    settings = {"bootstrap.servers": bootstrap, "group.id": topic, "auto.offset.reset": "earliest", "log_level": 3}
    consumer = Consumer({**settings, "enable.auto.commit": False, "fetch.wait.max.ms": 10})
    consumer.subscribe([topic])
    seen, deadline = 0, time.monotonic() + WARM_UP_TIMEOUT_SECONDS
    while seen < WARM_UP_RECORDS:
        for message in consumer.consume(500, 0.1):
            if error := message.error():
                raise KafkaException(error)
            seen += 1
        if seen:
            consumer.commit(asynchronous=False)
        if time.monotonic() > deadline:
            raise RuntimeError(f"warm-up: {seen} of {WARM_UP_RECORDS} records came back")
    consumer.close()
    admin.delete_topics([topic])[topic].result(START_TIMEOUT_SECONDS)


def _start(folder: Path) -> tuple[Child, str]:
    """Start noida-db and wait until it listens."""
    port = _free_port()
    argv = [_executable(), "start", "--only", "kafka", "--kafka-port", str(port), "--data-dir", str(folder / "data")]
    broker = Child(argv, folder / "broker.log")
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not _listens(port):
        if not broker.running or time.monotonic() > deadline:
            broker.kill()
            raise RuntimeError(f"broker did not start on port {port}: {broker.last_words()}")
        time.sleep(0.05)
    return broker, f"127.0.0.1:{port}"


def _executable() -> str:
    """Find noida-db next to the interpreter, then on the path."""
    beside = Path(sys.executable).parent / "noida-db"
    found = str(beside) if beside.exists() else shutil.which("noida-db")
    if found is None:
        raise RuntimeError("noida-db not found: install the bench extra (`pip install noida-db`)")
    return found


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
