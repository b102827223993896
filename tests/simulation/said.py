"""What outputs say, in the same words whether a task returns them or a reader finds them in a topic."""

from typing import Any

import msgspec

from schemas.events import DeadLetter, Event, LifecycleEvent, PredictionMade
from tests.simulation.log import Message

#: What is said of one record: its offset, then one of the three kinds.
Said = tuple[Any, ...]
LETTER, LIFECYCLE = "letter", "lifecycle"


class _Prediction(msgspec.Struct):
    id: str
    prediction: bool | None
    score: float | None
    learned: int
    version: str
    offset: int


class _Placed(msgspec.Struct):
    offset: int


_decode = msgspec.json.Decoder(_Prediction).decode
_decode_placed = msgspec.json.Decoder(_Placed).decode


def said_in(message: Message, *, lifecycle: bool) -> Said | None:
    """Return what an output says, its offset first; None when it is another thing.

    Parameters
    ----------
    message
        As a reader finds it.
    lifecycle
        Whether lifecycle events count.
    """
    topic, value = message.topic(), message.value() or b""
    if topic == "p.predictions":
        made = _decode(value)
        return (made.offset, made.id, made.prediction, made.score, made.learned, made.version)
    if topic == "p.dead-letters":
        headers = dict(message.headers() or ())
        return (int(headers["riverrun_offset"] or b""), LETTER, (headers["riverrun_stage"] or b"").decode())
    if topic == "p.lifecycle" and lifecycle:
        kind = dict(message.headers() or ())["ce_type"] or b""
        return (_decode_placed(value).offset, LIFECYCLE, kind.decode(), value.decode())
    return None


def partition_of(message: Message) -> int:
    """Return the partition that an output speaks of: lifecycle events name it in their key."""
    return int(message.key() or b"") if message.topic() == "p.lifecycle" else message.partition()


def said_by(events: list[Event], *, lifecycle: bool) -> list[Said]:
    """Return what the events of one record say, without its offset."""
    said: list[Said] = []
    for event in events:
        if isinstance(event, PredictionMade):
            said.append((event.id, event.prediction, event.score, event.learned, event.version))
        elif isinstance(event, DeadLetter):
            said.append((LETTER, event.stage))
        elif isinstance(event, LifecycleEvent) and lifecycle:
            said.append((LIFECYCLE, event.type, msgspec.json.encode(event).decode()))
    return said
