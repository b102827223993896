"""``riverrun drift ls`` over lifecycle events: drifts, and changes that came without one."""

from typing import Any

import pytest

from tests.services.lifecycle import event, id_of, printed

WARNED = event("drift.warned", 5, version="v1", signal="loss", before=0.1, after=0.25, segment="", change_offset=2)
SWITCHED: dict[str, Any] = {"version": "v2", "replaced": "v1", "evidence": 31.1, "since": 7, "reason": ""}


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what the command prints over some events."""
    return lambda events, *arguments: printed(monkeypatch, events, "drift", "ls", "p", *arguments)


def test_changes_without_a_drift_are_counted(tell: Any) -> None:
    """The policy may act on evidence before the detector fires, which then begins anew: that is no quiet stream."""
    retrained = event("model.retrained", 9, version="v2", replaced="v1", reason="")
    switched = [retrained, event("model.promoted", 9, **SWITCHED), event("model.rolled-back", 20, **SWITCHED)]
    changes, where = "2 changes of the champion by evidence", "riverrun history p"
    assert tell(switched) == f"no drift was detected; {changes}: {where}\n"
    assert tell([WARNED, *switched]).splitlines()[-1] == f"{changes}, without a drift: {where}"


def test_quiet_stream_has_no_drift(tell: Any) -> None:
    """What operators change, and what answers a drift, is not counted."""
    by_command = {**SWITCHED, "evidence": 0.0, "reason": id_of("command.obeyed", 9)}
    assert tell([event("model.rolled-back", 9, **by_command)]) == "no drift was seen\n"
    answer = event("model.promoted", 9, **{**SWITCHED, "reason": WARNED["id"]})
    assert "by evidence" not in tell([WARNED, answer])
