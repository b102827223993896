"""Hands events to the producer and keeps the first delivery that failed."""

from typing import Any

from confluent_kafka import KafkaError, Message, Producer

from schemas.errors import BrokerError
from schemas.events import Event
from schemas.outgoing import OutgoingEncoder
from schemas.record import Record

_QUEUE_FULL_SECONDS = 1.0


class Emitter:
    """Encodes events and produces them.

    Parameters
    ----------
    encoder
        Makes messages of events.
    producer
        librdkafka's producer; its delivery reports come to `delivered`, errors only.
    """

    def __init__(self, encoder: OutgoingEncoder) -> None:
        self.producer: Producer | None = None
        self.emitted: dict[str, int] = {}
        self._encode = encoder.encode
        self._failed: str | None = None

    def delivered(self, error: KafkaError | None, message: Message) -> None:
        """Remember the first message that was not delivered (librdkafka's callback)."""
        if error is not None and self._failed is None:
            self._failed = f"{message.topic()}[{message.partition()}]: not delivered: {error.str()}"

    def emit(self, event: Event, record: Record) -> None:
        """Produce the message of an event; it is delivered in the background."""
        message = self._encode(event, record)
        topic = message.topic
        further: dict[str, Any] = {} if message.partition is None else {"partition": message.partition}
        assert self.producer is not None
        while True:
            try:
                self.producer.produce(topic, message.value, message.key, headers=message.headers, **further)
                break
            except BufferError:
                self.producer.poll(_QUEUE_FULL_SECONDS)
        self.emitted[topic] = self.emitted.get(topic, 0) + 1

    def serve(self) -> None:
        """Let librdkafka report what could not be delivered.

        Raises
        ------
        BrokerError
            Naming the first message that was not.
        """
        assert self.producer is not None
        self.producer.poll(0)
        self._check()

    def flush(self) -> None:
        """Wait until every message is acknowledged.

        Raises
        ------
        BrokerError
            Naming the first message that was not.
        """
        if self.producer is not None:
            self.producer.flush()
            self._check()

    def _check(self) -> None:
        if self._failed is not None:
            raise BrokerError(f"{self._failed}; nothing was committed for it")
