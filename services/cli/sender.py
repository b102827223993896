"""Lines on their way to a topic."""

import time
from typing import Any

from confluent_kafka import Producer

from schemas.errors import BrokerError
from schemas.lines import parse_line
from schemas.record import Headers
from services.topics import log, require_topic
from streams.worker.settings import Settings

_DELIVERY_SECONDS = 60
_LABEL_HEADERS: Headers = [("ce_type", b"riverrun.label"), ("content-type", b"application/json")]


class Sender:
    """Produces lines and counts what became of them.

    Parameters
    ----------
    settings
        Of the deployment.
    topic
        An existing topic.
    key_field
        Field of a bare line that is its key.
    is_label
        Whether a bare line is a label.

    Raises
    ------
    BrokerError
        When no broker answers, or there is no such topic.
    """

    def __init__(self, settings: Settings, topic: str, *, key_field: str | None = None, is_label: bool = False) -> None:
        require_topic(settings, topic)
        self.topic = topic
        self.sent = self.acknowledged = self.refused = self.without_key = 0
        self._key_field = key_field
        self._bare_headers = _LABEL_HEADERS if is_label else None
        self._failed = 0
        self._first_failure = ""
        config = settings.client(
            **{
                "client.id": "riverrun-send",
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "linger.ms": 5,
                "message.max.bytes": 64 * 1024 * 1024,
                "delivery.timeout.ms": _DELIVERY_SECONDS * 1000,
                "on_delivery": self._delivered,
            }
        )
        self._producer = Producer(config, logger=log)

    def send(self, text: bytes) -> None:
        """Produce a line; it is delivered in the background.

        Raises
        ------
        ValueError
            When the line is no JSON object.
        BrokerError
            When an earlier one was not delivered.
        """
        try:
            line = parse_line(text, key_field=self._key_field)
        except ValueError:
            self.refused += 1
            raise
        self.without_key += line.key is None
        self.produce(line.key, line.value, line.headers or self._bare_headers)

    def produce(self, key: bytes | None, value: bytes | None, headers: Headers | None) -> None:
        """Produce a record; it is delivered in the background.

        Raises
        ------
        BrokerError
            When an earlier one was not delivered.
        """
        while True:
            try:
                self._producer.produce(self.topic, value, key, headers=headers)
                break
            except BufferError:
                self._producer.poll(0.5)
        self.sent += 1
        self.serve(0)

    def serve(self, seconds: float) -> None:
        """Take delivery reports for some time."""
        until = time.monotonic() + seconds
        self._producer.poll(max(0.0, seconds))
        while (left := until - time.monotonic()) > 0:
            self._producer.poll(left)
        self.check()

    def flush(self) -> None:
        """Wait until each record is acknowledged or given up."""
        self._producer.flush()

    def check(self) -> None:
        """Raise when a record was not delivered."""
        if self._failed:
            raise BrokerError(
                f"{self.topic}: {self._failed} of {self.sent} records were not delivered, the first: "
                f"{self._first_failure}. The others were; sending all again makes duplicates, told by their ids."
            )

    def _delivered(self, error: Any, message: Any) -> None:
        if error is None:
            self.acknowledged += 1
            return
        self._failed += 1
        self._first_failure = self._first_failure or f"{error.str()} ({len(message.value() or b'')} bytes)"
