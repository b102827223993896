"""A drift as a row of a table: where, when, what moved, and what came of it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from services.describing import describe_place

HEADINGS = ["at", "time", "drift", "what", "what came of it"]
_SHOWN = 3


def listed(drift: Mapping[str, Any], consequences: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the row of a drift.

    Parameters
    ----------
    drift
        The event.
    consequences
        What came of it, as `services.drift_story.drifts` tells.
    """
    kind = drift["type"].removeprefix("riverrun.drift.")
    outcome = "" if kind == "cleared" else outcome_of(consequences)
    return [*describe_place(drift), kind, describe_drift(drift), outcome]


def describe_drift(drift: Mapping[str, Any]) -> str:
    """Return in a few words what moved.

    Examples
    --------
    >>> describe_drift({"signal": "loss", "before": 0.1179, "after": 0.3125, "segment": "UA"})
    'loss 0.118 → 0.312 (UA)'
    >>> describe_drift({"moved": [{"name": "temp"}, {"name": "prediction"}], "count": 5, "watched": 12})
    'temp, prediction, … (5 of 12 signals)'
    >>> describe_drift({"warning": "p.raw-0-40/drift.warned"})
    'nothing came of 0@40'
    """
    if "moved" in drift:
        names = [one["name"] for one in drift["moved"][:_SHOWN]]
        more = ["…"] if len(names) < drift["count"] else []
        return f"{', '.join([*names, *more])} ({drift['count']} of {drift['watched']} signals)"
    if "warning" in drift:
        partition, offset = drift["warning"].partition("/")[0].rsplit("-", 2)[1:]
        return f"nothing came of {partition}@{offset}"
    segment = f" ({drift['segment']})" if drift.get("segment") else ""
    return f"{drift['signal']} {drift['before']:.3g} → {drift['after']:.3g}{segment}"


def outcome_of(consequences: Sequence[Mapping[str, Any]]) -> str:
    """Return in a few words what came of a drift: the first steps, with the offsets at which they were taken.

    Examples
    --------
    >>> retrained = {"type": "riverrun.model.retrained", "offset": 7, "version": "v2", "replaced": "v1"}
    >>> outcome_of([retrained, {**retrained, "type": "riverrun.model.promoted"}])
    'v1 → v2 at 7'
    >>> outcome_of([{"type": "riverrun.action.suppressed", "offset": 7, "held": "v2", "reason": "no change"}])
    'v2 held back at 7: no change'
    >>> outcome_of([{"type": "riverrun.drift.detected", "offset": 9}, {**retrained, "offset": 12}])
    'detected at 9; v1 → v2 at 12'
    >>> outcome_of([])
    'nothing, up to now'
    """
    steps = list(dict.fromkeys(_steps(consequences)))
    more = [f"{len(steps) - _SHOWN} more"] if len(steps) > _SHOWN else []
    return "; ".join([*steps[:_SHOWN], *more]) or "nothing, up to now"


def _steps(consequences: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what changed, or did not although it might have; a change that two events tell of, twice."""
    for event in consequences:
        kind, at = event["type"].removeprefix("riverrun."), f"at {event['offset']}"
        if kind in ("drift.detected", "drift.cleared"):
            yield f"{kind.removeprefix('drift.')} {at}"
        elif kind == "action.suppressed":
            yield f"{event['held']} held back {at}: {event['reason']}"
        elif "replaced" in event and "version" in event and kind.startswith("model."):
            yield f"{describe_change(event)} {at}"


def describe_change(event: Mapping[str, Any]) -> str:
    """Return from whom to whom the champion changed, and of which version the new one is a copy.

    Examples
    --------
    >>> describe_change({"replaced": "v1", "version": "v3", "restored": "v1@1500"})
    'v1 → v3 (v1@1500)'
    >>> describe_change({"replaced": "v1", "version": "v3", "imported": "i1042@1500"})
    'v1 → v3 (i1042@1500)'
    >>> describe_change({"replaced": "v3", "version": "v1", "restored": "v1"})
    'v3 → v1'
    """
    of = event.get("restored") or event.get("imported") or event["version"]
    return f"{event['replaced']} → {event['version']}" + (f" ({of})" if of != event["version"] else "")
