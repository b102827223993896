"""Labels meet their events: delayed, early, duplicate, late, corrected, never."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Literal

import orjson
from msgspec import Struct

#: What an entry costs beside its encoded fields.
OVERHEAD_BYTES = 250
#: Entries that are stored together in a snapshot.
SEGMENT = 8192
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY

#: What is remembered of an event whose wait is over without a label.
EXPIRED: Literal["expired"] = "expired"
EVICTED: Literal["evicted"] = "evicted"


#: An entry of `PendingLabels`: how many were added before it, id, the watermark at its arrival, encoded fields.
Entry = tuple[int, str, int, bytes]


class Asked(Struct, frozen=True, gc=False):
    """An event that was scored: all that is needed once its label comes.

    Parameters
    ----------
    offset
        Offset of the event.
    prediction, score
        The model's own answer: the class or number, and class probabilities or anomaly score.
    x
        The features that were predicted with.
    shadows
        What models that do not serve answered, prediction and score by name; None when none was asked.
    """

    offset: int
    prediction: Any
    score: Any
    x: dict[str, Any]
    shadows: dict[str, tuple[Any, Any]] | None = None


class Settled(Struct, frozen=True, gc=False):
    """An event whose label is known, as far as a correction needs it.

    Parameters
    ----------
    y
        The label that was learned.
    prediction, score
        The answer.
    number
        The number under which the answer was evaluated, None when it was not, or by metrics of a declaration before.
    assumed
        Whether the label was assumed when the time to live was over.
    """

    y: Any
    prediction: Any
    score: Any
    number: int | None
    assumed: bool = False


class PendingLabels:
    """Events that wait for labels, and labels that wait for events, oldest first, bounded in bytes and event time.

    Each is one encoded byte string. The watermark never falls and the time to live is the same for all, so the
    oldest is always the first to expire.

    Parameters
    ----------
    max_bytes
        Bound on the encoded entries with their ids, some 250 bytes of bookkeeping each included.

    Examples
    --------
    >>> pending = PendingLabels(max_bytes=600)
    >>> pending.add("a", 10, [1.5]), pending.add("b", 20, [2.5]), len(pending)
    ([], [], 2)
    >>> pending.add("c", 30, [3.5])
    [('a', [1.5])]
    >>> list(pending.expire(arrived_by_ms=20))
    [('b', [2.5])]
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        # The watermark at arrival, fields, and how many came before.
        self._entries: OrderedDict[str, tuple[int, bytes, int]] = OrderedDict()
        self.added = 0
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._entries

    def add(self, event_id: str, arrived_ms: int, fields: list[Any]) -> list[tuple[str, list[Any]]]:
        """Keep an entry that arrived at this watermark; return the entries that had to make room."""
        encoded = _encode(fields)
        self._entries[event_id] = (arrived_ms, encoded, self.added)
        self.added += 1
        self.size_bytes += len(encoded) + len(event_id) + OVERHEAD_BYTES
        return self._make_room()

    def _make_room(self) -> list[tuple[str, list[Any]]]:
        evicted = []
        while self.size_bytes > self._max_bytes:
            oldest, (_, data, _) = self._entries.popitem(last=False)
            self._forget(oldest, data)
            evicted.append((oldest, orjson.loads(data)))
        return evicted

    def arrived_ms(self, event_id: str) -> int:
        """Return the watermark at which an entry that is there arrived."""
        return self._entries[event_id][0]

    def peek(self, event_id: str) -> list[Any]:
        """Return the fields of an entry that is there, and leave it."""
        fields: list[Any] = orjson.loads(self._entries[event_id][1])
        return fields

    def replace(self, event_id: str, fields: list[Any]) -> list[tuple[str, list[Any]]]:
        """Exchange the fields of an entry that is there, its arrival stays; return what had to make room."""
        arrived_ms, data, number = self._entries[event_id]
        encoded = _encode(fields)
        self._entries[event_id] = (arrived_ms, encoded, number)
        self.size_bytes += len(encoded) - len(data)
        return self._make_room()

    def remove(self, event_id: str) -> None:
        """Remove an entry, if it is there."""
        entry = self._entries.pop(event_id, None)
        if entry is not None:
            self._forget(event_id, entry[1])

    def expire(self, arrived_by_ms: int) -> Iterator[tuple[str, list[Any]]]:
        """Remove and yield the entries that arrived at this watermark or before."""
        entries = self._entries
        while entries:
            event_id = next(iter(entries))
            arrived_ms, data, _ = entries[event_id]
            if arrived_ms > arrived_by_ms:
                return
            del entries[event_id]
            self._forget(event_id, data)
            yield event_id, orjson.loads(data)

    def _forget(self, event_id: str, data: bytes) -> None:
        self.size_bytes -= len(data) + len(event_id) + OVERHEAD_BYTES

    def segments(self) -> Iterator[tuple[int, list[Entry]]]:
        """Yield the entries, by the number of their segment: those that came as the n-th 8,192 of all."""
        entries = ((number, key, arrived_ms, data) for key, (arrived_ms, data, number) in self._entries.items())
        for segment, run in groupby(entries, lambda entry: entry[0] // SEGMENT):
            yield segment, list(run)

    def restore(self, entries: Iterable[Entry], added: int) -> None:
        """Hold these entries, and count on from those ever added."""
        for number, event_id, arrived_ms, data in entries:
            self._entries[event_id] = (arrived_ms, data, number)
            self.size_bytes += len(data) + len(event_id) + OVERHEAD_BYTES
        self.added = added


class RecentIds:
    """What became of the newest ids: at least `window` of them and never more than twice as many.

    Two generations of a plain dict: when the younger is full the older is forgotten as a whole.

    Parameters
    ----------
    window
        Number of ids that are remembered for certain.

    Examples
    --------
    >>> recent = RecentIds(window=2)
    >>> for event_id in "abcde":
    ...     recent.put(event_id, event_id.upper())
    >>> [event_id in recent for event_id in "abcde"], recent.get("e")
    ([False, False, True, True, True], 'E')
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self.young: dict[str, Any] = {}
        self.old: dict[str, Any] = {}

    def __contains__(self, event_id: str) -> bool:
        return event_id in self.young or event_id in self.old

    def get(self, event_id: str) -> Any:
        """Return what an id that is there became."""
        return self.young[event_id] if event_id in self.young else self.old[event_id]

    def put(self, event_id: str, outcome: Any) -> None:
        """Note what became of an id, in place of what was known before."""
        self.young[event_id] = outcome
        if len(self.young) >= self._window:
            self.old, self.young = self.young, {}

    def restore(self, young: dict[str, Any], old: dict[str, Any]) -> None:
        """Remember these."""
        self.young, self.old = young, old


class LabelJoin:
    """Joins labels with events by id.

    Parameters
    ----------
    ttl_ms
        Time to live on the watermark, from the arrival on, None when labels are inline: then nothing waits. It is held
        against what arrived under another declaration, too.
    max_bytes
        Bound on each of the two buffers: events that wait, and labels that wait.
    window
        Number of newest settled ids that are remembered.
    """

    def __init__(self, ttl_ms: int | None, max_bytes: int, window: int) -> None:
        self._waits = ttl_ms is not None
        self._ttl_ms = ttl_ms or 0
        self.pending = PendingLabels(max_bytes)
        self.held = PendingLabels(max_bytes)
        self.settled = RecentIds(window)

    def has_seen(self, event_id: str) -> bool:
        """Tell whether an event of this id was asked or settled within the window."""
        settled = self.settled
        if event_id in settled.young or event_id in settled.old:
            return True
        return self.pending.size_bytes > 0 and event_id in self.pending

    def ask(self, event_id: str, watermark_ms: int, asked: Asked) -> int:
        """Let a scored event wait for its label; return how many events were evicted to make room."""
        if not self._waits:
            self.settled.put(event_id, EXPIRED)
            return 0
        fields = [asked.offset, asked.prediction, _pairs(asked.score), asked.x]
        if asked.shadows is not None:
            fields.append({name: (answer, _pairs(score)) for name, (answer, score) in asked.shadows.items()})
        evicted = self.pending.add(event_id, watermark_ms, fields)
        for gone, _ in evicted:
            self.settled.put(gone, EVICTED)
        return len(evicted)

    def waiting(self, event_id: str, watermark_ms: int) -> Asked | None:
        """Return the event that waits for this label, None when none does or its time is over."""
        if event_id not in self.pending or self.pending.arrived_ms(event_id) + self._ttl_ms <= watermark_ms:
            return None
        return _asked(self.pending.peek(event_id))

    def settle(self, event_id: str, outcome: Settled | str) -> None:
        """An event waits no longer: its label was learned, or will not be."""
        if self.pending.size_bytes:
            self.pending.remove(event_id)
        self.settled.put(event_id, outcome)

    def hold(self, event_id: str, watermark_ms: int, y: Any) -> int:
        """Let a label wait for its event; return how many labels were evicted to make room."""
        return len(self.held.add(event_id, watermark_ms, [y]))

    def hold_again(self, event_id: str, y: Any) -> int:
        """Exchange a label that waits; return how many labels were evicted to make room."""
        return len(self.held.replace(event_id, [y]))

    def expired_events(self, watermark_ms: int) -> Iterator[tuple[str, Asked]]:
        """Remove and yield the events whose time is over."""
        for event_id, fields in self.pending.expire(watermark_ms - self._ttl_ms):
            yield event_id, _asked(fields)

    def expired_labels(self, watermark_ms: int) -> int:
        """Remove the labels whose event never came; return how many."""
        return sum(1 for _ in self.held.expire(watermark_ms - self._ttl_ms))


def _encode(fields: list[Any]) -> bytes:
    """Return fields as bytes that take no more memory than they are long.

    orjson writes into a larger buffer, which stays behind the bytes as long as they are kept: 4 KB for 130 bytes.
    """
    return b"%b" % orjson.dumps(fields, option=_OPTIONS)


def _pairs(score: Any) -> Any:
    """Return class probabilities as pairs, since JSON's keys are strings and classes need not be."""
    return list(score.items()) if isinstance(score, dict) else score


def _asked(fields: list[Any]) -> Asked:
    offset, prediction, score, x, *shadows = fields
    answers = {name: (answer, _score(score)) for name, (answer, score) in shadows[0].items()} if shadows else None
    return Asked(offset, prediction, _score(score), x, answers)


def _score(pairs: Any) -> Any:
    return dict(map(tuple, pairs)) if isinstance(pairs, list) else pairs
