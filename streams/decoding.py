"""From bytes to a valid event, label or command: total, so that bad data is a value and never an exception."""

from collections.abc import Callable, Mapping
from typing import Any

import jiter
import orjson
from msgspec import Struct
from pydantic_core import SchemaValidator, ValidationError
from pydantic_core import core_schema as cs

from schemas import cloudevents as ce
from schemas.avro import SCHEMA_PREFIX, AvroReader, avro_event_schema, avro_label_schema
from schemas.events import DeadLetter
from schemas.record import Record
from streams.feature import Feature
from streams.label import Label
from streams.pipeline import Pipeline

MAX_ID_LENGTH = 512


class Example(Struct, frozen=True, gc=False):
    """A valid event: its features as they came, cleaned of nothing but what is not declared.

    Parameters
    ----------
    id
        ``ce_id``, else the declared id field, else the position.
    time_ms
        Event time in milliseconds since 1970.
    x
        Feature values by name; nullable ones may be None or absent.
    y
        The inline label, None where the event brings none.
    """

    id: str
    time_ms: int
    x: dict[str, Any]
    y: Any


class LabelArrival(Struct, frozen=True):
    """A valid label record: the id of its event and the label."""

    id: str
    time_ms: int
    y: Any


class Command(Struct, frozen=True):
    """An operator's command, not yet understood."""

    id: str
    time_ms: int
    body: bytes


Decoded = Example | LabelArrival | Command | DeadLetter


class _Refused(Exception):
    """Carries stage and reason of a dead letter to the one place that builds it."""


class Decoder:
    """Decodes and validates the records of one pipeline.

    JSON is decoded and validated in one pass. A record whose ``content-type`` is ``application/avro`` is read
    with the pipeline's Avro schema (``riverrun schema`` prints it). Bytes do not say under which schema they were
    written, and may be misread under another one: a header ``ce_dataschema`` (``riverrun schema --name``) says so.

    Parameters
    ----------
    pipeline
        The declaration.

    Examples
    --------
    >>> from river import linear_model
    >>> pipeline = Pipeline("p", features={"a": float}, label=Label("y"), model=linear_model.LogisticRegression())
    >>> decoder = Decoder(pipeline)
    >>> decoder.decode(Record("p.raw", 0, 7, 1000, None, b'{"a": 1, "y": true}'))
    Example(id='p.raw-0-7', time_ms=1000, x={'a': 1.0}, y=True)
    >>> decoder.decode(Record("p.raw", 0, 8, 1000, None, b'{"a": NaN}')).reason
    'a: got NaN, expected a finite number'
    """

    def __init__(self, pipeline: Pipeline) -> None:
        label = pipeline.label
        self._id_field = pipeline.id_field
        self._label_name = label.name if label else ""
        self._max_bytes = pipeline.max_record_bytes
        self._names = [orjson.dumps(name) for name in pipeline.features]
        self._event = SchemaValidator(_event_schema(pipeline.features, label, pipeline.id_field))
        self._avro_event = AvroReader(avro_event_schema(pipeline.avro_fields()))
        self._label_record = SchemaValidator(_label_schema(label)) if label else None
        self._avro_label = AvroReader(avro_label_schema(label.name, label.type)) if label else None

    def decode(self, record: Record) -> Decoded:
        """Return what a record means.

        Parameters
        ----------
        record
            Any record at all.

        Returns
        -------
        An `Example`, a `LabelArrival`, a `Command`, or a `DeadLetter` with stage and reason. Never raises for
        anything that a record can contain.
        """
        try:
            value = record.value
            if value is None:
                raise _Refused("envelope", "value: got null, expected an event")
            if len(value) > self._max_bytes:
                raise _Refused("envelope", f"value: got {len(value)} bytes, expected at most {self._max_bytes}")
            if record.key is not None and not record.key:
                raise _Refused("envelope", "key: got an empty one, expected null or at least one byte")
            envelope = _read_envelope(record) if record.headers else _NO_ENVELOPE
            time_ms = record.timestamp_ms if envelope.time_ms is None else envelope.time_ms
            if not 0 <= time_ms <= ce.LATEST_MS:
                expected = "ce_time or a timestamp, not before 1970 nor after 9999"
                raise _Refused("envelope", f"time: got {time_ms} ms, expected {expected}")
            if envelope.kind == ce.EVENT:
                return self._example(record, value, envelope, time_ms)
            if envelope.kind == ce.LABEL:
                return self._label_arrival(value, envelope, time_ms)
            return Command(envelope.id or record.position.event_id, time_ms, value)
        except _Refused as refusal:
            stage, reason = refusal.args
        except ValidationError as error:
            stage, reason = _explain(error)
            if envelope.kind == ce.EVENT and self._is_label(value or b"", envelope):
                reason += f"; it looks like a label, whose header ce_type is {ce.LABEL}"
        return DeadLetter(record, stage, reason)

    def _is_label(self, value: bytes, envelope: "_Envelope") -> bool:
        """Tell whether what is no event would be a label; who names a feature means an event."""
        if any(name in value for name in self._names):
            return False
        try:
            self._label_arrival(value, envelope, 0)
        except (_Refused, ValidationError):
            return False
        return True

    def _example(self, record: Record, value: bytes, envelope: "_Envelope", time_ms: int) -> Example:
        x = self._read(self._event, self._avro_event, value, envelope)
        y = x.pop(self._label_name, None)
        event_id = envelope.id
        if self._id_field is not None:
            declared_id = x.pop(self._id_field, None)
            if event_id is None:
                if declared_id is None:
                    raise _Refused("validate", f"{self._id_field}: got nothing, expected a value, or a header ce_id")
                event_id = declared_id
        return Example(event_id or record.position.event_id, time_ms, x, y)

    def _label_arrival(self, value: bytes, envelope: "_Envelope", time_ms: int) -> LabelArrival:
        if self._label_record is None or self._avro_label is None:
            raise _Refused("envelope", f"ce_type: got {ce.LABEL}, expected none: the pipeline declares no label")
        fields = self._read(self._label_record, self._avro_label, value, envelope)
        return LabelArrival(fields["id"], time_ms, fields[self._label_name])

    def _read(
        self, validator: SchemaValidator, reader: AvroReader, value: bytes, envelope: "_Envelope"
    ) -> dict[str, Any]:
        fields: dict[str, Any]
        if envelope.avro:
            if envelope.schema.startswith(SCHEMA_PREFIX) and envelope.schema != reader.name:
                expected = f"{reader.name}: it was written under another schema than `riverrun schema` prints"
                raise _Refused("decode", f"ce_dataschema: got {envelope.schema!r:.80}, expected {expected}")
            try:
                fields = reader.read(value)
            except ValueError as error:
                raise _Refused("decode", str(error)) from None
            return validator.validate_python(fields)  # type: ignore[no-any-return]
        fields = validator.validate_json(value)
        # As many colons as fields: no other key can be there. Else look for a key that stands twice.
        if value.count(b":") != len(fields):
            try:
                jiter.from_json(value, catch_duplicate_keys=True, partial_mode=False)
            except ValueError as error:
                raise _Refused("decode", f"JSON: {error}") from None
        return fields


