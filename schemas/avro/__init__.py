"""Avro: the schemas of riverrun's own events, generated from their classes, and codecs over fastavro.

``python -m schemas.avro`` writes the checked-in ``*.avsc`` files anew; a contract test holds them and golden bytes.
"""

import io
import json
import types
import typing
from pathlib import Path
from typing import Any

import fastavro
import msgspec
from fastavro.schema import fingerprint, to_parsing_canonical_form
from msgspec import Struct

from schemas.events import LIFECYCLE_EVENTS, LifecycleEvent, PredictionMade

NAMESPACE = "riverrun"
#: How the name of a schema begins, see `schema_name`.
SCHEMA_PREFIX = "urn:riverrun:avro:"
_CONFLUENT_BYTES = 5
_PRIMITIVES: dict[Any, str] = {bool: "boolean", int: "long", float: "double", str: "string", type(None): "null"}


def event_class_schema(event: type[Struct]) -> dict[str, Any]:
    """Return the Avro schema of an event class, or of a part of one, as a dict.

    Examples
    --------
    >>> event_class_schema(PredictionMade)["fields"][0]
    {'name': 'id', 'type': 'string'}
    """
    hints = typing.get_type_hints(event)
    doc = (event.__doc__ or "").splitlines()[0]
    fields = [{"name": name, "type": _avro_type(hints[name])} for name in event.__struct_fields__]
    return {"type": "record", "name": event.__name__, "namespace": NAMESPACE, "doc": doc, "fields": fields}


def _avro_type(hint: Any) -> Any:
    if hint in _PRIMITIVES:
        return _PRIMITIVES[hint]
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return sorted((_avro_type(arg) for arg in args), key=lambda branch: branch != "null")
    if origin is tuple:
        return {"type": "array", "items": _avro_type(args[0])}
    if origin is dict:
        return {"type": "map", "values": _avro_type(args[1])}
    if isinstance(hint, type) and issubclass(hint, Struct):
        return event_class_schema(hint)
    raise TypeError(f"no Avro type for {hint!r}")


_EVENT_CLASSES: tuple[type[PredictionMade] | type[LifecycleEvent], ...] = (PredictionMade, *LIFECYCLE_EVENTS)
EVENT_SCHEMAS: dict[type, dict[str, Any]] = {event: event_class_schema(event) for event in _EVENT_CLASSES}
_PARSED = {event: fastavro.parse_schema(schema) for event, schema in EVENT_SCHEMAS.items()}


def encode_avro(event: PredictionMade | LifecycleEvent) -> bytes:
    """Return an event as schemaless Avro, under the schema of its class."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, _PARSED[type(event)], msgspec.to_builtins(event))
    return out.getvalue()


def decode_avro(event: type[PredictionMade] | type[LifecycleEvent], data: bytes) -> dict[str, Any]:
    """Return the fields of an event that `encode_avro` wrote."""
    return AvroReader(EVENT_SCHEMAS[event]).read(data)


class AvroReader:
    """Reads schemaless Avro under one schema, and says no to anything else.

    Parameters
    ----------
    schema
        An Avro record schema as a dict; neither recursive nor with arrays of nulls.
    """

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = fastavro.parse_schema(schema)
        #: What names the schema.
        self.name = schema_name(schema)

    def read(self, data: bytes) -> dict[str, Any]:
        """Return the fields.

        Raises
        ------
        ValueError
            When the bytes are not exactly one record of the schema.
        """
        source = io.BytesIO(data)
        try:
            fields = fastavro.schemaless_reader(source, self._schema, None)
        except Exception as error:  # fastavro raises whatever its parser stumbles over
            raise ValueError(
                f"Avro: got {len(data)} bytes that end or break early ({error!r:.80}){_guess(data)}"
            ) from None
        left = len(data) - source.tell()
        if left:
            raise ValueError(f"Avro: got {left} bytes after the record, expected none{_guess(data)}")
        return typing.cast(dict[str, Any], fields)


def _guess(data: bytes) -> str:
    """Say what bytes may be that are no record of the schema."""
    if data.startswith(b"Obj\x01"):
        return "; it is an Avro container file, expected one bare record"
    if data.startswith(b"\x00") and len(data) > _CONFLUENT_BYTES:
        return "; it may be framed for Confluent's registry (a 0 and the schema's id), expected the bare record"
    return "; expected one record of the schema that `riverrun schema` prints"


def schema_name(schema: dict[str, Any]) -> str:
    """Return what names an Avro schema in the header ``ce_dataschema``: equal for schemas that are read alike.

    Its end is the CRC-64-AVRO fingerprint of the schema's parsing canonical form.

    References
    ----------
    Apache Avro 1.12 specification, Parsing Canonical Form for Schemas, and Schema Fingerprints.

    Examples
    --------
    >>> schema_name(avro_event_schema({"a": (float, True)}))
    'urn:riverrun:avro:...'
    """
    return f"{SCHEMA_PREFIX}{fingerprint(to_parsing_canonical_form(schema), 'CRC-64-AVRO')}"


def avro_event_schema(fields: dict[str, tuple[type, bool]], name: str = "Event") -> dict[str, Any]:
    """Return the Avro schema of a pipeline's events.

    Parameters
    ----------
    fields
        Type and whether it may be null, by field name.
    name
        Name of the record.

    Examples
    --------
    >>> avro_event_schema({"a": (float, True)})["fields"]
    [{'name': 'a', 'type': ['null', 'double'], 'default': None}]
    """
    return {
        "type": "record",
        "name": name,
        "namespace": NAMESPACE,
        "fields": [
            {"name": field, "type": ["null", _PRIMITIVES[kind]], "default": None}
            if nullable
            else {"name": field, "type": _PRIMITIVES[kind]}
            for field, (kind, nullable) in fields.items()
        ],
    }


def avro_label_schema(name: str, kind: type) -> dict[str, Any]:
    """Return the Avro schema of a pipeline's label records."""
    return avro_event_schema({"id": (str, False), name: (kind, False)}, "Label")


def schema_files() -> dict[Path, str]:
    """Return path and text of each checked-in ``.avsc`` file."""
    folder = Path(__file__).parent
    return {
        folder / f"{event.__name__}.avsc": json.dumps(schema, indent=2) + "\n"
        for event, schema in EVENT_SCHEMAS.items()
    }
