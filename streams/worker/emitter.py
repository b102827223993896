"""Hands events to the producer and keeps the first delivery that failed."""

from collections.abc import Callable, Iterable
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from schemas.errors import BrokerError
from schemas.events import Event
from schemas.outgoing import OutgoingEncoder
from schemas.record import Record

_QUEUE_FULL_SECONDS = 1.0
_ANY_PARTITION = -1


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

    def emit(self, said: Iterable[tuple[Event, Record]]) -> None:
        """Produce the messages of events, all in one go: librdkafka makes few requests of them without lingering.

        Parameters
        ----------
        said
            Events, each with the record it followed from.

        Raises
        ------
        BrokerError
            Naming the first message, of these or of earlier ones, that could not be delivered.
        """
        assert self.producer is not None
        encode, produce, emitted = self._encode, self.producer.produce, self.emitted
        for event, record in said:
            message = encode(event, record)
            topic = message.topic
            partition = _ANY_PARTITION if message.partition is None else message.partition
            while True:
                try:
                    produce(topic, message.value, message.key, partition=partition, headers=message.headers)
                    break
                except BufferError:
                    self._serve(self.producer.poll, _QUEUE_FULL_SECONDS)
            emitted[topic] = emitted.get(topic, 0) + 1
        self._serve(self.producer.poll, 0)

    def flush(self) -> None:
        """Wait until every message is acknowledged.

        Raises
        ------
        BrokerError
            Naming the first message that was not.
        """
        if self.producer is not None:
            self._serve(self.producer.flush)

    def _serve(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Let librdkafka report; a fatal error comes as an exception, or as one on top of it out of a report."""
        try:
            call(*arguments)
        except (KafkaException, SystemError) as error:
            raise BrokerError(f"producer: {error.__cause__ or error}; nothing more is committed") from error
        if self._failed is not None:
            raise BrokerError(f"{self._failed}; nothing was committed for it")
