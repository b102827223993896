"""What the tests ask of the processes and the records of a broker."""

import time
from collections.abc import Callable
from typing import Any

import psutil
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic


def eventually(is_so: Callable[[], bool], seconds: float) -> bool:
    """Tell whether something comes about within a time."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def is_gone(pid: int, within_seconds: float = 8.0) -> bool:
    """Tell whether a process ends within a time; a zombie has ended."""

    def ended() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    return eventually(ended, within_seconds)


def create(bootstrap: str, topic: str, replication_factor: int = 1) -> None:
    """Make a topic of one partition."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, 1, replication_factor)])[topic].result(10)


def produce(bootstrap: str, value: bytes, topic: str = "rivers") -> None:
    """Write one record, and be sure that all replicas in sync have it."""
    failures: list[Any] = []
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "message.timeout.ms": 20_000})
    producer.produce(
        topic, value, key=b"k", headers=[("ce_id", b"1")], on_delivery=lambda error, _: failures.append(error)
    )
    assert producer.flush(25) == 0
    assert failures == [None]


def read_first(bootstrap: str, topic: str = "rivers") -> tuple[bytes | None, bytes | None, object]:
    """Return key, value and headers of the first record of a topic."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, 0)])
    message = consumer.poll(10)
    consumer.close()
    assert message is not None
    assert message.error() is None
    return message.key(), message.value(), message.headers()


def in_sync(bootstrap: str, topic: str) -> list[int]:
    """Return the nodes whose replica of partition 0 is in sync."""
    metadata = AdminClient({"bootstrap.servers": bootstrap}).list_topics(topic, timeout=10)
    partitions = metadata.topics[topic].partitions
    return sorted(partitions[0].isrs) if partitions else []
