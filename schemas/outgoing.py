"""From an event to the message that carries it: topic, key, partition, body and CloudEvents headers."""

import hashlib
from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import Struct

from schemas import cloudevents as ce
from schemas import topics
from schemas.avro import encode_avro
from schemas.dead_letters import letter_headers, without_ours
from schemas.events import LIFECYCLE_EVENTS, DeadLetter, Event, LifecycleEvent, PredictionMade
from schemas.record import Headers, Record

ANY_PARTITION = -1
#: What a message costs beyond its key, value and headers.
_FRAMING_BYTES = 256
#: More than the headers cost that we write ourselves.
_HEADER_BYTES = 1024
_PASSED_ON = ("ce_time", "traceparent", "tracestate")


class Outgoing(Struct, frozen=True, gc=False):
    """A message to be produced.

    Parameters
    ----------
    topic, key, value, headers
        As Kafka has them; without a value it takes back what had the key, where the topic is compacted.
    partition
        `ANY_PARTITION` leaves it to the partitioner.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    partition: int


class OutgoingEncoder:
    """Encodes the events of one pipeline.

    Parameters
    ----------
    pipeline
        Name of the pipeline.
    format
        ``"json"`` or ``"avro"``.
    limits
        ``max.message.bytes`` by topic; a message that would be larger becomes a dead letter, and a dead letter
        that would be larger carries position, size and SHA-256 in place of the record.

    Attributes
    ----------
    lifecycle_events
        How many were encoded, by type (``drift.detected``); each type is there from the beginning.

    Examples
    --------
    >>> encoder = OutgoingEncoder("flights")
    >>> record = Record("flights.raw", 0, 7, 0, b"UA", b"{", None)
    >>> message = encoder.encode(DeadLetter(record, "decode", "no JSON"), record)
    >>> message.topic, message.value, dict(message.headers)["riverrun_reason"]
    ('flights.dead-letters', b'{', b'no JSON')
    """

    def __init__(
        self, pipeline: str, format: Literal["json", "avro"] = "json", limits: Mapping[str, int] | None = None
    ) -> None:
        self.lifecycle_events = {event.type.removeprefix("riverrun."): 0 for event in LIFECYCLE_EVENTS}
        self._limits = limits or {}
        self._encode = encode_avro if format == "avro" else msgspec.json.Encoder().encode
        self._predictions = topics.predictions(pipeline)
        self._lifecycle = topics.lifecycle(pipeline)
        self._dead_letters = topics.dead_letters(pipeline)
        self._source = f"riverrun/{pipeline}".encode()
        self._content_type = (ce.AVRO if format == "avro" else ce.JSON).encode()
        self._prediction_headers = self._constant_headers(ce.PREDICTION)
        self._certain_to_fit = self._limit(self._predictions) - _HEADER_BYTES

    def _limit(self, topic: str) -> int:
        return self._limits.get(topic, 1024 * 1024) - _FRAMING_BYTES

    def _constant_headers(self, type: str) -> Headers:
        return [
            ("ce_specversion", ce.SPEC_VERSION),
            ("ce_type", type.encode()),
            ("ce_source", self._source),
            ("content-type", self._content_type),
        ]

    def encode(self, event: Event, record: Record) -> Outgoing:
        """Return the message for an event.

        Parameters
        ----------
        event
            What `Task.step` returned.
        record
            The record it was returned for: its key, partition and trace are passed on.
        """
        if isinstance(event, PredictionMade):
            return self._prediction(event, record)
        if isinstance(event, LifecycleEvent):
            self.lifecycle_events[event.type.removeprefix("riverrun.")] += 1
            headers = [*self._constant_headers(event.type), ("ce_id", event.id.encode())]
            headers.append(("ce_time", ce.format_time(event.time).encode()))
            key = str(event.partition).encode()
            return Outgoing(self._lifecycle, key, self._encode(event), headers, ANY_PARTITION)
        assert isinstance(event, DeadLetter)
        return self._dead_letter(event)

    def _prediction(self, event: PredictionMade, record: Record) -> Outgoing:
        value, key = self._encode(event), record.key
        headers = [*self._prediction_headers, ("ce_id", f"{record.topic}-{record.partition}-{record.offset}".encode())]
        if record.headers:
            headers += [pair for pair in record.headers if pair[0] in _PASSED_ON]
        elif len(value) + (len(key) if key else 0) < self._certain_to_fit:
            return Outgoing(self._predictions, key, value, headers, record.partition)
        return self._fitting(Outgoing(self._predictions, key, value, headers, record.partition), record)

    def _fitting(self, message: Outgoing, record: Record) -> Outgoing:
        size, limit = _size(message), self._limit(message.topic)
        if size <= limit:
            return message
        reason = f"output: got {size} bytes for {message.topic}, expected at most {limit} (its max.message.bytes)"
        return self._dead_letter(DeadLetter(record, "encode", reason))

    def _dead_letter(self, letter: DeadLetter) -> Outgoing:
        record, ours = letter.record, letter_headers(letter)
        value = record.value or b""
        headers = [*without_ours(record.headers), *ours]
        whole = Outgoing(self._dead_letters, record.key, value, headers, record.partition)
        if _size(whole) <= self._limit(self._dead_letters):
            return whole
        digest = {
            "position": str(record.position),
            "size_bytes": len(value),
            "sha256": hashlib.sha256(value).hexdigest(),
        }
        body = msgspec.json.encode(digest)
        return Outgoing(self._dead_letters, None, body, [*ours, ("riverrun_body", b"digest")], record.partition)


def _size(message: Outgoing) -> int:
    headers = sum(len(name) + len(value or b"") + 10 for name, value in message.headers)
    return len(message.value or b"") + len(message.key or b"") + headers
