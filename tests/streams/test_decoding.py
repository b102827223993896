"""Bad input: named in a dead letter, and without a trace in the model."""

import io
import json
import random
import re
from datetime import timedelta
from typing import Any

import fastavro
import hypothesis.strategies as st
import orjson
import pytest
from hypothesis import given, settings
from river import anomaly, compose, linear_model, preprocessing

from riverrun import Feature, Label, ObserveOnly, Pipeline
from schemas import cloudevents as ce
from schemas.avro import avro_event_schema, avro_label_schema, schema_name
from schemas.errors import ModelBrokenError
from schemas.events import DeadLetter
from schemas.record import Headers, Record
from streams.decoding import MAX_ID_LENGTH, Command, Decoder, Example, LabelArrival
from tests.streams.logs import Fold, Log


def declared(**changes: Any) -> Pipeline:
    """Return a pipeline with a feature of each type."""
    numbers = compose.SelectType(float, int) | preprocessing.StandardScaler()
    strings = compose.SelectType(str) | preprocessing.OneHotEncoder()
    arguments: dict[str, Any] = {
        "features": {"a": float, "n": int, "s": str, "b": bool, "z": float | None},
        "label": Label("y", ttl=timedelta(days=1)),
        "model": (numbers + strings) | linear_model.LogisticRegression(),
        "policy": ObserveOnly(),
        "id_field": "k",
    }
    return Pipeline("p", **{**arguments, **changes})


GOOD = {"k": "i", "a": 1.5, "n": 3, "s": "x", "b": True, "z": None}
GOOD_TEXT = orjson.dumps(GOOD).decode()
AVRO: Headers = [("content-type", b"application/avro")]
LABEL: Headers = [("ce_type", b"riverrun.label")]
PIPELINE = declared()
DECODER = Decoder(PIPELINE)


def record(
    value: bytes | None, headers: Headers | None = None, *, time_ms: int = 1000, key: bytes | None = None
) -> Record:
    """Return a record at offset 7."""
    return Record("p.raw", 0, 7, time_ms, key, value, headers)


def text(**changes: Any) -> bytes:
    """Return the good event with some fields given as JSON text."""
    fields = {**{name: orjson.dumps(value).decode() for name, value in GOOD.items()}, **changes}
    return ("{" + ",".join(f'"{name}":{value}' for name, value in fields.items() if value is not None) + "}").encode()


def avro(fields: dict[str, Any], schema: dict[str, Any] | None = None) -> bytes:
    """Return an event as Avro, under the pipeline's own schema."""
    out = io.BytesIO()
    parsed = fastavro.parse_schema(schema or avro_event_schema(PIPELINE.avro_fields()))
    fastavro.schemaless_writer(out, parsed, fields)
    return out.getvalue()


GOOD_AVRO = avro({**GOOD, "y": None})
OTHER_SCHEMA = ("ce_dataschema", schema_name(avro_event_schema({"n": (int, False), "a": (float, False)})).encode())
DEEP = b"[" * 100_000 + b"]" * 100_000

