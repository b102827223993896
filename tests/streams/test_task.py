"""A task: what becomes of every event, label and command, and what is counted."""

from datetime import timedelta
from typing import Any
from unittest import mock

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from river import linear_model, metrics, preprocessing, utils

from riverrun import Label, ObserveOnly, Pipeline
from schemas.errors import InvariantError, ModelBrokenError
from schemas.events import CommandRefused
from schemas.murmur2 import home_partition
from schemas.record import Record
from streams.task import Task
from tests.streams.logs import Fold, Log
from tests.streams.recording import RecordingClassifier

TTL_MS = 1000
#: As many lessons in a row that a model cannot learn end the task of the property test.
FAILURES = 3


def declared(**changes: Any) -> Pipeline:
    """Return a pipeline of one feature whose labels may come a second later."""
    arguments: dict[str, Any] = {
        "features": {"a": float},
        "label": Label("y", ttl=timedelta(milliseconds=TTL_MS)),
        "model": RecordingClassifier(),
        "policy": ObserveOnly(),
        "metrics": [metrics.Accuracy(), utils.Rolling(metrics.Accuracy, 3)],
        "max_leap": timedelta(seconds=10),
    }
    return Pipeline("p", **{**arguments, **changes})


def assuming(value: bool, **changes: Any) -> Pipeline:
    """Return the pipeline with a label that is assumed when none came."""
    return declared(label=Label("y", ttl=timedelta(milliseconds=TTL_MS), on_expiry=value), **changes)


# ---------------------------------------------------------------------- labels, one outcome each


def test_label_in_its_event_is_learned_after_the_prediction() -> None:
    """An inline label is learned at once, and the prediction was made without it."""
    log = Log()
    log.event({"a": 1.0}, y=True)
    fold = Fold(declared(label=Label("y")), log.records)
    assert fold.counts == {"scored": 1}
    assert (fold.predictions[0].score, fold.predictions[0].learned, fold.learned) == (0.5, 0, 1)


def test_label_after_its_event_is_joined() -> None:
    """A delayed label teaches the features that were predicted with."""
    log = Log()
    log.event({"a": 1.0}, "e")
    log.label("e", True, time_ms=500)
    fold = Fold(declared(), log.records)
    assert fold.counts == {"scored": 1, "label_joined": 1}
    assert fold.task.lifecycle.champion.model.taught == [({"a": 1.0}, True)]
    assert not fold.task.join.pending


def test_label_before_its_event_is_early() -> None:
    """A label that came first waits, and is learned after its event was scored."""
    log = Log()
    log.label("e", True)
    fold = Fold(declared(), log.records)
    assert fold.counts == {"label_held": 1}
    fold.step(log.event({"a": 1.0}, "e"))
    assert fold.counts == {"scored": 1, "label_early": 1}
    assert (fold.predictions[0].score, fold.learned) == (0.5, 1)


def test_label_held_and_inline_is_not_left_to_become_an_orphan() -> None:
    """A label that came early for an event that then brings its own is a duplicate, and no orphan later."""
    log = Log()
    log.label("e", True)
    log.event({"a": 1.0}, "e", y=True)
    log.event({"a": 1.0}, "f", time_ms=5 * TTL_MS)
    fold = Fold(declared(), log.records)
    assert "label_orphan" not in fold.counts
    assert fold.learned == 1


def test_label_said_twice_is_a_duplicate() -> None:
    """The same label again changes nothing but a counter."""
    log = Log()
    log.event({"a": 1.0}, "e")
    for _ in range(3):
        log.label("e", True)
    fold = Fold(declared(), log.records)
    assert fold.counts == {"scored": 1, "label_joined": 1, "label_duplicate": 2}
    assert fold.learned == 1


def test_label_held_twice_is_a_duplicate_and_the_last_one_counts() -> None:
    """While its event has not come, a label may be said again or corrected; the last is learned."""
    log = Log()
    log.label("e", True)
    log.label("e", True)
    log.label("e", False)
    log.event({"a": 1.0}, "e")
    fold = Fold(declared(), log.records)
    assert fold.counts == {"scored": 1, "label_duplicate": 1, "label_corrected": 1, "label_early": 1}
    assert fold.task.lifecycle.champion.model.taught == [({"a": 1.0}, False)]


