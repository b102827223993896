"""A log as lines of JSON."""

import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from schemas.lines import Line, format_line, parse_line, records_of

NAMES = st.text("abcdefgh", min_size=1, max_size=6)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
EVENTS = st.dictionaries(NAMES, VALUES, max_size=4)
DUMPS = st.sampled_from([None, 0, 2])


@given(fields=EVENTS, key=TEXTS, headers=st.dictionaries(st.sampled_from(["id", "type", "time"]), TEXTS), indent=DUMPS)
def test_record_written_as_a_line_is_the_record_read(
    fields: dict[str, Any], key: str, headers: dict[str, str], indent: int | None
) -> None:
    """Key, CloudEvents headers and the value's own JSON come back, however the value was laid out."""
    value = json.dumps(fields, indent=indent).encode()
    pairs = [(f"ce_{name}", text.encode()) for name, text in headers.items()]
    text = format_line(Line(key.encode(), value, pairs))
    assert b"\n" not in text
    line = parse_line(text)
    assert line.key == key.encode()
    assert json.loads(line.value) == fields
    back = dict(line.headers or ())
    assert {name: back[name] for name, _ in pairs} == dict(pairs)


@given(fields=EVENTS)
def test_bare_event_is_its_own_line(fields: dict[str, Any]) -> None:
    """Byte for byte, where there is neither key nor header."""
    value = json.dumps(fields).encode()
    assert parse_line(format_line(Line(None, value))) == Line(None, value)


@pytest.mark.parametrize(
    "value",
    [
        b'{"a": 123456789012345678901234567890}',
        b'{"a": 1, "a": 2}',
        b'{"a": 1.10}',
        b'{"a": 0.1000000000000000055511151231257827}',
    ],
)
def test_value_in_an_envelope_is_kept_as_it_was_written(value: bytes) -> None:
    """Long numbers stay long and duplicate keys stay two: what a worker would refuse, a backtest refuses too."""
    line = parse_line(b'{"specversion": "1.0", "id": "1", "partitionkey": "k", "data": ' + value + b"}")
    assert line.value == value


def test_line_in_cloud_events_format_becomes_headers_and_key() -> None:
    """Attributes are headers, ``partitionkey`` is the key, ``data`` the value."""
    line = parse_line(
        b'{"specversion":"1.0","id":"7","type":"riverrun.label","time":"2013-01-01T05:15:00Z","partitionkey":"UA","data":{"id":"e","y":true}}'
    )
    assert (line.key, line.value) == (b"UA", b'{"id":"e","y":true}')
    headers = dict(line.headers or ())
    assert (headers["ce_id"], headers["ce_type"], headers["ce_time"]) == (
        b"7",
        b"riverrun.label",
        b"2013-01-01T05:15:00Z",
    )
    assert headers["content-type"] == b"application/json"


def test_byte_order_mark_is_no_part_of_the_first_line() -> None:
    """The first event of a file was lost to it."""
    assert parse_line(b'\xef\xbb\xbf{"a": 1}') == parse_line(b'{"a": 1}')


@pytest.mark.parametrize("line", [b"", b"[1]", b"7", b"{", b'{"a": NaN}', b"\xff"])
def test_line_that_is_no_object_is_refused(line: bytes) -> None:
    """With a reason."""
    with pytest.raises(ValueError, match=r"no JSON|expected a JSON object"):
        parse_line(line)


def test_lines_become_the_records_of_one_partition() -> None:
    """Empty lines are no records; a line that is no object is one, so that it can become a dead letter."""
    lines = [b'{"a": 1}\n', b"\n", b"garbage\r\n", b'{"specversion":"1.0","id":"7","data":{}}']
    records = list(records_of(lines, "p.raw", partition=2))
    assert [(r.topic, r.partition, r.offset, r.value) for r in records] == [
        ("p.raw", 2, 0, b'{"a": 1}'),
        ("p.raw", 2, 1, b"garbage"),
        ("p.raw", 2, 2, b"{}"),
    ]


@pytest.mark.parametrize(("field", "key"), [("id", b"a"), ("n", b"7"), ("absent", None), (None, None)])
def test_key_of_a_bare_event_is_the_field_that_was_named(field: str | None, key: bytes | None) -> None:
    """As text."""
    assert parse_line(b'{"id": "a", "n": 7}', key_field=field).key == key


def test_attributes_that_are_null_are_absent() -> None:
    """No text ``None`` stands for them: it would be no time, and one id of many events."""
    line = parse_line(b'{"specversion":"1.0","id":null,"time":null,"partitionkey":null,"type":"t","data":{}}')
    assert line.key is None
    assert dict(line.headers or ()) == {
        "content-type": b"application/json",
        "ce_specversion": b"1.0",
        "ce_type": b"t",
    }


def test_attribute_that_is_a_boolean_is_written_as_cloud_events_does() -> None:
    """In small letters; a number in its digits."""
    line = parse_line(b'{"specversion":"1.0","id":7,"sampled":true,"partitionkey":false,"data":{}}')
    headers = dict(line.headers or ())
    assert (line.key, headers["ce_sampled"], headers["ce_id"]) == (b"false", b"true", b"7")


def test_data_in_base64_is_the_value() -> None:
    """With the type that it has; JSON where none is said."""
    line = parse_line(b'{"specversion":"1.0","id":"1","data":null,"data_base64":"e30="}')
    assert (line.value, dict(line.headers or ())["content-type"]) == (b"{}", b"application/json")
    line = parse_line(b'{"specversion":"1.0","id":"1","datacontenttype":"application/avro","data_base64":"AP8="}')
    assert (line.value, dict(line.headers or ())["content-type"]) == (b"\x00\xff", b"application/avro")
    assert "ce_data_base64" not in dict(line.headers or ())


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        (b'"data_base64":"e30"', "data_base64: .* expected text in base64"),
        (b'"data_base64":"\xc3\xa9"', "data_base64: .* expected text in base64"),
        (b'"data_base64":{"a":1}', "data_base64: got a dict, expected text in base64"),
        (b'"data_base64":"e30=","data":{}', "got data and data_base64, expected one of them"),
    ],
)
def test_data_in_base64_that_cannot_be_read_is_refused(members: bytes, reason: str) -> None:
    """With a reason, and not as null."""
    with pytest.raises(ValueError, match=reason):
        parse_line(b'{"specversion":"1.0","id":"1",' + members + b"}")


def test_cloud_event_whose_data_cannot_be_read_is_no_bare_event() -> None:
    """Its envelope would be an event of which no field is known, and scored where all may be null."""
    [record] = records_of([b'{"specversion":"1.0","id":"1","data_base64":"e30"}'], "p.raw")
    assert (record.headers, record.value) == (None, b'"data_base64: Incorrect padding, expected text in base64"')
