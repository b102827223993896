"""The loss around a change, from lists: the same as counted by hand, and honest about what is not there."""

from datetime import timedelta
from typing import Any

import orjson
import pytest

from schemas import cloudevents as ce
from schemas.record import Record
from services.loss_curve import REACH, LossCurve, loss_curve
from streams.drift import Drift
from streams.pipeline import Pipeline
from tests.services.test_verification import PREDICTIONS, RAW, ListLogs
from tests.streams.worker.declarations import small

CHANGE, SEEN, COUNT = 1_999, 2_399, 4_000
DRIFT = {"partition": 0, "offset": SEEN, "segment": ""}


def answered(count: int = COUNT, delay: int | None = None) -> ListLogs:
    """Return events answered True, one in ten wrongly before the change and every second one behind it.

    With a delay their labels are records of their own, so many events later.
    """
    logs = ListLogs()
    raw, predictions = logs.records[RAW, 0], logs.records[PREDICTIONS, 0]
    waiting: dict[int, Record] = {}
    for offset in range(count):
        y = offset % 10 != 0 if offset <= CHANGE else offset % 2 == 0
        body: dict[str, Any] = {"a": 1.0, "b": offset % 3, "c": f"c{offset % 4}"}
        if delay is None:
            body["y"] = y
        raw.append(Record(RAW, 0, 2 * offset, 0, None, orjson.dumps(body), [("ce_id", b"e%d" % offset)]))
        if delay is not None:
            label = orjson.dumps({"id": f"e{offset}", "y": y})
            waiting[offset + delay] = Record(RAW, 0, 0, 0, None, label, [("ce_type", ce.LABEL.encode())])
            if offset in waiting:
                raw.append(Record(RAW, 0, 2 * offset + 1, 0, None, waiting[offset].value, waiting[offset].headers))
        made = {"id": f"e{offset}", "prediction": True, "source": RAW, "offset": 2 * offset, "version": "v1"}
        predictions.append(Record(PREDICTIONS, 0, 3 * offset, 0, None, orjson.dumps(made), []))
    return logs


def curve(logs: ListLogs, pipeline: Pipeline | None = None, **changes: Any) -> LossCurve:
    """Return the curve of the drift, offsets being twice as many as events."""
    return loss_curve(pipeline or small("p"), logs, {**DRIFT, "offset": 2 * SEEN, **changes}, 2 * CHANGE)


def test_inline_labels_give_the_losses_that_were_made() -> None:
    """One in ten before the change, one in two behind it, in bins that begin where the change does."""
    found = curve(answered())
    assert (found.loss, found.before, found.after, found.remark) == ("zero-one", 0.1, 0.5, "")
    assert 20 <= len(found.bins) <= 21
    assert 2 * CHANGE + 1 in [one.start for one in found.bins]
    for one in found.bins:
        assert one.loss == pytest.approx(0.1 if one.end <= 2 * CHANGE + 1 else 0.5, abs=0.05)
    assert all(a.end == b.start for a, b in zip(found.bins, found.bins[1:], strict=False))


def test_late_labels_are_joined_by_id() -> None:
    """As far as they are in reach: a remark counts those that are not."""
    pipeline = small("p", ttl_seconds=timedelta(days=1).total_seconds())
    found = curve(answered(delay=300), pipeline)
    assert (found.before, found.after, found.remark) == (0.1, 0.5, "")
    waiting = curve(answered(count=SEEN + 10, delay=300), pipeline)
    predictions = sum(one.predictions for one in waiting.bins)
    labelled = sum(one.labelled for one in waiting.bins)
    assert predictions - labelled == 300
    assert (
        waiting.remark == f"of {predictions} predictions {labelled} have an answer and a label within {REACH} offsets"
    )


def test_labels_older_than_the_log_are_missed_and_told() -> None:
    """Nothing is drawn of half a story."""
    logs = answered()
    logs.low[RAW, 0] = 2 * CHANGE + 100
    found = curve(logs)
    assert (found.bins, found.before) == ([], None)
    assert found.remark == f"labels cannot be read: p.raw[0] begins at {2 * CHANGE + 100}, behind the change"


def test_log_that_begins_near_the_change_is_used_as_far_as_it_goes() -> None:
    """What is left before the change is enough for a mean."""
    logs = answered()
    logs.low[RAW, 0] = 2 * (CHANGE - 99)
    found = curve(logs)
    assert (found.before, found.bins[0].predictions > 0) == (0.1, True)
    assert sum(one.labelled for one in found.bins if one.end <= 2 * CHANGE + 1) == 100


def test_predictions_older_than_their_topic_are_told() -> None:
    """Labels alone say nothing."""
    logs = answered()
    logs.records[PREDICTIONS, 0] = []
    assert "no predictions" in curve(logs).remark


@pytest.mark.parametrize(("by", "segment", "after"), [("c", "c1", 1.0), ("c", "c2", 0.0), ("class", "True", 0.0)])
def test_segment_has_a_curve_of_its_own(by: str, segment: str, after: float) -> None:
    """By a feature or by the class; of all the others together no part can be told."""
    pipeline = small("p", drift=Drift(by=by))
    found = curve(answered(), pipeline, segment=segment)
    assert (found.after, found.segment) == (after, segment)
    assert curve(answered(), pipeline, segment="__other__").segment == ""


def test_move_of_the_inputs_has_a_curve_as_well() -> None:
    """Its window takes the place of the change point."""
    moved = {"partition": 0, "offset": 2 * SEEN, "window_offset": 2 * CHANGE + 1}
    found = loss_curve(small("p"), answered(), moved, moved["window_offset"] - 1)
    assert (found.before, found.after) == (0.1, 0.5)


def test_reading_is_bounded() -> None:
    """However far the change lies back: no more than the reach of both topics, and what a search among them takes."""
    logs = answered(count=30_000)
    found = loss_curve(small("p"), logs, {**DRIFT, "offset": 59_000}, 2 * CHANGE)
    assert logs.read <= 2 * REACH
    assert found.remark == "the change was seen at 59000, further behind it than is read"
    assert found.bins[-1].end <= 2 * REACH