class _Envelope(Struct, frozen=True):
    """What the headers of a record say."""

    id: str | None = None
    kind: str = ce.EVENT
    avro: bool = False
    time_ms: int | None = None
    schema: str = ""


_NO_ENVELOPE = _Envelope()
_ATTRIBUTES = frozenset(("ce_id", "ce_type", "ce_time", "ce_dataschema", "content-type"))


def _read_envelope(record: Record) -> _Envelope:
    """Read the CloudEvents attributes that matter here; other headers are none of our business."""
    texts: dict[str, str] = {}
    name = ""
    raw: bytes | None = b""
    time_ms = None
    try:
        for name, raw in record.headers or ():
            if name in _ATTRIBUTES and raw is not None:
                texts[name] = raw.decode()
                if name == "ce_time":
                    time_ms = ce.parse_time(texts[name])
    except (ValueError, OverflowError):
        raise _Refused("envelope", f"{name}: got {raw!r:.80}, expected {_EXPECTED.get(name, 'UTF-8')}") from None
    ce_id = texts.get("ce_id")
    if ce_id is not None and not 0 < len(ce_id) <= MAX_ID_LENGTH:
        raise _Refused("envelope", f"ce_id: got {len(ce_id)} characters, expected 1 to {MAX_ID_LENGTH}")
    media_type = texts.get("content-type", ce.JSON).split(";")[0].strip().lower()
    if media_type not in (ce.JSON, ce.AVRO):
        raise _Refused("envelope", f"content-type: got {media_type!r:.80}, expected {ce.JSON} or {ce.AVRO}")
    kind = texts.get("ce_type", ce.EVENT)
    if not kind.startswith("riverrun."):
        kind = ce.EVENT
    if kind not in (ce.EVENT, ce.LABEL, ce.COMMAND):
        raise _Refused("envelope", f"ce_type: got {kind!r:.80}, expected {ce.EVENT}, {ce.LABEL} or {ce.COMMAND}")
    return _Envelope(ce_id, kind, media_type == ce.AVRO, time_ms, texts.get("ce_dataschema", ""))


