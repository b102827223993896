"""A declaration that follows another one: what stays, what begins anew, and when the new model serves."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from river import linear_model, metrics, naive_bayes, utils

from riverrun import BackgroundChallenger, ChampionVersions, Drift, Label, ObserveOnly, Pipeline, Pool, ResetOnDrift
from schemas import cloudevents as ce
from schemas.commands import Declare, encode_command
from schemas.errors import DeclarationEnded, SnapshotError
from schemas.events import CommandRefused, DeclarationChanged, ModelRetrained, PredictionMade
from schemas.record import Record
from streams.snapshot import restore
from streams.successor import Origin, Successor
from streams.takeover import Takeover
from streams.task import Task
from tests.streams.kept import Kept
from tests.streams.logs import Fold, Log


def declare(**changes: Any) -> Pipeline:
    """Return a declaration, with changes."""
    fields: dict[str, Any] = {
        "features": {"a": float},
        "label": Label("y", type=bool, ttl=timedelta(seconds=1000)),
        "model": linear_model.LogisticRegression(),
        "policy": BackgroundChallenger(min_learned=20),
        "metrics": [metrics.Accuracy()],
    }
    return Pipeline("p", **{**fields, **changes})


def command(offset: int, pipeline: Pipeline, **further: Any) -> Record:
    """Return the record that declares a pipeline."""
    body = encode_command(Declare(pipeline.name, pipeline.declaration, pipeline.declared, **further))
    headers = [("ce_type", ce.COMMAND.encode()), ("ce_id", b"deploy-1")]
    return Record("p.raw", 0, offset, 50_000, None, body, headers)


def before() -> Fold:
    """Return what was folded under the first declaration: 40 events answered, 30 of them learned from."""
    log = Log()
    for i in range(40):
        log.event({"a": float(i % 5)}, f"e{i}", time_ms=1000 * i)
    for i in range(30):
        log.label(f"e{i}", i % 5 > 2, time_ms=40_000)
    return Fold(declare(), log.records)


def taken_over(old: Fold, pipeline: Pipeline, **further: Any) -> tuple[Fold, DeclarationChanged]:
    """Return the fold that goes on under another declaration, and what it says of that."""
    kept = Kept()
    kept.take(old.task)
    new = Fold(pipeline)
    parts = {part.name: kept.data[part.digest] for part in kept.parts}
    replaced = old.task.pipeline
    restore(new.task, parts, Takeover.between(replaced.declaration, replaced.declared, pipeline.declared))
    [event] = new.step(command(old.task.next_offset, pipeline, **further))
    assert isinstance(event, DeclarationChanged)
    return new, event


def go_on(fold: Fold, count: int, y: bool | None = None) -> list[Any]:
    """Step through further events that bring their labels; return what was said."""
    said: list[Any] = []
    for i in range(count):
        value = msgspec.json.encode({"a": float(i % 5), "b": 1.0, "y": i % 5 > 2 if y is None else y})
        headers = [("ce_id", f"n{fold.task.next_offset}".encode())]
        said += fold.step(Record("p.raw", 0, fold.task.next_offset, 60_000 + i, None, value, headers))
    return said


def test_old_declaration_ends_where_another_begins_and_takes_nothing_in() -> None:
    """A worker goes no further; a backtest says that it does not obey."""
    old, new = before(), declare(drift=Drift(delta=0.001))
    old.task.orders.crosses_declarations = False
    at, counts = old.task.next_offset, dict(old.counts)
    with pytest.raises(DeclarationEnded) as ended:
        old.step(command(at, new))
    assert ended.value.declaration == new.declaration
    assert (old.task.next_offset, old.counts) == (at, counts)
    old.task.orders.crosses_declarations = True
    [refused] = old.step(command(at, new))
    assert isinstance(refused, CommandRefused)


def test_new_drift_settings_keep_the_model_and_all_that_waits() -> None:
    """The next answers are those of the undisturbed model; labels of earlier events are learned."""
    old = before()
    new, event = taken_over(old, declare(drift=Drift(delta=0.001, warning_delta=0.1)))
    assert (event.changed, event.version, event.challenger) == (("drift",), "v1", "")
    assert event.replaced == old.task.pipeline.declaration
    assert len(new.task.join.pending) == 10
    straight = before()
    straight.task.next_offset += 1
    assert [p.score for p in go_on(new, 10)] == [p.score for p in go_on(straight, 10)]
    learned = new.learned
    label = msgspec.json.encode({"id": "e35", "y": True})
    new.step(Record("p.raw", 0, new.task.next_offset, 61_000, None, label, [("ce_type", ce.LABEL.encode())]))
    assert new.learned == learned + 1


def test_new_model_learns_beside_the_old_one_and_takes_over_when_it_knows_enough() -> None:
    """After as many examples as the policy says; the reason is the declaration."""
    new, event = taken_over(before(), declare(model=naive_bayes.GaussianNB()))
    assert (event.changed, event.version, event.challenger) == (("model",), "v1", "v2")
    said = go_on(new, 30)
    [retrained] = [one for one in said if isinstance(one, ModelRetrained)]
    assert (retrained.version, retrained.replaced, retrained.learned, retrained.reason) == ("v2", "v1", 20, event.id)
    answers = [one for one in said if isinstance(one, PredictionMade)]
    assert [one.version for one in answers] == ["v1"] * 20 + ["v2"] * 10
    assert [one.model for one in answers] == ["LogisticRegression"] * 20 + ["GaussianNB"] * 10


@pytest.mark.parametrize("how", ["fresh", "observe only"])
def test_new_model_replaces_the_old_one_at_once_where_it_is_told_to_or_cannot_race(how: str) -> None:
    """It has learned nothing then."""
    policy = {"policy": ObserveOnly()} if how == "observe only" else {}
    further = {"fresh": True} if how == "fresh" else {}
    new, event = taken_over(before(), declare(model=naive_bayes.GaussianNB(), **policy), **further)
    assert (event.version, event.challenger) == ("v2", "")
    [first, *_] = go_on(new, 3)
    assert (first.version, first.learned) == ("v2", 0)


@pytest.mark.parametrize("policy", [ObserveOnly(), ChampionVersions(), Pool(), ResetOnDrift()])
@pytest.mark.parametrize("origin", ["warning", "drift", "command"])
def test_successor_of_another_policy_ends_with_it(policy: Any, origin: Origin) -> None:
    """Only what an operator has ordered goes on; after a warning alarms are told again."""
    old = before()
    lifecycle = old.task.lifecycle
    lifecycle.successor = Successor(lifecycle.shadows.another(), origin, "r")
    lifecycle._alarms._warning = "r" if origin == "warning" else None
    new, event = taken_over(old, declare(policy=policy))
    assert event.changed == ("policy",)
    successor = new.task.lifecycle.successor
    assert (successor and successor.origin) == ("command" if origin == "command" else None)
    assert new.task.lifecycle._alarms._warning is None
    kept, _ = taken_over(old, declare(drift=Drift(delta=0.001)))
    assert kept.task.lifecycle.successor is not None


def test_rows_of_errors_begin_anew_with_a_new_model_only() -> None:
    """A mended model does not die of what the one before it could not do."""
    old = before()
    old.task.predict_errors, old.task.learn_errors = 3, 9
    same, _ = taken_over(old, declare(drift=Drift(delta=0.001)))
    new, _ = taken_over(old, declare(model=naive_bayes.GaussianNB()))
    assert (same.task.predict_errors, same.task.learn_errors) == (3, 9)
    assert (new.task.predict_errors, new.task.learn_errors) == (0, 0)


def test_new_feature_starts_a_new_model_and_loses_no_event_that_waits() -> None:
    """What was asked before keeps the features that it came with."""
    new, event = taken_over(before(), declare(features={"a": float, "b": float}))
    assert (event.changed, event.challenger) == (("features",), "v2")
    label = msgspec.json.encode({"id": "e35", "y": True})
    new.step(Record("p.raw", 0, new.task.next_offset, 61_000, None, label, [("ce_type", ce.LABEL.encode())]))
    assert new.counts["label_joined"] == 31
    go_on(new, 20)
    assert "b" in new.task.lifecycle.champion.model.weights


def test_new_metrics_begin_anew_and_change_nothing_else() -> None:
    """They are no part of the answers, so nobody has to declare them."""
    pipeline = declare(metrics=[metrics.LogLoss()])
    assert pipeline.declaration == declare().declaration
    new, event = taken_over(before(), pipeline)
    assert event.changed == ("metrics",)
    go_on(new, 5)
    assert list(new.metrics) == ["log_loss"]
    assert new.learned == 35


def further_label(fold: Fold, id: str, *, y: bool, time_ms: int) -> list[Any]:
    """Step through one more label record."""
    value = msgspec.json.encode({"id": id, "y": y})
    return fold.step(Record("p.raw", 0, fold.task.next_offset, time_ms, None, value, [("ce_type", ce.LABEL.encode())]))


@pytest.mark.parametrize("further", [0, 5, 50])
def test_correction_of_an_answer_from_before_new_metrics_leaves_them_alone(further: int) -> None:
    """They never saw it: neither the cumulative one nor the window knows it, however many answers came since."""
    new, _ = taken_over(before(), declare(metrics=[metrics.Accuracy(), utils.Rolling(metrics.Accuracy, 20)]))
    go_on(new, further)
    was, window = new.metrics, list(new.task.evaluation._window)
    for i in range(30):
        further_label(new, f"e{i}", y=i % 5 <= 2, time_ms=61_000)
    assert new.counts["label_corrected"] == 30
    assert (new.metrics, list(new.task.evaluation._window)) == (was, window)
    kept = Kept()
    kept.take(new.task)
    new.task = kept.restored(new.task.pipeline)
    further_label(new, "e3", y=True, time_ms=61_000)
    assert new.metrics == was


def test_correction_of_an_answer_that_new_metrics_saw_reaches_them() -> None:
    """Of those given since the takeover, and of one that was waiting then."""
    new, _ = taken_over(before(), declare(metrics=[metrics.Accuracy(), utils.Rolling(metrics.Accuracy, 20)]))
    further_label(new, "e35", y=True, time_ms=61_000)
    value = new.metrics["accuracy"]
    further_label(new, "e35", y=False, time_ms=61_000)
    assert new.metrics == {"accuracy": 1.0 - value, "accuracy_20": 1.0 - value}


def waiting_for(seconds: float) -> Pipeline:
    """Return a declaration of this time to live."""
    return declare(label=Label("y", type=bool, ttl=timedelta(seconds=seconds)))


def event_at(fold: Fold, id: str, seconds: float) -> None:
    """Step through one more event, without its label."""
    time_ms = round(1000 * seconds)
    fold.step(Record("p.raw", 0, fold.task.next_offset, time_ms, None, b'{"a": 1.0}', [("ce_id", id.encode())]))


@pytest.mark.parametrize("ttl", [10, 5000])
def test_new_time_to_live_holds_for_all_that_waits(ttl: float) -> None:
    """From their arrival on: whoever came first expires first, and nobody is held up by those of before."""
    log = Log()
    log.event({"a": 1.0}, "e0", time_ms=0)
    log.event({"a": 1.0}, "e1", time_ms=4000)
    log.label("early", True, time_ms=4000)
    new, _ = taken_over(Fold(waiting_for(1000), log.records), waiting_for(ttl))
    event_at(new, "e2", 6)
    event_at(new, "far", ttl - 0.001)
    assert list(new.task.join.pending._entries) == ["e0", "e1", "e2", "far"]
    event_at(new, "far too", ttl)
    assert list(new.task.join.pending._entries) == ["e1", "e2", "far", "far too"]
    assert new.counts["label_held"] == 1
    event_at(new, "far, far", ttl + 4)
    assert list(new.task.join.pending._entries) == ["e2", "far", "far too", "far, far"]
    assert new.counts["label_orphan"] == 1
    further_label(new, "e2", y=True, time_ms=1000 * ttl + 6000)
    further_label(new, "far", y=True, time_ms=1000 * ttl + 6000)
    assert (new.counts["expired"], new.counts["label_late"], new.counts["label_joined"]) == (3, 1, 1)
    assert not new.task.join.held


def test_labels_that_are_inline_from_now_on_leave_nobody_waiting() -> None:
    """What waited expires with the next record: no label is waited for any more."""
    new, _ = taken_over(before(), declare(label=Label("y")))
    assert len(new.task.join.pending) == 10
    go_on(new, 1)
    assert (new.counts["expired"], len(new.task.join.pending)) == (10, 0)


def test_another_task_kind_is_another_pipeline() -> None:
    """No state of the one is any use to the other."""
    pipeline = declare(label=Label("y", type=float), model=linear_model.LinearRegression(), metrics=None)
    kept = Kept()
    kept.take(before().task)
    with pytest.raises(SnapshotError, match="task kind"):
        restore(
            Task(pipeline),
            {part.name: kept.data[part.digest] for part in kept.parts},
            Takeover.between("", declare().declared, pipeline.declared),
        )


def test_declaration_that_is_declared_once_more_changes_nothing() -> None:
    """It is obeyed, and said."""
    fold = before()
    [event] = fold.step(command(fold.task.next_offset, declare()))
    assert isinstance(event, DeclarationChanged)
    assert (event.changed, event.replaced, event.challenger) == ((), event.declaration, "")
    assert fold.counts["command_obeyed"] == 1


def test_command_to_another_pipeline_is_not_for_this_one() -> None:
    """Several pipelines may read one topic."""
    fold = before()
    other = msgspec.structs.replace(Declare("q", "0" * 12, {}))
    record = msgspec.structs.replace(command(fold.task.next_offset, declare()), value=encode_command(other))
    assert fold.step(record) == []
    assert fold.counts["command_other"] == 1


@pytest.mark.parametrize(
    "body", [b"", b"{", b"{}", b'{"command": "declare"}', b'{"command": "dance", "pipeline": "p"}']
)
def test_command_that_is_none_is_refused_with_a_reason(body: bytes) -> None:
    """By an event; nothing else happens."""
    fold = before()
    record = msgspec.structs.replace(command(fold.task.next_offset, declare()), value=body)
    [event] = fold.step(record)
    assert isinstance(event, CommandRefused)
    assert event.reason.startswith("command: got")
