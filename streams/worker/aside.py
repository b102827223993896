"""What is produced outside of the transactions of cycles."""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence

from confluent_kafka import KafkaError, Message, Producer

from schemas.errors import BrokerError
from schemas.outgoing import Outgoing
from streams.worker.emitter import Emitter, OnDelivery

log = logging.getLogger("riverrun.worker")


class Aside:
    """Produces outside of transactions, from any thread.

    Parameters
    ----------
    new_producer
        Makes the producer, when it is needed for the first time.
    """

    def __init__(self, new_producer: Callable[[], Producer]) -> None:
        self._new_producer = new_producer
        self._emitter, self._lock = Emitter(), threading.Lock()
        #: Nobody else keeps them: the loop knows its futures weakly.
        self._flushes: set[asyncio.Future[None]] = set()

    @property
    def producer(self) -> Producer:
        """The one producer."""
        return self._connected().producer

    def emit(self, messages: Sequence[Outgoing], on_delivery: OnDelivery) -> None:
        """Produce from the loop's thread; another one waits until the broker has it.

        Parameters
        ----------
        messages
            What to produce.
        on_delivery
            Called with the error, if any, and the message, when the broker has it or has refused it.

        Raises
        ------
        BrokerError
            When the producer has failed for good.
        """
        emitter = self._connected()
        emitter.emit(messages, on_delivery)
        flush = asyncio.get_running_loop().run_in_executor(None, emitter.flush)
        self._flushes.add(flush)
        flush.add_done_callback(self._flushed)

    def emit_now(self, messages: Sequence[Outgoing]) -> None:
        """Produce, and wait until the broker has it.

        Raises
        ------
        BrokerError
            Naming the first message that was not delivered.
        """
        emitter = self._connected()
        failures: list[str] = []

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                failures.append(f"{message.topic()}[{message.partition()}]: not delivered: {error.str()}")

        emitter.emit(messages, delivered)
        emitter.flush()
        if failures:
            raise BrokerError(failures[0])

    def _connected(self) -> Emitter:
        with self._lock:  # the loop, its executor and the restoring thread may come first
            if self._emitter.producer is None:
                self._emitter.producer = self._new_producer()
        return self._emitter

    def _flushed(self, flush: "asyncio.Future[None]") -> None:
        self._flushes.discard(flush)
        if not flush.cancelled() and (error := flush.exception()) is not None:
            log.error("outside of transactions: %s", error)
