"""The race: declared models beside the champion, on a budget, and which of them takes over."""

import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from river import dummy, linear_model, naive_bayes, optim, preprocessing, stats, utils

from riverrun import BackgroundChallenger, ChampionVersions, Label, ObserveOnly, Pipeline, Pool, Race, ResetOnDrift
from schemas.commands import Promote, RollBack
from schemas.errors import DeclarationError
from schemas.events import (
    ActionSuppressed,
    DriftDetected,
    ModelPromoted,
    ModelRetired,
    ModelRetrained,
    ModelRolledBack,
    PredictionMade,
)
from streams.learner import Learner
from streams.moment import Moment
from streams.orders import obey
from streams.pipeline import label_of
from streams.snapshot import restore
from streams.takeover import Takeover
from streams.task import Task
from tests.streams.kept import Kept
from tests.streams.logs import Fold, Log

ACTING = [BackgroundChallenger(), ResetOnDrift(), ChampionVersions(), Pool()]
GRID = {"optimizer": [(optim.SGD, {"lr": [0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001]})]}


def linear(**parameters: Any) -> Any:
    """Return a model that learns a sum."""
    return preprocessing.StandardScaler() | linear_model.LogisticRegression(**parameters)


def ring(n: int, *, seed: int = 1, noise: float = 0.05, late: int = 0) -> Log:
    """Return a log whose label says whether an event is near the middle: no sum can tell, naive Bayes can."""
    return points(n, lambda a, b, _: a * a + b * b < 1.4, seed=seed, noise=noise, late=late)


def points(
    n: int, truth: Callable[[float, float, int], bool], *, seed: int = 1, noise: float = 0.05, late: int = 0
) -> Log:
    """Return a log of points in the plane, each labelled as the truth says, or not."""
    rng, log, owed = random.Random(seed), Log(), list[tuple[str, bool]]()
    for i in range(n):
        a, b = rng.gauss(0, 1), rng.gauss(0, 1)
        y = truth(a, b, i) != (rng.random() < noise)
        log.event({"a": a, "b": b}, f"e{i}", y=None if late else y, time_ms=len(log.records))
        owed.append((f"e{i}", y))
        if late and len(owed) > late:
            log.label(*owed.pop(0), time_ms=len(log.records))
    return log


def declared(race: Race | None, policy: Any = None, *, model: Any = None, late: bool = False, **more: Any) -> Pipeline:
    """Return a pipeline over such a log."""
    label = Label("y", type=bool, ttl=timedelta(days=1) if late else None)
    model = model or linear()
    return Pipeline("p", {"a": float, "b": float}, label, model, policy=policy or ObserveOnly(), race=race, **more)


def of(fold: Fold, kind: Any) -> list[Any]:
    """Return the events of a kind."""
    return [event for event in fold.lifecycle if isinstance(event, kind)]


def entrants(fold: Fold) -> Any:
    """Return those that race."""
    found = fold.task.lifecycle.shadows.entrants
    assert found is not None
    return found


@pytest.mark.parametrize("policy", ACTING, ids=lambda policy: type(policy).__name__)
@pytest.mark.parametrize("late", [0, 40])
def test_better_model_takes_over_and_the_event_says_why(policy: Any, late: int) -> None:
    """Naive Bayes learns what no sum can tell; from the next event on it answers."""
    fold = Fold(declared(Race([naive_bayes.GaussianNB()]), policy, late=bool(late)), ring(3000, late=late).records)
    promoted, *others = of(fold, ModelPromoted)
    assert not others
    assert not [event for event in of(fold, ModelRetrained) if event.version == promoted.version]
    assert promoted.evidence >= 2 / 0.05
    assert promoted.loss < 0.75 * promoted.replaced_loss
    assert label_of(promoted.version) in fold.task.pipeline.candidates
    [first, *_] = [p for p in fold.predictions if p.version == promoted.version]
    assert first.model == "GaussianNB"
    assert first.offset > promoted.offset
    assert fold.predictions[-1].version == promoted.version


