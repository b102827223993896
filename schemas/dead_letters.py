"""A dead letter as a message: the headers that say why, and the way back to the record that it was."""

from msgspec import Struct

from schemas import cloudevents as ce
from schemas.events import DeadLetter
from schemas.record import Headers, Record

#: Where a record failed, by the name in ``riverrun_stage``: docs/wire.md tells what each means.
STAGES = ("envelope", "decode", "validate", "score", "learn", "encode", "quarantine")

#: Our headers; a producer may have others of its own that begin so.
_OURS = frozenset(
    f"riverrun_{name}"
    for name in ("reason", "stage", "topic", "partition", "offset", "attempt", "time", "null", "body")
)
_REASON_LENGTH = 1000
_DIGITS = 9
_LARGEST_PARTITION, _LARGEST_OFFSET = 2**31 - 1, 2**63 - 1
_OFFSET_DIGITS = 19


class Original(Struct, frozen=True):
    """What a dead letter is about.

    Parameters
    ----------
    record
        The record as it came, at its place in the input topic; without a timestamp where the letter has none.
    stage
        Where it failed.
    attempt
        How often it was tried: 1 the first time.
    """

    record: Record
    stage: str
    attempt: int


def letter_headers(letter: DeadLetter) -> Headers:
    """Return the headers that a dead letter has beside those of its record.

    Examples
    --------
    >>> letter = DeadLetter(Record("flights.raw", 0, 7, 0, b"UA", b"{"), "decode", "no JSON")
    >>> dict(letter_headers(letter))["riverrun_time"]
    b'1970-01-01T00:00:00.000Z'
    """
    record = letter.record
    headers: Headers = [
        ("riverrun_reason", letter.reason[:_REASON_LENGTH].encode("utf-8", "replace")),
        ("riverrun_stage", letter.stage.encode()),
        ("riverrun_topic", record.topic.encode()),
        ("riverrun_partition", b"%d" % record.partition),
        ("riverrun_offset", b"%d" % record.offset),
        ("riverrun_attempt", b"%d" % attempt_at(record.headers or [])),
    ]
    if (time := ce.time_text(record.timestamp_ms)) is not None:
        headers.append(("riverrun_time", time.encode()))
    if record.value is None:
        headers.append(("riverrun_null", b"true"))
    return headers


def without_ours(headers: Headers | None) -> Headers:
    """Return the headers of a record but for those of a dead letter that it may have been.

    Examples
    --------
    >>> without_ours([("ce_id", b"7"), ("riverrun_stage", b"decode")])
    [('ce_id', b'7')]
    """
    return [pair for pair in headers or () if pair[0] not in _OURS]


def attempt_at(headers: Headers) -> int:
    """Return which attempt at a record this is: 1, where its headers do not say more.

    ``riverrun resend`` writes the number of the attempt. Whoever produces a dead letter again as it is leaves the
    number of the attempt that failed, beside the reason.

    Examples
    --------
    >>> attempt_at([]), attempt_at([("riverrun_attempt", b"2")])
    (1, 2)
    >>> attempt_at([("riverrun_attempt", b"2"), ("riverrun_reason", b"no JSON")])
    3
    """
    values = dict(headers)
    said = values.get("riverrun_attempt") or b""
    attempt = int(said) if said.isdigit() and len(said) <= _DIGITS else 1
    return max(1, attempt) + ("riverrun_reason" in values)


def original_of(letter: Record) -> Original:
    """Return what a record of the topic of dead letters is about.

    Parameters
    ----------
    letter
        As it stands there.

    Raises
    ------
    ValueError
        When it is no dead letter, has a digest in place of the record's bytes, or names a place that cannot be.

    Examples
    --------
    >>> headers = letter_headers(DeadLetter(Record("p.raw", 0, 7, 0, None, b"{"), "decode", "no JSON"))
    >>> original_of(Record("p.dead-letters", 0, 1, 5, None, b"{", headers)).record
    Record(topic='p.raw', partition=0, offset=7, timestamp_ms=0, key=None, value=b'{', headers=[])
    """
    headers = letter.headers or []
    stage, topic = ce.header(headers, "riverrun_stage"), ce.header(headers, "riverrun_topic")
    if stage is None or topic is None:
        raise ValueError("got no header riverrun_stage or riverrun_topic, expected a dead letter")
    if ce.header(headers, "riverrun_body") is not None:
        raise ValueError("got a digest, expected the record: its bytes were too large for a dead letter")
    time = ce.header(headers, "riverrun_time")
    time_ms = -1 if time is None else ce.parse_time(time)
    if time_ms > ce.LATEST_MS:
        raise ValueError(f"riverrun_time: got {time:.80}, expected a time not after 9999")
    is_null = not letter.value and ce.header(headers, "riverrun_null") is not None
    record = Record(
        topic,
        _number(headers, "riverrun_partition", _LARGEST_PARTITION),
        _number(headers, "riverrun_offset", _LARGEST_OFFSET),
        time_ms,
        letter.key,
        None if is_null else letter.value,
        without_ours(headers),
    )
    failed = [pair for pair in headers if pair[0] == "riverrun_attempt"]
    return Original(record, stage, attempt_at(failed))


def _number(headers: Headers, name: str, largest: int) -> int:
    """Return the number in a header, 0 where there is none."""
    text = ce.header(headers, name) or "0"
    if not (text.isascii() and text.isdigit()) or len(text) > _OFFSET_DIGITS or int(text) > largest:
        raise ValueError(f"{name}: got {text:.80}, expected a number from 0 to {largest}")
    return int(text)
