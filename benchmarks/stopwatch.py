"""A reader in a process of its own: which record could be read when.

It shares `CLOCK_MONOTONIC` with the driver and nothing else, so the producer's Python threads do not delay it.
"""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.connection import Connection

from confluent_kafka import Consumer, KafkaException, TopicPartition

READER_SETTINGS = {"fetch.wait.max.ms": 10, "isolation.level": "read_committed"}
START_TIMEOUT_SECONDS = 30.0
REPLY_TIMEOUT_SECONDS = 10.0

Arrivals = dict[bytes, int]
"""Record key → monotonic nanoseconds at which a consumer had it."""


class Stopwatch:
    """Follow a topic from its start and note when each key is first read.

    Parameters
    ----------
    bootstrap, topic, partitions
        What to follow.
    """

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=_follow, args=(there, bootstrap, topic, partitions), daemon=True)
        self._process.start()
        if not self._here.poll(START_TIMEOUT_SECONDS):
            raise RuntimeError(f"reader of {topic} did not start within {START_TIMEOUT_SECONDS:.0f} s")
        self._here.recv()

    def wait_until_seen(self, count: int, timeout_seconds: float) -> bool:
        """Wait until `count` different keys are read; say whether they were."""
        self._here.send(count)
        return self._here.poll(timeout_seconds) and bool(self._here.recv())

    def stop(self) -> Arrivals:
        """End the reader and return what it noted."""
        self._here.send(None)
        arrivals = self._here.recv() if self._here.poll(REPLY_TIMEOUT_SECONDS) else {}
        self._process.join(REPLY_TIMEOUT_SECONDS)
        self._process.kill()
        return arrivals


def _follow(driver: Connection, bootstrap: str, topic: str, partitions: int) -> None:
    """Read on; in between answer the driver: a number is a target to report, nothing is the end."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"bench-stopwatch-{topic}", **READER_SETTINGS})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
    arrivals: Arrivals = {}
    target: int | None = None
    driver.send("ready")
    while True:
        message = consumer.poll(0.01)
        if message is not None:
            if error := message.error():
                raise KafkaException(error)
            arrivals.setdefault(message.key(), time.monotonic_ns())
        if target is not None and len(arrivals) >= target:
            driver.send(True)
            target = None
        if driver.poll():
            target = driver.recv()
            if target is None:
                break
    consumer.close()
    driver.send(arrivals)
