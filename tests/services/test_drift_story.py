"""What is told of a drift: the right one, what came of it, and nothing that belongs to another."""

from typing import Any

import pytest

from services.cli.drift_lines import listed
from services.drift_story import Story, drifts, find, source_of, story


def event(kind: str, offset: int, partition: int = 0, **fields: Any) -> dict[str, Any]:
    """Return a lifecycle event."""
    where = {"id": f"a-7.raw-{partition}-{offset}/{kind}", "partition": partition, "offset": offset}
    return {"type": f"riverrun.{kind}", **where, "version": "v1", **fields}


DATA = event("drift.data", 5)
WARNED = event("drift.warned", 10)
DETECTED = event("drift.detected", 20)
ELSEWHERE = event("drift.detected", 20, partition=1)
SUPPRESSED = event("action.suppressed", 21, reason="no change")
RETRAINED = event("model.retrained", 30, reason=DETECTED["id"], version="v2")
AGAIN = event("drift.warned", 40, version="v2")
CLEARED = event("drift.cleared", 50, version="v2", warning=AGAIN["id"])
DETECTED_LATER = event("drift.detected", 60, version="v2")
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
    assert told(DETECTED_LATER).consequences == [LATE, OTHER]


def test_warning_tells_of_the_detection_that_followed() -> None:
    """Up to the next warning."""
    assert told(WARNED).consequences == [DETECTED, SUPPRESSED, RETRAINED]


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
    assert row[:5] == ["1970-01-01T00:00:00.000Z", "0", "20", "detected", "loss 0.1 → 0.25"]
    assert row[5:] == ["v9 held back at 60: budget; v0 → v1 at 70; v1 → v2 at 71; 3 more", DETECTED["id"]]
    assert listed({**CLEARED, **fields}, [])[5] == ""
