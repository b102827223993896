"""The emitter, with a producer that refuses on demand."""

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from schemas.errors import BrokerError
from schemas.events import CommandRefused, DeadLetter, Event
from schemas.outgoing import Outgoing, OutgoingEncoder
from schemas.record import Record
from streams.worker.emitter import Emitter

RECORD = Record("p.raw", 3, 7, 0, b"k", b"{")
LETTER = DeadLetter(RECORD, "decode", "no JSON")


class FakeProducer:
    """Keeps what is produced; its queue is full as often as it is told."""

    def __init__(self, full: int = 0) -> None:
        self.produced: list[tuple[Any, ...]] = []
        self.polled: list[float] = []
        self.fatal: Exception | None = None
        self._full = full

    def produce(self, topic: str, value: bytes, key: bytes, partition: int, *further: Any) -> None:
        """Take a message, with neither callbacks nor a time of its own; headers come last."""
        assert further[:3] == (None, None, 0)
        if self._full:
            self._full -= 1
            raise BufferError("queue full")
        self.produced.append((topic, partition, key, value))

    def poll(self, seconds: float) -> None:
        """Make room."""
        self.polled.append(seconds)

    def flush(self) -> None:
        """All is acknowledged, unless a fatal error stands in the way."""
        if self.fatal is not None:
            raise self.fatal


class FakeMessage:
    """A message that was not delivered."""

    def topic(self) -> str:
        """The topic."""
        return "p.predictions"

    def partition(self) -> int:
        """The partition."""
        return 3


def encoded(*events: Event) -> list[Outgoing]:
    """Return the messages of events."""
    encoder = OutgoingEncoder("p")
    return [encoder.encode(event, RECORD) for event in events]


def emitter(full: int = 0) -> tuple[Emitter, FakeProducer]:
    """Return an emitter with its producer."""
    made = Emitter()
    producer = FakeProducer(full)
    made.producer = producer  # type: ignore[assignment]
    return made, producer


def test_event_goes_to_the_partition_of_its_record() -> None:
    """Key and partition number are the input's, whatever partitioner its producer used."""
    made, producer = emitter()
    made.emit(encoded(LETTER))
    assert producer.produced == [("p.dead-letters", 3, b"k", b"{")]
    assert made.emitted == {"p.dead-letters": 1}


def test_event_of_no_partition_is_left_to_the_partitioner() -> None:
    """Lifecycle events are keyed by partition, on a topic with partitions of its own."""
    made, producer = emitter()
    refused = CommandRefused(
        id="1", pipeline="p", partition=3, offset=7, time=0, command="c", reason="r", order="", who="", why="", key=""
    )
    made.emit(encoded(refused, LETTER))
    assert [(topic, partition) for topic, partition, _, _ in producer.produced] == [
        ("p.lifecycle", -1),
        ("p.dead-letters", 3),
    ]


def test_full_queue_makes_the_task_wait() -> None:
    """Nothing is dropped when librdkafka's queue is full: it is polled until there is room."""
    made, producer = emitter(full=3)
    made.emit(encoded(LETTER))
    assert [seconds for seconds in producer.polled if seconds > 0] == [1.0] * 3
    assert len(producer.produced) == 1


def test_failed_delivery_is_remembered_until_the_end() -> None:
    """The first failure is named at the next occasion and at each one after it."""
    made, _ = emitter()
    made.emit(encoded(LETTER))
    made.delivered(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), FakeMessage())  # type: ignore[arg-type]
    made.delivered(KafkaError(KafkaError._TIMED_OUT), FakeMessage())  # type: ignore[arg-type]
    for call in (lambda: made.emit([]), made.flush, made.flush):
        with pytest.raises(BrokerError, match=r"p\.predictions\[3\]: not delivered: .*large.*; nothing was committed"):
            call()


def test_delivery_that_went_well_is_no_failure() -> None:
    """librdkafka may report success too."""
    made, _ = emitter()
    made.delivered(None, FakeMessage())  # type: ignore[arg-type]
    made.emit([])
    made.flush()


@pytest.mark.parametrize("on_top", [False, True])
def test_fatal_error_of_the_producer_is_told_in_its_own_words(on_top: bool) -> None:
    """librdkafka raises it out of flush, or Python does when a delivery report was called on top of it."""
    made, producer = emitter()
    producer.fatal = KafkaException(KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, "out of order"))
    if on_top:
        below, producer.fatal = producer.fatal, SystemError("returned a result with an exception set")
        producer.fatal.__cause__ = below
    with pytest.raises(BrokerError, match=r"^producer: .*out of order.*nothing more is committed"):
        made.flush()
