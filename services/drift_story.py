"""The story of one drift, told by the lifecycle events of its partition: what fired, and what was made of it."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

#: What can be asked for.
WARNED, DETECTED, DATA = "riverrun.drift.warned", "riverrun.drift.detected", "riverrun.drift.data"
_KINDS = (WARNED, DETECTED, DATA)
#: Which kinds begin the next story.
_NEXT = {WARNED: (WARNED,), DETECTED: (WARNED, DETECTED), DATA: (DATA,)}
CLEARED = "riverrun.drift.cleared"
_ENDS = (DETECTED, CLEARED)
_POSITION = re.compile(r"(?P<topic>.+)?\[(?P<partition>\d+)\]@(?P<offset>\d+)|(?P<bare>\d+)@(?P<at>\d+)")
_NAMED = 5

#: Fields of a lifecycle event, its type among them.
Event = dict[str, Any]


class Story(Struct, frozen=True):
    """A drift, what came before it and what came of it.

    Parameters
    ----------
    drift
        The event that was asked for.
    warning
        The warning before a detection, None without one.
    consequences
        Later events of the partition that name this one as their reason, or come before the next of its kind.
    inputs
        Moves of inputs and answers of the partition, without labels, since the detection before.
    """

    drift: Event
    warning: Event | None
    consequences: list[Event]
    inputs: list[Event]

    @property
    def source(self) -> str:
        """The topic whose record it happened at."""
        return source_of(self.drift)


def source_of(event: Event) -> str:
    """Return the topic of the record at which an event happened: its id begins with the position.

    Examples
    --------
    >>> source_of({"id": "a-7.raw-0-42/drift.detected"})
    'a-7.raw'
    """
    return str(event["id"]).partition("/")[0].rsplit("-", 2)[0]


def find(events: Sequence[Event], sought: str) -> Event:
    """Return the drift that is meant.

    Parameters
    ----------
    events
        Lifecycle events.
    sought
        An id, ``flights.raw-0-1042/drift.detected``; an end of one that no other has; a position,
        ``flights.raw[0]@1042``, ``[0]@1042`` or ``0@1042``.

    Raises
    ------
    LookupError
        When there is none, or several are meant; those that could be are named.

    Examples
    --------
    >>> events = [{"id": f"p.raw-0-{n}/drift.detected", "type": DETECTED, "partition": 0, "offset": n} for n in (4, 42)]
    >>> [find(events, name)["offset"] for name in ("p.raw-0-4/drift.detected", "2/drift.detected", "0@42")]
    [4, 42, 42]
    >>> find(events, "drift.detected")
    Traceback (most recent call last):
    ...
    LookupError: expected one of p.raw-0-4/drift.detected, p.raw-0-42/drift.detected: 2 drifts are called so
    """
    drifts = [event for event in events if event["type"] in _KINDS]
    found = [event for event in events if event["id"] == sought] or _at(drifts, sought)
    found = found or [event for event in drifts if event["id"].endswith(sought)]
    found = found or [event for event in drifts if event["id"].partition("/")[0].endswith(sought)]
    if len(found) == 1 and found[0]["type"] in _KINDS:
        return found[0]
    if len(found) == 1:
        raise LookupError(f"that is {found[0]['type'].removeprefix('riverrun.')}, expected a drift")
    named = [str(event["id"]) for event in (found or drifts)[-_NAMED:]]
    if not named:
        raise LookupError("no drift was seen yet")
    why = f"{len(found)} drifts are called so" if found else "the newest that there are"
    raise LookupError(f"expected one of {', '.join(named)}: {why}")


def _at(drifts: Iterable[Event], sought: str) -> list[Event]:
    """Return the drifts at a position, none where it is no position."""
    match = _POSITION.fullmatch(sought)
    if match is None:
        return []
    topic, partition, offset = match["topic"], int(match["partition"] or match["bare"]), match["offset"] or match["at"]
    return [
        event
        for event in drifts
        if (event["partition"], event["offset"]) == (partition, int(offset)) and topic in (None, source_of(event))
    ]


def story(events: Sequence[Event], drift: Event) -> Story:
    """Return what the other events have to do with a drift.

    Parameters
    ----------
    events
        Lifecycle events in the order of their topic; those of other partitions are left out here.
    drift
        One of them.
    """
    mine = [event for event in events if event["partition"] == drift["partition"]]
    at = mine.index(drift)
    before, after = mine[:at], mine[at + 1 :]
    detections = [number for number, event in enumerate(before) if event["type"] == DETECTED]
    since = before[detections[-1] + 1 :] if detections else before
    inputs = [] if drift["type"] == DATA else [event for event in since if event["type"] == DATA]
    return Story(drift, _warning(before, drift), _consequences(after, drift), inputs)


def drifts(events: Sequence[Event], last: int) -> list[tuple[Event, list[Event]]]:
    """Return the newest drifts, and the warnings that led to nothing, each with what came of it.

    Parameters
    ----------
    events
        Lifecycle events in the order of their topic.
    last
        How many at most. Raising it takes time: each is held against all that came later.

    Examples
    --------
    >>> warned = {"id": "p.raw-0-4/drift.warned", "type": WARNED, "partition": 0}
    >>> cleared = {"id": "p.raw-0-9/drift.cleared", "type": CLEARED, "partition": 0, "warning": warned["id"]}
    >>> [(drift["id"], len(consequences)) for drift, consequences in drifts([warned, cleared], 20)]
    [('p.raw-0-4/drift.warned', 1), ('p.raw-0-9/drift.cleared', 0)]
    """
    found: list[tuple[Event, list[Event]]] = []
    later: dict[int, list[Event]] = {}
    for event in reversed(events):
        after = later.setdefault(event["partition"], [])
        if event["type"] in (*_KINDS, CLEARED):
            is_over = event["type"] == CLEARED
            found.append((event, [] if is_over else _consequences(reversed(after), event)))
        if len(found) == last:
            break
        after.append(event)
    return found[::-1]


def _warning(before: Sequence[Event], drift: Event) -> Event | None:
    """Return the warning that a detection confirms."""
    if drift["type"] != DETECTED:
        return None
    for event in reversed(before):
        if event["type"] in _ENDS or event.get("version") != drift["version"]:
            return None
        if event["type"] == WARNED:
            return event
    return None


def _consequences(after: Iterable[Event], drift: Event) -> list[Event]:
    is_open, found = True, []
    for event in after:
        is_open = is_open and event["type"] not in _NEXT[drift["type"]]
        if is_open or drift["id"] in (event.get("reason"), event.get("warning")):
            found.append(event)
    return found
