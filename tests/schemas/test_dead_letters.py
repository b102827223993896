"""Dead letters, and the way back to what they are about."""

import pytest

from schemas.dead_letters import original_of
from schemas.events import DeadLetter
from schemas.outgoing import OutgoingEncoder
from schemas.record import Headers, Record


def letter_of(source: Record, stage: str = "decode", **arguments: dict[str, int]) -> Record:
    """Return a record's dead letter as it stands in the topic, eight hours later."""
    message = OutgoingEncoder("p", **arguments).encode(DeadLetter(source, stage, "why"), source)  # type: ignore[arg-type]
    return Record(message.topic, 0, 1, 28_800_000, message.key, message.value, message.headers)


@pytest.mark.parametrize("value", [b"\x00\xff{", b"", None])
@pytest.mark.parametrize("headers", [[], [("ce_id", b"1"), ("x", None), ("x", b"2")]])
def test_original_of_a_letter_is_the_record_as_it_came(value: bytes | None, headers: Headers) -> None:
    """Position, time, key, bytes and headers; null is told from empty."""
    source = Record("p.raw", 2, 7, 1000, b"\xfe", value, headers)
    original = original_of(letter_of(source))
    assert (original.record, original.stage, original.attempt) == (source, "decode", 1)


def test_original_of_a_letter_of_the_second_attempt_says_so() -> None:
    """However the record came to be tried again."""
    source = Record("p.raw", 2, 7, 1000, None, b"{", [("riverrun_attempt", b"2")])
    assert original_of(letter_of(source)).attempt == 2
    assert original_of(letter_of(letter_of(source))).attempt == 3


def test_original_of_a_letter_of_old_has_no_time() -> None:
    """Letters that were written without it are read all the same."""
    letter = letter_of(Record("p.raw", 2, 7, 1000, None, b"{"))
    old = [pair for pair in letter.headers or () if pair[0] != "riverrun_time"]
    assert original_of(Record("p.dead-letters", 0, 1, 5, None, b"{", old)).record.timestamp_ms == -1


@pytest.mark.parametrize(
    ("letter", "told"),
    [
        (Record("p.dead-letters", 0, 1, 5, None, b"{}", None), "expected a dead letter"),
        (letter_of(Record("p.raw", 0, 1, 5, None, b"x" * 900), limits={"p.dead-letters": 900}), "got a digest"),
    ],
    ids=["foreign", "digest"],
)
def test_original_of_what_has_no_record_is_refused(letter: Record, told: str) -> None:
    """The reason is for people."""
    with pytest.raises(ValueError, match=told):
        original_of(letter)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("riverrun_partition", b"-7"),
        ("riverrun_partition", b"2147483648"),
        ("riverrun_partition", b"1_0"),
        ("riverrun_offset", b"-1"),
        ("riverrun_offset", b"9223372036854775808"),
        ("riverrun_offset", b"9" * 5000),
        ("riverrun_offset", b"seven"),
    ],
)
def test_original_of_a_letter_from_a_place_that_cannot_be_is_refused(name: str, value: bytes) -> None:
    """It was mended by hand, or is somebody else's: librdkafka would not take it, or take it for any partition."""
    letter = letter_of(Record("p.raw", 2, 7, 1000, None, b"{"))
    headers = [pair for pair in letter.headers or () if pair[0] != name]
    with pytest.raises(ValueError, match=rf"^{name}: got .{{1,80}}, expected a number from 0 to \d+$"):
        original_of(Record("p.dead-letters", 0, 1, 5, None, b"{", [*headers, (name, value)]))
