"""The contest: who takes over, by what evidence, and who does not."""

import random
from datetime import timedelta
from typing import Any

import msgspec
import orjson
import pytest
from river import dummy, linear_model, naive_bayes, preprocessing, tree

from riverrun import ChampionVersions, Label, ObserveOnly, Pipeline, Pool
from schemas import cloudevents as ce
from schemas.commands import Freeze, Order, Resume, Retrain, RollBack, encode_command
from schemas.errors import DeclarationError
from schemas.events import (
    ActionSuppressed,
    CommandObeyed,
    DriftDetected,
    DriftWarned,
    ModelArchived,
    ModelPromoted,
    ModelRetired,
    ModelRetrained,
    ModelRolledBack,
)
from schemas.record import Record
from streams.accounting import Books
from streams.contest import Contest
from streams.evidence import Advantage
from streams.learner import Learner
from streams.prequential import Loss
from streams.rehearsal import Rehearsal
from streams.verdict import Verdict
from streams.versions import Frozen
from tests.streams.logs import Fold, Log

SEGMENT = 1500
POLICIES = [Pool(), ChampionVersions()]


def world(*concepts: int, seed: int = 1, noise: float = 0.05, length: int = SEGMENT, late: int = 0) -> Log:
    """Return a log in which one concept follows another: the label is the sign of a, or not, or that of b, or not."""
    rng, log, owed = random.Random(seed), Log(), list[tuple[str, bool]]()
    for place, concept in enumerate(concepts):
        for i in range(length):
            x = {"a": rng.gauss(0, 1), "b": rng.gauss(0, 1)}
            y = (x["a" if concept < 2 else "b"] > 0) != (concept % 2 == 1) != (rng.random() < noise)
            number = f"e{place * length + i}"
            log.event(x, number, y=None if late else y, time_ms=len(log.records))
            owed.append((number, y))
            if late and len(owed) > late:
                log.label(*owed.pop(0), time_ms=len(log.records))
    return log


def declared(policy: Any, model: Any = None, *, late: int = 0) -> Pipeline:
    """Return a pipeline over such a log."""
    label = Label("y", type=bool, ttl=timedelta(days=1) if late else None)
    model = model or preprocessing.StandardScaler() | linear_model.LogisticRegression()
    return Pipeline("p", features={"a": float, "b": float}, label=label, model=model, policy=policy)


def of(fold: Fold, kind: Any) -> list[Any]:
    """Return the events of a kind."""
    return [event for event in fold.lifecycle if isinstance(event, kind)]


def mistakes(fold: Fold, log: Log, first: int, last: int) -> int:
    """Return how many of the answers to events number first to last are wrong."""
    truth = {}
    for record in log.records:
        body = orjson.loads(record.value or b"{}")
        if "y" in body:
            id = body.get("id") or dict(record.headers or [])["ce_id"].decode()
            truth[id] = body["y"]
    return sum(p.prediction != truth[p.id] for p in fold.predictions[first:last] if p.id in truth)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("late", [0, 50])