BAD: dict[str, tuple[Record, str, str]] = {
    # what is wrong: the record, the stage, and a pattern of the reason
    "not_json": (record(b"distance=1"), "decode", "Invalid JSON"),
    "empty": (record(b""), "decode", "Invalid JSON: EOF"),
    "cut_off": (record(text()[:-1]), "decode", "Invalid JSON: EOF"),
    "two_documents": (record(text() + text()), "decode", "trailing"),
    "invalid_utf8": (record(b'{"s":"\xff\xfe"}'), "decode", "Invalid JSON"),
    "byte_order_mark": (record(b"\xef\xbb\xbf" + text()), "decode", "Invalid JSON"),
    "nul": (record(text() + b"\x00"), "decode", "Invalid JSON"),
    "list": (record(b"[1, 2]"), "validate", "value: got a list, expected an object"),
    "number": (record(b"7"), "validate", "value: got 7, expected an object"),
    "json_null": (record(b"null"), "validate", "value: got None, expected an object"),
    "null_value": (record(None), "envelope", "value: got null, expected an event"),
    "empty_key": (record(text(), key=b""), "envelope", "key: got an empty one, expected null or at least one byte"),
    "missing": (record(text(a=None)), "validate", "a: got nothing, expected a value"),
    "several_missing": (record(b"{}"), "validate", r"a: got nothing, expected a value \(and 3 more\)"),
    "null_for_required": (record(text(a="null")), "validate", "a: got None, expected a number"),
    "string_for_float": (record(text(a='"1.5"')), "validate", "a: got '1.5', expected a number"),
    "bool_for_float": (record(text(a="true")), "validate", "a: got True, expected a number"),
    "float_for_int": (record(text(n="3.5")), "validate", r"n: got 3\.5, expected a whole number"),
    "bool_for_int": (record(text(n="true")), "validate", "n: got True, expected a whole number"),
    "number_for_string": (record(text(s="1")), "validate", "s: got 1, expected a string"),
    "number_for_bool": (record(text(b="1")), "validate", "b: got 1, expected true or false"),
    "object_for_float": (record(text(a="{}")), "validate", "a: got an object, expected a number"),
    "list_for_string": (record(text(s="[]")), "validate", "s: got a list, expected a string"),
    "string_too_long": (record(text(s='"' + "x" * 257 + '"')), "validate", "s: got 'x+, expected at most 256"),
    "nan": (record(text(a="NaN")), "validate", "a: got NaN, expected a finite number"),
    "infinity": (record(text(a="Infinity")), "validate", "a: got inf, expected a finite number"),
    "minus_infinity": (record(text(a="-Infinity")), "validate", "a: got -inf, expected a finite number"),
    "nan_in_nullable": (record(text(z="NaN")), "validate", "z: got NaN, expected a finite number"),
    "overflowing_float": (record(text(a="1e999")), "validate", "a: got inf, expected a finite number"),
    "absurd_float": (record(text(a="1e308")), "validate", r"a: got 1e\+308, expected at most 1e\+30"),
    "absurd_negative": (record(text(a="-1e31")), "validate", r"a: got -1e\+31, expected at least -1e\+30"),
    "int_beyond_64_bits": (record(text(n=str(2**63))), "validate", f"n: got {2**63}, expected at most {2**63 - 1}"),
    "int_below_64_bits": (record(text(n=str(-(2**63) - 1))), "validate", f"n: got -{2**63 + 1}, expected at least"),
    "int_of_400_digits": (record(text(n="9" * 400)), "validate", "n: got a huge whole number, expected"),
    "float_of_400_digits": (record(text(a="9" * 400)), "validate", "a: got .*, expected a finite number"),
    "int_of_5000_digits": (record(text(n="1" + "0" * 5000)), "(decode|validate)", "n: got|out of range"),
    "float_of_10000_digits": (record(text(a="1" + "0" * 10_000)), "(decode|validate)", "."),
    "label_wrong": (record(text(y='"yes"')), "validate", "y: got 'yes', expected true or false"),
    "id_missing": (record(text(k=None)), "validate", "k: got nothing, expected a value, or a header ce_id"),
    "id_empty": (record(text(k='""')), "validate", "k: got '', expected at least 1 character"),
    "id_too_long": (record(text(k='"' + "i" * 513 + '"')), "validate", "k: got 'i+, expected at most 512 characters"),
    "lone_surrogate": (record(text(s='"\\ud800"')), "decode", "hex escape"),
    "lone_surrogate_in_id": (record(text(k='"\\udfff"')), "decode", "surrogate|hex escape"),
    "duplicate_key": (record(b'{"a":1,' + text()[1:]), "decode", 'duplicate key "a"|Detected duplicate key "a"'),
    "duplicate_key_same_value": (record(text()[:-1] + b',"a":1.5}'), "decode", "uplicate key"),
    "duplicate_key_spaced": (record(text()[:-1] + b' , "a" \n : 2}'), "decode", "uplicate key"),
    "duplicate_key_escaped": (record(text()[:-1] + rb',"\u0061":2}'), "decode", "uplicate key"),
    "duplicate_key_unknown": (record(text()[:-1] + b',"u":1,"u":2}'), "decode", "uplicate key"),
    "duplicate_key_nested": (record(text()[:-1] + b',"u":{"v":1,"v":2}}'), "decode", "uplicate key"),
    "duplicate_key_in_list": (record(text()[:-1] + b',"u":[{"v":1,"\\u0076":2}]}'), "decode", "uplicate key"),
    "duplicate_label": (record(text(y="true")[:-1] + b',"y":false}'), "decode", "uplicate key"),
    "deep_nesting": (record(DEEP), "(decode|validate)", "."),
    "deep_nesting_in_unknown": (record(text()[:-1] + b',"u":' + DEEP + b"}"), "decode", "recursion"),
    "huge_string": (record(text(s='"' + "x" * 10_000_000 + '"')), "envelope", "value: got 10000... bytes, expected at"),
    "negative_timestamp": (record(text(), time_ms=-1), "envelope", "time: got -1 ms, expected ce_time or a timestamp"),
    "bad_ce_time": (record(text(), [("ce_time", b"yesterday")]), "envelope", "ce_time: got b'yesterday', expected an"),
    "ce_time_before_1970": (record(text(), [("ce_time", b"1066-10-14T09:00:00Z")]), "envelope", "time: got -"),
    "ce_time_at_the_edge": (record(text(), [("ce_time", b"0001-01-01T00:00:00+23:59")]), "envelope", "time: got"),
    "time_beyond_any_calendar": (record(text(), time_ms=2**62), "envelope", f"time: got {2**62} ms, expected"),
    "undecodable_ce_id": (record(text(), [("ce_id", b"\xff")]), "envelope", r"ce_id: got b'\\xff', expected UTF-8"),
    "undecodable_ce_type": (record(text(), [("ce_type", b"\xc3")]), "envelope", "ce_type: got .* expected UTF-8"),
    "empty_ce_id": (record(text(), [("ce_id", b"")]), "envelope", "ce_id: got 0 characters, expected 1 to 512"),
    "ce_id_too_long": (record(text(), [("ce_id", b"x" * 513)]), "envelope", "ce_id: got 513 characters, expected 1"),
    "unknown_ce_type": (record(text(), [("ce_type", b"riverrun.labels")]), "envelope", "got 'riverrun.labels',"),
    "unknown_content_type": (record(text(), [("content-type", b"text/xml")]), "envelope", "got 'text/xml', exp"),
    "avro_cut_off": (record(GOOD_AVRO[:-3], AVRO), "decode", "Avro: got .* bytes that end or break early"),
    "avro_trailing": (record(GOOD_AVRO + b"\x00", AVRO), "decode", "Avro: got 1 bytes after the record, expected none"),
    "avro_empty": (record(b"", AVRO), "decode", "Avro: got 0 bytes that end or break early"),
    "avro_but_json": (record(text(), AVRO), "decode", "Avro: got"),
    "json_but_avro": (record(GOOD_AVRO), "decode", "Invalid JSON"),
    "avro_nan": (record(avro({**GOOD, "a": float("nan"), "y": None}), AVRO), "validate", "a: got NaN, expected a"),
    "avro_infinity": (record(avro({**GOOD, "a": float("inf"), "y": None}), AVRO), "validate", "a: got inf"),
    "avro_absurd": (record(avro({**GOOD, "a": 1e308, "y": None}), AVRO), "validate", r"a: got 1e\+308, expected"),
    "avro_bad_utf8": (record(GOOD_AVRO.replace(b"\x02x", b"\x02\xff"), AVRO), "decode", "Avro"),
    "avro_container": (record(b"Obj\x01" + GOOD_AVRO, AVRO), "decode", "it is an Avro container file"),
    "avro_framed": (record(b"\x00\x00\x00\x00\x07" + GOOD_AVRO, AVRO), "decode", "framed for Confluent's registry"),
    "avro_of_another_schema": (record(GOOD_AVRO, [*AVRO, OTHER_SCHEMA]), "decode", "ce_dataschema: got 'urn:riverrun"),
    "label_for_an_event": (record(b'{"id":"e","y":true}'), "validate", "looks like a label, whose header ce_type is"),
    "event_of_a_bad_kind": (record(text(a='"x"', id='"e"', y="true")), "validate", "a: got 'x', expected a number$"),
    "label_without_id": (record(b'{"y":true}', LABEL), "validate", "id: got nothing, expected a value"),
    "label_without_label": (record(b'{"id":"e"}', LABEL), "validate", "y: got nothing, expected a value"),
    "label_null": (record(b'{"id":"e","y":null}', LABEL), "validate", "y: got None, expected true or false"),
    "label_of_wrong_type": (record(b'{"id":"e","y":1}', LABEL), "validate", "y: got 1, expected true or false"),
    "label_id_a_number": (record(b'{"id":1,"y":true}', LABEL), "validate", "id: got 1, expected a string"),
    "label_duplicate_key": (record(b'{"id":"e","y":true,"y":false}', LABEL), "decode", "uplicate key"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_record_that_cannot_be_used_becomes_a_dead_letter_with_its_reason(case: str) -> None:
    """The letter carries the record untouched, the stage, and what was got and expected, within a few lines."""
    bad, stage, reason = BAD[case]
    letter = DECODER.decode(bad)
    assert isinstance(letter, DeadLetter)
    assert letter.record is bad
    assert re.fullmatch(stage, letter.stage), letter.stage
    assert re.search(reason, letter.reason), letter.reason
    assert len(letter.reason) < 400


def test_model_after_all_bad_records_is_what_it_would_have_been_without_them() -> None:
    """Between the good records come all the bad ones: each good one is answered the same, to the last digit."""
    rng = random.Random(3)
    good, mixed = Log(), Log()
    bad = [letter for letter, _, _ in BAD.values() if letter.value is None or len(letter.value) < 10_000_000]
    for i in range(200):
        event = {"a": rng.gauss(0, 1), "n": rng.randrange(9), "s": rng.choice("xyz"), "b": rng.random() < 0.5}
        for log in (good, mixed):
            log.event({**event, "k": f"e{i}"}, time_ms=1000 + i)
            log.label(f"e{i}", event["a"] > 0, time_ms=1000 + i)
        poison = bad[i % len(bad)]
        mixed.raw(poison.value, headers=poison.headers, time_ms=poison.timestamp_ms, key=poison.key)
    clean, poisoned = Fold(PIPELINE, good.records), Fold(PIPELINE, mixed.records)
    assert poisoned.counts["dead_letter"] == 200
    assert poisoned.answers == clean.answers
    assert poisoned.metrics == clean.metrics
    assert poisoned.task.preprocessor.snapshot() == clean.task.preprocessor.snapshot()
    assert poisoned.task.clock.__dict__ == clean.task.clock.__dict__


# ---------------------------------------------------------------------- what is taken


def test_event_with_a_million_unknown_keys_is_refused_or_left_with_its_own() -> None:
    """Undeclared fields never reach the model, however many there are."""
    value = text()[:-1] + b"".join(b',"u%d":1' % i for i in range(60_000)) + b"}"
    assert len(value) < PIPELINE.max_record_bytes
    example = DECODER.decode(record(value))
    assert isinstance(example, Example)
    assert list(example.x) == ["a", "n", "s", "b", "z"]
    million = DECODER.decode(record(b"{" + b",".join(b'"u%d":1' % i for i in range(1_000_000)) + b"}"))
    assert isinstance(million, DeadLetter)


def test_features_stand_in_declared_order_whatever_the_order_in_the_record() -> None:
    """The model sees features as declared: float sums depend on the order."""
    shuffled = orjson.dumps(dict(reversed(GOOD.items())))
    example = DECODER.decode(record(shuffled))
    assert isinstance(example, Example)
    assert list(example.x.items()) == [("a", 1.5), ("n", 3), ("s", "x"), ("b", True), ("z", None)]


def test_whole_number_for_a_float_is_taken_as_float() -> None:
    """JSON writes 1 for 1.0."""
    example = DECODER.decode(record(text(a="1")))
    assert isinstance(example, Example)
    assert (example.x["a"], type(example.x["a"])) == (1.0, float)


def test_colons_in_strings_are_no_duplicate_keys() -> None:
    """The quick look for duplicate keys counts colons; a colon in a value is only looked at twice."""
    example = DECODER.decode(record(text(s='"a:b:c"')))
    assert isinstance(example, Example)
    assert example.x["s"] == "a:b:c"


@pytest.mark.parametrize("quoted", ['"2.5"', "2.5", '" 2.5 "'])
def test_quoted_number_is_taken_where_the_feature_coerces(quoted: str) -> None:
    """Producers that quote everything are welcome where that is declared."""
    decoder = Decoder(declared(features={"a": Feature(float, coerce=True)}, id_field=None))
    example = decoder.decode(record(b'{"a":%s}' % quoted.encode()))
    assert isinstance(example, Example)
    assert example.x == {"a": 2.5}


@pytest.mark.parametrize("quoted", ['"nan"', '"inf"', '"1e999"', '"x"', '""', '"1e31"'])
def test_quoted_nonsense_is_refused_even_where_the_feature_coerces(quoted: str) -> None:
    """Coercion opens no way for NaN."""
    decoder = Decoder(declared(features={"a": Feature(float, coerce=True)}, id_field=None))
    assert isinstance(decoder.decode(record(b'{"a":%s}' % quoted.encode())), DeadLetter)


def test_event_in_avro_is_the_event_in_json() -> None:
    """Both encodings of one event give the same example."""
    assert DECODER.decode(record(GOOD_AVRO, AVRO)) == DECODER.decode(record(text()))


def test_label_in_avro_is_the_label_in_json() -> None:
    """Both encodings of one label give the same arrival."""
    value = avro({"id": "e", "y": True}, avro_label_schema("y", bool))
    arrival = DECODER.decode(record(value, AVRO + LABEL))
    assert arrival == DECODER.decode(record(b'{"id":"e","y":true}', LABEL)) == LabelArrival("e", 1000, True)


@pytest.mark.parametrize(
    ("headers", "id", "time_ms"),
    [
        (None, "i", 1000),
        ([("ce_id", b"h")], "h", 1000),
        ([("ce_id", None)], "i", 1000),
        ([("ce_time", b"2013-01-01T05:15:00Z")], "i", 1357017300000),
        ([("ce_time", b"2013-01-01T06:15:00+01:00")], "i", 1357017300000),
        ([("ce_type", b"com.example.flight")], "i", 1000),
        ([("ce_type", b"riverrun.event"), ("content-type", b"Application/JSON; charset=utf-8")], "i", 1000),
        ([("other", b"\xff\xfe"), ("traceparent", b"\xff")], "i", 1000),
    ],
)
def test_envelope_is_read_from_the_headers(headers: Headers | None, id: str, time_ms: int) -> None:
    """Id, time and kind come from CloudEvents headers; other people's headers are left alone."""
    example = DECODER.decode(record(text(), headers))
    assert isinstance(example, Example)
    assert (example.id, example.time_ms) == (id, time_ms)


def test_command_is_known_by_its_type() -> None:
    """A command's body is not looked at yet; its id is the header, else the position."""
    headers: Headers = [("ce_type", b"riverrun.command")]
    assert DECODER.decode(record(b"{}", headers)) == Command("p.raw-0-7", 1000, b"{}")
    assert DECODER.decode(record(b"{}", [*headers, ("ce_id", b"c")])) == Command("c", 1000, b"{}")


def test_label_record_where_no_label_is_declared_is_a_dead_letter() -> None:
    """An unsupervised pipeline says that it expects none."""
    pipeline = Pipeline("p", features={"a": float}, label=None, model=anomaly.HalfSpaceTrees(n_trees=2, height=2))
    letter = Decoder(pipeline).decode(record(b'{"id":"e","y":true}', LABEL))
    assert isinstance(letter, DeadLetter)
    assert letter.reason == "ce_type: got riverrun.label, expected none: the pipeline declares no label"


@pytest.mark.parametrize(
    ("feature", "taken", "refused"),
    [
        (Feature(float, ge=0, le=1), [b"0", b"0.5", b"1"], [b"-0.001", b"1.001"]),
        (Feature(int, ge=-2, le=3), [b"-2", b"3"], [b"-3", b"4"]),
        (Feature(int, ge=0.5, le=2.5), [b"1", b"2"], [b"0", b"3"]),
        (Feature(int, ge=-2.5, le=-0.5), [b"-2", b"-1"], [b"-3", b"0"]),
        (Feature(str, categories=("x", "y")), [b'"x"'], [b'"z"', b'""']),
        (Feature(str, max_length=2), [b'"ab"', '"äö"'.encode()], [b'"abc"']),
        (Feature(int, le=1e25), [b"9223372036854775807"], [b"9223372036854775808"]),
    ],
)
def test_bounds_of_a_feature_decide_what_is_taken(feature: Feature, taken: list[bytes], refused: list[bytes]) -> None:
    """Both ends of a range belong to it, and nothing beyond."""
    decoder = Decoder(declared(features={"a": feature}, id_field=None))
    kinds = [type(decoder.decode(record(b'{"a":%s}' % value))) for value in taken + refused]
    assert kinds == [Example] * len(taken) + [DeadLetter] * len(refused)


# ---------------------------------------------------------------------- anything at all

MUTATIONS = st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=3)), min_size=1, max_size=4)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.dictionaries(st.sampled_from(["a", "n", "s", "b", "z", "y", "k", "id", "u"]), JSON_VALUES, max_size=8)
HEADER = st.tuples(
    st.sampled_from(["ce_id", "ce_type", "ce_time", "content-type", "other"]),
    st.none()
    | st.binary(max_size=8)
    | st.sampled_from([b"riverrun.label", b"riverrun.command", b"application/avro", b"9999-12-31T23:59:59.999-23:59"]),
)


