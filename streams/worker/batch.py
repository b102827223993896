"""One Faust event is one batch: records of one partition in offset order."""

from typing import Any

import faust
from confluent_kafka import Message
from faust.types import TP
from msgspec import Struct


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
        The records.
    """

    tp: TP
    epoch: int
    fetched_from: int
    next_position: int
    messages: list[Message]


class BatchSchema(faust.Schema):
    """Tells Faust that the events of a topic are batches, which need no decoding."""

    def loads_key(self, app: Any, message: Any, **_: Any) -> None:
        """Return None: a batch has no key."""

    def loads_value(self, app: Any, message: Any, **_: Any) -> Batch:
        """Return the batch that the transport made."""
        batch: Batch = message.value
        return batch
