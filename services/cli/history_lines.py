"""What decided who serves as a row of a table: where, when, from whom to whom, and what spoke for it."""

from collections.abc import Iterator, Mapping
from typing import Any

from services.champion_history import DECLARED, HOLDS, OBEYED
from services.cli.drift_lines import describe_change, describe_drift
from services.describing import describe_place

HEADINGS = ["at", "time", "what", "champion", "why"]
_HELD = {"frozen": "frozen still, learning nothing", "pinned": "pinned still, whatever the evidence"}


def listed(row: Mapping[str, Any]) -> list[str]:
    """Return the row of a change, or of an order, as `services.champion_history.history` tells it."""
    place = describe_place(row)
    if row["type"] == OBEYED:
        return [*place, HOLDS.get(row["order"], "resumed"), row["version"], _said_by(row)]
    if row["type"] == DECLARED:
        beside = f"; {row['challenger']} learns beside it" if row["challenger"] else ""
        return [*place, "declared", row["version"], _declared(row) + beside]
    return [*place, row["type"].removeprefix("riverrun.model."), describe_change(row), _why(row)]


def describe_held(held: Mapping[int, Mapping[str, Any]], pipeline: str) -> Iterator[str]:
    """Yield a line for each order that holds still: where, and what ends it.

    Examples
    --------
    >>> list(describe_held({0: {"frozen": {}}, 2: {"frozen": {}}}, "flights"))
    ['frozen still, learning nothing: partitions 0, 2; riverrun models resume flights ends it']
    """
    for how, said in _HELD.items():
        partitions = [str(partition) for partition, holds in sorted(held.items()) if how in holds]
        if partitions:
            where = f"partition{'' if len(partitions) == 1 else 's'} {', '.join(partitions)}"
            yield f"{said}: {where}; riverrun models resume {pipeline} ends it"


def describe_held_back(counts: Mapping[str, int], pipeline: str) -> str:
    """Return in a line how many better models did not take over, why, and where each is told.

    Examples
    --------
    >>> describe_held_back({"policy": 18}, "flights")
    'better models held back: 18 (policy); riverrun tail lifecycle flights --from beginning tells each'
    """
    told = ", ".join(f"{count} ({reason})" for reason, count in counts.items())
    return f"better models held back: {told}; riverrun tail lifecycle {pipeline} --from beginning tells each"


def _why(row: Mapping[str, Any]) -> str:
    """Return in words what spoke for a change.

    Examples
    --------
    >>> _why({"evidence": 57.0, "events": 20, "loss": 0.1, "replaced_loss": 0.5, "reason": "", "cause": None})
    'loss 0.1 instead of 0.5 on 20 events (e-value 57)'
    >>> _why({"reason": "flights.raw-0-7/drift.detected", "cause": None})
    'flights.raw-0-7/drift.detected'
    """
    if row.get("evidence"):
        losses = f"loss {row['loss']:.2g} instead of {row['replaced_loss']:.2g}"
        return f"{losses} on {row['events']} events (e-value {row['evidence']:.3g})"
    cause = row["cause"]
    if cause is None:
        return str(row["reason"])
    if cause["type"] == OBEYED:
        return _said_by(cause)
    return _declared(cause) if cause["type"] == DECLARED else describe_drift(cause)


def _declared(event: Mapping[str, Any]) -> str:
    return f"declared anew: {', '.join(event['changed'])}"


def _said_by(command: Mapping[str, Any]) -> str:
    """Return who gave a command, and why: on one line, whatever was typed.

    Examples
    --------
    >>> _said_by({"who": "root", "why": "a new season"}), _said_by({"who": "", "why": ""})
    ('root: a new season', 'somebody, who gave no reason')
    """
    who, why = (" ".join(command[name].split()) for name in ("who", "why"))
    return f"{who or 'somebody'}: {why}" if why else f"{who or 'somebody'}, who gave no reason"