def mutated(value: bytes, mutations: list[tuple[int, bytes]]) -> bytes:
    """Return bytes with some places overwritten, cut or grown."""
    for at, patch in mutations:
        at %= len(value) + 1
        value = value[:at] + patch + value[at + 1 :]
    return value


VALUES = st.one_of(
    st.none(),
    st.binary(max_size=60),
    FIELDS.map(lambda fields: json.dumps(fields).encode()),
    FIELDS.map(lambda fields: json.dumps({**GOOD, **fields}).encode()),
    MUTATIONS.map(lambda m: mutated(GOOD_TEXT.encode(), m)),
    MUTATIONS.map(lambda m: mutated(GOOD_AVRO, m)),
)
RECORDS = st.lists(
    st.tuples(
        VALUES,
        st.lists(HEADER, max_size=3),
        st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(0, 5000)),
        st.none() | st.binary(max_size=2),
    ),
    max_size=12,
)
KINDS = (Example, LabelArrival, Command, DeadLetter)


@given(records=RECORDS)
@settings(max_examples=150)
def test_records_of_any_kind_never_raise_and_balance_the_books(
    records: list[tuple[bytes | None, Headers, int, bytes | None]],
) -> None:
    """Bytes, headers and timestamps of every kind are decoded to a value, and the next good event is scored."""
    log = Log()
    for value, headers, time_ms, key in records:
        log.raw(value, headers=headers, time_ms=time_ms, key=key)
    for each in log.records:
        decoded = DECODER.decode(each)
        assert isinstance(decoded, KINDS)
        if isinstance(decoded, DeadLetter):
            assert decoded.stage in ("envelope", "decode", "validate")
            assert decoded.reason.encode()
        elif not isinstance(decoded, Command):
            assert 0 < len(decoded.id) <= max(MAX_ID_LENGTH, len(each.position.event_id))
    fold = Fold(PIPELINE, log.records)
    before = len(fold.predictions)
    fold.step(log.raw(text(k='"the next good one"'), headers=[("ce_id", b"the next good one")]))
    assert len(fold.predictions) == before + 1
    assert fold.task.books.read == len(records) + 1


