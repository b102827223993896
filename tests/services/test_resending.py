"""Which dead letters can be sent again, and with what headers."""

import pytest
from msgspec.structs import replace

from schemas.dead_letters import STAGES
from schemas.events import DeadLetter
from schemas.outgoing import OutgoingEncoder
from schemas.record import Headers, Record
from services.resending import headers_again, sendable


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


def test_record_of_a_letter_of_old_has_the_letters_time() -> None:
    """It is the nearest that is known; that of the sending would be farther off."""
    letter = letter_of("validate")
    old = replace(letter, headers=[pair for pair in letter.headers or () if pair[0] != "riverrun_time"])
    assert dict(headers_again(sendable(old), sets_id=False))["ce_time"] == b"1970-01-01T00:00:08.000Z"


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_is_sent_again_when_it_is_asked_for(stage: str) -> None:
    """And only some of them else: the others have been scored, or would do harm."""
    assert sendable(letter_of(stage), [stage]).stage == stage
    if stage in ("encode", "quarantine"):
        with pytest.raises(ValueError, match=f"riverrun resend --stage {stage} --from beginning sends it all the same"):
            sendable(letter_of(stage))
    else:
        assert sendable(letter_of(stage)).stage == stage
    with pytest.raises(ValueError, match=f"stage {stage}: "):
        sendable(letter_of(stage), [])
