"""The successor: what a fresh model is started for decides who may give it up, and when it takes over."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from river import base, linear_model

from riverrun import (
    BackgroundChallenger,
    ChampionVersions,
    Drift,
    Label,
    ObserveOnly,
    Pipeline,
    Pool,
    Race,
    ResetOnDrift,
)
from schemas import cloudevents as ce
from schemas.commands import Command, Freeze, Pin, Promote, Resume, Retrain, RollBack, encode_command
from schemas.events import (
    CommandObeyed,
    CommandRefused,
    DriftCleared,
    DriftDetected,
    DriftWarned,
    ModelPromoted,
    ModelRetrained,
    ModelRolledBack,
)
from streams.learner import MODEL_ERRORS_IN_A_ROW, Learner
from streams.successor import Origin, Successor
from tests.streams.kept import Kept
from tests.streams.logs import Fold, Log
from tests.streams.test_contest import world

LEARNED = 200
DRIFT = (DriftDetected, DriftWarned, DriftCleared)


class Told(base.Classifier):
    """Answers what the feature ``a`` tells it to: the loss is written into the log."""

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        """Learn nothing."""

    def predict_one(self, x: dict[str, Any]) -> bool:
        """Answer."""
        return x["a"] > 0.0


class Unteachable(Told):
    """Raises at each lesson."""

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        """Raise."""
        raise ValueError("never")


class Fixed(base.Classifier):
    """Gives always the same answer."""

    def __init__(self, answer: bool) -> None:
        self.answer = answer

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        """Learn nothing."""

    def predict_one(self, x: dict[str, Any]) -> bool:
        """Answer."""
        return self.answer


class Commanded(Fold):
    """A fold that operators write to, and whose declaration can change."""

    def __init__(self, policy: Any, model: Any = None, **further: Any) -> None:
        model = model or linear_model.LogisticRegression()
        self.log = Log()
        super().__init__(Pipeline("p", {"a": float, "b": float}, Label("y"), model, policy=policy, **further))

    def order(self, kind: Any, **further: Any) -> Any:
        """Write a command into the log; return the answer."""
        command: Command = kind(pipeline="p", **further)
        headers = [("ce_id", f"c{len(self.log.records)}".encode()), ("ce_type", ce.COMMAND.encode())]
        return self.step(self.log.raw(encode_command(command), headers=headers))[0]

    def declare(self) -> str:
        """Have another declaration of the model begin, as its command does; return the version that has to serve."""
        record = self.log.command(f"c{len(self.log.records)}")
        self.task.next_offset = record.offset + 1
        self.declared = f"{record.position.event_id}/declaration.changed"
        return self.task.lifecycle.renew(self.declared, record.offset, at_once=False)

    def go_on(self, events: int, y: bool = True, a: float = 1.0) -> None:
        """Let events come."""
        for _ in range(events):
            self.step(self.log.event({"a": a, "b": 0.0}, f"e{len(self.log.records)}", y=y))

    @property
    def serving(self) -> str:
        """Who serves."""
        return self.task.lifecycle.champion.version


@pytest.mark.parametrize("policy", [Pool(), ChampionVersions(), BackgroundChallenger(min_learned=LEARNED)])
def test_declared_model_takes_over_whatever_is_ordered_meanwhile(policy: Any) -> None:
    """`retrain` is refused with the reason, and no other order gives the declared model up."""
    fold = Commanded(policy)
    fold.go_on(50)
    declared = fold.declare()
    refused = fold.order(Retrain, who="ann", why="a try")
    assert isinstance(refused, CommandRefused)
    assert refused.reason == f"{declared} of the new declaration is learning, and takes over: wait for it"
    assert (refused.order, refused.who, refused.why) == ("retrain", "ann", "a try")
    fold.order(Pin)
    fold.order(Resume)
    fold.order(Freeze)
    fold.order(Resume)
    if isinstance(policy, Pool):
        challenger = fold.task.lifecycle.learners["contest-challenger"].version
        assert isinstance(fold.order(Promote, model=challenger), CommandObeyed)
        assert isinstance(fold.order(RollBack), CommandObeyed)
    fold.go_on(LEARNED)
    [last] = [event for event in fold.lifecycle if isinstance(event, ModelRetrained) and event.version == declared]
    assert (last.reason, last.learned) == (fold.declared, LEARNED)
    assert fold.serving == declared
    assert isinstance(fold.order(Retrain), CommandObeyed)


def test_declared_model_waits_until_the_champion_may_be_replaced() -> None:
    """Pinned it learns on, and takes over with the first label after `resume`; frozen it learns nothing."""
    fold = Commanded(ResetOnDrift())
    declared = fold.declare()
    for hold in (Freeze, Pin):
        fold.order(hold)
        fold.go_on(LEARNED)
        assert fold.serving == "v1"
        if hold is Freeze:
            fold.order(Resume)
    fold.order(Resume)
    fold.go_on(1)
    assert fold.serving == declared


@pytest.mark.parametrize("policy", [Pool(), ChampionVersions()])
def test_declared_model_is_succeeded_by_a_new_contest(policy: Any) -> None:
    """Nobody who knows the old declaration is left to come back."""
    fold = Commanded(policy)
    fold.go_on(50)
    declared = fold.declare()
    fold.go_on(LEARNED)
    assert fold.serving == declared
    refused = fold.order(RollBack)
    assert isinstance(refused, CommandRefused)
    assert refused.reason == f"nobody has served before {declared}"


def test_evidence_and_an_order_do_not_change_the_champion_at_one_record() -> None:
    """The retrained model is ready at the label at which evidence crowns another: it takes over at the next one."""
    changes = (ModelPromoted, ModelRolledBack)
    log = world(0, 1, length=1500)

    def run(ordered: int) -> tuple[Fold, int]:
        fold = Commanded(Pool())
        for place, record in enumerate(log.records):
            if place == ordered:
                assert isinstance(fold.order(Retrain), CommandObeyed)
            fold.step(fold.log.raw(record.value, headers=record.headers))
            if found := [event for event in fold.lifecycle if isinstance(event, changes)]:
                return fold, found[0].offset
        raise AssertionError("nobody was crowned")

    _, crowned = run(-1)
    fold, at = run(crowned - LEARNED + 1)
    assert at == crowned + 1  # by the command's own offset
    assert fold.task.lifecycle.successor is not None
    assert fold.task.lifecycle.successor.learner.learned == LEARNED
    assert len([event for event in fold.lifecycle if isinstance(event, changes)]) == 1
    fold.step(fold.log.event({"a": 1.0, "b": 0.0}, "last", y=False))
    first, second = [event for event in fold.lifecycle if isinstance(event, changes)]
    assert (first.evidence > 0, second.evidence, second.replaced) == (True, 0.0, first.version)
    assert second.offset == first.offset + 1
    ids = [event.id for event in fold.lifecycle]
    assert len(set(ids)) == len(ids)


def test_declared_model_serves_in_the_end_whoever_evidence_crowns_meanwhile() -> None:
    """An entrant of the race takes over first, and the declared model from it."""
    fold = Commanded(BackgroundChallenger(min_learned=LEARNED), Fixed(False), race=Race([Fixed(True)], budget=None))
    fold.go_on(3, y=False)
    declared = fold.declare()
    fold.go_on(LEARNED)
    promoted, retrained = fold.lifecycle
    assert isinstance(promoted, ModelPromoted)
    assert promoted.evidence > 0
    assert isinstance(retrained, ModelRetrained)
    assert (retrained.version, retrained.replaced, retrained.reason) == (declared, promoted.version, fold.declared)


def test_champion_changes_once_at_a_record_at_which_many_labels_are_assumed() -> None:
    """Evidence crowns an entrant at one of them, the retrained model is ready at a later one: it waits for a label."""
    label = Label("y", type=bool, ttl=timedelta(seconds=10), on_expiry=False)
    policy, race = BackgroundChallenger(min_learned=LEARNED), Race([Fixed(False)])
    fold, log = Fold(Pipeline("p", {"a": float}, label, Fixed(True), policy=policy, race=race)), Log()
    for i in range(2 * LEARNED):
        fold.step(log.event({"a": 1.0}, f"e{i}", time_ms=0))
    command = encode_command(Retrain(pipeline="p"))
    fold.step(log.raw(command, headers=[("ce_id", b"c"), ("ce_type", ce.COMMAND.encode())]))
    for i in range(2):
        fold.step(log.event({"a": 1.0}, f"late{i}", time_ms=20_000 + 11_000 * i))
    _, promoted, retrained = fold.lifecycle
    assert isinstance(promoted, ModelPromoted)
    assert isinstance(retrained, ModelRetrained)
    assert (promoted.offset, retrained.offset) == (2 * LEARNED + 1, 2 * LEARNED + 2)
    assert (retrained.replaced, retrained.learned) == (promoted.version, 2 * LEARNED + 1)


@pytest.mark.parametrize("policy", [BackgroundChallenger(), ResetOnDrift()])
@pytest.mark.parametrize("hold", [Pin, Freeze])
def test_drift_is_told_while_pinned_or_frozen_as_to_an_observer(policy: Any, hold: Any) -> None:
    """Nothing that may not take over makes the alarms deaf; what takes over after `resume` answers the newest drift."""
    folds = [Commanded(one, Told(), drift=Drift(cooldown=200)) for one in (policy, ObserveOnly())]
    for fold in folds:
        fold.go_on(500)
        fold.order(hold)
        for rate in (0.05, 0.45) * 4:
            for number in range(2000):
                fold.go_on(1, a=-1.0 if number * rate % 1 < rate else 1.0)
    acting, observing = ([e for e in fold.lifecycle if isinstance(e, DRIFT)] for fold in folds)
    assert acting == observing
    detected = [event for event in acting if isinstance(event, DriftDetected)]
    assert len(detected) >= 4
    assert folds[0].counts.get("alarm_suppressed") == folds[1].counts.get("alarm_suppressed")
    fold, successor = folds[0], folds[0].task.lifecycle.successor
    assert fold.serving == "v1"
    assert successor is not None
    assert (successor.origin, successor.reason) == ("drift", detected[-1].id)
    assert successor.learner.learned == (0 if hold is Freeze else fold.task.next_offset - detected[-1].offset - 1)
    fold.order(Resume)
    fold.go_on(1 + (LEARNED if hold is Freeze and isinstance(policy, BackgroundChallenger) else 0))
    [retrained] = [event for event in fold.lifecycle if isinstance(event, ModelRetrained)]
    assert (retrained.version, retrained.reason) == (successor.learner.version, detected[-1].id)


def test_successor_is_what_it_was_after_a_restore() -> None:
    """Its origin, its reason and its model."""
    for origin in ("drift", "declaration", "command"):
        fold, kept = Commanded(Pool()), Kept()
        fold.go_on(20)
        lifecycle = fold.task.lifecycle
        lifecycle.successor = Successor(lifecycle.shadows.another(), origin, "r")  # type: ignore[arg-type]
        fold.go_on(20)
        kept.take(fold.task)
        again = kept.restored(fold.task.pipeline).lifecycle.successor
        assert again is not None
        assert (again.origin, again.reason) == (origin, "r")
        assert (again.learner.version, again.learner.learned) == (lifecycle.successor.learner.version, 20)


def unteachable(fold: Commanded, origin: Origin) -> Learner:
    """Have a successor begin that fails at each lesson; return it."""
    learner = Learner(Unteachable, "v2", "binary")
    fold.task.lifecycle.successor = Successor(learner, origin, "r")
    return learner


@pytest.mark.parametrize("origin", ["warning", "drift", "command"])
def test_successor_that_cannot_learn_is_given_up_and_a_drift_starts_another(origin: Origin) -> None:
    """After ten failed lessons in a row; one that succeeds ends the row."""
    fold = Commanded(BackgroundChallenger(), Told(), drift=Drift(cooldown=200))
    learner = unteachable(fold, origin)
    fold.go_on(MODEL_ERRORS_IN_A_ROW - 1)
    learner.learn = lambda x, y: None  # type: ignore[method-assign]
    fold.go_on(1)
    del learner.learn
    fold.go_on(MODEL_ERRORS_IN_A_ROW - 1)
    assert fold.task.lifecycle.successor is not None
    fold.go_on(1)
    assert fold.task.lifecycle.successor is None
    assert fold.counts["shadow_error"] == 2 * MODEL_ERRORS_IN_A_ROW - 1
    fold.go_on(500)
    fold.go_on(500, a=-1.0)
    assert [type(event) for event in fold.lifecycle][-2:] == [DriftDetected, ModelRetrained]
    assert isinstance(fold.order(Retrain), CommandObeyed)


def test_declared_model_that_cannot_learn_hides_no_drift_and_is_named_as_the_reason() -> None:
    """It does not come to serve until it learns; the row of its failed lessons outlives a restart."""
    folds = [Commanded(policy, Told(), drift=Drift(cooldown=200)) for policy in (BackgroundChallenger(), ObserveOnly())]
    fold, kept = folds[0], Kept()
    learner = unteachable(fold, "declaration")
    for one in folds:
        one.go_on(500)
        for rate in (0.05, 0.45) * 2:
            for number in range(2000):
                one.go_on(1, a=-1.0 if number * rate % 1 < rate else 1.0)
    told, observed = ([e for e in one.lifecycle if isinstance(e, DRIFT)] for one in folds)
    assert told == observed
    assert len(told) >= 2
    refused = fold.order(Retrain)
    assert isinstance(refused, CommandRefused)
    assert refused.reason.startswith(f"v2 of the new declaration cannot learn, its last {fold.counts['shadow_error']}")
    learner.model = Told()  # the class itself is not on the list of those that may be read
    kept.take(fold.task)
    again = kept.restored(fold.task.pipeline).lifecycle.successor
    assert again is not None
    assert again.failed == fold.counts["shadow_error"] > MODEL_ERRORS_IN_A_ROW
    learner._adopt(Told())
    fold.go_on(1)
    waiting = fold.order(Retrain)
    assert isinstance(waiting, CommandRefused)
    assert "is learning, and takes over" in waiting.reason


class Operators(RuleBasedStateMachine):
    """Any order at any time: the model of the newest declaration serves in the end."""

    fold: Commanded

    @initialize(policy=st.sampled_from([Pool(), ChampionVersions(), BackgroundChallenger(), ResetOnDrift()]))
    def begin(self, policy: Any) -> None:
        """Begin with a policy."""
        self.fold = Commanded(policy)
        self.declared = ""

    @rule(events=st.integers(1, 120), y=st.booleans())
    def events(self, events: int, y: bool) -> None:
        """Labelled events come."""
        self.fold.go_on(events, y)

    @rule(kind=st.sampled_from([Pin, Freeze, Resume, Retrain, RollBack]))
    def order(self, kind: Any) -> None:
        """An operator commands."""
        waits = self.fold.task.lifecycle.successor
        answer = self.fold.order(kind)
        if kind is Retrain and waits is not None and waits.origin == "declaration":
            assert isinstance(answer, CommandRefused)

    @precondition(lambda self: self.fold.task.lifecycle.shadows.contest is not None)
    @rule(data=st.data())
    def promote(self, data: st.DataObject) -> None:
        """An operator lets one serve that is there."""
        lifecycle = self.fold.task.lifecycle
        assert lifecycle.shadows.contest is not None
        names = [*lifecycle.shadows.contest.candidates(lifecycle.champion), "v99"]
        self.fold.order(Promote, model=data.draw(st.sampled_from(names)))

    @rule()
    def declare(self) -> None:
        """Another declaration of the model begins."""
        self.declared = self.fold.declare()

    @rule()
    def restart(self) -> None:
        """A worker dies, and another one goes on."""
        kept = Kept()
        kept.take(self.fold.task)
        self.fold.task = kept.restored(self.fold.task.pipeline)

    def teardown(self) -> None:
        """Hold that the declared model has served once everything may go its way, and that no id is given twice."""
        if not hasattr(self, "fold"):
            return
        self.fold.order(Resume)
        self.fold.go_on(LEARNED + 10)  # at a record at which evidence crowns another it waits
        events = self.fold.lifecycle
        if self.declared:
            served = [event.version for event in events if isinstance(event, ModelRetrained)]
            assert self.declared in served
            successor = self.fold.task.lifecycle.successor
            assert successor is None or successor.origin != "declaration"
        assert len({event.id for event in events}) == len(events)


def test_declared_model_serves_in_the_end_whatever_was_ordered() -> None:
    """Random orders over labelled events, and restarts."""
    run_state_machine_as_test(Operators, settings=settings(max_examples=40, stateful_step_count=15, deadline=None))