@given(fields=FIELDS)
@settings(max_examples=150)
def test_event_that_is_taken_has_only_finite_numbers_of_the_declared_types(fields: dict[str, Any]) -> None:
    """Whatever is taken is what the declaration promises to the model."""
    decoded = DECODER.decode(record(json.dumps({**GOOD, **fields}).encode()))
    if not isinstance(decoded, Example):
        return
    types = {"a": float, "n": int, "s": str, "b": bool}
    assert {name: type(decoded.x[name]) for name in types} == types
    assert abs(decoded.x["a"]) <= 1e30
    assert abs(decoded.x["n"]) <= 2**63
    assert decoded.x.get("z") is None or abs(decoded.x["z"]) <= 1e30
    assert type(decoded.y) in (bool, type(None))


def test_dead_letters_in_a_row_do_not_count_as_model_errors() -> None:
    """Bad data never breaks a model, however much of it there is."""
    log = Log()
    for _ in range(50):
        log.raw(b"{")
    try:
        fold = Fold(PIPELINE, log.records)
    except ModelBrokenError:  # pragma: no cover
        pytest.fail("bad data was taken for a broken model")
    assert fold.counts == {"dead_letter": 50}


def test_ce_types_are_those_of_the_table() -> None:
    """The decoder takes exactly the three kinds that travel on the input topic."""
    kinds = {ce.EVENT: text(), ce.LABEL: b'{"id":"e","y":true}', ce.COMMAND: b"{}"}
    decoded = [type(DECODER.decode(record(value, [("ce_type", kind.encode())]))) for kind, value in kinds.items()]
    assert decoded == [Example, LabelArrival, Command]
    for kind in (ce.PREDICTION, ce.DEAD_LETTER, "riverrun."):
        assert isinstance(DECODER.decode(record(text(), [("ce_type", kind.encode())])), DeadLetter)