def test_label_after_the_time_to_live_is_late() -> None:
    """At the deadline the wait is over: the event is forgotten and its label counted late."""
    log = Log()
    log.event({"a": 1.0}, "e")
    log.event({"a": 1.0}, "f", time_ms=TTL_MS)
    log.label("e", True, time_ms=TTL_MS)
    fold = Fold(declared(), log.records)
    assert fold.counts == {"scored": 2, "expired": 1, "label_late": 1}
    assert fold.learned == 0


def test_label_that_itself_ends_the_time_to_live_is_late() -> None:
    """A label whose own time lies at the deadline is late, just as if another record had come before it."""
    log = Log()
    log.event({"a": 1.0}, "e")
    log.label("e", True, time_ms=TTL_MS)
    fold = Fold(declared(), log.records)
    assert fold.counts == {"scored": 1, "expired": 1, "label_late": 1}


def test_label_one_millisecond_before_the_deadline_is_joined() -> None:
    """The last moment of the time to live still counts."""
    log = Log()
    log.event({"a": 1.0}, "e")
    log.label("e", True, time_ms=TTL_MS - 1)
    assert Fold(declared(), log.records).counts == {"scored": 1, "label_joined": 1}


def test_label_whose_event_never_comes_is_an_orphan() -> None:
    """A held label is given up at its deadline."""
    log = Log()
    log.label("nobody", True)
    log.event({"a": 1.0}, "e", time_ms=TTL_MS)
    assert Fold(declared(), log.records).counts == {"scored": 1, "label_orphan": 1}


def test_label_of_an_inline_pipeline_without_event_is_an_orphan_at_once() -> None:
    """Where nothing waits, a label of an unknown event is an orphan."""
    log = Log()
    log.label("nobody", True)
    assert Fold(declared(label=Label("y")), log.records).counts == {"label_orphan": 1}


def test_label_corrected_puts_metrics_right_and_leaves_the_model() -> None:
    """A contradicting label moves cumulative and rolling accuracy; the model does not unlearn."""
    log = Log()
    for i in range(5):
        log.event({"a": float(i)}, f"e{i}")
        log.label(f"e{i}", True)
    fold = Fold(declared(), log.records)
    hits = [p.prediction is True for p in fold.predictions]
    assert fold.metrics == {"accuracy": sum(hits) / 5, "accuracy_3": sum(hits[-3:]) / 3}
    before = list(fold.task.lifecycle.champion.model.taught)
    fold.step(log.label("e4", False))
    fold.step(log.label("e0", False))  # no longer within the rolling window
    assert fold.counts["label_corrected"] == 2
    hits[4], hits[0] = not hits[4], not hits[0]
    assert fold.metrics == {"accuracy": sum(hits) / 5, "accuracy_3": sum(hits[-3:]) / 3}
    assert fold.task.lifecycle.champion.model.taught == before
    fold.step(log.label("e4", False))
    assert fold.counts["label_duplicate"] == 1


def test_label_corrected_twice_gives_the_metrics_of_the_last_one() -> None:
    """A correction of a correction starts from the corrected label."""
    log = Log()
    log.event({"a": 1.0}, "e")
    for y in (True, False, True, False):
        log.label("e", y)
    once = Log()
    once.event({"a": 1.0}, "e")
    once.label("e", False)
    assert Fold(declared(), log.records).metrics == Fold(declared(), once.records).metrics


def test_label_with_the_key_of_another_partition_is_misrouted() -> None:
    """A label of an unknown event whose key lives elsewhere was sent to the wrong partition."""
    foreign = next(b"k%d" % i for i in range(99) if home_partition(b"k%d" % i, 4) != 0)
    home = next(b"k%d" % i for i in range(99) if home_partition(b"k%d" % i, 4) == 0)
    log = Log()
    log.label("nobody", True, key=foreign)
    log.label("nobody", True, key=home)
    log.event({"a": 1.0}, "e", key=foreign)
    log.label("e", True, key=foreign)  # its event is here: joined, whatever the key
    fold = Fold(declared(), log.records, partitions=4)
    assert fold.counts == {"label_misrouted": 1, "label_held": 1, "scored": 1, "label_joined": 1}