_EXPECTED = {"ce_time": "an RFC 3339 time such as 2013-01-01T05:15:00Z"}


def _event_schema(features: Mapping[str, Feature], label: Label | None, id_field: str | None) -> cs.CoreSchema:
    fields = {name: _field(feature) for name, feature in features.items()}
    if label is not None:
        fields[label.name] = cs.typed_dict_field(cs.nullable_schema(_label_type(label)), required=False)
    if id_field is not None:
        fields[id_field] = cs.typed_dict_field(_ID, required=False)  # a ce_id goes before it
    return cs.typed_dict_schema(fields, extra_behavior="ignore")


def _label_schema(label: Label) -> cs.CoreSchema:
    fields = {"id": cs.typed_dict_field(_ID), label.name: cs.typed_dict_field(_label_type(label))}
    return cs.typed_dict_schema(fields, extra_behavior="ignore")


_ID = cs.str_schema(strict=True, min_length=1, max_length=MAX_ID_LENGTH)


def _label_type(label: Label) -> cs.CoreSchema:
    return _value_schema(Feature(label.type, max_length=MAX_ID_LENGTH))


def _field(feature: Feature) -> cs.TypedDictField:
    schema = _value_schema(feature)
    if feature.nullable:
        return cs.typed_dict_field(cs.nullable_schema(schema), required=False)
    return cs.typed_dict_field(schema)


def _value_schema(feature: Feature) -> cs.CoreSchema:
    """Return the schema of one value; bounds and categories that are cleaned later are left to `preprocessing`."""
    strict = not feature.coerce
    refuse = feature.out_of_range == "refuse"
    if feature.type is bool:
        return cs.bool_schema(strict=strict)
    if feature.type is int:
        low, high = (feature.lowest, feature.highest) if refuse else (-(2**63), 2**63 - 1)
        return cs.int_schema(strict=strict, ge=int(low or 0), le=int(high or 0))
    if feature.type is float:
        return cs.float_schema(
            strict=strict,
            allow_inf_nan=False,
            ge=feature.lowest if refuse else None,
            le=feature.highest if refuse else None,
        )
    if feature.categories is not None and refuse:
        return cs.literal_schema(list(feature.categories))
    return cs.str_schema(strict=strict, max_length=feature.max_length)


_SHORT: dict[str, Callable[[dict[str, Any]], str]] = {
    "missing": lambda _: "a value",
    "finite_number": lambda _: "a finite number",
    "float_type": lambda _: "a number",
    "int_type": lambda _: "a whole number",
    "int_from_float": lambda _: "a whole number",
    "string_type": lambda _: "a string",
    "bool_type": lambda _: "true or false",
    "greater_than_equal": lambda context: f"at least {context['ge']}",
    "less_than_equal": lambda context: f"at most {context['le']}",
    "string_too_short": lambda context: f"at least {context['min_length']} character(s)",
    "literal_error": lambda context: context["expected"],
    "string_too_long": lambda context: f"at most {context['max_length']} characters",
    "dict_type": lambda _: "an object",
}


def _explain(error: ValidationError) -> tuple[str, str]:
    """Return stage and reason of a validation error: the first field that is wrong, and how many others are."""
    errors = error.errors(include_url=False)
    first = errors[0]
    if first["type"] == "json_invalid":
        return "decode", first["msg"]
    where = ".".join(str(part) for part in first["loc"]) or "value"
    expected = _expected(first)
    got = "nothing" if first["type"] == "missing" else _show(first["input"])
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return "validate", f"{where}: got {got}, expected {expected}{more}"


def _expected(error: Any) -> str:
    """Return in words what a field should have held."""
    if error["type"] == "bool_type" and type(error["input"]) is int and error["input"] in (0, 1):
        return "true or false; 0 and 1 are of type int"
    words = _SHORT.get(error["type"])
    return words(error.get("ctx", {})) if words else str(error["msg"])


def _show(value: object) -> str:
    """Return a value as a reason can hold it: short, whatever it is."""
    if isinstance(value, (dict, list)):
        return {dict: "an object", list: "a list"}[type(value)]
    if isinstance(value, float) and value != value:
        return "NaN"
    if isinstance(value, int) and value.bit_length() > 128:
        return "a huge whole number"
    return repr(value)[:80]
