"""One Faust event is one batch: records of one partition in offset order."""

from collections.abc import Iterator
from itertools import repeat
from operator import methodcaller
from typing import Any

import faust
from confluent_kafka import Message
from faust.types import TP
from msgspec import Struct

from schemas.record import Record

_offset, _key, _value, _headers = map(methodcaller, ("offset", "key", "value", "headers"))


class Batch(Struct, frozen=True):
    """Consecutive records of one partition, as librdkafka delivered them.

    Parameters
    ----------
    tp
        Topic and partition.
    epoch
        Number of the assignment under which it was fetched; a batch of an earlier one is worth nothing.
    fetched_from
        Position from which it was fetched: where the batch before it ended.
    next_position
        Position after it. Offsets have gaps, so it is taken from the log and never counted.
    messages
        What librdkafka made of them.
    arrived
        When the first of them was polled, by `time.perf_counter`.
    """

    tp: TP
    epoch: int
    fetched_from: int
    next_position: int
    messages: list[Message]
    arrived: float

    def singles(self) -> Iterator["Batch"]:
        """Yield batches of one record each."""
        start = self.fetched_from
        for message in self.messages:
            end = self.next_position if message is self.messages[-1] else message.offset() + 1
            yield Batch(self.tp, self.epoch, start, end, [message], self.arrived)
            start = end

    def records(self) -> Iterator[Record]:
        """Yield the records as the core takes them, one at a time."""
        topic, partition = self.tp
        messages = self.messages
        return map(
            Record,
            repeat(topic),
            repeat(partition),
            map(_offset, messages),
            map(timestamp_ms, messages),
            map(_key, messages),
            map(_value, messages),
            map(_headers, messages),
        )


def timestamp_ms(message: Message) -> int:
    """Return a message's timestamp in milliseconds, -1 when it has none."""
    kind, milliseconds = message.timestamp()
    return milliseconds if kind else -1


class BatchSchema(faust.Schema):
    """Tells Faust that the events of a topic are batches, which need no decoding."""

    def loads_key(self, app: Any, message: Any, **_: Any) -> None:
        """Return None: a batch has no key."""

    def loads_value(self, app: Any, message: Any, **_: Any) -> Batch:
        """Return the batch that the transport made."""
        batch: Batch = message.value
        return batch
