"""Records of dead letters, sent again to the input topic when what refused them is mended."""

from collections.abc import Collection

from schemas import cloudevents as ce
from schemas.dead_letters import STAGES, Original, original_of
from schemas.record import Headers, Record
from services.bridge import bridged_headers

_BATCH_BYTES, _HEADER_BYTES = 100, 10
#: Stages whose records are sent again only when asked for, and why.
HELD = {
    "encode": "it was scored, only its prediction did not fit: under its id it is a duplicate",
    "quarantine": "workers have died of it",
}
#: The others.
USUAL = tuple(stage for stage in STAGES if stage not in HELD)


def sendable(letter: Record, stages: Collection[str] = USUAL) -> Original:
    """Return what a dead letter is about, if its record can be sent again.

    Parameters
    ----------
    letter
        As it stands in the topic of dead letters.
    stages
        Those that are wanted.

    Raises
    ------
    ValueError
        When it is no dead letter, has a digest in place of the bytes, or is of another stage: in words, for people.
    """
    original = original_of(letter)
    if original.stage not in stages:
        why = HELD.get(original.stage, "not asked for")
        if original.stage == "quarantine":
            # From the beginning: runs that were not asked for it have passed over it.
            why += "; riverrun resend --stage quarantine --from beginning sends it all the same"
        raise ValueError(f"stage {original.stage}: {why}")
    headers = original.record.headers or []
    if ce.header(headers, "ce_type") == ce.COMMAND:
        raise ValueError("an operator's command: issue another one")
    if original.record.timestamp_ms < 0 and ce.header(headers, "ce_time") is None:
        raise ValueError("got no time that can be, expected ce_time: its timestamp was out of range")
    return original


def size_of(record: Record, headers: Headers) -> int:
    """Return how many bytes a record takes in a topic with these headers, at most, alone in its batch."""
    parts = [len(name) + len(value or b"") + _HEADER_BYTES for name, value in headers]
    return _BATCH_BYTES + len(record.key or b"") + len(record.value or b"") + sum(parts)


def headers_again(original: Original, *, sets_id: bool) -> Headers:
    """Return the headers with which a record is sent again: its own, its time, and which attempt this is.

    Parameters
    ----------
    original
        What a dead letter is about.
    sets_id
        Give an event without ``ce_id`` one from its first position, so that it is told as a duplicate when it is sent
        twice.

    Examples
    --------
    >>> headers_again(Original(Record("p.raw", 1, 7, 0, b"k", b"{}"), "decode", 1), sets_id=False)
    [('ce_time', b'1970-01-01T00:00:00.000Z'), ('riverrun_attempt', b'2')]
    """
    return [
        *bridged_headers(original.record, sets_id=sets_id),
        ("riverrun_attempt", b"%d" % (original.attempt + 1)),
    ]