def test_event_that_does_not_fit_the_buffer_is_evicted_and_its_label_counted() -> None:
    """The oldest waiting event makes room; a label that comes for it later says evicted."""
    log = Log()
    for i in range(4):
        log.event({"a": float(i)}, f"e{i}")
    log.label("e0", True)
    log.label("e3", True)
    fold = Fold(declared(max_pending_bytes=700), log.records)
    assert fold.counts == {"scored": 4, "evicted": 2, "label_evicted": 1, "label_joined": 1}
    assert fold.task.join.pending.size_bytes <= 700


def test_label_that_does_not_fit_the_buffer_is_evicted() -> None:
    """Held labels are bounded too."""
    log = Log()
    for i in range(4):
        log.label(f"e{i}", True)
    fold = Fold(declared(max_pending_bytes=600), log.records)
    assert fold.counts == {"label_held": 2, "label_evicted": 2}


def test_label_held_and_corrected_keeps_the_buffer_within_its_bound() -> None:
    """A longer label in place of a short one does not push the buffer over its bound."""
    pipeline = declared(label=Label("y", type=str, ttl=timedelta(seconds=1)), max_pending_bytes=600)
    log = Log()
    log.label("e0", "short")
    log.label("e1", "short")
    log.label("e1", "l" * 500)
    fold = Fold(pipeline, log.records)
    assert fold.task.join.held.size_bytes <= 600


def test_event_without_label_is_assumed_at_the_watermark() -> None:
    """No click within the time to live is learned as a negative, in the order of the events."""
    log = Log()
    log.event({"a": 1.0}, "e")
    log.event({"a": 2.0}, "f")
    log.event({"a": 3.0}, "g", time_ms=TTL_MS)
    fold = Fold(assuming(False), log.records)
    assert fold.counts == {"scored": 3, "assumed": 2}
    assert fold.task.lifecycle.champion.model.taught == [({"a": 1.0}, False), ({"a": 2.0}, False)]
    assert fold.predictions[2].learned == 0


def test_label_after_an_assumed_one_corrects_the_metrics() -> None:
    """The real label that comes after all corrects the metrics, not the model."""
    log = Log()
    log.event({"a": 1.0}, "e")
    log.event({"a": 2.0}, "f", time_ms=TTL_MS)
    fold = Fold(assuming(False), log.records)
    wrong = 1.0 if fold.predictions[0].prediction is False else 0.0
    assert fold.metrics["accuracy"] == wrong
    fold.step(log.label("e", True, time_ms=TTL_MS))
    assert fold.counts == {"scored": 2, "assumed": 1, "label_corrected": 1}
    assert fold.metrics["accuracy"] == 1.0 - wrong
    assert fold.learned == 1


def test_label_that_itself_ends_the_wait_corrects_the_assumed_one() -> None:
    """On a quiet partition the late label is what moves the watermark: it is assumed first, then corrected."""
    log = Log()
    log.event({"a": 1.0}, "e")
    log.label("e", True, time_ms=TTL_MS)
    fold = Fold(assuming(False), log.records)
    assert fold.counts == {"scored": 1, "assumed": 1, "label_corrected": 1}
    assert fold.metrics["accuracy"] == float(fold.predictions[0].prediction is True)


def test_event_assumed_that_the_model_cannot_learn_is_forgotten() -> None:
    """A model error at an assumed label harms nobody else: the event expires, the record that came counts."""
    log = Log()
    log.event({"a": 1.0, "trap": 1.0}, "e")
    log.event({"a": 2.0, "trap": 0.0}, "f", time_ms=TTL_MS)
    log.label("e", True, time_ms=TTL_MS)
    fold = Fold(assuming(False, features={"a": float, "trap": float}), log.records)
    assert fold.counts == {"scored": 2, "model_error": 1, "expired": 1, "label_late": 1}
    assert fold.task.lifecycle.champion.model.total == 0


# ---------------------------------------------------------------------- events


