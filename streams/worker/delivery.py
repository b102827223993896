"""How outputs, and the positions they came from, become durable: the seam, and at-least-once behind it."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Protocol

from confluent_kafka import TopicPartition
from faust.types import TP

from schemas.errors import RiverrunError
from schemas.outgoing import Outgoing
from streams.worker.emitter import Emitter, OnDelivery
from streams.worker.poller import Poller


class CycleAborted(RiverrunError):
    """Nothing of a cycle became durable: what was computed in it is worth nothing, and has to be done again."""


class Delivery(Protocol):
    """Makes a cycle durable: the outputs since the last commit, and the positions they came from."""

    def emit(self, messages: Sequence[Outgoing], *, more_follow: bool, on_delivery: OnDelivery | None = None) -> None:
        """Hand outputs to the producer; when nothing more follows they need not wait for company.

        Raises
        ------
        CycleAborted
            When the cycle cannot be committed any more.
        BrokerError
            When the worker has to stop.
        """

    async def commit(self, positions: Mapping[TP, int], poller: Poller) -> Awaitable[bool]:
        """Make the outputs durable, then or with them the positions.

        Returns
        -------
        Whether the positions are committed; when not, that is to be tried again later. Until then further outputs may
        be handed over, of the next cycle.

        Raises
        ------
        CycleAborted
            When nothing of it is durable.
        BrokerError
            When the worker has to stop.
        """

    async def abort(self, seconds: float = ...) -> None:
        """Take back what can be taken back of the cycle, within some seconds.

        Raises
        ------
        BrokerError
            When the broker does not answer in time.
        """


class AtLeastOnce:
    """Commits positions once the outputs before them are acknowledged; after a crash some are said again.

    Parameters
    ----------
    emitter
        Where messages go.
    declaration
        Goes with the positions: under which declaration they were reached.
    """

    def __init__(self, emitter: Emitter, declaration: str = "") -> None:
        self._emitter = emitter
        self._declaration = declaration

    def emit(self, messages: Sequence[Outgoing], *, more_follow: bool, on_delivery: OnDelivery | None = None) -> None:
        """Hand outputs to the producer, and have them sent at once when nothing more follows."""
        self._emitter.emit(messages, on_delivery)
        if not more_follow:
            self._emitter.send_now()

    async def commit(self, positions: Mapping[TP, int], poller: Poller) -> Awaitable[bool]:
        """Wait until all outputs are acknowledged, then begin to commit; an earlier generation is refused."""
        await asyncio.to_thread(self._emitter.flush)
        return asyncio.wrap_future(poller.commit(to_offsets(positions, self._declaration)))

    async def abort(self, seconds: float = 0.0) -> None:
        """Nothing: what was said stays said, and is said again with the same ids."""


def to_offsets(positions: Mapping[TP, int], note: str) -> list[TopicPartition]:
    """Return positions, with a note that is kept beside each, as confluent-kafka takes them."""
    return [TopicPartition(tp.topic, tp.partition, position, note) for tp, position in positions.items()]
