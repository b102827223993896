"""What is told of a drift: the right one, what came of it, and nothing that belongs to another."""

from typing import Any

import pytest

from services.cli.drift import _account
from services.cli.drift_lines import listed
from services.drift_story import Story, drifts, find, source_of, story


def event(kind: str, offset: int, partition: int = 0, **fields: Any) -> dict[str, Any]:
    """Return a lifecycle event."""
    where = {"id": f"a-7.raw-{partition}-{offset}/{kind}", "partition": partition, "offset": offset}
    return {"type": f"riverrun.{kind}", **where, "version": "v1", **fields}


DATA = event("drift.data", 5)
WARNED = event("drift.warned", 10, change_offset=8)
DETECTED = event("drift.detected", 20, change_offset=8)
ELSEWHERE = event("drift.detected", 20, partition=1, change_offset=8)
SUPPRESSED = event("action.suppressed", 21, reason="no change")
RETRAINED = event("model.retrained", 30, reason=DETECTED["id"], version="v2")
AGAIN = event("drift.warned", 40, version="v2", change_offset=38)
CLEARED = event("drift.cleared", 50, version="v2", warning=AGAIN["id"])
DETECTED_LATER = event("drift.detected", 60, version="v2", change_offset=38)
LATE = event("model.promoted", 70, reason=DETECTED["id"], version="v3")
OTHER = event("model.promoted", 71, reason=DETECTED_LATER["id"], version="v4")
LOG = [DATA, WARNED, DETECTED, ELSEWHERE, SUPPRESSED, RETRAINED, AGAIN, CLEARED, DETECTED_LATER, LATE, OTHER]


def told(drift: dict[str, Any]) -> Story:
    """Return the story of a drift of the log."""
    return story(LOG, drift)


def test_detection_has_its_warning_its_consequences_and_the_inputs_before() -> None:
    """What comes before the next alarm, and later what names it; nothing of the other partition."""
    assert told(DETECTED) == Story(DETECTED, WARNED, [SUPPRESSED, RETRAINED, LATE], [DATA])
    assert told(DETECTED).source == "a-7.raw"
    assert told(ELSEWHERE) == Story(ELSEWHERE, None, [], [])


def test_warning_that_was_cleared_is_not_the_later_detections() -> None:
    """It led to nothing, which is told as what came of it."""
    assert told(DETECTED_LATER).warning is None
    assert told(AGAIN).consequences[0] == CLEARED
    assert told(DETECTED_LATER).consequences == [OTHER]


def test_warning_tells_of_the_detection_that_followed() -> None:
    """Up to the next warning, and of what names the detection."""
    assert told(WARNED).consequences == [DETECTED, SUPPRESSED, RETRAINED, LATE]


@pytest.mark.parametrize(
    ("sought", "found"),
    [
        (str(DETECTED["id"]), DETECTED),
        ("0-10/drift.warned", WARNED),
        ("0-10", WARNED),
        ("a-7.raw[0]@20", DETECTED),
        ("[1]@20", ELSEWHERE),
        ("1@20", ELSEWHERE),
        ("drift.data", DATA),
    ],
)
def test_drift_is_found_by_id_end_and_position(sought: str, found: dict[str, Any]) -> None:
    """All ways lead to one."""
    assert find(LOG, sought) == found


@pytest.mark.parametrize(
    ("sought", "said"),
    [
        ("drift.detected", "3 drifts are called so"),
        ("0@21", "the newest that there are"),
        ("b.raw[0]@20", "the newest that there are"),
        (str(RETRAINED["id"]), "that is model.retrained, expected a drift"),
    ],
)
def test_drift_that_is_not_there_names_those_that_are(sought: str, said: str) -> None:
    """Several, none, one of another topic, and something else."""
    with pytest.raises(LookupError, match=said):
        find(LOG, sought)


def test_no_drift_at_all_is_told() -> None:
    """Rather than an empty list."""
    with pytest.raises(LookupError, match="no drift was seen yet"):
        find([RETRAINED], "0@1")


def test_source_may_hold_dashes_and_numbers() -> None:
    """The last two numbers are the partition and the offset."""
    assert source_of(DETECTED) == "a-7.raw"


