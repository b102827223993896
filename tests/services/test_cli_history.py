"""``riverrun history`` over lifecycle events: who served, why, and what operators and policies have held."""

from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from schemas.record import Record
from services.cli import answers, app

DETECTED = {"signal": "loss", "before": 0.0676, "after": 0.21875, "segment": ""}
EVIDENCE = {"evidence": 31.1, "events": 7, "loss": 0.0, "replaced_loss": 0.75}
NO_EVIDENCE = {"evidence": 0.0, "events": 0, "loss": 0.0, "replaced_loss": 0.0}


def event(kind: str, offset: int, partition: int = 0, **fields: Any) -> dict[str, Any]:
    """Return a lifecycle event."""
    return {
        "type": f"riverrun.{kind}",
        "id": id_of(kind, offset, partition),
        "partition": partition,
        "offset": offset,
        "time": 1_000 * offset,
        **fields,
    }


def id_of(kind: str, offset: int, partition: int = 0) -> str:
    """Return the id of an event."""
    return f"p.raw-{partition}-{offset}/{kind}"


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
    """Return what the command prints over a topic that holds some events."""

    def told(events: list[dict[str, Any]], *arguments: str) -> str:
        records = [
            Record("p.lifecycle", 0, n, 0, None, orjson.dumps(one), [("ce_type", str(one["type"]).encode())])
            for n, one in enumerate(events)
        ]
        monkeypatch.setattr(answers, "read", lambda *_, **__: iter(records))
        result = CliRunner().invoke(app, ["history", "p", *arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    return told


# ------------------------------------------------------------------ why


def test_operators_change_says_who_wanted_it_and_why(tell: Any) -> None:
    """A rollback at its place, and a retrained model that takes over later; without a reason it is said that there is none."""
    log = [
        obeyed("rollback", 7, why="because\nI say so"),
        changed("rolled-back", 7, reason=id_of("command.obeyed", 7), restored="v3", **NO_EVIDENCE),
        obeyed("retrain", 9, who="ceo"),
        changed("retrained", 300, reason=id_of("command.obeyed", 9)),
    ]
    first, second = tell(log).splitlines()[1:]
    assert first.endswith("root: because I say so")
    assert second.endswith("ceo, who gave no reason")


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