def test_world_that_comes_back_finds_the_model_it_had(policy: Any, late: int) -> None:
    """A new world is learned by a fresh model; the old one, come back, is served by a copy of the old model."""
    log = world(0, 1, 0, 1, late=late)
    fold = Fold(declared(policy, late=late), log.records)
    retrained, promoted = of(fold, ModelRetrained)[0], of(fold, ModelPromoted)[0]
    assert promoted.version == retrained.version
    assert promoted.replaced == "v1"
    assert promoted.evidence >= 20
    assert promoted.loss < promoted.replaced_loss
    [archived, *_] = of(fold, ModelArchived)
    assert archived.version == "v1"
    assert SEGMENT - 250 <= archived.learned <= SEGMENT
    back = of(fold, ModelRolledBack)[0]
    assert back.restored == archived.archived == f"v1@{archived.learned}"
    assert back.change >= 3000
    # Whoever answers after a return is as good as the old model was: one in twenty is noise.
    settled = 2 * SEGMENT + 60 + 2 * late
    assert mistakes(fold, log, settled, 3 * SEGMENT) / (SEGMENT - 60 - 2 * late) < 0.09
    versions = [p.version for p in fold.predictions]
    assert versions[2 * SEGMENT + 59 + 2 * late] == back.version
    assert versions[2 * SEGMENT - 1] != back.version


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("model", ["lr", "tree"])
def test_world_that_stands_still_keeps_its_champion(policy: Any, seed: int, model: str) -> None:
    """Answers are those of a pipeline that only observes, to the last bit, however a tree stumbles when it splits."""
    made = tree.HoeffdingTreeClassifier() if model == "tree" else None
    log = world(0, seed=seed, noise=0.15, length=6000)
    fold, observer = Fold(declared(policy, made), log.records), Fold(declared(ObserveOnly(), made), log.records)
    assert not of(fold, (ModelPromoted, ModelRolledBack))
    assert fold.answers == observer.answers