def test_winner_answers_as_if_it_had_been_the_model_all_along() -> None:
    """River alone is the oracle: one loop over the same events, each answered before it is learned."""
    log = ring(2500)
    fold = Fold(declared(Race([naive_bayes.GaussianNB()]), BackgroundChallenger()), log.records)
    alone = Fold(declared(None, model=naive_bayes.GaussianNB()), log.records)
    [promoted] = of(fold, ModelPromoted)
    begins = next(i for i, p in enumerate(fold.predictions) if p.version == promoted.version)
    assert begins == promoted.offset + 1
    for raced, plain in zip(fold.predictions[begins:], alone.predictions[begins:], strict=True):
        assert (raced.prediction, raced.score, raced.learned) == (plain.prediction, plain.score, plain.learned)


def test_loser_goes_on_racing_and_comes_back_when_it_is_the_better_one() -> None:
    """A world of rings becomes one of sums: the linear model has gone on learning, and serves again as itself."""
    log = points(9000, lambda a, b, i: a * a + b * b < 1.4 if i < 3000 else a + b > 0)
    policy = BackgroundChallenger(min_learned=1_000_000)  # drift itself changes nothing here
    fold = Fold(declared(Race([naive_bayes.GaussianNB()]), policy), log.records)
    [won], back = of(fold, ModelPromoted), of(fold, ModelRolledBack)
    assert won.replaced == "v1"
    assert [(event.version, event.restored) for event in back] == [("v1", "v1")]
    assert back[0].learned > 3000
    # After a winner the next one needs four times the evidence.
    assert back[0].evidence >= 4 * 2 / 0.05


def test_lead_over_the_old_champion_is_none_over_the_new_one() -> None:
    """Of two that are as good, and far ahead of a pinned champion, one is promoted: the other has to begin anew."""
    race = Race([naive_bayes.GaussianNB(), preprocessing.StandardScaler() | naive_bayes.GaussianNB()])
    log = ring(2000)
    fold = Fold(declared(race, BackgroundChallenger()))
    lifecycle = fold.task.lifecycle
    lifecycle.acts = False
    fold.step_all(log.records[:1500])
    first, _ = entrants(fold).learners
    said = obey(Promote(pipeline="p", model=first), lifecycle, "r", Moment(log.records[1499], 0), declared(race))
    assert isinstance(said, list)
    lifecycle.acts = True
    fold.step_all(log.records[1500:])
    assert not of(fold, ModelPromoted)
    assert fold.predictions[-1].version == first


def test_who_only_observes_is_told_and_not_obeyed() -> None:
    """Once: the champion stays."""
    fold = Fold(declared(Race([naive_bayes.GaussianNB()])), ring(3000).records)
    [told] = of(fold, ActionSuppressed)
    assert (told.version, told.reason) == ("v1", "policy")
    assert told.evidence >= 2 / 0.05
    assert told.held_loss < 0.75 * told.loss
    assert 0 < told.events <= told.offset + 1 - told.since
    assert fold.predictions[-1].version == "v1"
    assert fold.counts["action_suppressed"] > 100


@pytest.mark.parametrize("seed", range(5))
def test_model_that_is_no_better_does_not_take_over(seed: int) -> None:
    """Labels are coins: whoever leads, leads by chance."""
    race = Race([naive_bayes.GaussianNB(), dummy.NoChangeClassifier(), linear(l2=0.1)], alpha=0.001)
    coins = points(1500, lambda a, b, i: True, seed=seed, noise=0.5)
    fold = Fold(declared(race, BackgroundChallenger()), coins.records)
    assert not of(fold, ModelPromoted)


def test_champion_is_not_touched_by_those_that_race() -> None:
    """As long as none takes over, answers are those of a pipeline without a race, to the last bit."""
    log = ring(3000)
    race = Race([naive_bayes.GaussianNB(), *utils.expand_param_grid(linear_model.LogisticRegression(), GRID)], budget=2)
    assert Fold(declared(race), log.records).answers == Fold(declared(None), log.records).answers