def test_what_came_between_change_and_detection_belongs_to_the_detection() -> None:
    """Evidence is quicker than the detector: what was held back, or changed, behind the change point is its doing."""
    early = event("action.suppressed", 100, reason="budget")
    held, promoted = event("action.suppressed", 112, reason="budget"), event("model.promoted", 115, reason="")
    ordered = event("model.rolled-back", 116, reason="a-7.raw-0-116/command.obeyed")
    detected = event("drift.detected", 122, change_offset=110)
    log = [*LOG, early, held, promoted, ordered, detected]
    assert story(log, detected).consequences == [held, promoted]
    assert story(log, DETECTED_LATER).consequences == [OTHER, early]


def test_what_operators_did_is_no_consequence() -> None:
    """Nor is what followed from it: another champion serves, of which the drift says nothing."""
    command = event("command.obeyed", 80, order="rollback")
    rolled_back = event("model.rolled-back", 80, reason=command["id"])
    archived = event("model.archived", 81)
    held = event("action.suppressed", 82, reason="budget")
    answer = event("model.retrained", 90, reason=DETECTED_LATER["id"])
    log = [*LOG, command, rolled_back, archived, held, answer]
    assert story(log, DETECTED_LATER).consequences == [OTHER, answer]


def test_change_that_names_no_drift_is_of_another_world() -> None:
    """Evidence came before an alarm: the change, and what is held back around it, is not of the drift before."""
    archived = event("model.archived", 75)
    held, more = (event("action.suppressed", offset, reason="budget") for offset in (3998, 4010))
    switched = event("model.promoted", 4000, reason="", since=3990)
    assert story([*LOG, archived, held, switched, more], DETECTED_LATER).consequences == [OTHER, archived]


def test_list_has_each_drift_and_each_warning_taken_back_with_what_came_of_it() -> None:
    """In the order of the topic, as their stories have it; the newest so many."""
    found = drifts(LOG, 50)
    assert [drift for drift, _ in found] == [DATA, WARNED, DETECTED, ELSEWHERE, AGAIN, CLEARED, DETECTED_LATER]
    for drift, consequences in found:
        assert consequences == ([] if drift is CLEARED else told(drift).consequences)
    assert drifts(LOG, 2) == found[-2:]


def test_row_of_a_drift_says_what_came_of_it() -> None:
    """Changes by the versions, what was held back by its reason, what is more by number."""
    fields = {"time": 0, "signal": "loss", "before": 0.1, "after": 0.25, "segment": ""}
    changes = [event("model.promoted", 70 + n, version=f"v{n + 1}", replaced=f"v{n}") for n in range(5)]
    row = listed({**DETECTED, **fields}, [event("action.suppressed", 60, held="v9", reason="budget"), *changes])
    assert row[:4] == ["0@20", "1970-01-01T00:00:00Z", "detected", "loss 0.1 → 0.25"]
    assert row[4:] == ["v9 held back at 60: budget; v0 → v1 at 70; v1 → v2 at 71; 3 more"]
    assert listed({**CLEARED, **fields}, [])[3:] == ["nothing came of 0@40", ""]


def test_account_tells_what_was_done_before_the_drift_was_seen_as_such() -> None:
    """`already`, not `then`."""
    fields = {"time": 0, "signal": "loss", "before": 0.1, "after": 0.25, "segment": "", "width": 9, "delta": 0.002}
    held = {**event("action.suppressed", 15, reason="budget"), "time": 0}
    later = {**RETRAINED, "time": 0}
    told = list(_account(Story({**DETECTED, **fields}, None, [held, later], [])))
    assert [name for name, _ in told][-2:] == ["already", "then"]


def test_move_of_the_inputs_has_a_story_up_to_the_next_one() -> None:
    """It has no change point; nothing is done about it before it is seen."""
    held, again = event("action.suppressed", 4, reason="budget"), event("drift.data", 90)
    log = [held, *LOG, again]
    assert story(log, DATA).consequences == [event for event in LOG[1:] if event != ELSEWHERE]
