"""The story of one drift, told by the lifecycle events of its partition: what fired, and what was made of it."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from services.champion_history import CHANGES, DECLARED, OBEYED, SUPPRESSED

#: What can be asked for.
WARNED, DETECTED, DATA = "riverrun.drift.warned", "riverrun.drift.detected", "riverrun.drift.data"
_KINDS = (WARNED, DETECTED, DATA)
#: Which kinds begin the next story.
_NEXT = {WARNED: (WARNED,), DETECTED: (WARNED, DETECTED), DATA: (DATA,)}
CLEARED = "riverrun.drift.cleared"
_ENDS = (DETECTED, CLEARED)
#: A reason that is the id of an event, and no words.
_ID = re.compile(r".+-\d+-\d+/.+")
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
        Events of the partition that name this one as their reason. Such, too, as name no event: what was held back, or
        changed, since the change point and before it was seen, and what came later, up to the next drift, an operator's
        command, or a change of the champion that answers no drift.
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
    before = mine[:at]
    detections = [number for number, event in enumerate(before) if event["type"] == DETECTED]
    since = before[detections[-1] + 1 :] if detections else before
    inputs = [] if drift["type"] == DATA else [event for event in since if event["type"] == DATA]
    return Story(drift, _warning(before, drift), _consequences(mine, at), inputs)


def drifts(events: Sequence[Event], last: int) -> list[tuple[Event, list[Event]]]:
    """Return the newest drifts, and the warnings that led to nothing, each with what came of it.

    Parameters
    ----------
    events
        Lifecycle events in the order of their topic.
    last
        How many at most. Raising it takes time: each is held against all that came before and later.

    Examples
    --------
    >>> warned = {"id": "p.raw-0-4/drift.warned", "type": WARNED, "partition": 0}
    >>> cleared = {"id": "p.raw-0-9/drift.cleared", "type": CLEARED, "partition": 0, "warning": warned["id"]}
    >>> [(drift["id"], len(consequences)) for drift, consequences in drifts([warned, cleared], 20)]
    [('p.raw-0-4/drift.warned', 1), ('p.raw-0-9/drift.cleared', 0)]
    """
    of: dict[int, list[Event]] = {}
    places: list[tuple[Event, int]] = []
    for event in events:
        mine = of.setdefault(event["partition"], [])
        if event["type"] in (*_KINDS, CLEARED):
            places.append((event, len(mine)))
        mine.append(event)
    return [
        (event, [] if event["type"] == CLEARED else _consequences(of[event["partition"]], at))
        for event, at in places[-last:]
    ]


def _warning(before: Sequence[Event], drift: Event) -> Event | None:
    """Return the warning that a detection confirms."""
    if drift["type"] != DETECTED:
        return None
    for event in reversed(before):
        if event["type"] in _ENDS or event.get("version", drift["version"]) != drift["version"]:
            return None
        if event["type"] == WARNED:
            return event
    return None


def _consequences(mine: Sequence[Event], at: int) -> list[Event]:
    """Return what came of a drift, given the events of its partition and its place among them."""
    drift = mine[at]
    found = _answered(mine[:at], drift)
    names = {drift["id"]}
    end, until = _end(mine, at)
    for place, event in enumerate(mine[at + 1 :], at + 1):
        is_named = event.get("warning", event.get("reason")) in names
        is_change = event["type"] in CHANGES  # one that answers a drift names it
        belongs = place < end and not is_change and not _names_another(event)
        if event["type"] == SUPPRESSED:
            belongs = belongs and event["offset"] <= until
        if is_named or belongs:
            found.append(event)
            if event["type"] in (WARNED, DETECTED):
                names.add(event["id"])  # what came of the detection came of the warning, too
    return found


def _answered(before: Sequence[Event], drift: Event) -> list[Event]:
    """Return what was done about a change before it was seen: evidence takes ten labels where the detector takes 25."""
    found: list[Event] = []
    for event in reversed(before):
        is_told = event["type"] in (DETECTED, drift["type"])
        if is_told or event["offset"] <= drift.get("change_offset", drift["offset"]):
            break
        if event["type"] in (SUPPRESSED, *CHANGES) and not _names_another(event):
            found.append(event)
    return found[::-1]


def _end(mine: Sequence[Event], at: int) -> tuple[int, float]:
    """Return the place of the event with which the story of a drift is over, and the offset behind which that began.

    What is held back behind that offset is of the next change already, which nobody had seen yet.
    """
    drift = mine[at]
    for place, event in enumerate(mine[at + 1 :], at + 1):
        if event["type"] in (OBEYED, DECLARED):
            return place, int(event["offset"])
        is_switch = event["type"] in CHANGES and "since" in event and not event["reason"]
        if event["type"] in _NEXT[drift["type"]] or is_switch:
            began = int(event.get("change_offset") or event.get("since") or event["offset"])
            return place, began if began > drift["offset"] else int(event["offset"])
    return len(mine), float("inf")


def _names_another(event: Event) -> bool:
    """Tell whether an event has another one as its reason.

    Examples
    --------
    >>> [_names_another({"reason": reason}) for reason in ("budget", "", "p.raw-0-7/command.obeyed")]
    [False, False, True]
    """
    return _ID.fullmatch(str(event.get("warning", event.get("reason", "")))) is not None
