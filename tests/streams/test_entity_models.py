"""A model per key is as good as River's own models, one for each key, fed by hand."""

import random
from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import anomaly, compose, feature_extraction, forest, linear_model, naive_bayes, optim, preprocessing, tree

from riverrun import ChampionVersions, Drift, Label, ObserveOnly, PerKey, Pipeline, Pool, Watch
from schemas.errors import DeclarationError
from services.model_diff import differences
from streams import pickling
from streams.entity_models import EntityModels
from streams.learner import Learner
from streams.per_key import KEY
from streams.takeover import Takeover
from tests.streams.kept import Kept
from tests.streams.logs import Fold, Log
from tests.streams.test_learner import Fragile
from tests.streams.test_takeover import command, taken_over

KEYS = (None, b"a", b"b", "ø".encode(), b"\xff", b"\x00a")
Row = tuple[bytes | None, float, bool]

MODELS: dict[str, tuple[Any, Callable[[], Any], Any]] = {
    "logistic": (None, lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(), bool),
    "classes": (None, naive_bayes.GaussianNB, str),
    "own rule": (None, lambda: linear_model.PAClassifier(), bool),
    "tree": (None, lambda: tree.HoeffdingAdaptiveTreeClassifier(grace_period=5, seed=7), bool),
    "forest": (None, lambda: forest.ARFClassifier(n_models=2, grace_period=5, seed=7), bool),
    "regression": (None, lambda: preprocessing.StandardScaler() | linear_model.LinearRegression(optim.SGD(0.1)), float),
    "anomaly": ("anomaly", lambda: anomaly.HalfSpaceTrees(n_trees=2, height=2, window_size=5, seed=3), None),
    "verdict": (
        "anomaly",
        lambda: anomaly.QuantileFilter(anomaly.HalfSpaceTrees(n_trees=2, height=2, window_size=5, seed=3), q=0.7),
        None,
    ),
}


def declare(model: Any, model_per: Any, *, kind: Any = bool, task: Any = None, **further: Any) -> Pipeline:
    """Return a pipeline of one number that never changes its champion."""
    ttl = further.pop("ttl", None)
    label = None if kind is None else Label("y", type=kind, ttl=ttl)
    arguments: dict[str, Any] = {"policy": ObserveOnly(), "task": task, **further}
    return Pipeline("p", {"a": float}, label, model, model_per=model_per, **arguments)


def taught_as(kind: Any, y: bool, a: float) -> Any:
    """Return a label of a type."""
    return {bool: y, str: "yes" if y else "no", float: 3.0 * a + y, None: None}[kind]


class ByHand:
    """River models by key, the shared one, and which of them goes, in the plainest way.

    Parameters
    ----------
    build
        Makes a model.
    most, min_learned
        As `PerKey` takes them.
    """

    def __init__(self, build: Callable[[], Any], most: int, min_learned: int) -> None:
        self._build = build
        self._most, self._min_learned = most, min_learned
        self._models: OrderedDict[bytes | None, tuple[Any, int]] = OrderedDict()
        self._shared = build()
        self.evicted = self.shared_answered = 0

    def model_of(self, key: bytes | None) -> Any:
        """Return who answers."""
        model, learned = self._models.get(key, (None, 0))
        if learned < self._min_learned:
            self.shared_answered += 1
            return self._shared
        return self._build() if model is None else model

    def learn(self, key: bytes | None, x: dict[str, Any], *y: Any) -> None:
        """Teach the model of a key and the shared one."""
        model, learned = self._models.pop(key, (None, 0))
        if model is None:
            model = self._build()
        model.learn_one(x, *y)
        self._shared.learn_one(x, *y)
        self._models[key] = model, learned + 1
        if len(self._models) > self._most:
            self._models.popitem(last=False)
            self.evicted += 1


def asked(model: Any, kind: Any, x: dict[str, Any]) -> tuple[Any, Any]:
    """Return prediction and public score of one of River's models."""
    if kind is None:
        score = model.score_one(x)
        return (model.classify(score) if hasattr(model, "classify") else None), score
    if kind is float:
        return model.predict_one(x), None
    score = model.predict_proba_one(x)
    public = {str(k): p for k, p in score.items()} if kind is str else score.get(True, 0.0) if score else None
    return model.predict_one(x), public


