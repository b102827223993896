"""Times and headers of the envelope."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from schemas import cloudevents as ce
from schemas.position import Position
from schemas.topics import topic_table


@given(st.integers(0, ce.LATEST_MS))
def test_time_written_is_the_time_read(milliseconds: int) -> None:
    """To the millisecond, from 1970 to the end of 9999."""
    assert ce.parse_time(ce.format_time(milliseconds)) == milliseconds


@pytest.mark.parametrize("milliseconds", [0, 1, 999, ce.LATEST_MS])
def test_time_at_an_edge_is_written_and_read(milliseconds: int) -> None:
    """The first and last moments that travel."""
    text = ce.format_time(milliseconds)
    assert (text[-1], len(text)) == ("Z", 24)
    assert ce.parse_time(text) == milliseconds


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("2013-01-01T05:15:00Z", 1357017300000),
        ("2013-01-01T05:15:00.25Z", 1357017300250),
        ("2013-01-01T00:15:00-05:00", 1357017300000),
        ("2013-01-01T05:15:00", 1357017300000),
    ],
)
def test_time_in_any_form_of_rfc_3339_is_read(text: str, milliseconds: int) -> None:
    """With and without fractions and zones; without a zone it is UTC."""
    assert ce.parse_time(text) == milliseconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2013-01-01",
        "20130101T051500Z",
        "2013-W01-2T05:15:00Z",
        "2013-001T05:15:00Z",
        "2013-01-01T05:15Z",
        "2013-01-01T05:15:00,5Z",
        "2013-01-01T05:15:00+0500",
        "2013-13-01T05:15:00Z",
        "٢٠١٣-01-01T05:15:00Z",
    ],
)
def test_time_in_another_form_is_refused(text: str) -> None:
    """Python reads some of them, and others with each version."""
    with pytest.raises(ValueError, match=r".+"):
        ce.parse_time(text)


def test_headers_of_an_event_are_read_back() -> None:
    """What a producer writes is what the decoder finds."""
    headers = ce.event_headers("ü", type=ce.LABEL, source="test", time_ms=1357017300000, content_type=ce.AVRO)
    names = ("ce_specversion", "ce_id", "ce_type", "ce_source", "content-type", "ce_time")
    values = ("1.0", "ü", "riverrun.label", "test", "application/avro", "2013-01-01T05:15:00.000Z")
    assert tuple(ce.header(headers, name) for name in names) == values
    assert ce.header(headers, "absent") is None
    assert ce.header([("null", None)], "null") is None
    assert ce.header(ce.event_headers("a", source="s"), "ce_time") is None


def test_position_says_where_it_is() -> None:
    """In a message and in an id."""
    position = Position("flights.raw", 3, 1042)
    assert (str(position), position.event_id) == ("flights.raw[3]@1042", "flights.raw-3-1042")


def test_dead_letters_have_room_for_the_largest_record_and_its_headers() -> None:
    """A record of the largest size fits the topic of dead letters with the reason beside it."""
    limits = {
        topic.name: int(topic.config["max.message.bytes"]) for topic in topic_table("p", "p.raw", max_record_bytes=7000)
    }
    assert limits["p.raw"] == 7000
    assert limits["p.dead-letters"] >= 7000 + 8192
