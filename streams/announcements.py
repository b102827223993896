"""What is said when the champion changes, and when it does not although another model is better."""

from typing import Any

from schemas.events import (
    ActionSuppressed,
    LifecycleEvent,
    ModelArchived,
    ModelPromoted,
    ModelRetired,
    ModelRetrained,
    ModelRolledBack,
)
from streams.learner import Learner
from streams.moment import Common
from streams.verdict import Verdict
from streams.versions import Frozen


def held_back(common: Common, verdict: Verdict, champion: Learner) -> LifecycleEvent:
    """Say that a better model does not take over."""
    advantage = verdict.advantage
    loss, held_loss = advantage.means
    return ActionSuppressed(
        **common(ActionSuppressed),
        version=champion.version,
        held=verdict.model.name,
        reason=verdict.held,
        evidence=advantage.value,
        change=verdict.change,
        since=advantage.since,
        events=advantage.count,
        loss=loss,
        held_loss=held_loss,
    )


def crowned(
    common: Common, verdict: Verdict, champion: Learner, replaced: Learner, since: int, reason: str
) -> list[LifecycleEvent]:
    """Say who took over from whom, and since when that was the better model."""
    advantage = verdict.advantage
    replaced_loss, loss = advantage.means
    change: dict[str, Any] = {
        "version": champion.version,
        "replaced": replaced.version,
        "learned": champion.learned,
        "reason": reason,
    }
    evidence: dict[str, Any] = {
        "evidence": advantage.value if advantage.count else 0.0,
        "change": verdict.change,
        "since": advantage.since if advantage.count else since,
        "events": advantage.count,
        "loss": loss,
        "replaced_loss": replaced_loss,
    }
    events: list[LifecycleEvent]
    if not verdict.has_served:
        imported = verdict.model.name if isinstance(verdict.model, Frozen) else ""
        events = [ModelPromoted(**common(ModelPromoted), **change, **evidence, imported=imported)]
        if verdict.role in ("challenger", "newcomer"):
            events.insert(0, ModelRetrained(**common(ModelRetrained), **change))
    else:
        restored = verdict.model.name
        events = [ModelRolledBack(**common(ModelRolledBack), **change, **evidence, restored=restored)]
    return events


def kept(common: Common, archived: Frozen, evicted: Frozen | None, origin: str = "") -> list[LifecycleEvent]:
    """Say which version is kept from now on, and which had to go for it."""
    about: dict[str, Any] = {"version": archived.version, "learned": archived.learned, "until": archived.offset}
    events: list[LifecycleEvent] = [
        ModelArchived(**common(ModelArchived), archived=archived.name, **about, origin=origin)
    ]
    if evicted is not None:
        why = "of all archived versions it was not wanted for the longest time"
        events.append(ModelRetired(**common(ModelRetired), retired=evicted.name, reason=why))
    return events
