"""The brokers that trials run on, each started when it is first asked for."""

import shutil
import time
from contextlib import ExitStack
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from services.broker import KafkaBroker
from services.broker.home import BrokerHome
from tests.chaos.proxy import ProxiedBroker
from tests.streams.worker.kafka import Kafka


class Stage:
    """Brokers for trials; a context, at whose end they are stopped.

    Parameters
    ----------
    folder
        Where everything goes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = ExitStack()
        self._single: tuple[ProxiedBroker, Kafka] | None = None
        self._cluster: tuple[KafkaBroker, Kafka] | None = None

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def single(self) -> tuple[ProxiedBroker, Kafka]:
        """One node of Apache Kafka, which can also be reached through a proxy."""
        if self._single is None:
            broker = ProxiedBroker(_fresh(self.folder / "broker"))
            self._single = broker, _seen(self._stack.enter_context(broker))
        return self._single

    @property
    def cluster(self) -> tuple[KafkaBroker, Kafka]:
        """Three nodes: three copies of everything, of which two are enough."""
        if self._cluster is None:
            broker = KafkaBroker(_fresh(self.folder / "cluster"), brokers=3, dies_with_parent=True)
            self._cluster = broker, _seen(self._stack.enter_context(broker))
        return self._cluster


def _fresh(folder: Path) -> Path:
    """Remove what an earlier run has left in a folder."""
    BrokerHome(folder).stop()
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def _seen(bootstrap: str) -> Kafka:
    """Return a broker that has started as the trials see it: they know when it is down, and need no log of it."""
    kafka = Kafka(bootstrap)
    kafka.admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
    _wait_for_groups(bootstrap)
    return kafka


def _wait_for_groups(bootstrap: str) -> None:
    """Have the first group asked for, which makes Kafka's topic of offsets, and wait until that one answers."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "first", "log_level": 3})
    deadline = time.monotonic() + 60
    try:
        while True:
            try:
                consumer.committed([TopicPartition("none", 0)], timeout=10)
                return
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
    finally:
        consumer.close()
