"""Hands messages to the producer and keeps the first delivery that failed."""

from collections.abc import Callable, Iterable
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from schemas.errors import BrokerError
from schemas.outgoing import Outgoing

_QUEUE_FULL_SECONDS = 1.0
_SEND_SECONDS = 0.001

#: librdkafka's delivery report.
OnDelivery = Callable[[KafkaError | None, Message], None]


class Emitter:
    """Produces messages.

    Attributes
    ----------
    producer
        librdkafka's producer; its delivery reports come to `delivered`, errors only.
    emitted
        Number of messages by topic.
    """

    def __init__(self) -> None:
        self.producer: Producer | None = None
        self.emitted: dict[str, int] = {}
        self._failed: str | None = None

    def delivered(self, error: KafkaError | None, message: Message) -> None:
        """Remember the first message that was not delivered (librdkafka's callback)."""
        if error is not None and self._failed is None:
            self._failed = f"{message.topic()}[{message.partition()}]: not delivered: {error.str()}"

    def emit(self, messages: Iterable[Outgoing], on_delivery: OnDelivery | None = None) -> None:
        """Hand over messages.

        Parameters
        ----------
        messages
            What to produce.
        on_delivery
            Called with the error, if any, and the message, when the broker has it or has refused it.

        Raises
        ------
        BrokerError
            Naming the first message, of these or of earlier ones, that could not be delivered.
        """
        assert self.producer is not None
        produce, emitted = self.producer.produce, self.emitted
        for message in messages:
            topic = message.topic
            while True:
                try:
                    # By position, which is cheaper: no callbacks of its own, no timestamp of its own.
                    produce(topic, message.value, message.key, message.partition, on_delivery, None, 0, message.headers)
                    break
                except BufferError:
                    self._serve(self.producer.poll, _QUEUE_FULL_SECONDS)
            emitted[topic] = emitted.get(topic, 0) + 1
        self._serve(self.producer.poll, 0)

    def send_now(self) -> None:
        """Send what librdkafka would keep for its linger, to gather more; wait a millisecond at most.

        Raises
        ------
        BrokerError
            As `emit` does.
        """
        if self.producer is not None:
            self._serve(self.producer.flush, _SEND_SECONDS)

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