class Counted(dummy.PriorClassifier):
    """Counts its calls."""

    asked = 0
    taught = 0

    def __init__(self, name: str = "") -> None:
        super().__init__()
        self.name = name

    def predict_proba_one(self, x: Any) -> Any:
        Counted.asked += 1
        return super().predict_proba_one(x)

    def learn_one(self, x: Any, y: Any) -> None:
        Counted.taught += 1
        super().learn_one(x, y)


@pytest.mark.parametrize("budget", [0.25, 1, 2.5, 7, None])
def test_budget_bounds_what_answers_and_learns(budget: float | None) -> None:
    """No event takes more turns than the budget rounded up; over all they come to the budget."""
    race = Race([Counted(str(i)) for i in range(7)], budget=budget, rung=10_000)
    task, log = Task(declared(race)), ring(400)
    turns: list[int] = []
    for record in log.records:
        Counted.asked = Counted.taught = 0
        task.step(record)
        assert Counted.asked == Counted.taught
        turns.append(Counted.asked)
    expected = 7 if budget is None else budget
    assert max(turns) <= -(-expected // 1)
    assert abs(sum(turns) - 400 * expected) <= 1
    learned = [learner.learned for learner in task.lifecycle.shadows.learners(task.lifecycle.champion).values()]
    assert max(learned) - min(learned) <= 1


def test_worse_half_leaves_after_each_rung_until_the_budget_does() -> None:
    """The best learning rate of eight stays, and each that goes is said to go, with its loss."""
    models = utils.expand_param_grid(linear_model.LogisticRegression(), GRID)
    race = Race(models, budget=1, rung=300)
    log = points(5000, lambda a, b, i: a > b)
    fold = Fold(declared(race, model=linear_model.LogisticRegression(optimizer=optim.SGD(1e-5))), log.records)
    retired = of(fold, ModelRetired)
    assert len(retired) == 7
    assert len({event.id for event in retired}) == 7
    assert "on 300 events: the worst of 8 that raced, on a budget of 1" in retired[0].reason
    [stays] = entrants(fold).learners.values()
    # The oracle: each model alone, over the whole log.
    losses = [_loss(model, log) for model in models]
    best = sorted(range(8), key=losses.__getitem__)[:3]
    labels = list(fold.task.pipeline.candidates)[1:]
    assert labels.index(label_of(stays.version)) in best


def _loss(model: Any, log: Log) -> float:
    fold = Fold(declared(None, model=model), log.records)
    [accuracy] = fold.metrics.values()
    return 1.0 - accuracy


def test_those_that_left_enter_again_when_the_world_changes() -> None:
    """Unlearned: what is best may be another one now."""
    models = utils.expand_param_grid(linear_model.LogisticRegression(), GRID)
    log = points(6000, lambda a, b, i: (a > b) != (i >= 4000))
    fold = Fold(declared(Race(models, budget=1, rung=100)))
    fold.step_all(log.records[:4000])
    assert len(entrants(fold).learners) == 1
    for record in log.records[4000:]:
        if any(isinstance(event, DriftDetected) for event in fold.step(record)):
            break
    learners = entrants(fold).learners.values()
    assert sorted(label_of(learner.version) for learner in learners) == sorted(list(fold.task.pipeline.candidates)[1:])
    assert sorted(learner.learned for learner in learners)[:7] == [0] * 7


@example(cut=901, budget=0.5, late=False, policy=ObserveOnly())
@settings(max_examples=5, deadline=None)
@given(
    cut=st.integers(1, 2400), budget=st.sampled_from([None, 0.5, 2]), late=st.booleans(), policy=st.sampled_from(ACTING)
)
def test_restored_race_goes_on_as_if_nothing_had_been(cut: int, budget: float | None, late: bool, policy: Any) -> None:
    """Turns, rungs, evidence and models: what is said from a snapshot on is what would have been said."""
    models = [naive_bayes.GaussianNB(), linear(l2=0.1), linear(optimizer=optim.SGD(1.0)), dummy.NoChangeClassifier()]
    pipeline = declared(Race(models, budget=budget, rung=200), policy, late=late)
    log = points(2500, lambda a, b, i: a * a + b * b < 1.4 if i < 1500 else a > 0, late=30 if late else 0)
    cut = min(cut, len(log.records) - 1)
    fold, kept = Fold(pipeline), Kept()
    fold.step_all(log.records[:cut])
    kept.take(fold.task)
    task = kept.restored(pipeline)
    for record in log.records[cut:]:
        assert task.step(record) == fold.task.step(record)


def test_operator_can_promote_one_that_races() -> None:
    """By its version, whatever the policy; without evidence, and the event says so."""
    fold = Fold(declared(Race([dummy.PriorClassifier()])), ring(50).records)
    [version] = entrants(fold).learners
    record = ring(51).records[50]
    said = obey(Promote(pipeline="p", model=version), fold.task.lifecycle, "r", Moment(record, 0), fold.task.pipeline)
    assert isinstance(said, list)
    [promoted] = said
    assert (promoted.version, promoted.replaced, promoted.evidence, promoted.reason) == (version, "v1", 0.0, "r")
    assert list(entrants(fold).learners) == ["v1"]
    [back] = obey(RollBack(pipeline="p"), fold.task.lifecycle, "s", Moment(record, 0), fold.task.pipeline)
    assert isinstance(back, ModelRolledBack)
    assert (back.version, back.restored, back.replaced) == ("v1", "v1", version)
    refused = obey(Promote(pipeline="p", model="v9"), fold.task.lifecycle, "r", Moment(record, 0), fold.task.pipeline)
    assert refused == "model: got 'v9', expected one that is there: " + version


class Breaking(dummy.PriorClassifier):
    """Raises at large numbers."""

    def learn_one(self, x: Any, y: Any) -> None:
        if x["a"] > 2:
            raise ValueError("too large")
        super().learn_one(x, y)


def test_one_that_raises_is_counted_and_harms_nobody() -> None:
    """Its errors are its own."""
    log = ring(300)
    fold = Fold(declared(Race([Breaking()])), log.records)
    assert fold.counts["shadow_error"] == sum(b'"a":2' in (r.value or b"") for r in log.records) > 0
    assert fold.answers == Fold(declared(None), log.records).answers
    assert not fold.letters


@pytest.mark.parametrize("budget", [0.5, 1, None])
def test_record_that_makes_the_champion_raise_leaves_no_trace_in_the_race(budget: float | None) -> None:
    """Turns, evidence and models are what they would be if it had been no JSON at all."""
    log = ring(2500)
    race = Race([naive_bayes.GaussianNB(), linear(l2=0.1), dummy.NoChangeClassifier()], budget=budget, rung=100)
    pipeline = declared(race, model=Breaking())
    raising = Fold(pipeline, log.records)
    bad = {letter.record.offset for letter in raising.letters}
    junk = [msgspec.structs.replace(r, value=b"{") if r.offset in bad else r for r in log.records]
    spared = Fold(pipeline, junk)
    assert 10 < len(bad) == len(spared.letters)
    assert of(raising, ActionSuppressed)
    assert raising.answers == spared.answers
    assert raising.lifecycle == spared.lifecycle


def test_declaration_without_a_race_has_the_digest_that_it_had() -> None:
    """A snapshot of before is a snapshot of now; and a race is another declaration."""
    plain, raced = declared(None), declared(Race([naive_bayes.GaussianNB()]))
    assert plain.declaration == "eab6a9743b85"
    assert raced.declaration != plain.declaration
    between = Takeover.between(plain.declaration, plain.declared, raced.declared)
    assert between.changed == ("race",)
    assert not between.renews_model


@pytest.mark.parametrize("policy", [BackgroundChallenger(), Pool()], ids=lambda policy: type(policy).__name__)
def test_new_race_begins_anew_and_the_champion_stays(policy: Any) -> None:
    """The winner of the old race serves on, though the new one does not know it."""
    old = declared(Race([naive_bayes.GaussianNB()]), policy)
    new = declared(Race([naive_bayes.BernoulliNB(), linear(l2=0.1)]), policy)
    log = ring(3000)
    fold, kept = Fold(old, log.records[:2500]), Kept()
    [promoted] = of(fold, ModelPromoted)
    kept.take(fold.task)
    task = Task(new)
    takeover = Takeover.between(old.declaration, old.declared, new.declared)
    restore(task, {part.name: kept.data[part.digest] for part in kept.parts}, takeover)
    champion = task.lifecycle.champion
    assert champion.version == promoted.version
    racing = task.lifecycle.shadows.entrants
    assert racing is not None
    labels = {label_of(version) for version in racing.learners}
    assert labels == set(new.candidates)
    versions = [*task.lifecycle.learners, *racing.learners]
    assert len(set(versions)) == len(versions)
    for record in log.records[2500:]:
        [made] = [event for event in task.step(record) if isinstance(event, PredictionMade)]
        assert made.version == promoted.version


def test_versions_are_never_given_twice() -> None:
    """Champions, challengers, copies and entrants of a stormy world, over restores and all."""
    pipeline = declared(Race([naive_bayes.GaussianNB(), linear(l2=0.1)], budget=1, rung=100), Pool())
    seen: dict[str, Learner] = {}
    fold = Fold(pipeline)
    for record in points(3000, lambda a, b, i: (a > 0) != (i // 1000 % 2 == 1)).records:
        fold.step(record)
        for part, learner in fold.task.lifecycle.learners.items():
            if part != "contest-reconstruction":  # a version as it was once
                assert seen.setdefault(learner.version, learner) is learner


@pytest.mark.parametrize(
    ("race", "field"),
    [
        (Race([]), "race.models"),
        (Race([linear(), 3]), "race.models"),
        ([linear(l2=0.1)], "race"),
        (Race([naive_bayes.GaussianNB], budget=1), "race.models[0]"),
        (Race([linear(l2=0.1), linear_model.LinearRegression()]), "race.models[1]"),
        (Race([linear()]), "race.models[0]"),
        (Race([linear(l2=0.1), linear(l2=0.1)]), "race.models[1]"),
        (Race([linear(l2=0.1)], budget=0), "race.budget"),
        (Race([linear(l2=0.1)], budget=True), "race.budget"),
        (Race([linear(l2=0.1)], budget=5), "race.budget: got 5, expected a number above 0, at most 1, or None for all"),
        (Race([linear(l2=0.1)], budget=float("inf")), "race.budget"),
        (Race([linear(l2=0.1)], budget="1"), "race.budget"),  # type: ignore[arg-type]
        (Race([linear(l2=0.1)], alpha=1), "race.alpha"),
        (Race([linear(l2=0.1)], rung=0), "race.rung"),
    ],
)
def test_wrong_race_is_refused_by_field(race: Any, field: str) -> None:
    """At the declaration, before anything runs."""
    with pytest.raises(DeclarationError, match=r"race") as refused:
        declared(race)
    assert refused.value.problem.startswith(field)


def test_race_without_labels_is_refused() -> None:
    """There is nothing to be better at."""
    from river import anomaly

    with pytest.raises(DeclarationError, match="without labels"):
        Pipeline("p", {"a": float}, None, anomaly.HalfSpaceTrees(), race=Race([anomaly.HalfSpaceTrees(n_trees=3)]))


def test_regressors_race_too() -> None:
    """Losses are scaled residuals there."""
    rng, log = random.Random(3), Log()
    for i in range(3000):
        a = rng.gauss(0, 1)
        log.event({"a": a}, f"e{i}", y=3.0 * a + rng.gauss(0, 0.1))
    sums = preprocessing.StandardScaler() | linear_model.LinearRegression()
    mean, label = dummy.StatisticRegressor(stats.Mean()), Label("y", type=float)
    pipeline = Pipeline("p", {"a": float}, label, mean, policy=BackgroundChallenger(), race=Race([sums]))
    promoted: Sequence[Any] = of(Fold(pipeline, log.records), ModelPromoted)
    assert len(promoted) == 1
