"""Everything that is no event, sent through Kafka to a worker."""

import hashlib
from collections.abc import Callable
from typing import Any

import orjson
from confluent_kafka import Message

from schemas.record import Record
from services.backtest import Backtest
from tests.streams.worker.engines import ON_BOTH
from tests.streams.worker.events import BAD, inline
from tests.streams.worker.kafka import LARGE, Event, Kafka, header

pytestmark = ON_BOTH

GOOD = 3


def mixed() -> list[Event]:
    """Return each bad record between good ones."""
    good = inline(GOOD * (len(BAD) + 1))
    events = [next(good) for _ in range(GOOD)]
    for _, bad in BAD.values():
        events += [bad, *(next(good) for _ in range(GOOD))]
    return events


def without_the_bad(deployment: Any) -> tuple[str, int]:
    """Return digest and number of the predictions of a log that has the good events only."""
    backtest = Backtest(deployment.pipeline)
    events = inline(GOOD * (len(BAD) + 1))
    records = [Record(deployment.raw, 0, i, 0, e.key, e.value, e.headers) for i, e in enumerate(events)]
    for _ in backtest.run(records):
        pass
    return backtest.digest.hexdigest(), backtest.digest.count


def position(letter: Message) -> int:
    """Return the offset of the record that a dead letter is about."""
    return int(header(letter, "riverrun_offset") or b"-1")


def test_each_bad_record_becomes_a_dead_letter_and_leaves_no_trace(kafka: Kafka, deploy: Callable[..., Any]) -> None:
    """Original bytes, why and where are in the letter; the next good event is scored as if nothing had been."""
    deployment = deploy(limits={".raw": LARGE, ".dead-letters": LARGE + 64 * 1024})
    events = mixed()
    kafka.produce(deployment.raw, events)
    worker = deployment.start()
    assert deployment.finish() == len(events)
    outcomes = worker.metrics("riverrun_outcomes_total", "outcome")

    letters = {position(letter): letter for letter in kafka.read(deployment.dead_letters)[0]}
    offsets = [offset for offset, event in enumerate(events) if not event.headers or event.key == b"bad"]
    assert sorted(letters) == offsets
    assert kafka.count(deployment.dead_letters) == len(BAD), "one each"
    for offset, (name, (stage, bad)) in zip(offsets, BAD.items(), strict=True):
        letter = letters[offset]
        assert digest(letter.value()) == digest(bad.value), name
        assert letter.key() == bad.key, name
        assert header(letter, "riverrun_stage") == stage.encode(), name
        assert header(letter, "riverrun_reason"), name
        assert header(letter, "riverrun_topic") == deployment.raw.encode(), name
        assert header(letter, "riverrun_partition") == b"0", name
        assert header(letter, "riverrun_attempt") == b"1", name
        assert (header(letter, "riverrun_null") == b"true") == (bad.value is None), name
        assert set(bad.headers) <= set(letter.headers()), name
    assert kafka.digests(deployment.pipeline)[0] == without_the_bad(deployment)
    assert kafka.digests(deployment.pipeline) == kafka.expected(deployment.pipeline)
    assert outcomes["dead_letter"] == len(BAD)
    assert outcomes["scored"] == GOOD * (len(BAD) + 1)
    assert sum(outcomes.values()) == len(events)


def test_letter_or_output_that_does_not_fit_is_replaced_before_it_is_produced(
    kafka: Kafka, deploy: Callable[..., Any]
) -> None:
    """A digest for a record too large for its dead letter, a dead letter for a prediction with too large a key."""
    limits = {".raw": LARGE, ".dead-letters": 20_000, ".predictions": 4096}
    deployment = deploy(limits=limits)
    [first, *others] = inline(5)
    large = BAD["10 MB string"][1]
    huge_key = Event(first.value, b"k" * 8000, first.headers)
    hopeless = Event(others[0].value, b"k" * 30_000, others[0].headers)
    kafka.produce(deployment.raw, [large, huge_key, hopeless, *others[1:]])
    deployment.start()
    assert deployment.finish() == 6

    of_large, of_key, of_hopeless = kafka.read(deployment.dead_letters)[0]
    stages = [header(letter, "riverrun_stage") for letter in (of_large, of_key, of_hopeless)]
    assert stages == [b"envelope", b"encode", b"encode"]
    sha256 = hashlib.sha256(large.value or b"").hexdigest()
    size = len(large.value or b"")
    assert header(of_large, "riverrun_body") == b"digest"
    expected = {"position": f"{deployment.raw}[0]@0", "size_bytes": size, "sha256": sha256}
    assert orjson.loads(of_large.value()) == expected
    assert (of_key.key(), of_key.value()) == (huge_key.key, huge_key.value)
    assert b"expected at most" in (header(of_key, "riverrun_reason") or b"")
    assert of_hopeless.key() is None
    assert orjson.loads(of_hopeless.value())["position"] == f"{deployment.raw}[0]@2"
    predictions = [orjson.loads(message.value()) for message in kafka.read(deployment.predictions)[0]]
    assert [fields["learned"] for fields in predictions] == [2, 3, 4], "they were scored and learned from"


def digest(value: bytes | None) -> str:
    """Return the SHA-256 of a value; null and empty are told apart by a header."""
    return hashlib.sha256(value or b"").hexdigest()
