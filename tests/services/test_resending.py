"""Which dead letters can be sent again, and with what headers."""

import pytest
from msgspec.structs import replace

from schemas.dead_letters import STAGES, letter_headers, without_ours
from schemas.events import DeadLetter
from schemas.outgoing import OutgoingEncoder
from schemas.record import Headers, Record
from services.resending import headers_again, sendable, size_of


def letter_of(stage: str, headers: Headers | None = None) -> Record:
    """Return the dead letter of a record that was written at 1 s, as it stands in its topic at 8 s."""
    source = Record("p.raw", 2, 7, 1000, b"k", b"{}", headers)
    message = OutgoingEncoder("p").encode(DeadLetter(source, stage, "why"), source)
    return Record(message.topic, 2, 1, 8000, message.key, message.value, message.headers)


def test_event_without_an_id_is_sent_again_under_its_first_position() -> None:
    """However often it is tried: what is sent twice is scored once."""
    first = headers_again(sendable(letter_of("validate")), sets_id=True)
    assert dict(first)["ce_id"] == b"p.raw-2-7"
    second = headers_again(sendable(letter_of("validate", first)), sets_id=True)
    assert dict(second) == {**dict(first), "riverrun_attempt": b"3"}
    assert len(second) == len(first)
    label: Headers = [("ce_type", b"riverrun.label")]
    assert "ce_id" not in dict(headers_again(sendable(letter_of("validate", label)), sets_id=True))


def test_record_without_a_time_is_left_unless_its_event_has_one() -> None:
    """A timestamp in microseconds is no time; another one would be invented, and move the watermark."""
    record = Record("p.raw", 0, 7, 1_700_000_000_000_000, None, b"{}")
    with pytest.raises(ValueError, match="expected ce_time: its timestamp was out of range"):
        sendable(Record("p.dead-letters", 0, 1, 8000, None, b"{}", letter_headers(DeadLetter(record, "envelope", "w"))))
    mended = replace(record, headers=[("ce_time", b"2013-01-01T05:15:00Z")])
    headers = [*letter_headers(DeadLetter(mended, "validate", "w")), *(mended.headers or [])]
    letter = Record("p.dead-letters", 0, 1, 8000, None, b"{}", headers)
    assert dict(headers_again(sendable(letter), sets_id=False))["ce_time"] == b"2013-01-01T05:15:00Z"


def test_operators_command_is_not_sent_again() -> None:
    """It was meant for another time, and its place is another one then."""
    record = Record("p.raw", 0, 7, 8000, None, b"{}", [("ce_type", b"riverrun.command")])
    letter = replace(record, headers=[*letter_headers(DeadLetter(record, "envelope", "w")), *(record.headers or [])])
    with pytest.raises(ValueError, match="an operator's command: issue another one"):
        sendable(letter)


def test_time_that_no_calendar_has_is_told() -> None:
    """One odd header of somebody else's ends nothing."""
    letter = letter_of("validate")
    odd = ("riverrun_time", b"9999-12-31T23:59:59-14:00")
    with pytest.raises(ValueError, match="riverrun_time: got 9999"):
        sendable(replace(letter, headers=[*(pair for pair in letter.headers or () if pair[0] != odd[0]), odd]))


def test_size_is_never_less_than_what_a_record_takes() -> None:
    """As Kafka's format counts it: 61 bytes of a batch, 21 of a record and up to 10 more a header, with lengths."""
    headers = [("ce_id", b"x" * 20), ("riverrun_attempt", b"2")]
    assert size_of(Record("p.raw", 0, 7, 8000, b"k", b"v" * 1000), headers) >= 61 + 21 + 1 + 1000 + (5 + 20) + (16 + 1)


def test_headers_of_producers_are_theirs() -> None:
    """Even where they begin as ours do."""
    assert without_ours([("riverrun_customer", b"7"), ("riverrun_reason", b"w")]) == [("riverrun_customer", b"7")]


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_is_sent_again_when_it_is_asked_for(stage: str) -> None:
    """And only some of them else: the others have been scored, or would do harm."""
    assert sendable(letter_of(stage), [stage]).stage == stage
    if stage in ("encode", "quarantine"):
        words = "under its id it is a duplicate" if stage == "encode" else "--from beginning sends it all the same"
        with pytest.raises(ValueError, match=words):
            sendable(letter_of(stage))
    else:
        assert sendable(letter_of(stage)).stage == stage
    with pytest.raises(ValueError, match=f"stage {stage}: "):
        sendable(letter_of(stage), [])
