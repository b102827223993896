"""A log as lines of JSON: what ``riverrun send`` produces from and ``riverrun backtest`` reads."""

import base64
import binascii
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import orjson
from msgspec import Struct

from schemas import cloudevents as ce
from schemas.record import Headers, Record


class Line(Struct, frozen=True):
    """One line as a record to be: key, value and headers.

    Parameters
    ----------
    key
        UTF-8 of the partition key, None when there is none.
    value
        The event's bytes, exactly as they stand in the line for a bare event.
    headers
        CloudEvents headers, None for a bare event.
    """

    key: bytes | None
    value: bytes
    headers: Headers | None = None


class _DataError(ValueError):
    """A CloudEvent whose data cannot be read."""


class _Envelope(Struct):
    """The value of a CloudEvent in JSON, byte for byte: read as numbers it would lose digits and repeated keys."""

    data: msgspec.Raw = msgspec.Raw(b"null")


#: How what gzip has compressed begins.
GZIP = b"\x1f\x8b"
_DATA = msgspec.json.Decoder(_Envelope)
#: Editors of another system begin a file with it.
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
#: Members of a CloudEvent in JSON that become no header ``ce_…``.
_NO_HEADERS = ("data", "data_base64", "partitionkey", "datacontenttype")


def other_format(line: bytes) -> str:
    """Return what the first line of a file looks like that holds no lines of JSON, and what to do; empty if unknown.

    Examples
    --------
    >>> other_format(b"a,b,y")
    'it looks like CSV: docs/declaration.md shows how its rows become lines of JSON'
    >>> other_format(b'[{"a": 1.0}, {"a": 2.0}]')
    "it is one list: jq -c '.[]' makes a line of each of its members"
    >>> other_format(b'{"a": 1.0}')
    ''
    """
    begin = line.removeprefix(_BYTE_ORDER_MARK).lstrip()
    if begin.startswith(GZIP):
        return "it is compressed: gunzip -c makes it readable"
    if begin.startswith(b"["):
        return "it is one list: jq -c '.[]' makes a line of each of its members"
    if not begin.startswith((b"{", b'"{')) and any(separator in begin for separator in (b",", b";", b"\t")):
        return "it looks like CSV: docs/declaration.md shows how its rows become lines of JSON"
    return ""


def parse_line(line: bytes, *, key_field: str | None = None) -> Line:
    """Return what a line holds.

    A line is a bare event, such as ``{"distance": 812.0}``, or a CloudEvent in JSON format, recognised by its
    ``specversion``: ``type``, ``id``, ``time`` and ``partitionkey`` become headers and key, ``data`` the value, or the
    bytes that ``data_base64`` holds, which ``datacontenttype`` says the type of. What is null counts as absent.

    Parameters
    ----------
    line
        One line, without its end.
    key_field
        Field of a bare event that is its key.

    Raises
    ------
    ValueError
        When the line is no JSON object, has ``data`` and ``data_base64``, or base64 that is none.

    Examples
    --------
    >>> parse_line(b'{"id": "a", "y": 1}', key_field="id")
    Line(key=b'a', value=b'{"id": "a", "y": 1}', headers=None)
    >>> parse_line(b'{"specversion": "1.0", "id": "1", "type": "riverrun.label", "data": {"id": "a"}}').value
    b'{"id": "a"}'
    """
    line = line.removeprefix(_BYTE_ORDER_MARK)
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error}") from None
    if not isinstance(fields, dict):
        raise ValueError(f"got a {type(fields).__name__}, expected a JSON object")
    if "specversion" not in fields:
        key = fields.get(key_field) if key_field is not None else None
        return Line(None if key is None else str(key).encode(), line)
    content_type, value = _data_of(fields, line)
    headers: Headers = [("content-type", content_type.encode())]
    headers += [
        (f"ce_{name}", _attribute(value).encode())
        for name, value in fields.items()
        if value is not None and name not in _NO_HEADERS
    ]
    key = fields.get("partitionkey")
    return Line(None if key is None else _attribute(key).encode(), value, headers)


def _attribute(value: Any) -> str:
    """Return an attribute as text, as CloudEvents writes it in a header."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _data_of(fields: dict[str, Any], line: bytes) -> tuple[str, bytes]:
    """Return the media type and the bytes of a CloudEvent's data."""
    encoded = fields.get("data_base64")
    if encoded is None:
        return ce.JSON, bytes(_DATA.decode(line).data)
    if fields.get("data") is not None:
        raise _DataError("got data and data_base64, expected one of them")
    try:
        if not isinstance(encoded, str):
            raise TypeError(f"got a {type(encoded).__name__}")
        return str(fields.get("datacontenttype") or ce.JSON), base64.b64decode(encoded, validate=True)
    except (TypeError, binascii.Error, ValueError) as error:
        raise _DataError(f"data_base64: {error}, expected text in base64") from None


def format_line(line: Line) -> bytes:
    """Return a line that `parse_line` reads back, without its end.

    Examples
    --------
    >>> format_line(Line(b"UA", b'{"a":1}', [("ce_id", b"7")]))
    b'{"specversion":"1.0","id":"7","partitionkey":"UA","data":{"a":1}}'
    """
    data = msgspec.json.format(line.value, indent=-1) if b"\n" in line.value else line.value
    if line.key is None and not line.headers:
        return data
    fields: dict[str, object] = {"specversion": "1.0"}
    for name, value in line.headers or ():
        if name.startswith("ce_") and value is not None:
            fields[name.removeprefix("ce_")] = value.decode()
    if line.key is not None:
        fields["partitionkey"] = line.key.decode()
    fields["data"] = msgspec.Raw(data)
    return msgspec.json.encode(fields)


def records_of(lines: Iterable[bytes], topic: str, *, partition: int = 0) -> Iterator[Record]:
    """Return lines as the records of one partition; a line that cannot be read is a record all the same.

    It becomes a dead letter; of a CloudEvent whose data cannot be read the value says why.

    Examples
    --------
    >>> [record.offset for record in records_of([b"{}", b"", b"x"], "p.raw")]
    [0, 1]
    """
    offset = 0
    for raw in lines:
        text = raw.strip()
        if not text:
            continue
        try:
            line = parse_line(text)
        except _DataError as error:
            line = Line(None, msgspec.json.encode(str(error)))  # the text alone would be an event without any field
        except ValueError:
            line = Line(None, text)
        yield Record(topic, partition, offset, 0, line.key, line.value, line.headers)
        offset += 1
