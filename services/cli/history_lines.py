"""A change of the champion as a row of a table: when, where, from whom to whom, and what spoke for it."""

from collections.abc import Mapping
from typing import Any

from services.cli.drift_lines import describe_drift

HEADINGS = ["partition", "time", "offset", "what", "from", "to", "why"]


def listed(row: Mapping[str, Any]) -> list[str]:
    """Return the row of a change, as `services.champion_history.history` tells it."""
    from schemas.cloudevents import format_time

    to = row["version"] + (f" ({row['restored']})" if row.get("restored", row["version"]) != row["version"] else "")
    kind = row["type"].removeprefix("riverrun.model.")
    place = str(row["partition"]), format_time(row["time"]), str(row["offset"])
    return [*place, kind, row["replaced"], to, _why(row)]


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
    kind = cause["type"].removeprefix("riverrun.")
    if kind == "command.obeyed":
        return _said_by(cause)
    if kind == "declaration.changed":
        return f"declared anew: {', '.join(cause['changed'])}"
    return describe_drift(cause)


def _said_by(command: Mapping[str, Any]) -> str:
    """Return who gave a command, and why: on one line, whatever was typed.

    Examples
    --------
    >>> _said_by({"who": "root", "why": "a new season"}), _said_by({"who": "", "why": ""})
    ('root: a new season', 'somebody, who gave no reason')
    """
    who, why = (" ".join(command[name].split()) for name in ("who", "why"))
    return f"{who or 'somebody'}: {why}" if why else f"{who or 'somebody'}, who gave no reason"