def rows(count: int, seed: int, among: int = len(KEYS)) -> list[Row]:
    """Return rows of some keys, each of which has its own idea of what is true."""
    rng = random.Random(seed)
    drawn = [(rng.randrange(among), rng.gauss(0, 1)) for _ in range(count)]
    return [(KEYS[k], a, (a > 0) == (k % 2 == 0)) for k, a in drawn]


def inline(data: list[Row], kind: Any) -> Log:
    """Return a log in which each event brings its label."""
    log = Log()
    for key, a, y in data:
        log.event({"a": a}, y=taught_as(kind, y, a), key=key)
    return log


def expected(oracle: ByHand, data: list[Row], kind: Any) -> Iterator[tuple[Any, Any]]:
    """Yield what models kept by hand answer."""
    for key, a, y in data:
        x = {"a": a}
        yield asked(oracle.model_of(key), kind, x)
        oracle.learn(key, x, *([] if kind is None else [taught_as(kind, y, a)]))


def said(fold: Fold) -> list[tuple[Any, Any]]:
    """Return what a fold answered."""
    assert not fold.letters
    return [(one.prediction, one.score) for one in fold.predictions]


@pytest.mark.parametrize("bounds", [(100, 0), (100, 8), (3, 0), (3, 4)], ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_answers_are_those_of_models_kept_by_hand(name: str, bounds: tuple[int, int]) -> None:
    """With `==`, for every kind of task, with and without a bound that is reached and a shared model."""
    task, build, kind = MODELS[name]
    data, oracle = rows(240, 1), ByHand(build, *bounds)
    fold = Fold(declare(build(), PerKey(*bounds), kind=kind, task=task), inline(data, kind).records)
    assert said(fold) == list(expected(oracle, data, kind))
    assert fold.counts.get("entity_evicted", 0) == oracle.evicted
    assert fold.counts.get("shared_answered", 0) == oracle.shared_answered
    assert (oracle.evicted > 20) == (bounds[0] == 3)
    assert (oracle.shared_answered > 20) == (bounds[1] > 0)


@given(
    st.lists(st.tuples(st.sampled_from(KEYS), st.floats(-3, 3), st.booleans()), max_size=60),
    st.integers(1, 4),
    st.integers(0, 4),
)
@settings(max_examples=60, deadline=None)
def test_any_sequence_of_keys_is_answered_as_by_hand(data: list[Row], most: int, min_learned: int) -> None:
    """Which model goes, which answers, and what it has learned."""
    _, build, kind = MODELS["logistic"]
    oracle = ByHand(build, most, min_learned)
    fold = Fold(declare(build(), PerKey(most, min_learned)), inline(data, kind).records)
    assert said(fold) == list(expected(oracle, data, kind))
    assert fold.task.books.count["entity_evicted"] == oracle.evicted
    assert fold.task.books.count["shared_answered"] == oracle.shared_answered


def delayed(data: list[Row], seed: int) -> tuple[Log, list[tuple[str, int]]]:
    """Return a log whose labels come later, in no order, and what happens in it: ask or learn, and which row."""
    rng, log, steps, waiting = random.Random(seed), Log(), [], list[int]()

    def answer() -> None:
        i = waiting.pop(rng.randrange(len(waiting)))
        log.label(f"e{i}", data[i][2], key=data[i][0])
        steps.append(("learn", i))

    for i, (key, a, _) in enumerate(data):
        log.event({"a": a}, f"e{i}", key=key)
        steps.append(("ask", i))
        waiting.append(i)
        while waiting and rng.random() < 0.48:
            answer()
    while waiting:
        answer()
    return log, steps


def late(bounds: tuple[int, int]) -> tuple[Fold, list[tuple[Any, Any]], ByHand]:
    """Return a fold of labels that come late, what models kept by hand answer, and these models."""
    _, build, kind = MODELS["logistic"]
    data = rows(300, 2)
    log, steps = delayed(data, 3)
    oracle, answers = ByHand(build, *bounds), []
    for step, i in steps:
        key, a, y = data[i]
        if step == "ask":
            answers.append(asked(oracle.model_of(key), kind, {"a": a}))
        else:
            oracle.learn(key, {"a": a}, y)
    fold = Fold(declare(build(), PerKey(*bounds), ttl=timedelta(days=1)), log.records)
    return fold, answers, oracle


@pytest.mark.parametrize("bounds", [(100, 0), (3, 4)], ids=str)
def test_label_that_comes_later_is_learned_by_the_model_of_its_event(bounds: tuple[int, int]) -> None:
    """The key waits with the features, whatever bytes it is; which entity goes is decided when labels come."""
    fold, answers, oracle = late(bounds)
    assert said(fold) == answers
    assert fold.counts["label_joined"] == 300
    assert fold.counts.get("entity_evicted", 0) == oracle.evicted
    assert fold.counts.get("shared_answered", 0) == oracle.shared_answered
    assert (oracle.evicted > 20) == (bounds[0] == 3)


def test_label_without_a_key_is_learned_by_the_model_of_its_event() -> None:
    """It is the event that has been asked about, not the label's record."""
    pipeline = declare(naive_bayes.GaussianNB(), PerKey(min_learned=0), ttl=timedelta(days=1))
    log = Log()
    log.event({"a": 1.0}, "e", key=b"k")
    log.label("e", True)
    models = Fold(pipeline, log.records).task.lifecycle.champion.model
    assert models.learned == {"k": 1}


@pytest.mark.parametrize(
    "policy",
    [ObserveOnly(), Pool(milestone=20), ChampionVersions(milestone=20)],
    ids=lambda policy: type(policy).__name__,
)
def test_task_that_is_restored_again_and_again_is_the_undisturbed_one(policy: Any) -> None:
    """The order in which entities would go, what they have learned, and those beside the champion all come back."""
    further: dict[str, Any] = {"policy": policy, "ttl": timedelta(days=1)}
    pipeline = declare(MODELS["logistic"][1](), PerKey(3, 4), **further)
    data = rows(260, 4)
    turned = [(key, a, y if i < 130 else not y) for i, (key, a, y) in enumerate(data)]
    log, _ = delayed(turned, 5)
    straight, resumed, kept, rng = Fold(pipeline, log.records), Fold(pipeline), Kept(), random.Random(6)
    for record in log.records:
        resumed.step(record)
        if rng.random() < 0.1:
            kept.take(resumed.task)
            resumed.task = kept.restored(pipeline)
    assert resumed.answers == straight.answers
    assert resumed.counts == straight.counts
    assert resumed.lifecycle == straight.lifecycle
    ends = [fold.task.lifecycle.champion.model for fold in (straight, resumed)]
    assert [list(one.learned.items()) for one in ends] == [list(ends[0].learned.items())] * 2
    assert list(ends[0].entities) == list(ends[1].entities)


def test_snapshot_of_a_state_is_the_same_bytes_whether_it_was_restored_or_not() -> None:
    """What copies are made from is no part of it, nor is an answer."""
    pipeline = declare(MODELS["logistic"][1](), PerKey(3, 4))
    fold, kept = Fold(pipeline, inline(rows(60, 7), bool).records), Kept()
    model = fold.task.lifecycle.champion.model
    before = pickling.dumps(model)
    for key in ("a", "new"):
        model.answering({"a": 1.0, KEY: key})
    assert pickling.dumps(model) == before
    kept.take(fold.task)
    restored = kept.restored(pipeline).lifecycle.champion.model
    assert restored._blank is None
    once = pickling.dumps(restored)
    restored._fresh()
    assert pickling.dumps(restored) == once


def test_model_that_raises_while_learning_is_as_if_the_record_had_never_come() -> None:
    """Neither its entity, nor the shared model, nor who would go next remembers it."""
    pipeline = Pipeline(
        "p", {"a": float, "b": float}, Label("y"), Fragile(), model_per=PerKey(2, 3), policy=ObserveOnly()
    )
    rng, clean, poisoned = random.Random(8), Log(), Log()
    for i in range(200):
        if i % 9 == 3:
            poisoned.event({"a": 50.0, "b": 99.0}, f"bad{i}", y=True, key=rng.choice([b"a", b"b", b"bad"]))
        x, key = {"a": rng.gauss(0, 1), "b": rng.gauss(0, 1)}, b"%d" % rng.randrange(4)
        for log in (clean, poisoned):
            log.event(x, f"e{i}", y=x["a"] > 0, key=key)
    straight, fold = Fold(pipeline, clean.records), Fold(pipeline, poisoned.records)
    assert fold.answers == straight.answers
    assert fold.counts["entity_evicted"] == straight.counts["entity_evicted"] > 10
    assert fold.counts["shared_answered"] == straight.counts["shared_answered"] > 10
    assert len(fold.letters) == 22
    assert fold.letters[0].reason.startswith("Fragile v1 raised")


def test_entity_that_has_learned_nothing_and_cannot_say_yet_gives_no_answer() -> None:
    """A scaler that makes NaN at first would else be a dead letter for each new entity."""
    model = preprocessing.MinMaxScaler() | linear_model.LogisticRegression()
    fold = Fold(declare(model, PerKey(min_learned=0)), inline(rows(60, 9), bool).records)
    assert not fold.letters
    assert [one.prediction for one in fold.predictions].count(None) == len(KEYS)


def test_entities_share_nothing_that_can_change() -> None:
    """Neither with each other, nor with the shared model, the declared one, or the user's object."""
    user = linear_model.LogisticRegression(optim.Adam(0.1), initializer=optim.initializers.Constant(1.0))
    pipeline = declare(preprocessing.StandardScaler() | user, PerKey(min_learned=1))
    models = Fold(pipeline, inline(rows(60, 10), bool).records).task.lifecycle.champion.model
    everyone = [*models.entities.values(), models.shared, models.declared, pipeline.model]
    assert len(everyone) == len(KEYS) + 3
    for part in (lambda m: m["LogisticRegression"], lambda m: m["LogisticRegression"].optimizer, lambda m: m[0]):
        assert len({id(part(model)) for model in everyone}) == len(everyone)
    assert models.declared["LogisticRegression"].optimizer.n_iterations == 0
    assert pipeline.model["LogisticRegression"].optimizer.n_iterations == 0


def test_chance_of_an_entity_is_that_of_the_declared_model_whoever_else_there_is() -> None:
    """Missing seeds are filled in once: an entity's answers depend on its own records and on nobody else's."""
    pipeline = declare(forest.ARFClassifier(n_models=2, grace_period=5), PerKey(min_learned=0))
    data = rows(200, 11)
    among = [p for p, row in zip(Fold(pipeline, inline(data, bool).records).predictions, data, strict=True) if row[0]]
    alone = Fold(pipeline, inline([row for row in data if row[0]], bool).records).predictions
    assert [(p.prediction, p.score) for p in among] == [(p.prediction, p.score) for p in alone]
    bare = Fold(
        declare(forest.ARFClassifier(n_models=2, grace_period=5), None),
        inline([r for r in data if r[0] == b"a"], bool).records,
    )
    own = [p for p, row in zip(alone, (r for r in data if r[0]), strict=True) if row[0] == b"a"]
    assert [(p.prediction, p.score) for p in own] == [(p.prediction, p.score) for p in bare.predictions]


def test_key_is_no_feature_to_anybody_who_looks_at_features() -> None:
    """The models, the watcher, and drift by a feature see what was declared."""
    model = compose.Select("a", "word") | compose.SelectType(float) | naive_bayes.GaussianNB()
    pipeline = Pipeline(
        "p",
        {"a": float, "word": str},
        Label("y", ttl=timedelta(days=1)),
        model,
        model_per=PerKey(3, 2),
        watch=Watch(window=20, every=1),
        drift=Drift(by="word"),
    )
    log = Log()
    for i, (key, a, y) in enumerate(rows(400, 12)):
        log.event({"a": a, "word": "w" if i % 2 else "v"}, f"e{i}", key=key)
        log.label(f"e{i}", y, key=key)
    fold = Fold(pipeline, log.records)
    task = fold.task
    assert not fold.letters
    assert task.watcher is not None
    assert [signal.name for signal in task.watcher._signals] == ["a", "word", "prediction"]
    [champion] = task.lifecycle.learners.values()
    seen = {
        name for model in champion.model.entities.values() for g in model["GaussianNB"].gaussians.values() for name in g
    }
    assert seen == {"a"}
    assert task.preprocessor._seen == {"word": {"w", "v"}}


def delays(pipeline: Pipeline, count: int) -> tuple[Fold, list[Row]]:
    """Return a fold of events of which the last twenty still wait."""
    log, data = Log(), rows(count, 13)
    for i, (key, a, _) in enumerate(data):
        log.event({"a": a}, f"e{i}", time_ms=1000, key=key)
    for i, (key, _, y) in enumerate(data[:-20]):
        log.label(f"e{i}", y, time_ms=1000, key=key)
    return Fold(pipeline, log.records), data


@pytest.mark.parametrize(("before", "now"), [(None, "key"), ("key", None), (PerKey(5), PerKey(6))], ids=str)
def test_model_per_that_is_declared_anew_is_another_model_and_loses_no_event_that_waits(before: Any, now: Any) -> None:
    """The old champion serves on until the new one knows enough; neither is disturbed by keys it does not want."""
    further: dict[str, Any] = {"policy": ChampionVersions(milestone=20), "ttl": timedelta(days=1)}
    build = MODELS["logistic"][1]
    old, data = delays(declare(build(), before, **further), 80)
    new, event = taken_over(old, declare(build(), now, **further))
    assert (event.changed, event.version, event.challenger) == (("model_per",), "v1", event.challenger)
    assert event.challenger
    log = Log()
    log.records = [command(0, new.task.pipeline)] * new.task.next_offset
    for i, (key, _, y) in list(enumerate(data))[-20:]:
        new.step(log.label(f"e{i}", y, time_ms=50_000, key=key))
    for i, (key, a, y) in enumerate(rows(300, 14)):
        new.step(log.event({"a": a}, f"n{i}", y=y, time_ms=50_000, key=key))
    assert not new.letters
    assert new.counts["label_joined"] == 80
    assert (new.predictions[0].version, new.predictions[-1].version) == ("v1", event.challenger)
    assert isinstance(new.task.lifecycle.champion.model, EntityModels) == (now is not None)
    assert Takeover("0" * 12, ("model_per",)).renews_model


def test_two_states_of_entity_models_can_be_compared() -> None:
    """`riverrun models diff` tells how many examples each entity has learned, and which weights differ."""
    pipeline = declare(MODELS["logistic"][1](), PerKey(min_learned=0))
    log = inline(rows(30, 15, among=2), bool)
    fold = Fold(pipeline, log.records)
    earlier = pickling.loads(pickling.dumps(fold.task.lifecycle.champion.model))
    fold.step(log.event({"a": 1.0}, y=True, key=b"a"))
    found = {(one.where, one.what): (one.a, one.b) for one in differences(earlier, fold.task.lifecycle.champion.model)}
    learned = earlier.learned["a"]
    assert found["", "learned[a]"] == (learned, learned + 1)
    assert ("entities[a].LogisticRegression", "weights[a]") in found
    assert not any(where.startswith("entities[]") for where, _ in found)


# ------------------------------------------------------------------ tests that can fail


def forgets_the_wrong_one(self: EntityModels, x: dict[str, Any]) -> Any:
    """Let the entity go that came first, however lately it has learned."""
    self.entities.move_to_end = lambda key: None  # type: ignore[method-assign]
    return _learning(self, x)


def shares(self: EntityModels) -> Any:
    """Hand out the same model again."""
    return self.declared


def remembers_questions(self: EntityModels, x: dict[str, Any]) -> Any:
    """Take a question for a sign of life."""
    if x[KEY] in self.entities:
        self.entities.move_to_end(x[KEY])
    return _answering(self, x)


_learning, _answering = EntityModels.learning, EntityModels.answering


@pytest.mark.parametrize(
    ("name", "bug"),
    [("learning", forgets_the_wrong_one), ("_fresh", shares), ("answering", remembers_questions)],
)
def test_planted_bug_is_seen(name: str, bug: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gives other answers than models kept by hand, when labels come late and entities are many."""
    monkeypatch.setattr(EntityModels, name, bug)
    fold, answers, _ = late((3, 4))
    assert said(fold) != answers


def test_key_that_is_lost_while_its_event_waits_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """All labels would be learned by the model of no key."""
    learn = Learner.learn
    monkeypatch.setattr(Learner, "learn", lambda self, x, y: learn(self, {k: v for k, v in x.items() if k != KEY}, y))
    fold, answers, _ = late((100, 0))
    assert said(fold) != answers


def test_model_that_cannot_be_copied_for_each_key_is_refused_when_it_is_declared() -> None:
    """What knows things by their place in memory cannot be restored, nor be made anew for a key."""
    with pytest.raises(DeclarationError, match=r": model: got .*RandomTreesEmbedding"):
        declare(feature_extraction.RandomTreesEmbedding() | linear_model.LogisticRegression(), PerKey(3, 4))