@pytest.mark.parametrize("policy", [Pool(challenger_life=300), ChampionVersions(challenger_life=300)])
def test_labels_that_come_late_leave_a_fresh_model_its_time(policy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Later than a challenger and a newcomer live: their time begins with the first answer that can be compared.

    Where no rehearsal helps.
    """
    monkeypatch.setattr(Rehearsal, "update", lambda *_: None)
    log = world(0, 1, length=3000, late=700)
    retrained = of(Fold(declared(policy, late=700), log.records), ModelRetrained)
    assert retrained
    assert retrained[0].replaced == "v1"


def first_label(log: Log, event: int) -> int:
    """Return the offset of the label of an event, by its number."""
    return next(r.offset for r in log.records if r.value and orjson.loads(r.value).get("id") == f"e{event}")


def first_own_label(fold: Fold, log: Log, crowning: Any) -> int:
    """Return the offset of the label of the first event that a champion has answered."""
    first = next(one for one in fold.predictions if one.offset > crowning.offset)
    return first_label(log, int(first.id[1:]))


def test_version_that_was_not_asked_in_time_is_asked_when_the_label_comes() -> None:
    """What does not learn would have said the same: the first labels of the old world bring its model back."""
    log = world(0, 1, 0, length=3000, late=300)
    fold = Fold(declared(ChampionVersions(), late=300), log.records)
    [back] = of(fold, ModelRolledBack)
    told = first_label(log, 6000)
    assert told < back.offset < told + 100


@pytest.mark.parametrize("policy", POLICIES)
def test_new_world_is_answered_before_the_new_model_s_own_answers_have_labels(policy: Any) -> None:
    """A rehearsal of the first labels of the new world is enough: it does not take another delay."""
    log = world(0, 1, length=3000, late=700)
    fold = Fold(declared(policy, late=700), log.records)
    told = first_label(log, 3000)
    assert told < of(fold, ModelRetrained)[0].offset < told + 200


def test_probation_begins_with_the_first_answer_of_the_new_champion() -> None:
    """However late labels are, whoever was replaced learns on until the new one has been judged by its own answers."""
    log = world(0, 1, 2, length=3000, late=600)
    pipeline = declared(Pool(probation=300), late=600)
    whole = Fold(pipeline, log.records)
    crowning = of(whole, (ModelPromoted, ModelRolledBack))[1]
    fold = Fold(pipeline, log.records[: first_own_label(whole, log, crowning)])
    assert fold.predictions[-1].version == crowning.version
    contest = fold.task.lifecycle.shadows.contest
    assert contest is not None
    assert contest.previous is not None


def test_previous_champion_learns_until_its_probation_ends() -> None:
    """Although an alarm that rings meanwhile is over before."""
    champion, steady = (Learner(naive_bayes.GaussianNB, f"v{i}", "binary") for i in (2, 1))
    contest = Contest(ChampionVersions(), steady, lambda: steady, "binary", (), Books(), Loss("binary", "zero_one").of)
    contest.crown(Verdict("challenger", champion, Advantage(), 0.0), steady, 0, lambda _: champion)
    contest.crown(Verdict("steady", steady, Advantage(), 0.0), champion, 0, lambda _: steady)
    for offset in range(1, 1000):
        contest.learn(steady, {"a": 1.0}, True, offset)
        contest.update(steady, float(300 < offset < 360), {}, offset, learned=(offset, {"a": 1.0}, True))
    assert (contest.previous, champion.learned) == (champion, 999)
    contest.update(steady, 0.0, {}, 1000)
    assert contest.previous is None


@pytest.mark.slow
@pytest.mark.parametrize("policy", [Pool(), ChampionVersions()])
def test_change_that_has_long_been_there_is_no_news(policy: Any) -> None:
    """Labels are noisier from now on, and nobody is better: some thousand examples later that is how the world is."""
    log, rng = Log(), random.Random(1)
    for i in range(16_000):
        x = {"a": rng.gauss(0, 1), "b": rng.gauss(0, 1)}
        log.event(x, f"e{i}", y=(x["a"] > 0) != (rng.random() < (0.05 if i < 9000 else 0.2)))
    fold, is_open = Fold(declared(policy, naive_bayes.GaussianNB())), list[bool]()
    for record in log.records:
        fold.step(record)
        contest = fold.task.lifecycle.shadows.contest
        assert contest is not None
        is_open.append((contest.past.milestones.change or 0.0) >= 3000)
    assert sum(is_open[9000:12_000]) > 2500
    assert not any(is_open[15_500:16_000])
    assert not of(fold, (ModelPromoted, ModelRolledBack))


@pytest.mark.parametrize("command", [RollBack(pipeline="p"), Freeze(pipeline="p")])
def test_champion_that_has_just_stepped_down_is_there_to_return(command: Order) -> None:
    """Not yet put together, it is kept as it is; who is told so, is told at once."""
    fold = Fold(declared(Pool(probation=0)))
    for record in world(0, 1, length=2700).records:
        fold.step(record)
        if of(fold, ModelPromoted):
            break
    contest = fold.task.lifecycle.shadows.contest
    assert contest is not None
    assert contest.past.is_busy
    headers = [("ce_id", b"c"), ("ce_type", ce.COMMAND.encode())]
    told = fold.step(Record("p.raw", 0, record.offset + 1, 0, None, encode_command(command), headers))
    kinds = [type(event) for event in told]
    if isinstance(command, Freeze):
        assert kinds == [CommandObeyed]
    else:
        assert kinds == [CommandObeyed, ModelRolledBack, ModelArchived]
        assert told[1].restored == told[2].archived


@pytest.mark.parametrize("probation", [0, 400])
def test_champion_that_steps_down_by_command_learns_each_event(probation: int) -> None:
    """Nobody is awake when its successor takes over: the very next event is one for both, and so is the last one."""
    log = world(0, length=2000, noise=0.0)
    fold = Fold(declared(ChampionVersions(probation=probation)), log.records[:600])
    lifecycle, first = fold.task.lifecycle, fold.task.lifecycle.champion
    headers = [("ce_id", b"c"), ("ce_type", ce.COMMAND.encode())]
    fold.step(Record("p.raw", 0, 600, 0, None, encode_command(Retrain(pipeline="p")), headers))
    for record in log.records[600:]:
        assert lifecycle.champion is not first or not lifecycle.shadows.are_awake
        learned = first.learned
        fold.step(msgspec.structs.replace(record, offset=record.offset + 1))
        assert first.learned == learned + 1
    assert lifecycle.champion is not first
    contest = lifecycle.shadows.contest
    assert contest is not None
    assert not contest.is_awake


def test_events_of_a_frozen_champion_are_none_that_it_has_learned() -> None:
    """What puts it together again later must not teach them."""
    log = world(0, length=900)
    fold = Fold(declared(ChampionVersions()))
    headers, frozen = [("ce_id", b"c"), ("ce_type", ce.COMMAND.encode())], range(301, 601)
    orders = {frozen[0] - 1: Freeze(pipeline="p"), frozen[-1] + 1: Resume(pipeline="p")}
    events = iter(log.records)
    for offset in range(902):
        if offset in orders:
            fold.step(Record("p.raw", 0, offset, 0, None, encode_command(orders[offset]), headers))
        else:
            fold.step(msgspec.structs.replace(next(events), offset=offset))
    contest = fold.task.lifecycle.shadows.contest
    assert contest is not None
    learned = [offset for offset, _, _ in contest.past.recent.newest(1000)]
    assert learned == [offset for offset in range(902) if offset not in orders and offset not in frozen]
    assert fold.task.lifecycle.champion.learned == len(learned) == 600


def test_alarm_that_is_higher_rings_later() -> None:
    """What is declared is heard: the others are scored from the label on at which the evidence comes up to it."""

    def awake_at(alarm: float) -> int:
        fold = Fold(declared(ChampionVersions(alarm=alarm)))
        contest = fold.task.lifecycle.shadows.contest
        assert contest is not None
        for record in world(0, 1).records:
            fold.step(record)
            if record.offset > SEGMENT and contest.is_awake:
                return record.offset
        raise AssertionError("nobody was ever scored")

    rung = [awake_at(alarm) for alarm in (30, 1e3, 1e6, 1e9)]
    assert SEGMENT < rung[0] < rung[1] < rung[2] < rung[3] < SEGMENT + 40


def test_calm_stream_asks_nobody_else() -> None:
    """Nobody is scored or learns beside the champion of the cheap policy while its loss does not look risen."""
    fold, calm, asked = Fold(declared(ChampionVersions())), 0, 0
    for record in world(0, length=3000).records:
        fold.step(record)
        lifecycle = fold.task.lifecycle
        contest = lifecycle.shadows.contest
        assert contest is not None
        if not contest.is_awake:
            calm += 1
            asked += contest.answers(lifecycle.champion, {"a": 0.0, "b": 0.0}, record.offset) is not None
            asked += contest.later_answers({"a": 0.0, "b": 0.0}, record.offset) is not None
            asked += len(lifecycle.learners) > 1
    assert calm > 2000
    assert asked == 0


def test_reference_looks_back_when_an_alarm_rings() -> None:
    """Nobody was scored until then, and it knows of the change as soon as it has caught up."""
    log = world(0, 1, length=3000)
    fold = Fold(declared(ChampionVersions()), log.records[:3000])
    contest = fold.task.lifecycle.shadows.contest
    assert contest is not None
    rung = None
    for record in log.records[3000:]:
        fold.step(record)
        rung = record.offset if rung is None and contest.is_awake else rung
        if (contest.past.milestones.change or 0.0) >= 3000:
            break
    assert rung is not None
    assert fold.task.next_offset - rung < 30
    change, since = contest.past.milestones.rise
    assert change >= 3000
    assert abs(since - 3000) < 25


@pytest.mark.parametrize("policy", POLICIES)
def test_archived_champion_is_what_it_was_before_the_change(policy: Any) -> None:
    """To the last bit, although no copy was taken then; it knows next to nothing of the new world."""
    log = world(0, 1, length=2700)
    fold = Fold(declared(policy), log.records)
    [archived, *_] = of(fold, ModelArchived)
    assert archived.version == "v1"
    assert 2600 < archived.learned < 2710
    contest = fold.task.lifecycle.shadows.contest
    assert contest is not None
    observer = Fold(declared(ObserveOnly()), log.records[: archived.learned]).task.lifecycle.champion
    grid = [{"a": a / 4, "b": b / 4} for a in range(-8, 9) for b in range(-8, 9)]
    kept = contest.past.frozen[archived.archived]
    assert [kept.predict(x) for x in grid] == [observer.predict(x) for x in grid]


def test_version_that_needs_more_evidence_stands_in_nobody_s_way() -> None:
    """It looks best, and has returned too often; the learner that was never reset is better than the champion, too."""
    champion, steady, fresh = (Learner(naive_bayes.GaussianNB, f"v{i}", "binary") for i in (3, 1, 4))
    policy = Pool()
    contest = Contest(policy, champion, lambda: fresh, "binary", (), Books(), Loss("binary", "zero_one").of)
    contest.steady = steady
    version = Frozen(steady.freeze()[0], "v2", 0, 0, "binary")
    contest.past.archive.keep(version)
    for now in range(25):
        contest.restraint.note("version", version.name, now, by_evidence=True)
    rng, told = random.Random(2), []
    for offset in range(600):
        losses = {"v1": float(rng.random() < 0.1), version.name: float(rng.random() < 0.02)}
        told.append(contest.update(champion, float(rng.random() < 0.4), losses, offset))
    roles = {verdict.role for verdict in told if verdict is not None}
    assert roles == {"steady"}


def test_model_from_elsewhere_is_asked_of_events_that_came_after_it() -> None:
    """It may have been trained on those whose labels are still due."""
    champion = Learner(naive_bayes.GaussianNB, "v1", "binary")
    contest = Contest(Pool(), champion, lambda: champion, "binary", (), Books(), Loss("binary", "zero_one").of)
    for version in ("i50", "v0"):
        contest.past.archive.keep(Frozen(champion.freeze()[0], version, 9, 50, "binary"))
    assert [set(contest.later_answers({}, offset) or ()) for offset in (49, 50, 51)] == [
        {"v0@9"},
        {"v0@9"},
        {"v0@9", "i50@9"},
    ]


def test_model_that_was_never_reset_returns_when_it_is_the_better_one() -> None:
    """The world goes back before the fresh model is worth keeping: v1, which learned on, serves again as itself."""
    rng, log = random.Random(8), Log()
    for i in range(6000):
        odd = 3000 <= i < 3300
        x = {"a": rng.gauss(0, 1), "b": rng.gauss(0, 1)}
        log.event(x, f"e{i}", y=(x["a"] > 0) != odd)
    fold = Fold(declared(Pool(versions=0), naive_bayes.GaussianNB()), log.records)
    assert of(fold, ModelRetrained)[0].replaced == "v1"
    assert [event.restored for event in of(fold, ModelRolledBack)][-1] == "v1"
    assert fold.predictions[-1].version == "v1"


def test_archive_is_bounded_and_says_what_goes() -> None:
    """The version that was not wanted for the longest time."""
    fold = Fold(declared(Pool(versions=1)), world(0, 1, 2, 3, 0).records)
    contest = fold.task.lifecycle.shadows.contest
    assert contest is not None
    assert len(contest.past.archive) == 1
    archived = [event.archived for event in of(fold, ModelArchived)]
    retired = [event.retired for event in of(fold, ModelRetired)]
    [kept] = contest.past.archive
    assert retired == [name for name in archived if name != kept.name]


@pytest.mark.parametrize("step", [1, 2, 3, 8])
@pytest.mark.parametrize("scored", [0.1, 0.5, 1.0])
def test_share_of_events_is_scored_whatever_lies_between_them(step: int, scored: float) -> None:
    """Offsets have gaps: of labels, of markers of transactions. All others are asked about an event, or nobody is."""
    champion, fresh = (Learner(naive_bayes.GaussianNB, f"v{i}", "binary") for i in (1, 2))
    books, loss = Books(), Loss("binary", "zero_one").of
    contest = Contest(Pool(scored=scored), champion, lambda: fresh, "binary", (), books, loss)
    contest.begin()
    contest.past.archive.keep(Frozen(champion.freeze()[0], "v0", 9, 0, "binary"))
    asked = [
        {*(contest.answers(champion, {}, offset) or ()), *(contest.later_answers({}, offset) or ())}
        for offset in range(0, 3000 * step, step)
    ]
    assert all(names in (set(), {"v2", "v0@9"}) for names in asked)
    assert abs(sum(map(bool, asked)) - 3000 * scored) < 30


def test_events_that_wait_hold_no_scores_of_others_that_nobody_will_ask_for() -> None:
    """Up to twelve models answer each event; a 0/1 loss wants their answers only."""
    fold = Fold(declared(Pool(), late=50), world(0, late=50).records[:-40])
    asked = [fold.task.join.waiting(f"e{number}", 0) for number in range(SEGMENT - 50, SEGMENT - 45)]
    answers = [answer for one in asked if one is not None for answer in (one.shadows or {}).values()]
    assert answers
    assert {score for _, score in answers} == {None}


def test_stream_that_is_scored_in_part_finds_its_way_later() -> None:
    """With half of the answers, and the same models in the end."""
    log = world(0, 1, 0)
    whole, half = (Fold(declared(Pool(scored=scored)), log.records) for scored in (1.0, 0.5))
    for fold in (whole, half):
        assert of(fold, ModelRolledBack)[-1].restored.startswith("v1@")
    assert of(half, ModelRetrained)[0].offset > of(whole, ModelRetrained)[0].offset


def test_budget_holds_back_and_says_so_once() -> None:
    """No more actions than declared within 10,000 labelled events; each that is held back is counted."""
    fold = Fold(declared(Pool(actions=2)), world(0, 1, 0, 1, 0, 1, length=1000).records)
    assert len(of(fold, (ModelPromoted, ModelRolledBack))) == 2
    held = [event for event in of(fold, ActionSuppressed) if event.reason == "budget"]
    assert held
    assert len({(event.held, event.version) for event in held}) == len(held)
    assert fold.counts["action_suppressed"] > len(held)


def test_change_is_explained_by_the_alarm_that_came_with_it() -> None:
    """The reason of a change of the champion is the drift event, or nothing when evidence was quicker."""
    fold = Fold(declared(Pool()), world(0, 1, 0, 1).records)
    alarms = {event.id: event for event in of(fold, DriftWarned)}
    changes = of(fold, (ModelPromoted, ModelRolledBack))
    assert all(not change.reason or alarms[change.reason].version == change.replaced for change in changes)
    assert all(change.since <= change.offset for change in changes)
    assert any(change.reason for change in changes) or not of(fold, DriftDetected)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("alpha", 0),
        ("alpha", 1.5),
        ("change", 0.5),
        ("alarm", 0.5),
        ("versions", -1),
        ("milestone", 0),
        ("actions", True),
        ("scored", 0),
        ("scored", 1.5),
    ],
)
def test_wrong_policies_are_refused_by_name(field: str, value: Any) -> None:
    """At the declaration."""
    with pytest.raises(DeclarationError, match=f"policy.{field}"):
        declared(Pool(**{field: value}))


@pytest.mark.parametrize("policy", [Pool(challenger_life=50), ChampionVersions(challenger_life=50, alarm=1.5)])
def test_evidence_dies_with_the_model_that_it_speaks_for(policy: Any) -> None:
    """On a quiet stream challengers come and go for ever; neither memory nor snapshots grow with them."""
    fold, most = Fold(declared(policy, dummy.PriorClassifier())), 0
    for record in world(0, length=5000, noise=0.4).records:
        fold.step(record)
        lifecycle = fold.task.lifecycle
        contest = lifecycle.shadows.contest
        assert contest is not None
        known = len(contest.snapshot(lifecycle.champion)["advantages"])
        assert known <= len(contest.candidates(lifecycle.champion))
        most = max(most, known)
    assert most > 0
