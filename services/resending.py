"""Records of dead letters, sent again to the input topic when what refused them is mended."""

from collections.abc import Collection

from msgspec.structs import replace

from schemas.dead_letters import STAGES, Original, original_of
from schemas.record import Headers, Record
from services.bridge import bridged_headers

#: Stages whose records are sent again only when asked for, and why.
HELD = {
    "encode": "it was scored, only its prediction did not fit",
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
        held = HELD.get(original.stage)
        # From the beginning: runs that were not asked for it have passed over it.
        command = f"riverrun resend --stage {original.stage} --from beginning"
        why = f"{held}; {command} sends it all the same" if held else "not asked for"
        raise ValueError(f"stage {original.stage}: {why}")
    if original.record.timestamp_ms < 0:  # a letter of old: its own time is nearest
        return replace(original, record=replace(original.record, timestamp_ms=letter.timestamp_ms))
    return original


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
