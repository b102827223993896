"""What travels is a contract: schemas and bytes are checked in, and a change to them is a change on purpose."""

import io
import json
from pathlib import Path
from typing import Any

import fastavro
import msgspec
import pytest

from schemas import events
from schemas.avro import AvroReader, avro_event_schema, decode_avro, encode_avro, schema_files
from schemas.events import LIFECYCLE_EVENTS, SCHEMA_VERSION, LifecycleEvent, PredictionMade
from tests.schemas.instances import GOLDEN, INSTANCES

AVRO = Path(events.__file__).parent / "avro"


def test_checked_in_schemas_are_the_generated_ones() -> None:
    """``python -m schemas.avro`` writes them; nothing else lies there."""
    generated = schema_files()
    assert {path.name for path in generated} == {path.name for path in AVRO.glob("*.avsc")}
    for path, text in generated.items():
        assert path.read_text() == text, f"{path.name}: run python -m schemas.avro, and raise SCHEMA_VERSION"


def test_checked_in_schemas_are_valid_avro_named_after_their_classes() -> None:
    """Any Avro reader takes them; each has a sentence and no default that hides a missing field."""
    for path in AVRO.glob("*.avsc"):
        schema = json.loads(path.read_text())
        fastavro.parse_schema(schema)
        assert (schema["name"], schema["namespace"], schema["type"]) == (path.stem, "riverrun", "record")
        assert schema["doc"].endswith(".")
        assert "schema_version" in [field["name"] for field in schema["fields"]]


def test_golden_files_cover_every_event_class() -> None:
    """A new class needs an instance, and an instance its two files."""
    assert {type(event) for event in INSTANCES.values()} == {PredictionMade, *LIFECYCLE_EVENTS}
    assert {path.name for path in GOLDEN.iterdir()} == {
        f"{name}.{kind}" for name in INSTANCES for kind in ("json", "avro")
    }


@pytest.mark.parametrize("name", INSTANCES)
def test_event_encodes_to_its_golden_bytes(name: str) -> None:
    """JSON and Avro, byte for byte."""
    event = INSTANCES[name]
    assert msgspec.json.encode(event) == (GOLDEN / f"{name}.json").read_bytes()
    assert encode_avro(event) == (GOLDEN / f"{name}.avro").read_bytes()


@pytest.mark.parametrize("name", INSTANCES)
def test_golden_bytes_decode_to_the_event(name: str) -> None:
    """JSON into the class, Avro by fastavro under the checked-in schema, with the types of the fields."""
    event = INSTANCES[name]
    assert msgspec.json.decode((GOLDEN / f"{name}.json").read_bytes(), type=type(event)) == event
    schema = fastavro.parse_schema(json.loads((AVRO / f"{type(event).__name__}.avsc").read_text()))
    data = (GOLDEN / f"{name}.avro").read_bytes()
    fields: Any = fastavro.schemaless_reader(io.BytesIO(data), schema, None)
    plain = msgspec.to_builtins(event)
    expected = {k: list(v) if isinstance(v, tuple) else v for k, v in plain.items()}
    assert fields == expected == decode_avro(type(event), data)
    assert {name: type(value) for name, value in fields.items()} == {n: type(v) for n, v in expected.items()}


def test_every_event_type_is_named_once_and_carries_the_schema_version() -> None:
    """The names are CloudEvents types under riverrun."""
    kinds = [event.type for event in (PredictionMade, *LIFECYCLE_EVENTS)]
    assert len(set(kinds)) == len(kinds)
    assert all(kind.startswith("riverrun.") for kind in kinds)
    assert {event.schema_version for event in INSTANCES.values()} == {SCHEMA_VERSION}
    listed = {kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, LifecycleEvent)}
    assert listed - {LifecycleEvent, events.ChampionChanged} == set(LIFECYCLE_EVENTS)  # these two are only kinds of


@pytest.mark.parametrize("cut", range(len(encode_avro(INSTANCES["prediction-binary"]))))
def test_avro_reader_refuses_any_part_of_a_record(cut: int) -> None:
    """No prefix of a record is a record, and neither is a record and a half."""
    data = encode_avro(INSTANCES["prediction-binary"])
    reader = AvroReader(json.loads((AVRO / "PredictionMade.avsc").read_text()))
    for broken in (data[:cut], data + data[: cut + 1]):
        with pytest.raises(ValueError, match=r"^Avro: got "):
            reader.read(broken)


def test_event_schema_takes_names_that_are_no_identifiers() -> None:
    """Fields may be called what they are called."""
    schema = avro_event_schema({"wind speed": (float, True), "größe": (int, False)})
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), {"wind speed": None, "größe": 3})
    assert AvroReader(schema).read(out.getvalue()) == {"wind speed": None, "größe": 3}
