"""What the tests write into a log: good events, labels, and everything that is not fit to be one."""

import random
import time
from collections.abc import Iterator

import msgspec
import orjson

from schemas import cloudevents as ce
from schemas.record import Headers
from tests.streams.worker.kafka import Event

_KEYS = 40


def drawn(rng: random.Random) -> dict[str, float | int | bool]:
    """Return the features of one event and its label, which they explain in part."""
    a, b = rng.gauss(0, 1), rng.randrange(10)
    return {"a": a, "b": b, "y": a + b / 5 + rng.gauss(0, 0.5) > 1}


def key(number: int) -> bytes:
    """Return the key of an event: one of forty."""
    return b"key-%d" % (number * 7919 % _KEYS)


def envelope(event_id: str, type: str = ce.EVENT) -> Headers:
    """Return the headers of an event or a label."""
    return ce.event_headers(event_id, type=type, source="tests")


def inline(count: int, seed: int = 0, start: int = 0) -> Iterator[Event]:
    """Return events that bring their labels along; their ids count from `start`."""
    rng = random.Random(seed)
    for i in range(start, start + count):
        yield Event(orjson.dumps(drawn(rng)), key(i), envelope(f"e{i}"))


def label(event_id: str, of_key: bytes, y: object) -> Event:
    """Return a label record."""
    return Event(orjson.dumps({"id": event_id, "y": y}), of_key, envelope(f"label-{event_id}", ce.LABEL))


def at(time_ms: int, event: Event) -> Event:
    """Return an event with a timestamp."""
    return msgspec.structs.replace(event, timestamp_ms=time_ms)


def delayed(count: int, seed: int = 0) -> Iterator[Event]:
    """Return events a second apart whose labels follow out of order; some come early, twice, otherwise, or never."""
    rng = random.Random(seed)
    begin_ms = round(time.time() - 86_400) * 1000
    waiting: list[tuple[int, Event]] = []
    for i in range(count):
        fields = drawn(rng)
        y = fields.pop("y")
        event_id, chance = f"e{i}", rng.random()
        time_ms = begin_ms + i * 1000
        answer = label(event_id, key(i), y)
        if chance < 0.05:
            yield at(time_ms, answer)
        elif chance < 0.95:
            waiting.append((i + rng.randrange(1, 200), answer))
        if 0.5 < chance < 0.55:
            waiting.append((i + 250, answer))
        elif 0.6 < chance < 0.65:
            waiting.append((i + 250, label(event_id, key(i), not y)))
        yield Event(orjson.dumps(fields), key(i), envelope(event_id), time_ms)
        due = [late for number, late in waiting if number <= i]
        waiting = [pair for pair in waiting if pair[0] > i]
        yield from (at(time_ms, late) for late in due)


def _json(text: str | bytes, **further: object) -> Event:
    value = text.encode() if isinstance(text, str) else text
    return Event(value, **{"key": b"bad", **further})  # type: ignore[arg-type]


_GOOD = '{"a": 1.0, "b": 1, "y": true}'
_AVRO: Headers = [("content-type", ce.AVRO.encode())]
_MILLION = "{" + ",".join(f'"k{i}":0' for i in range(1_000_000)) + ', "a": 1.0, "b": 1}'

#: Name → stage at which it fails, and the record.
BAD: dict[str, tuple[str, Event]] = {
    "no JSON": ("decode", _json("a,b\n1,2")),
    "empty": ("decode", _json("")),
    "half JSON": ("decode", _json('{"a": 1.0, "b": ')),
    "half Avro": ("decode", _json(b"\x00\x00", headers=_AVRO)),
    "JSON that claims to be Avro": ("decode", _json(_GOOD, headers=_AVRO)),
    "other content": ("envelope", _json("<a>1</a>", headers=[("content-type", b"text/xml")])),
    "list": ("validate", _json("[1, 2]")),
    "wrong type": ("validate", _json('{"a": "one", "b": 1}')),
    "missing field": ("validate", _json('{"b": 1, "y": true}')),
    "NaN": ("validate", _json('{"a": NaN, "b": 1}')),
    "infinity": ("validate", _json('{"a": Infinity, "b": 1}')),
    "minus infinity": ("validate", _json('{"a": -Infinity, "b": 1}')),
    "1e308": ("validate", _json('{"a": 1e308, "b": 1}')),
    "1e999": ("validate", _json('{"a": 1e999, "b": 1}')),
    "400 digits": ("validate", _json('{"a": 1.0, "b": %s}' % ("9" * 400))),
    "400 digits for a float": ("validate", _json('{"a": %s, "b": 1}' % ("9" * 400))),
    "deep": ("decode", _json('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}")),
    "million keys": ("envelope", _json(_MILLION)),
    "10 MB string": ("envelope", _json('{"a": 1.0, "b": 1, "c": "%s"}' % ("x" * 10_000_000))),
    "empty key": ("envelope", _json(_GOOD, key=b"")),
    "null": ("envelope", Event(None, b"bad")),
    "key twice": ("decode", _json('{"a": 1.0, "b": 1, "a": 2.0}')),
    "lone surrogate": ("decode", _json(r'{"a": 1.0, "b": 1, "c": "\ud800"}')),
    "no UTF-8": ("decode", _json(b'{"a": 1.0, "b": 1, "c": "\xff"}')),
    "before 1970": ("envelope", _json(_GOOD, headers=[("ce_time", b"1969-07-20T20:17:40Z")])),
    "no time": ("envelope", _json(_GOOD, headers=[("ce_time", b"yesterday")])),
    "unknown type": ("envelope", _json(_GOOD, headers=[("ce_type", b"riverrun.oops")])),
    "label without id": ("validate", _json('{"y": true}', headers=[("ce_type", ce.LABEL.encode())])),
    "id that is no UTF-8": ("envelope", _json(_GOOD, headers=[("ce_id", b"\xff")])),
}
