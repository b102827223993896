"""Lines on their way to a topic."""

import time
from typing import Any

from confluent_kafka import Producer

from schemas.errors import BrokerError, ConfigurationError
from schemas.lines import parse_line
from schemas.record import Headers, Record
from services.cli.showing import letter_in
from services.resending import headers_again, sendable
from services.topics import log, require_topic
from streams.worker.settings import Settings

_DELIVERY_SECONDS = 60
#: The partition that its key has.
_ANY = -1
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
        When no broker answers.
    ConfigurationError
        When there is no such topic.
    """

    def __init__(self, settings: Settings, topic: str, *, key_field: str | None = None, is_label: bool = False) -> None:
        require_topic(settings, topic, missing=ConfigurationError)
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
        """Produce a line, or the record of a dead letter as ``riverrun tail`` shows it; delivered in the background.

        Raises
        ------
        ValueError
            When the line is no JSON object, or a dead letter that cannot be sent again.
        BrokerError
            When an earlier one was not delivered.
        """
        try:
            letter = letter_in(text)
            message = (*self._read(text), _ANY) if letter is None else self._again(letter)
        except ValueError:
            self.refused += 1
            raise
        self.produce(*message)

    def _read(self, text: bytes) -> tuple[bytes | None, bytes, Headers | None]:
        line = parse_line(text, key_field=self._key_field)
        self.without_key += line.key is None
        return line.key, line.value, line.headers or self._bare_headers

    def _again(self, letter: Record) -> tuple[bytes | None, bytes | None, Headers | None, int]:
        """Return what a dead letter is about, as `riverrun resend` sends it; whether events have ids is not known."""
        original = sendable(letter)
        record = original.record
        return record.key, record.value, headers_again(original, sets_id=False), self.partition_of(record)

    def partition_of(self, record: Record) -> int:
        """Return the partition in which a record stood if it was of this topic, where its label is; else any."""
        return record.partition if record.topic == self.topic else _ANY

    def produce(self, key: bytes | None, value: bytes | None, headers: Headers | None, partition: int = _ANY) -> None:
        """Produce a record, to where its key belongs unless a partition is named; it is delivered in the background.

        Raises
        ------
        BrokerError
            When an earlier one was not delivered.
        """
        while True:
            try:
                self._producer.produce(self.topic, value, key, partition, headers=headers)
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