def test_event_seen_before_is_a_duplicate_and_gets_no_prediction() -> None:
    """The id decides, whether the first one waits, was learned, expired or came in this very moment."""
    log = Log()
    log.event({"a": 1.0}, "e")
    log.event({"a": 2.0}, "e")
    log.label("e", True)
    log.event({"a": 3.0}, "e")
    log.event({"a": 4.0}, "f")
    log.event({"a": 5.0}, "g", time_ms=TTL_MS)
    log.event({"a": 6.0}, "f", time_ms=TTL_MS)
    fold = Fold(declared(), log.records)
    assert fold.counts == {"scored": 3, "duplicate_event": 3, "label_joined": 1, "expired": 1}
    assert [x["a"] for x in fold.task.lifecycle.champion.model.asked] == [1.0, 4.0, 5.0]


def test_event_sent_again_with_its_label_brings_the_label() -> None:
    """As rows do that are filled in; scored once, learned once, and what is known already is a duplicate."""
    log = Log()
    log.event({"a": 1.0}, "e")
    log.event({"a": 9.0}, "e", y=True)
    log.event({"a": 9.0}, "e", y=True)
    log.label("e", False)
    log.event({"a": 9.0}, "e", y=True)
    log.event({"a": 5.0}, "g", time_ms=TTL_MS)
    log.event({"a": 6.0}, "h", time_ms=3 * TTL_MS)
    log.event({"a": 5.0}, "g", y=True, time_ms=3 * TTL_MS)
    fold = Fold(declared(), log.records)
    assert fold.counts == {
        "scored": 3, "label_joined": 1, "duplicate_event": 2, "label_corrected": 1, "expired": 1, "label_late": 1
    }  # fmt: skip
    assert [x["a"] for x in fold.task.lifecycle.champion.model.asked] == [1.0, 5.0, 6.0]
    assert fold.learned == 1


def test_inline_label_that_comes_again_is_a_duplicate() -> None:
    """Where labels come with events, one that came without never waited for it."""
    log = Log()
    log.event({"a": 1.0}, "e", y=True)
    log.event({"a": 1.0}, "e", y=True)
    log.event({"a": 1.0}, "f")
    log.event({"a": 1.0}, "f", y=True)
    log.event({"a": 1.0}, "e", y=False)
    fold = Fold(declared(label=Label("y")), log.records)
    assert fold.counts == {"scored": 2, "duplicate_event": 3}


def test_event_that_is_delivered_twice_undoes_no_correction() -> None:
    """Its label is the one from before the correction."""
    log = Log()
    log.event({"a": 1.0}, "e", y=True)
    log.label("e", False)
    log.event({"a": 1.0}, "e", y=True)
    fold = Fold(declared(), log.records)
    assert fold.counts == {"scored": 1, "label_corrected": 1, "duplicate_event": 1}
    assert fold.task.join.settled.get("e").y is False


def test_row_that_is_filled_in_after_its_label_was_assumed_corrects_it() -> None:
    """What was assumed was not known."""
    log = Log()
    log.event({"a": 1.0}, "e")
    log.event({"a": 1.0}, "f", time_ms=TTL_MS)
    log.event({"a": 1.0}, "e", y=False, time_ms=TTL_MS)
    log.event({"a": 1.0}, "e", y=True, time_ms=TTL_MS)
    fold = Fold(assuming(False), log.records)
    assert fold.counts == {"scored": 2, "assumed": 1, "duplicate_event": 1, "label_corrected": 1}


def test_event_is_identified_by_header_then_field_then_position() -> None:
    """``ce_id`` goes before the declared field, and the field before the position."""
    pipeline = declared(id_field="k")
    log = Log()
    log.event({"a": 1.0, "k": "field"}, "header")
    log.event({"a": 1.0, "k": "field"})
    plain = Log()
    plain.event({"a": 1.0})
    assert [p.id for p in Fold(pipeline, log.records).predictions] == ["header", "field"]
    assert [p.id for p in Fold(declared(), plain.records).predictions] == ["p.raw-0-0"]


def test_event_with_the_key_of_another_partition_is_remarked() -> None:
    """A sample of the keys tells that a producer uses another partitioner."""
    foreign = next(b"k%d" % i for i in range(99) if home_partition(b"k%d" % i, 4) != 0)
    log = Log()
    for i in range(65):
        log.event({"a": float(i)}, key=foreign)
    assert Fold(declared(), log.records, partitions=4).counts["foreign_key"] == 128
    assert "foreign_key" not in Fold(declared(), log.records, partitions=1).counts


