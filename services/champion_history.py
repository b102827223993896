"""Who served when, and why: told by the lifecycle events of a pipeline."""

from collections.abc import Iterable, Sequence
from typing import Any

#: Events that tell of another champion.
CHANGES = ("riverrun.model.promoted", "riverrun.model.rolled-back", "riverrun.model.retrained")

#: Fields of a lifecycle event, its type among them.
Event = dict[str, Any]


def history(events: Sequence[Event]) -> list[Event]:
    """Return each change of the champion once, partition by partition, with what its reason names.

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
    told = sorted((event for event in events if event["type"] in CHANGES), key=lambda event: int(event["partition"]))
    return [{**event, "cause": by_id.get(event.get("reason"))} for event in _without_repetition(told)]


def _without_repetition(events: Iterable[Event]) -> list[Event]:
    """Leave out what `model.promoted` says again of the same change."""
    events = list(events)
    promoted = {_change(event) for event in events if event["type"] == "riverrun.model.promoted"}
    return [event for event in events if event["type"] != "riverrun.model.retrained" or _change(event) not in promoted]


def _change(event: Event) -> tuple[int, int, str]:
    return event["partition"], event["offset"], event["version"]
