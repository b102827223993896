"""A steady stream of events into the input of a pipeline."""

import threading
import time
from collections.abc import Iterator
from typing import Any

from confluent_kafka import Producer

from tests.streams.worker.kafka import Event

_TICK_SECONDS = 0.05


class Load(threading.Thread):
    """Writes events at a rate until stopped.

    Parameters
    ----------
    bootstrap
        The broker's servers.
    topic
        The input.
    events
        What to write; endless.
    rate
        Events a second.
    limit
        How many are written in all; ``None`` goes on until stopped.
    """

    def __init__(
        self, bootstrap: str, topic: str, events: Iterator[Event], rate: float, limit: int | None = None
    ) -> None:
        super().__init__(name=f"load of {topic}", daemon=True)
        self.written = 0
        self._topic = topic
        self._events = events
        self._rate = rate
        self._limit = limit
        self._failure: Any = None
        self._stopped = threading.Event()
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "message.timeout.ms": 180_000,
                "linger.ms": 5,
                "log_level": 2,
            }
        )
        # What is produced before the client knows of a new topic may come behind what is produced when it does.
        self._producer.list_topics(topic, timeout=20)

    def run(self) -> None:
        """Write."""
        began = time.monotonic()
        while not self._stopped.is_set():
            due = (time.monotonic() - began) * self._rate
            due = due if self._limit is None else min(due, self._limit)
            while self.written < due:
                self._write(next(self._events))
            self._producer.poll(0)
            self._stopped.wait(_TICK_SECONDS)

    def _write(self, event: Event) -> None:
        further: dict[str, Any] = {"timestamp": event.timestamp_ms} if event.timestamp_ms else {}
        self._producer.produce(
            self._topic, event.value, event.key, headers=event.headers or None, on_delivery=self._delivered, **further
        )
        self.written += 1

    def _delivered(self, error: Any, _: Any) -> None:
        if error is not None:
            self._failure = error

    def stop(self) -> int:
        """Stop, and wait until the broker has everything; return the number of events."""
        self._stopped.set()
        self.join()
        left = self._producer.flush(180)
        if left or self._failure is not None:
            raise RuntimeError(f"the load itself was not delivered: {left} left, {self._failure}")
        return self.written