def test_event_far_ahead_is_scored_and_flagged_and_expires_nothing() -> None:
    """A wrong clock: the event is scored, flagged ``time-leap``, and what waits goes on waiting."""
    log = Log()
    log.event({"a": 1.0}, "e", time_ms=1000)
    log.event({"a": 2.0}, "wrong", time_ms=10**9)
    log.label("e", True, time_ms=1001)
    fold = Fold(declared(), log.records)
    assert fold.counts == {"scored": 2, "time_leap": 1, "label_joined": 1}
    assert [p.flags for p in fold.predictions] == [(), ("time-leap",)]
    assert fold.task.clock.watermark_ms == 1001


def test_first_event_far_ahead_of_its_timestamp_is_a_leap_too() -> None:
    """Kafka's timestamp is what the first event can be measured by: a wrong clock must not expire all that follows."""
    log = Log()
    headers = [("ce_id", b"wrong"), ("ce_time", b"9000-01-01T00:00:00Z")]
    log.raw(b'{"a": 1.0}', headers=list(headers), time_ms=1000)
    log.event({"a": 2.0}, "e", time_ms=1100)
    log.label("e", True, time_ms=1200)
    log.label("wrong", True, time_ms=1300)
    fold = Fold(declared(), log.records)
    assert [p.flags for p in fold.predictions] == [("time-leap",), ()]
    assert fold.counts == {"scored": 2, "time_leap": 1, "label_joined": 2}
    assert fold.task.clock.watermark_ms == 1300


def test_first_event_long_before_its_timestamp_is_a_replay() -> None:
    """Events of 2013 are produced today: their time is what counts."""
    log = Log()
    log.raw(b'{"a": 1.0}', headers=[("ce_time", b"2013-01-01T00:00:00Z")], time_ms=1_700_000_000_000)
    fold = Fold(declared(), log.records)
    assert fold.predictions[0].flags == ()
    assert fold.task.clock.watermark_ms == 1_356_998_400_000


def test_events_that_confirm_a_leap_move_the_watermark_step_by_step() -> None:
    """After a gap in the stream time goes on, one `max_leap` for each record."""
    log = Log()
    log.event({"a": 0.0}, time_ms=0)
    for _ in range(5):
        log.event({"a": 1.0}, time_ms=35_000)
    fold = Fold(declared(), log.records)
    assert fold.task.clock.watermark_ms == 35_000
    assert [bool(p.flags) for p in fold.predictions] == [False, True, True, True, True, False]


def test_dead_letter_does_not_move_the_watermark() -> None:
    """What could not be used has no say about time."""
    log = Log()
    log.event({"a": 1.0}, "e")
    log.raw(b"no JSON", time_ms=TTL_MS)
    fold = Fold(declared(), log.records)
    assert fold.task.clock.watermark_ms == 0
    assert fold.counts == {"scored": 1, "dead_letter": 1}


def test_command_is_refused_by_its_id() -> None:
    """This version obeys no commands and says so, under an id that derives from the position."""
    log = Log()
    log.command("c1", time_ms=7)
    fold = Fold(declared(), log.records)
    [refused] = fold.lifecycle
    assert isinstance(refused, CommandRefused)
    assert (refused.id, refused.command, refused.time) == ("p.raw-0-0/command.refused", "c1", 7)
    assert fold.counts == {"command_refused": 1}


def test_prediction_carries_its_lineage() -> None:
    """Pipeline, declaration, version, examples learned and position stand in each prediction."""
    pipeline = declared()
    log = Log()
    log.event({"a": 1.0}, "e")
    [p] = Fold(pipeline, log.records).predictions
    lineage = (p.pipeline, p.declaration, p.model, p.version, p.learned, p.source, p.partition, p.offset)
    assert lineage == ("p", pipeline.declaration, "RecordingClassifier", "v1", 0, "p.raw", 0, 0)


# ---------------------------------------------------------------------- positions


