"""One record as a line: for people, and as an object for programs."""

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from services.describing import describe_lifecycle, describe_prediction

if TYPE_CHECKING:
    from schemas.record import Record

_VALUE_BYTES = 80


def text_of(data: bytes | None) -> Any:
    """Return bytes as text, or in base 64 where they are none.

    Examples
    --------
    >>> text_of(b"UA"), text_of(b"\\xff")
    ('UA', {'base64': '/w=='})
    """
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def headers_of(record: "Record") -> dict[str, Any]:
    """Return the headers of a record; of two with one name the last."""
    return {name: text_of(value) for name, value in record.headers or ()}


def body_of(record: "Record", headers: Mapping[str, Any]) -> Any:
    """Return the fields of one of our own events, by its type and content type; else what the bytes are."""
    from schemas import cloudevents as ce
    from schemas.avro import decode_avro
    from schemas.events import LIFECYCLE_EVENTS, LifecycleEvent, PredictionMade

    value = record.value
    if value is None or "riverrun_reason" in headers:
        return text_of(value)
    events: tuple[type[PredictionMade] | type[LifecycleEvent], ...] = (PredictionMade, *LIFECYCLE_EVENTS)
    event = {one.type: one for one in events}.get(str(headers.get("ce_type")))
    try:
        if headers.get("content-type") == ce.AVRO and event is not None:
            return decode_avro(event, value)
        return orjson.loads(value)
    except ValueError:
        return text_of(value)


#: The fields of `as_object`.
_SHOWN = ("position", "topic", "partition", "offset", "time", "key", "headers", "value")


def as_object(record: "Record") -> dict[str, Any]:
    """Return a record as one JSON object: position, time, key, headers and value."""
    from schemas import cloudevents as ce

    headers = headers_of(record)
    return {
        "position": str(record.position),
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "time": ce.time_text(record.timestamp_ms),
        "key": text_of(record.key),
        "headers": headers,
        "value": body_of(record, headers),
    }


def letter_in(line: bytes) -> "Record | None":
    """Return the dead letter in a line of ``riverrun tail --output json``, None when the line is none of tail's.

    Its key, headers and value may have been mended: a value that is no text any more is written as JSON.

    Raises
    ------
    ValueError
        When it is a line about another record than a dead letter, or cannot be read back.

    Examples
    --------
    >>> letter_in(b'{"headers": {"riverrun_stage": "decode"}, "key": "k", "value": {"a": 1.5}}').value
    b'{"a":1.5}'
    >>> letter_in(b'{"a": 1.5}') is None
    True
    """
    if b'"headers"' not in line:  # most lines are events, and are not parsed twice
        return None
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(fields, dict) or not isinstance(headers := fields.get("headers"), dict):
        return None
    if "riverrun_stage" not in headers:
        if fields.keys() != set(_SHOWN):
            return None
        raise ValueError(
            "got a line of riverrun tail that is no dead letter, expected an event, a label or a dead letter"
        )
    from schemas import cloudevents as ce
    from schemas.record import Record

    try:
        return Record(
            str(fields.get("topic")),
            int(fields.get("partition", 0)),
            int(fields.get("offset", 0)),
            ce.parse_time(fields["time"]) if fields.get("time") else -1,
            _bytes_of(fields.get("key")),
            _bytes_of(fields.get("value")),
            [(name, _bytes_of(value)) for name, value in headers.items()],
        )
    except TypeError as error:
        raise ValueError(f"got a dead letter that cannot be read back: {error}") from None


def _bytes_of(shown: Any) -> bytes | None:
    """Return what `text_of` shows; other values as JSON, such as an object that was text before it was mended."""
    if shown is None:
        return None
    if isinstance(shown, str):
        return shown.encode()
    if isinstance(shown, dict) and shown.keys() == {"base64"}:
        return base64.b64decode(shown["base64"], validate=True)
    return orjson.dumps(shown)


def as_line(record: "Record", which: str) -> str:
    """Return a record in one line of a topic, such as ``predictions``."""
    headers = headers_of(record)
    body = body_of(record, headers)
    if which == "predictions" and isinstance(body, dict) and "prediction" in body:
        return describe_prediction(body)
    if which == "lifecycle" and isinstance(body, dict) and "ce_type" in headers:
        return describe_lifecycle(str(headers["ce_type"]), body)
    start = (record.value or b"")[:_VALUE_BYTES].decode("utf-8", "replace").replace("\n", " ")
    if which == "dead-letters":
        position = "{riverrun_topic}[{riverrun_partition}]@{riverrun_offset}".format_map(_Missing(headers))
        return f"{position}  {headers.get('riverrun_stage')}: {headers.get('riverrun_reason')}  {start}"
    kind = str(headers.get("ce_type", "riverrun.event")).removeprefix("riverrun.")
    return f"{record.position}  {kind}  key={text_of(record.key)}  {start}"


class _Missing(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "?"