def test_id_is_not_wanted_twice() -> None:
    """Whose id is in the envelope needs no declared field for it; the one in the envelope counts."""
    for body in (text(k=None), text()):
        decoded = Decoder(PIPELINE).decode(record(body, [("ce_id", b"e-1")]))
        assert isinstance(decoded, Example)
        assert (decoded.id, "k" in decoded.x) == ("e-1", False)


@pytest.mark.parametrize("schema", [schema_name(avro_event_schema(PIPELINE.avro_fields())), "https://registry/7"])
def test_avro_that_names_its_schema_is_read(schema: str) -> None:
    """What others name in `ce_dataschema` is not known here; JSON needs no schema to be read."""
    decoder, headers = Decoder(PIPELINE), [("ce_dataschema", schema.encode())]
    assert decoder.decode(record(GOOD_AVRO, [*AVRO, *headers])) == decoder.decode(record(GOOD_AVRO, AVRO))
    assert isinstance(decoder.decode(record(text(), [OTHER_SCHEMA])), Example)


def test_bytes_of_another_schema_are_misread_unless_they_name_it() -> None:
    """Two numbers that change places: nothing in the bytes tells."""
    pipelines = [
        Pipeline("p", features=dict.fromkeys(names, float), label=Label("y"), model=linear_model.LogisticRegression())
        for names in (("income", "debt"), ("debt", "income"))
    ]
    before, after = (avro_event_schema(pipeline.avro_fields()) for pipeline in pipelines)
    data = avro({"income": 900.0, "debt": 1.0, "y": True}, before)
    misread = Decoder(pipelines[1]).decode(record(data, AVRO))
    assert isinstance(misread, Example)
    assert misread.x == {"debt": 900.0, "income": 1.0}
    named = [*AVRO, ("ce_dataschema", schema_name(before).encode())]
    refused = Decoder(pipelines[1]).decode(record(data, named))
    assert isinstance(refused, DeadLetter)
    assert f"expected {schema_name(after)}: it was written under another schema" in refused.reason