def test_position_read_twice_breaks_an_invariant_and_changes_nothing() -> None:
    """A record below the next offset stops the worker by name of its position."""
    log = Log()
    log.event({"a": 1.0})
    task = Task(declared())
    task.step(log.records[0])
    with pytest.raises(InvariantError, match=r"p\.raw\[0\]@0: read again, expected offset 1 or more"):
        task.step(log.records[0])
    assert (task.next_offset, task.books.read) == (1, 1)


def test_positions_with_gaps_are_no_matter() -> None:
    """Control records and compaction leave holes in the offsets; the answers are the same."""
    log = Log()
    for i in range(20):
        log.event({"a": float(i)}, f"e{i}", y=i % 3 == 0)
    gaps = [Record("p.raw", 0, r.offset * 7 + 3, r.timestamp_ms, r.key, r.value, r.headers) for r in log.records]
    dense, sparse = Fold(declared(), log.records), Fold(declared(), gaps)
    assert dense.answers == sparse.answers
    assert sparse.task.next_offset == 19 * 7 + 4


def test_models_of_two_partitions_are_their_own() -> None:
    """Each partition is a task of its own; nothing is shared between them."""
    pipeline = declared(model=preprocessing.StandardScaler() | linear_model.LogisticRegression())
    log = Log()
    for i in range(30):
        log.event({"a": float(i % 5)}, f"e{i}", y=i % 2 == 0)
    first = Fold(pipeline, log.records)
    assert Fold(pipeline, log.records).answers == first.answers


# ---------------------------------------------------------------------- any sequence at all


class Ledger:
    """The outcomes of a log, by a plain dictionary: what the task's buffers and windows have to agree with."""

    def __init__(self, max_leap_ms: int, assumes: bool) -> None:
        self.max_leap_ms = max_leap_ms
        self.assumes = assumes
        self.now = -1
        self.leapt = False
        self.waiting: dict[str, int] = {}
        self.settled: dict[str, object] = {}
        self.held: dict[str, tuple[object, int]] = {}
        self.known: set[str] = set()
        self.trapped: set[str] = set()
        self.failed_in_a_row = 0
        self.counts: dict[str, int] = {}

    def count(self, outcome: str, by: int = 1) -> None:
        self.counts[outcome] = self.counts.get(outcome, 0) + by

    def step(self, kind: str, id: str, y: object, time_ms: int, *, trap: bool = False) -> None:
        leaps = self.now >= 0 and time_ms > self.now + self.max_leap_ms
        after = (self.now + self.max_leap_ms if self.leapt else self.now) if leaps else max(self.now, time_ms)
        if kind == "bad":
            self.count("dead_letter")
            return
        self.scored = False
        if not (self.label(id, y, after) if kind == "label" else self.event(id, y, after, trap=trap)):
            self.count("dead_letter")
            return
        if leaps and self.scored:
            self.count("time_leap")
        self.now, self.leapt = after, leaps
        self.expire()

    def event(self, id: str, y: object, after: int, *, trap: bool) -> bool:
        """Return whether the record can be used."""
        self.scored = id not in self.waiting and id not in self.settled
        if not self.scored and y is not None and (id not in self.known and self.settled.get(id) != y):
            return self.label(id, y, after)
        if not self.scored:
            self.count("duplicate_event")
            return True
        (self.trapped.add if trap else self.trapped.discard)(id)
        held, _ = self.held.get(id, (None, 0))
        if (y is not None or held is not None) and not self.learns(id):
            self.scored = False
            return False
        self.count("scored")
        self.held.pop(id, None)
        if held is not None:
            self.count("label_early" if y is None else "label_duplicate" if held == y else "label_corrected")
            y = held if y is None else y
        if y is None:
            self.waiting[id] = after + TTL_MS
        else:
            self.settled[id] = y
            self.known.add(id)
        return True

    def learns(self, id: str) -> bool:
        """Return whether the model can learn of an event."""
        self.failed_in_a_row = self.failed_in_a_row + 1 if id in self.trapped else 0
        if id in self.trapped:
            self.count("model_error")
        return id not in self.trapped

    def label(self, id: str, y: object, after: int) -> bool:
        """Return whether the record can be used."""
        if id in self.waiting and after < self.waiting[id]:
            if not self.learns(id):
                return False
            del self.waiting[id]
            self.settled[id] = y
            self.known.add(id)
            self.count("label_joined")
        elif id in self.waiting or id in self.settled:
            self.now = after
            self.expire()
            if self.settled[id] == "expired":
                self.count("label_late")
            else:
                same = self.settled[id] == y
                self.count("label_duplicate" if same else "label_corrected")
                self.settled[id] = y
                if not same:
                    self.known.add(id)
        elif id in self.held:
            self.count("label_duplicate" if self.held[id][0] == y else "label_corrected")
            self.held[id] = (y, self.held[id][1])
        else:
            self.held[id] = (y, after + TTL_MS)
        return True

    def expire(self) -> None:
        for id in [id for id, deadline in self.waiting.items() if deadline <= self.now]:
            del self.waiting[id]
            assumed = self.assumes and self.learns(id)
            self.settled[id] = False if assumed else "expired"
            self.count("assumed" if assumed else "expired")
            if self.failed_in_a_row == FAILURES:
                return  # the worker ends
        for id in [id for id, (_, deadline) in self.held.items() if deadline <= self.now]:
            del self.held[id]
            self.count("label_orphan")

    @property
    def expected(self) -> dict[str, int]:
        held = {"label_held": len(self.held)} if self.held else {}
        return {**self.counts, **held}


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["event", "event", "event", "inline", "label", "label", "label", "bad"]),
        st.sampled_from("abcdef"),
        st.sampled_from([True, False]),
        st.one_of(st.integers(-300, 900), st.sampled_from([12_000, -4000])),
    ),
    max_size=40,
)


