"""What docs/wire.md says of the wire, held against the code."""

import io
import re
from pathlib import Path
from typing import Any

import fastavro
from river import linear_model

from riverrun import Label, Pipeline
from schemas.avro import avro_event_schema
from schemas.cloudevents import header
from schemas.dead_letters import STAGES
from schemas.events import DeadLetter, PredictionMade
from schemas.outgoing import OutgoingEncoder
from schemas.record import Headers, Record
from services.resending import HELD
from streams.decoding import _ATTRIBUTES, Decoder
from tests.schemas.instances import INSTANCES

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "wire.md").read_text()
#: A record with all headers that are passed on, and none of its own kind.
THEIRS: Headers = [(name, b"1") for name in ("ce_time", "traceparent", "tracestate")]


def documented(section: str, column: str) -> list[str]:
    """Return the names in the first column of a table, which is found by its section and the name of the column."""
    part = TEXT.split(f"\n## {section}\n")[1].split("\n## ")[0]
    table = part.split(f"\n| {column} |")[1].split("\n\n")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    return [name for row in rows for name in re.findall(r"`([\w-]+)`", row)]


def test_headers_of_events_are_those_that_are_read() -> None:
    """Those of the decoder, and what is passed on or counted."""
    assert set(documented("Events and labels", "header")) == {
        *_ATTRIBUTES,
        "traceparent",
        "tracestate",
        "riverrun_attempt",
    }


def test_fields_and_headers_of_predictions_are_documented_in_their_order() -> None:
    """Each, and no other."""
    assert documented("Predictions", "field") == list(PredictionMade.__struct_fields__)
    source = Record("p.raw", 0, 7, 0, b"k", b"{}", THEIRS)
    message = OutgoingEncoder("p").encode(INSTANCES["prediction-binary"], source)
    assert documented("Predictions", "header") == [name for name, _ in message.headers]


def test_headers_of_dead_letters_are_documented_in_their_order() -> None:
    """Those that a letter has beside its record's; with a digest it has one more."""
    letter = DeadLetter(Record("p.raw", 0, 7, 0, b"k" * 2000, None), "envelope", "null")
    message = OutgoingEncoder("p", limits={"p.dead-letters": 2000}).encode(letter, letter.record)
    assert documented("Dead letters", "header") == [name for name, _ in message.headers]


def test_stages_of_dead_letters_are_documented_and_all_that_there_are() -> None:
    """Where the code buries a record, it names one of them; those that are held back are told."""
    assert documented("Dead letters", "stage") == list(STAGES)
    named = re.compile(r'(?:_Refused\(|DeadLetter\(record, )"(\w+)"')
    text = "".join(path.read_text() for room in ("schemas", "streams") for path in (ROOT / room).rglob("*.py"))
    assert set(named.findall(text)) <= set(STAGES)
    assert len(set(named.findall(text))) >= 4
    for stage in HELD:
        assert f"`{stage}`" in TEXT.split("`riverrun resend PIPELINE`")[1].splitlines()[0]


def test_event_in_avro_is_taken_as_the_documentation_writes_it() -> None:
    """The example runs, and its record is an event."""
    [example] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names: dict[str, Any] = {"io": io, "fastavro": fastavro}
    exec(example, names)
    pipeline = Pipeline("p", features={"a": float}, label=Label("y"), model=linear_model.LogisticRegression())
    schema = avro_event_schema(pipeline.avro_fields())
    value, headers = names["event"](schema, {"a": 1.5, "y": None}, "e1")
    decoded: Any = Decoder(pipeline).decode(Record("p.raw", 0, 0, 0, None, value, headers))
    assert (decoded.id, decoded.x, header(headers, "content-type")) == ("e1", {"a": 1.5}, "application/avro")
