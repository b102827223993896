"""Finds a prediction by its id, by the position of its event, or by the event's id."""

import re
from collections.abc import Callable, Iterator
from itertools import count, islice
from typing import Any

import msgspec
import orjson
from msgspec import Struct

from schemas import cloudevents as ce
from schemas import topics
from schemas.avro import decode_avro
from schemas.events import PredictionMade
from schemas.position import Position
from schemas.record import Record
from services.verification.logs import Logs

#: Hears what is being done, how much of it is done and how much there is.
Advance = Callable[[str, int, int], None]

_POSITION = re.compile(r"(?:(?P<topic>.+)\[(?P<partition>\d{1,9})\]|(?P<bare>\d{1,9}))@(?P<offset>\d{1,18})")
_EVENT_ID = re.compile(r"(?P<topic>.+)-(?P<partition>\d{1,9})-(?P<offset>\d{1,18})")
_FEW = 256
_STEPS = (4_096, 16_384, 65_536, 262_144)
_TOLD_EVERY = 1_000


class Found(Struct, frozen=True):
    """A prediction as it stands in its topic.

    Parameters
    ----------
    record
        The message.
    fields
        What it says, as `schemas.events.PredictionMade` has it.
    cause
        Position of the record that it answers.
    """

    record: Record
    fields: dict[str, Any]
    cause: Position


class NotFound(Struct, frozen=True):
    """There is no such prediction.

    Parameters
    ----------
    reason
        Why not, as far as that can be seen.
    is_gone
        Whether it stood before the beginning of its topic, if it ever was.
    """

    reason: str
    is_gone: bool = False


