"""From an event to the message that carries it."""

import hashlib
import json
from typing import Any

import msgspec
import pytest

from schemas.events import DeadLetter, DriftWarned
from schemas.outgoing import ANY_PARTITION, Outgoing, OutgoingEncoder
from schemas.record import Headers, Record
from tests.schemas.instances import INSTANCES

MADE = INSTANCES["prediction-binary"]
WARNED = INSTANCES["drift-warned"]
TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def record(value: bytes | None = b"{}", key: bytes | None = b"UA", headers: Headers | None = None) -> Record:
    """Return a record at position flights.raw[3]@1042."""
    return Record("flights.raw", 3, 1042, 1000, key, value, headers)


def encoded(event: Any, source: Record, **arguments: Any) -> Outgoing:
    """Return the message of an event."""
    return OutgoingEncoder("flights", **arguments).encode(event, source)


def size_bytes(message: Outgoing) -> int:
    """Return what a broker counts at the least."""
    headers = sum(len(name) + len(value or b"") for name, value in message.headers)
    return len(message.value) + len(message.key or b"") + headers


@pytest.mark.parametrize(("format", "media_type"), [("json", b"application/json"), ("avro", b"application/avro")])
def test_prediction_is_a_cloud_event_with_the_key_and_partition_of_its_record(format: str, media_type: bytes) -> None:
    """The id derives from the position, not from the event's own id."""
    message = encoded(MADE, record(), format=format)
    assert (message.topic, message.key, message.partition) == ("flights.predictions", b"UA", 3)
    assert dict(message.headers) == {
        "ce_specversion": b"1.0",
        "ce_type": b"riverrun.prediction",
        "ce_source": b"riverrun/flights",
        "content-type": media_type,
        "ce_id": b"flights.raw-3-1042",
    }


@pytest.mark.parametrize("key", [None, b"UA"])
def test_prediction_passes_time_and_trace_on_and_nothing_else(key: bytes | None) -> None:
    """Other headers of the input are other people's."""
    theirs: Headers = [
        ("ce_id", b"theirs"),
        ("traceparent", TRACE),
        ("secret", b"x"),
        ("ce_time", b"2013-01-01T05:15:00Z"),
        ("tracestate", b"a=1"),
    ]
    message = encoded(MADE, record(key=key, headers=theirs))
    passed = [pair for pair in message.headers if pair in theirs]
    assert passed == [theirs[1], theirs[3], theirs[4]]
    assert dict(message.headers)["ce_id"] == b"flights.raw-3-1042"
    assert len(message.headers) == 8


def test_headers_of_one_message_are_not_those_of_the_next() -> None:
    """Messages share no list."""
    encoder = OutgoingEncoder("flights")
    first = encoder.encode(MADE, record(headers=[("traceparent", TRACE)]))
    second = encoder.encode(MADE, record())
    assert "traceparent" not in dict(second.headers)
    assert first.headers is not second.headers


def test_lifecycle_event_is_keyed_by_its_partition_and_carries_its_time() -> None:
    """The partitioner of the lifecycle topic sees the number of the input partition."""
    message = encoded(WARNED, record())
    assert isinstance(WARNED, DriftWarned)
    assert (message.topic, message.key, message.partition) == ("flights.lifecycle", b"3", ANY_PARTITION)
    headers = dict(message.headers)
    assert headers["ce_type"] == b"riverrun.drift.warned"
    assert headers["ce_id"] == WARNED.id.encode()
    assert headers["ce_time"] == b"2013-01-01T05:15:00.000Z"
    assert msgspec.json.decode(message.value, type=DriftWarned) == WARNED


def test_dead_letter_is_the_record_untouched_with_the_reason_in_headers() -> None:
    """Key, bytes and headers as they came, then where it stood and what was wrong with it."""
    theirs: Headers = [("ce_id", b"\xff"), ("x", None), ("traceparent", TRACE)]
    source = record(b"\x00\xff{", b"\xfe", theirs)
    message = encoded(DeadLetter(source, "decode", "no JSON: got \udcff"), source)
    assert (message.topic, message.key, message.value, message.partition) == (
        "flights.dead-letters",
        b"\xfe",
        b"\x00\xff{",
        3,
    )
    assert message.headers[:3] == theirs
    assert dict(message.headers[3:]) == {
        "riverrun_reason": b"no JSON: got ?",
        "riverrun_stage": b"decode",
        "riverrun_topic": b"flights.raw",
        "riverrun_partition": b"3",
        "riverrun_offset": b"1042",
        "riverrun_attempt": b"1",
        "riverrun_time": b"1970-01-01T00:00:01.000Z",
    }


