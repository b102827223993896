"""Exactly once: outputs and positions of a cycle in one Kafka transaction (KIP-447)."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer
from faust.types import TP

from schemas.errors import BrokerError
from schemas.outgoing import Outgoing
from streams.worker.delivery import CycleAborted, to_offsets
from streams.worker.emitter import Emitter, OnDelivery
from streams.worker.poller import Poller

_RETRY_SECONDS = 0.1
# Twice the time after which the broker itself ends a transaction: to wait longer is of no use.
_BROKER_SECONDS = 30.0
_FENCED = (
    KafkaError._FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.PRODUCER_FENCED,
    KafkaError.FENCED_INSTANCE_ID,
)


class ExactlyOnce:
    """Commits outputs and positions together, or neither.

    A reader that reads committed sees the outputs of a cycle when the next start of any worker goes on behind it,
    and not before. The group's generation goes with the positions, so that a worker whose partitions belong to another
    one meanwhile cannot commit.

    Parameters
    ----------
    emitter
        Where messages go; its producer has the transactional id.
    transactional_id
        For error messages.
    declaration
        Goes with the positions: under which declaration they were reached.

    References
    ----------
    KIP-98 (transactions), KIP-447 (producer scalability for exactly once semantics).
    """

    def __init__(self, emitter: Emitter, transactional_id: str, declaration: str = "") -> None:
        self._emitter = emitter
        self._declaration = declaration
        self._transactional_id = transactional_id
        self._open = False
        #: Who was cancelled while its thread commits has left that behind: the next one has to wait for it.
        self._ending = threading.Lock()

    def start(self, producer: Producer) -> None:
        """End what an earlier worker of the same id left open, and fence it; blocks, up to half a minute.

        Raises
        ------
        BrokerError
            When the broker does not answer, or knows no transactions.
        """
        try:
            producer.init_transactions(_BROKER_SECONDS)
        except KafkaException as error:
            raise BrokerError(
                f"transactions: {error.args[0].str()}: exactly-once needs a broker with transactions and a "
                f"transactional id of this worker's own (here {self._transactional_id}); "
                "RIVERRUN_PROCESSING_GUARANTEE=at_least_once does without"
            ) from error

    def emit(self, messages: Sequence[Outgoing], *, more_follow: bool, on_delivery: OnDelivery | None = None) -> None:
        """Hand outputs to the producer, within the transaction of the cycle."""
        if not messages:
            return
        self._begin()
        try:
            self._emitter.emit(messages, on_delivery)
        except KafkaException as error:
            raise CycleAborted(error.args[0].str()) from error

    async def commit(self, positions: Mapping[TP, int], poller: Poller) -> Awaitable[bool]:
        """Commit outputs and positions; librdkafka waits for the outputs first."""
        await asyncio.to_thread(self._commit, positions, poller)
        return _committed()

    def _commit(self, positions: Mapping[TP, int], poller: Poller) -> None:
        with self._ending:
            self._begin()
            self._send_positions(positions, poller.group_metadata)
            self._end()

    async def abort(self, seconds: float = _BROKER_SECONDS) -> None:
        """Have the transaction's outputs never be read."""
        if self._open or self._ending.locked():
            await asyncio.to_thread(self._abort, seconds)

    # ------------------------------------------------------------------ calls of the producer

    @property
    def _producer(self) -> Producer:
        assert self._emitter.producer is not None
        return self._emitter.producer

    def _begin(self) -> None:
        if not self._open:
            self._guard(lambda _: self._producer.begin_transaction())
            self._open = True

    def _send_positions(self, positions: Mapping[TP, int], group: Any) -> None:
        offsets = to_offsets(positions, self._declaration)
        self._guard(lambda seconds: self._producer.send_offsets_to_transaction(offsets, group, seconds))

    def _end(self) -> None:
        self._guard(self._producer.commit_transaction)
        self._open = False

    def _abort(self, seconds: float) -> None:
        with self._ending:
            if self._open:
                self._guard(self._producer.abort_transaction, seconds)
                self._open = False

    def _guard(self, call: Callable[[float], object], seconds: float = _BROKER_SECONDS) -> None:
        """Call librdkafka with the seconds that are left, again while it says that this may help."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                call(max(0.0, deadline - time.monotonic()))
                return
            except KafkaException as error:
                self._weigh(error, in_time=time.monotonic() < deadline)
                time.sleep(_RETRY_SECONDS)

    def _weigh(self, exception: KafkaException, *, in_time: bool) -> None:
        """Return when the same call is to be repeated, else raise what has to follow."""
        error = exception.args[0]
        if error.txn_requires_abort():
            raise CycleAborted(error.str()) from exception
        if error.retriable() and in_time:
            return
        if error.code() in _FENCED:
            raise BrokerError(
                f"fenced: another worker has taken the transactional id {self._transactional_id} (two processes may "
                "not share one RIVERRUN_WORKER_ID), or this one did not answer for so long that Kafka has ended its "
                "transaction. It ends, with nothing committed since"
            ) from exception
        raise BrokerError(
            f"transaction: {error.str()}; the worker ends, and the next start does it again"
        ) from exception


async def _committed() -> bool:
    return True