class PredictionSearch:
    """Looks through the predictions of a pipeline.

    Predictions stand in the partition of their events and in their order, so one whose event's position is known is
    found by bisection. For an event's own id the topic is read, the newest first: ten seconds or so for each million.

    Parameters
    ----------
    pipeline
        Name of the pipeline.
    source
        Its input topic.
    logs
        The topics.
    advance
        Hears how far the search is, where it takes longer.
    """

    def __init__(self, pipeline: str, source: str, logs: Logs, advance: Advance = lambda *_: None) -> None:
        self._topic = topics.predictions(pipeline)
        self._source = source
        self._logs = logs
        self._advance = advance

    def find(self, sought: str) -> Found | NotFound:
        """Return a prediction.

        Parameters
        ----------
        sought
            Its own id, ``raw-0-1042``; the position of its event, ``raw[0]@1042`` or ``0@1042``; its own position,
            ``predictions[0]@1050``; else the event's id. Of several predictions of one event any may be found by
            position, and the newest by id.
        """
        position = self._position_in(sought)
        if position is None:
            return self._by_event_id(sought)
        partitions = self._logs.partitions(position.topic)
        if position.partition >= partitions:
            return NotFound(f"{position.topic} has {partitions} partitions, counted from 0")
        if position.topic == self._topic:
            return self._there(position)
        found = self._by_cause(position)
        if isinstance(found, NotFound) and sought == position.event_id:
            # An event that was a dead letter first has the position of that as its id, see `riverrun resend`.
            by_id = self._by_event_id(sought)
            return by_id if isinstance(by_id, Found) else found
        return found

    def _position_in(self, sought: str) -> Position | None:
        """Return the position that was named, None when it was an event's id."""
        match = _POSITION.fullmatch(sought) or _EVENT_ID.fullmatch(sought)
        if match is None:
            return None
        named = match.groupdict()
        topic = named["topic"] or self._source
        if topic not in (self._source, self._topic):
            return None
        return Position(topic, int(named["partition"] or named["bare"]), int(named["offset"]))

    def _there(self, position: Position) -> Found | NotFound:
        """Return the prediction at a position of its own topic."""
        low, high = self._logs.extent(self._topic, position.partition)
        if position.offset < low:
            return NotFound(f"{self._topic}[{position.partition}] begins at {low}", is_gone=True)
        for found in self._between(position.partition, position.offset, min(high, position.offset + 1)):
            return found
        return NotFound(f"there is none at {position}")

    # ------------------------------------------------------------------ by the position of the event

    def _by_cause(self, cause: Position) -> Found | NotFound:
        """Bisect, and try in turn where the prediction stood if they were as dense everywhere as they are on average.

        At each place a short stretch is read, for it is fetched anyway.
        """
        low, high = start, end = self._logs.extent(self._topic, cause.partition)
        first, last = self._logs.extent(self._source, cause.partition)
        for tries in count():
            if start >= end:
                break
            place = (start + end) // 2
            if tries % 2 == 0:
                share = (cause.offset - first) / max(1, last - first)
                place = start + int((end - start) * min(1.0, max(0.0, share))) - _FEW // 2
            place = max(start, place)
            stretch = list(islice(self._between(cause.partition, place, end), _FEW))
            for found in stretch:
                if found.cause == cause:
                    return found
            if not stretch or stretch[0].cause.offset > cause.offset:
                end, last = place, stretch[0].cause.offset if stretch else last
            elif stretch[-1].cause.offset < cause.offset:
                start, first = stretch[-1].record.offset + 1, stretch[-1].cause.offset
            else:
                break  # its neighbours are here, and it is not
        return self._without(cause, low, high)

    def _without(self, cause: Position, low: int, high: int) -> NotFound:
        """Say why a record has no prediction, by those that are there."""
        first = next(self._between(cause.partition, low, high), None)
        if first is None or (low > 0 and cause.offset < first.cause.offset):
            begins = "holds none" if first is None else f"begins with that of {first.cause}"
            return NotFound(f"{self._topic}[{cause.partition}] {begins}", is_gone=low > 0)
        return NotFound(
            f"{cause} has none: it was not scored yet, or is a label, an event seen before or a dead letter"
        )

    # ------------------------------------------------------------------ by the event's id

    def _by_event_id(self, event_id: str) -> Found | NotFound:
        """Read the partitions side by side, from their ends to their beginnings, in ever larger steps."""
        partitions = range(self._logs.partitions(self._topic))
        extents = {partition: self._logs.extent(self._topic, partition) for partition in partitions}
        ends = {partition: high for partition, (low, high) in extents.items() if high > low}
        total, done, step = sum(high - low for low, high in extents.values()), 0, 0
        while ends:
            newest: Found | None = None
            for partition, end in list(ends.items()):
                low = extents[partition][0]
                start = max(low, end - _STEPS[min(step, len(_STEPS) - 1)])
                for found in self._of_event(event_id, partition, start, end, done, total):
                    if newest is None or found.record.timestamp_ms >= newest.record.timestamp_ms:
                        newest = found
                done += end - start
                ends[partition] = start
                if start == low:
                    del ends[partition]
            if newest is not None:
                return newest
            step += 1
        return NotFound(f"{self._topic} holds none of an event {event_id!r}: looked through {total} offsets")

    def _of_event(self, event_id: str, partition: int, start: int, end: int, done: int, total: int) -> Iterator[Found]:
        needles = {event_id.encode(), msgspec.json.encode(event_id)[1:-1]}
        for number, record in enumerate(self._logs.between(self._topic, partition, start, end)):
            if number % _TOLD_EVERY == 0:
                self._advance("looking for the prediction", done + record.offset - start, total)
            value = record.value or b""
            if any(needle in value for needle in needles):
                found = self._read(record)
                if found is not None and found.fields["id"] == event_id:
                    yield found

    # ------------------------------------------------------------------ reading

    def _between(self, partition: int, start: int, end: int) -> Iterator[Found]:
        """Yield the predictions in a stretch of the topic; what is none is passed over."""
        for record in self._logs.between(self._topic, partition, start, end):
            found = self._read(record)
            if found is not None:
                yield found

    def _read(self, record: Record) -> Found | None:
        fields = decode_prediction(record)
        own_id = dict(record.headers or []).get("ce_id") or b""
        named = _EVENT_ID.fullmatch(own_id.decode(errors="replace"))
        if fields is None or named is None or named["topic"] != self._source:
            return None
        return Found(record, fields, Position(self._source, int(named["partition"]), int(named["offset"])))


def decode_prediction(record: Record) -> dict[str, Any] | None:
    """Return the fields of a prediction, None when a record is none.

    Examples
    --------
    >>> decode_prediction(Record("p.predictions", 0, 7, 0, None, b'{"id": "a1"}'))["id"]
    'a1'
    """
    try:
        if ce.header(record.headers or [], "content-type") == ce.AVRO:
            return decode_avro(PredictionMade, record.value or b"")
        fields = orjson.loads(record.value or b"")
    except ValueError:
        return None
    return fields if isinstance(fields, dict) and "id" in fields else None