@given(operations=OPERATIONS, assumes=st.booleans(), traps=st.sets(st.sampled_from("abcdef")))
@settings(max_examples=250)
@mock.patch("streams.task.MODEL_ERRORS_IN_A_ROW", FAILURES)
def test_books_after_any_sequence_are_those_of_a_plain_dictionary(
    operations: list[tuple[str, str, bool, int]], assumes: bool, traps: set[str]
) -> None:
    """Whatever order events and labels come in, at whatever times, each counter is what a dictionary says.

    The model can learn of some events only; after three in a row of which it cannot the task ends.
    """
    log, ledger, now = Log(), Ledger(10_000, assumes), 5000
    features = {"a": float, "trap": float}
    fold = Fold(assuming(False, features=features) if assumes else declared(features=features))
    for kind, id, y, step_ms in operations:
        now = max(0, now + step_ms)
        if kind in ("event", "inline"):
            record = log.event(
                {"a": 1.0, "trap": float(id in traps)}, id, y=y if kind == "inline" else None, time_ms=now
            )
        elif kind == "label":
            record = log.label(id, y, time_ms=now)
        else:
            record = log.raw(b"{", time_ms=now)
        ledger.step(kind, id, y if kind != "event" else None, now, trap=id in traps)
        if ledger.failed_in_a_row == FAILURES:
            with pytest.raises(ModelBrokenError):
                fold.step(record)
            return
        fold.step(record)
        assert fold.counts == ledger.expected
        assert set(ledger.waiting) == set(fold.task.join.pending._entries)
    assert fold.learned == sum(outcome != "expired" for outcome in ledger.settled.values())


@given(operations=OPERATIONS, max_bytes=st.integers(1, 1500), window=st.integers(1, 4))
@settings(max_examples=100)
def test_buffers_after_any_sequence_are_within_their_bounds(
    operations: list[tuple[str, str, bool, int]], max_bytes: int, window: int
) -> None:
    """However small the buffers, they hold their bounds and the books stay balanced."""
    log, now = Log(), 5000
    fold = Fold(declared(max_pending_bytes=max_bytes, dedupe_window=window))
    for kind, id, y, step_ms in operations:
        now = max(0, now + step_ms)
        fold.step(log.label(id, y, time_ms=now) if kind == "label" else log.event({"a": 1.0}, id, time_ms=now))
        join = fold.task.join
        assert join.pending.size_bytes <= max_bytes
        assert join.held.size_bytes <= max_bytes
        assert len(join.settled.young) + len(join.settled.old) <= 2 * window
