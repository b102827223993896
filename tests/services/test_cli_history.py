"""``riverrun history`` over lifecycle events: who served, why, and what operators and policies have held."""

from typing import Any

import orjson
import pytest

from services.describing import describe_lifecycle
from tests.services.lifecycle import event, id_of, printed

DETECTED = {"signal": "loss", "before": 0.0676, "after": 0.21875, "segment": ""}
EVIDENCE = {"evidence": 31.1, "events": 7, "loss": 0.0, "replaced_loss": 0.75}
NO_EVIDENCE = {"evidence": 0.0, "events": 0, "loss": 0.0, "replaced_loss": 0.0}


def obeyed(order: str, offset: int, partition: int = 0, who: str = "root", why: str = "") -> dict[str, Any]:
    """Return what is said of a command."""
    return event("command.obeyed", offset, partition, order=order, version="v2", who=who, why=why)


def changed(kind: str, offset: int, partition: int = 0, reason: str = "", **fields: Any) -> dict[str, Any]:
    """Return a change of the champion."""
    return event(f"model.{kind}", offset, partition, version="v3", replaced="v2", learned=9, reason=reason, **fields)


def suppressed(reason: str, offset: int) -> dict[str, Any]:
    """Return what is said of a better model that was held back."""
    return event("action.suppressed", offset, version="v1", held=f"v{offset}", reason=reason)


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what the command prints over some events."""
    return lambda events, *arguments: printed(monkeypatch, events, "history", "p", *arguments)


# ------------------------------------------------------------------ why


def test_operators_change_says_who_wanted_it_and_why(tell: Any) -> None:
    """A rollback at its place, and a retrained model that takes over later; that no reason was given is said."""
    log = [
        obeyed("rollback", 7, why="because\nI say so"),
        changed("rolled-back", 7, reason=id_of("command.obeyed", 7), restored="v3", **NO_EVIDENCE),
        obeyed("retrain", 9, who="ceo"),
        changed("retrained", 300, reason=id_of("command.obeyed", 9)),
    ]
    first, second = tell(log).splitlines()[1:]
    assert first.endswith("root: because I say so")
    assert second.endswith("ceo, who gave no reason")


def test_what_others_have_written_tells_the_terminal_nothing() -> None:
    """Whoever may write to the topic could clear the screen of whoever reads it."""
    body = {"partition": 0, "offset": 7, "time": 0, "why": "\x1b[2J\x07\u202e", "command": "c\n"}
    line = describe_lifecycle("riverrun.command.obeyed", body)
    assert line.endswith(r"why=\x1b[2J\x07\u202e command=c\n")


def test_change_by_drift_says_what_moved(tell: Any) -> None:
    """The loss before and after, not only an id."""
    log = [
        event("drift.detected", 7, version="v2", **DETECTED),
        changed("retrained", 9, reason=id_of("drift.detected", 7)),
    ]
    assert tell(log).splitlines()[1].endswith("loss 0.0676 → 0.219")


def test_change_by_evidence_says_the_losses(tell: Any) -> None:
    """As before, also where a drift is named besides."""
    log = [changed("promoted", 9, reason=id_of("drift.detected", 7), **EVIDENCE)]
    assert tell(log).splitlines()[1].endswith("loss 0 instead of 0.75 on 7 events (e-value 31.1)")


def test_reason_whose_event_is_gone_is_told_by_its_id(tell: Any) -> None:
    """Retention takes old events away."""
    log = [changed("retrained", 9, reason=id_of("drift.detected", 7))]
    assert tell(log).splitlines()[1].endswith(id_of("drift.detected", 7))
    [row] = orjson.loads(tell(log, "-o", "json"))
    assert row["cause"] is None


def test_programs_are_told_the_id_and_what_it_names(tell: Any) -> None:
    """The reason stays what it is in the topic; the event itself is beside it."""
    command = obeyed("rollback", 7, why="because I say so")
    log = [command, changed("rolled-back", 7, reason=command["id"], restored="v3", **NO_EVIDENCE)]
    [row] = orjson.loads(tell(log, "-o", "json"))
    assert row == {**log[1], "cause": command}


def test_event_that_was_written_twice_is_told_once(tell: Any) -> None:
    """At least once, what follows a restart comes again, with the same id."""
    log = [changed("promoted", 9, **EVIDENCE)]
    assert len(tell([*log, *log]).splitlines()) == 2


# ------------------------------------------------------------------ what is held


def test_freeze_pin_and_resume_are_told_with_who_and_why(tell: Any) -> None:
    """They change who learns and who may take over; other orders are told by what they change."""
    log = [obeyed("freeze", 5, why="broken upstream"), obeyed("resume", 7), obeyed("retrain", 8), obeyed("pin", 9)]
    table = tell(log).splitlines()
    assert [row.split()[2] for row in table[1:4]] == ["frozen", "resumed", "pinned"]
    assert table[1].endswith("root: broken upstream")
    assert [row["type"] for row in orjson.loads(tell(log, "-o", "json"))] == ["riverrun.command.obeyed"] * 3


def test_what_is_frozen_or_pinned_still_is_said_at_the_end(tell: Any) -> None:
    """A frozen model never learns again, in silence, until somebody resumes."""
    log = [obeyed("freeze", 5), obeyed("pin", 5, 1), obeyed("pin", 6), obeyed("freeze", 5, 2), obeyed("resume", 9, 2)]
    assert tell(log).splitlines()[-2:] == [
        "frozen still, learning nothing: partition 0; riverrun models resume p ends it",
        "pinned still, whatever the evidence: partitions 0, 1; riverrun models resume p ends it",
    ]
    assert "still" not in tell([*log, obeyed("resume", 10), obeyed("resume", 10, 1)])


def test_another_declaration_is_told_with_what_differs(tell: Any) -> None:
    """Of a fresh model that serves at once there is no other event; the same declared again is no news."""
    fields = {"declaration": "d2", "replaced": "d1", "changed": ["model"], "version": "v2", "challenger": "v3"}
    log = [
        event("declaration.changed", 7, **fields),
        changed("retrained", 300, reason=id_of("declaration.changed", 7)),
        event("declaration.changed", 400, **{**fields, "replaced": "d2", "changed": []}),
    ]
    declared, retrained = tell(log).splitlines()[1:]
    assert declared.endswith("declared anew: model; v3 learns beside it")
    assert declared.split()[2:4] == ["declared", "v2"]
    assert retrained.endswith("declared anew: model")


def test_better_models_that_were_held_back_are_counted_by_reason(tell: Any) -> None:
    """Where nothing has changed, too: that is when one asks."""
    log = [suppressed("policy", 5), suppressed("policy", 6), suppressed("no change", 7)]
    footer = "better models held back: 2 (policy), 1 (no change); riverrun tail lifecycle p --from beginning tells each"
    first = "nothing has changed: the first champion serves"
    assert tell(log).splitlines() == [first, footer]
    assert tell([*log, changed("promoted", 9, **EVIDENCE)]).splitlines()[-1] == footer
    assert tell([]).splitlines() == [first]
