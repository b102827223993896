"""Who served when, and why: told by the lifecycle events of a pipeline."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

#: Events that tell of another champion.
CHANGES = ("riverrun.model.promoted", "riverrun.model.rolled-back", "riverrun.model.retrained")
OBEYED, DECLARED = "riverrun.command.obeyed", "riverrun.declaration.changed"
SUPPRESSED = "riverrun.action.suppressed"
#: Orders after which the champion does not learn, or stays whatever the evidence, until `resume`: what they make of it.
HOLDS = {"freeze": "frozen", "pin": "pinned"}

#: Fields of a lifecycle event, its type among them.
Event = dict[str, Any]


def history(events: Sequence[Event]) -> list[Event]:
    """Return what decided who serves and learns, partition by partition, with what the reason of each names.

    That is each change of the champion, once, another declaration, and the orders to freeze, pin and resume.

    Parameters
    ----------
    events
        Lifecycle events in the order of their topic.

    Returns
    -------
    The events, each with one field more: `cause` is the event that it names as its reason, None where it names none, or
    one that is not in the topic any more.

    Examples
    --------
    >>> drift = {"type": "riverrun.drift.detected", "id": "p.raw-0-7/drift.detected", "partition": 0}
    >>> retrained = {"type": "riverrun.model.retrained", "id": "p.raw-0-9/model.retrained", "partition": 0}
    >>> [told] = history([drift, {**retrained, "offset": 9, "version": "v2", "reason": drift["id"]}])
    >>> told["cause"] == drift
    True
    """
    by_id = {event["id"]: event for event in events}
    told = sorted(filter(_decides, events), key=lambda event: int(event["partition"]))
    return [{**event, "cause": by_id.get(event.get("reason"))} for event in _without_repetition(told)]


def held(events: Iterable[Event]) -> dict[int, dict[str, Event]]:
    """Return what holds the models of each partition: ``frozen`` or ``pinned``, and the event that says since when.

    Partitions that nothing holds are left out.

    Parameters
    ----------
    events
        Lifecycle events in the order of their topic, or what `history` returns.

    Examples
    --------
    >>> orders = [("freeze", 0), ("pin", 0), ("resume", 0), ("pin", 1)]
    >>> found = held({"type": OBEYED, "order": order, "partition": partition} for order, partition in orders)
    >>> {partition: list(holds) for partition, holds in found.items()}
    {1: ['pinned']}
    """
    found: dict[int, dict[str, Event]] = {}
    for event in events:
        if event["type"] != OBEYED:
            continue
        if event["order"] == "resume":
            found.pop(event["partition"], None)
        elif event["order"] in HOLDS:
            found.setdefault(event["partition"], {})[HOLDS[event["order"]]] = event
    return found


def held_back(events: Iterable[Event]) -> dict[str, int]:
    """Return how many better models did not take over, by the reason, the most frequent first.

    Examples
    --------
    >>> held_back({"type": SUPPRESSED, "reason": reason} for reason in ("budget", "policy", "policy"))
    {'policy': 2, 'budget': 1}
    """
    return dict(Counter(event["reason"] for event in events if event["type"] == SUPPRESSED).most_common())


def without_drift(events: Sequence[Event]) -> list[Event]:
    """Return the changes of the champion by evidence that answer no drift: it came before an alarm.

    Examples
    --------
    >>> change = {"type": "riverrun.model.promoted", "id": "i", "partition": 0, "offset": 9, "version": "v2"}
    >>> len(without_drift([{**change, "reason": "", "evidence": 31.1}, {**change, "reason": "", "evidence": 0.0}]))
    1
    """
    return [row for row in history(events) if row.get("evidence") and not row["reason"]]


def _decides(event: Event) -> bool:
    """Tell whether an event decides who serves, or who learns."""
    if event["type"] == OBEYED:
        return event["order"] in (*HOLDS, "resume")
    if event["type"] == DECLARED:
        return bool(event["declaration"] != event["replaced"])
    return event["type"] in CHANGES


def _without_repetition(events: Iterable[Event]) -> list[Event]:
    """Leave out what `model.promoted` says again of the same change."""
    events = list(events)
    promoted = {_change(event) for event in events if event["type"] == "riverrun.model.promoted"}
    return [event for event in events if event["type"] != "riverrun.model.retrained" or _change(event) not in promoted]


def _change(event: Event) -> tuple[int, int, str]:
    return event["partition"], event["offset"], event["version"]