@pytest.mark.parametrize(
    ("theirs", "attempt"),
    [
        ([("riverrun_attempt", b"2")], b"2"),
        ([("riverrun_attempt", b"2"), ("riverrun_stage", b"decode"), ("riverrun_reason", b"no JSON")], b"3"),
        ([("riverrun_attempt", b"many"), ("riverrun_time", b"x")], b"1"),
        ([("riverrun_attempt", None)], b"1"),
    ],
    ids=["sent_again", "letter_as_it_was", "no_number", "null"],
)
def test_dead_letter_of_a_record_that_was_one_counts_the_attempt_and_has_each_header_once(
    theirs: Headers, attempt: bytes
) -> None:
    """What an earlier letter said is of that attempt; only how many there were is carried on."""
    source = record(headers=[("x", b"1"), *theirs])
    message = encoded(DeadLetter(source, "validate", "a: got nothing"), source)
    names = [name for name, _ in message.headers]
    assert sorted(set(names)) == sorted(names)
    assert ("x", b"1") in message.headers
    assert dict(message.headers)["riverrun_attempt"] == attempt
    assert dict(message.headers)["riverrun_stage"] == b"validate"


@pytest.mark.parametrize("timestamp_ms", [-1, 2**60])
def test_dead_letter_of_a_record_without_a_time_says_none(timestamp_ms: int) -> None:
    """What is no time of this calendar cannot be written as one."""
    source = Record("flights.raw", 3, 1042, timestamp_ms, None, b"{}")
    assert "riverrun_time" not in dict(encoded(DeadLetter(source, "envelope", "time"), source).headers)


def test_dead_letter_of_a_null_value_says_that_it_was_null() -> None:
    """An empty value and no value are told apart."""
    null, empty = record(None), record(b"")
    assert dict(encoded(DeadLetter(null, "envelope", "null"), null).headers)["riverrun_null"] == b"true"
    assert "riverrun_null" not in dict(encoded(DeadLetter(empty, "decode", "empty"), empty).headers)


def test_dead_letter_with_a_long_reason_is_cut() -> None:
    """A reason stays within a header's means."""
    source = record()
    headers = dict(encoded(DeadLetter(source, "score", "x" * 5000), source).headers)
    assert len(headers["riverrun_reason"] or b"") == 1000


@pytest.mark.parametrize(
    "source",
    [
        record(b"x" * 20_000),
        record(b"x", headers=[("big", b"h" * 20_000)]),
        record(b"x", key=b"k" * 20_000),
        record(None, headers=[("big", b"h" * 20_000)]),
        record(None, key=b"k" * 20_000),
        record(b"x" * 20_000, headers=[("riverrun_reason", b"h" * 20_000)]),
    ],
    ids=["value", "headers", "key", "null_headers", "null_key", "own_headers"],
)
def test_dead_letter_that_would_be_too_large_carries_a_digest(source: Record) -> None:
    """Position, size and SHA-256 stand in for the bytes, which stay where they are in the input topic."""
    message = encoded(DeadLetter(source, "envelope", "too large"), source, limits={"flights.dead-letters": 10_000})
    headers, value = dict(message.headers), source.value or b""
    assert size_bytes(message) < 10_000
    assert headers["riverrun_body"] == b"digest"
    assert headers["riverrun_reason"] == b"too large"
    assert json.loads(message.value) == {
        "position": "flights.raw[3]@1042",
        "size_bytes": len(value),
        "sha256": hashlib.sha256(value).hexdigest(),
    }


@pytest.mark.parametrize(
    "source",
    [record(key=b"k" * 5000), record(key=None, headers=[("traceparent", b"t" * 5000)])],
    ids=["key", "headers"],
)
def test_prediction_that_would_be_too_large_becomes_a_dead_letter(source: Record) -> None:
    """The output topic's limit is held before the broker says so."""
    limits = {"flights.predictions": 4000, "flights.dead-letters": 20_000}
    message = encoded(MADE, source, limits=limits)
    headers = dict(message.headers)
    assert (message.topic, message.value, headers["riverrun_stage"]) == ("flights.dead-letters", b"{}", b"encode")
    reason = (headers["riverrun_reason"] or b"").decode()
    assert reason.startswith("output: got ")
    assert "flights.predictions, expected at most" in reason


def test_prediction_of_a_thousand_classes_becomes_a_dead_letter() -> None:
    """A score that grew too large is counted by what it is."""
    large = msgspec.structs.replace(MADE, score={f"class {i}": 0.001 for i in range(1000)})
    message = encoded(large, record(key=None), limits={"flights.predictions": 8000})
    assert message.topic == "flights.dead-letters"
    assert encoded(large, record(key=None)).topic == "flights.predictions"


@pytest.mark.parametrize("key", [None, b"UA", b"k" * 900])
@pytest.mark.parametrize("headers", [None, [("traceparent", TRACE)]])
def test_messages_at_the_limit_fit_it(key: bytes | None, headers: Headers | None) -> None:
    """Whatever the limit, a prediction that is let through is not larger."""
    for limit in range(500, 3500, 50):
        message = encoded(MADE, record(b"", key, headers), limits={"flights.predictions": limit})
        if message.topic == "flights.predictions":
            assert size_bytes(message) + 70 <= limit
    assert encoded(MADE, record(b"", key, headers), limits={"flights.predictions": 4000}).topic == "flights.predictions"
