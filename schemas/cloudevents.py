"""The CloudEvents envelope in Kafka's binary mode: attributes are headers, the body is the data."""

import re
from datetime import UTC, datetime, timedelta

from schemas.record import Headers

EVENT = "riverrun.event"
LABEL = "riverrun.label"
COMMAND = "riverrun.command"
PREDICTION = "riverrun.prediction"
DEAD_LETTER = "riverrun.dead-letter"

SPEC_VERSION = b"1.0"
JSON = "application/json"
AVRO = "application/avro"

#: The last moment that `format_time` can write: the end of the year 9999.
LATEST_MS = 253_402_300_799_999

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
#: What Python reads beyond it, such as weeks, differs with its version.
_RFC_3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})?")


def header(headers: Headers, name: str) -> str | None:
    """Return a header as text, None when it is absent or null.

    Raises
    ------
    UnicodeDecodeError
        When its bytes are no UTF-8.

    Examples
    --------
    >>> header([("ce_id", b"a1")], "ce_id")
    'a1'
    """
    for key, value in headers:
        if key == name and value is not None:
            return value.decode()
    return None


def parse_time(text: str) -> int:
    """Return an RFC 3339 time as milliseconds since 1970; a time without zone is taken as UTC.

    Raises
    ------
    ValueError
        When the text is no RFC 3339 time.

    Examples
    --------
    >>> parse_time("2013-01-01T05:15:00Z")
    1357017300000
    """
    if not _RFC_3339.fullmatch(text):
        raise ValueError(f"got {text!r:.80}, expected an RFC 3339 time such as 2013-01-01T05:15:00Z")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round((moment - _EPOCH) / _MILLISECOND)


def format_time(milliseconds: int) -> str:
    """Return milliseconds since 1970 as an RFC 3339 time in UTC.

    Raises
    ------
    OverflowError
        When they are before the year 1 or after 9999: `time_text` is for what may be.

    Examples
    --------
    >>> format_time(1357017300000)
    '2013-01-01T05:15:00.000Z'
    """
    moment = _EPOCH + milliseconds * _MILLISECOND
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def time_text(milliseconds: int) -> str | None:
    """Return milliseconds since 1970 as `format_time` does, None where they are no time that it can write.

    Examples
    --------
    >>> time_text(1357017300000), time_text(-1), time_text(1_700_000_000_000_000_000)
    ('2013-01-01T05:15:00.000Z', None, None)
    """
    return format_time(milliseconds) if 0 <= milliseconds <= LATEST_MS else None


def event_headers(
    event_id: str, *, type: str = EVENT, source: str, time_ms: int | None = None, content_type: str = JSON
) -> Headers:
    """Return the headers of a CloudEvent in binary mode.

    Parameters
    ----------
    event_id
        Unique within ``source``.
    type
        What the record is; an event without one is a plain event.
    source
        Who says so, a URI reference.
    time_ms
        When it happened, milliseconds since 1970; None leaves the attribute out.
    content_type
        Media type of the body.
    """
    headers: Headers = [
        ("ce_specversion", SPEC_VERSION),
        ("ce_id", event_id.encode()),
        ("ce_type", type.encode()),
        ("ce_source", source.encode()),
        ("content-type", content_type.encode()),
    ]
    if time_ms is not None:
        headers.append(("ce_time", format_time(time_ms).encode()))
    return headers
