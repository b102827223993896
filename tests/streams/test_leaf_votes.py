"""A learner of Hoeffding trees answers and learns as River's trees do by themselves, to the last bit, and in less."""

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from river import base, compose, ensemble, forest, linear_model, naive_bayes, preprocessing, tree
from river.datasets import synth

from streams import leaf_votes
from streams.leaf_votes import LeafVotes, has_leaves
from streams.learner import Learner

MODELS: dict[str, Callable[[], Any]] = {
    "tree": lambda: tree.HoeffdingTreeClassifier(grace_period=50),
    "adaptive tree": lambda: tree.HoeffdingAdaptiveTreeClassifier(grace_period=50, seed=1),
    "naive Bayes always": lambda: tree.HoeffdingAdaptiveTreeClassifier(50, leaf_prediction="nb", seed=1),
    "that splits anew": lambda: tree.ExtremelyFastDecisionTreeClassifier(grace_period=50, min_samples_reevaluate=200),
    "that counts first": lambda: tree.LASTClassifier(),
    "behind a scaler": lambda: (
        compose.Discard("colour") | preprocessing.StandardScaler() | tree.HoeffdingAdaptiveTreeClassifier(50, seed=1)
    ),
    "forest": lambda: forest.ARFClassifier(n_models=3, grace_period=50, seed=1),
    "bagged": lambda: ensemble.BaggingClassifier(tree.HoeffdingTreeClassifier(grace_period=50), n_models=3, seed=1),
    "histograms": lambda: tree.HoeffdingTreeClassifier(50, splitter=tree.splitter.HistogramSplitter()),
}
Examples = list[tuple[dict[str, Any], Any]]


def examples(count: int) -> Examples:
    """Return examples whose concept changes half way; features are missing now and then, one is a word."""
    chance = random.Random(7)
    halves = (synth.Agrawal(classification_function=concept, seed=3).take(count // 2) for concept in (0, 3))
    made = []
    for x, y in itertools.chain(*halves):
        word = {"colour": chance.choice(("red", "green", "blue", "x" * chance.randrange(9)))}
        made.append(({k: v for k, v in (x | word).items() if chance.random() > 0.02}, y))
    return made


def as_it_comes(log: Examples) -> Iterator[tuple[str, int]]:
    """Each event is answered, then learned."""
    for index in range(len(log)):
        yield from (("ask", index), ("teach", index))


def late(log: Examples) -> Iterator[tuple[str, int]]:
    """Labels come up to thirty events late, some twice, some never."""
    chance, waiting = random.Random(5), list[int]()
    for index in range(len(log)):
        yield "ask", index
        waiting.append(index)
        while len(waiting) > 30 or (waiting and chance.random() < 0.5):
            learned = waiting.pop(chance.randrange(len(waiting)))
            if chance.random() > 0.02:
                yield "teach", learned
            if chance.random() < 0.02:
                yield "teach", learned


@pytest.mark.parametrize("order", [as_it_comes, late])
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_learner_answers_as_its_model_does_by_itself(
    make: Callable[[], Any], order: Callable[[Examples], Iterator[tuple[str, int]]]
) -> None:
    log, bare, learner = examples(1600), make(), Learner(make, "v1", "binary")
    for verb, index in order(log):
        x, y = log[index]
        if verb == "ask":
            assert repr(learner.predict(x)[1]) == repr(bare.predict_proba_one(x))
        else:
            learner.learn(x, y)
            bare.learn_one(x, y)


@pytest.mark.parametrize(("make", "share"), [(MODELS["adaptive tree"], 0.45), (MODELS["forest"], 0.6)])
def test_votes_are_computed_once(make: Callable[[], Any], share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    computed, look_up = [0], tree.splitter.GaussianSplitter.cond_log_proba

    def counting(*arguments: Any) -> Any:
        computed[0] += 1
        return look_up(*arguments)

    monkeypatch.setattr(tree.splitter.GaussianSplitter, "cond_log_proba", counting)
    bare, learner, log = make(), Learner(make, "v1", "binary"), examples(1600)
    for x, y in log:
        bare.predict_proba_one(x)
        bare.learn_one(x, y)
    by_river, computed[0] = computed[0], 0
    for x, y in log:
        learner.predict(x)
        learner.learn(x, y)
    assert 0 < computed[0] < share * by_river


class Feather(base.Wrapper, base.Classifier):
    """Teaches a tree examples that weigh next to nothing: its counts stay as they are, its splitters do not."""

    def __init__(self, model: Any) -> None:
        self.model = model

    @property
    def _wrapped_model(self) -> Any:
        return self.model

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        self.model.learn_one(x, y, w=1e-30 if x["word"] == "c" else 1.0)

    def predict_proba_one(self, x: dict[str, Any]) -> Any:
        return self.model.predict_proba_one(x)


def test_lesson_forgets_votes_that_counts_do_not_tell_of() -> None:
    def make() -> Any:
        return Feather(tree.HoeffdingTreeClassifier(leaf_prediction="nb", nb_threshold=1))

    bare, learner, told, asked = make(), Learner(make, "v1", "binary"), [], {"word": "c"}
    for word, y in (("a", True), ("b", False), ("b", True), ("c", True)):
        learner.learn({"word": word}, y)
        bare.learn_one({"word": word}, y)
        told.append(bare.predict_proba_one(asked))
        assert learner.predict(asked)[1] == told[-1]
    assert told[-1] != told[-2]


def test_outside_of_learners_river_is_as_it_was() -> None:
    model, votes = MODELS["tree"](), LeafVotes()
    [(x, y), *_] = examples(2)

    def refuse(x: Any, y: Any = None) -> None:
        raise LookupError

    for broken in (votes.asking(refuse), lambda x: votes.teaching(refuse)(x, y)):
        with pytest.raises(LookupError):
            broken(x)
        assert leaf_votes._at_work is None
    model.learn_one(x, y)
    before = model.predict_proba_one(x)
    before.clear()
    assert model.predict_proba_one(x)


def test_vote_stays_what_it_was_whatever_is_done_with_an_answer() -> None:
    model = tree.HoeffdingTreeClassifier(leaf_prediction="nb", nb_threshold=1)
    for word, y in (("a", True), ("b", False), ("b", True)):
        model.learn_one({"word": word}, y)
    ask = LeafVotes().asking(lambda x: model._root.prediction(x, tree=model))
    asked = {"word": "b"}
    expected = dict(answer := ask(asked))
    answer.clear()
    ask(asked).clear()
    assert ask(asked) == expected
    other = {"word": "c"}
    assert ask(other) == model._root.prediction(other, tree=model) != expected


class Smudge(base.Transformer):
    """Changes features where they are, further each time."""

    def transform_one(self, x: dict[str, Any]) -> dict[str, Any]:
        x["a"] += 1.0
        return x


def test_event_that_a_step_before_the_tree_changes_is_another_one() -> None:
    def make() -> Any:
        return Smudge() | tree.HoeffdingAdaptiveTreeClassifier(seed=1)

    bare, learner = make(), Learner(make, "v1", "binary")
    for number in range(300):
        here, there, y = {"a": float(number % 7)}, {"a": float(number % 7)}, number % 7 > 3
        assert repr(learner.predict(here)[1]) == repr(bare.predict_proba_one(there))
        learner.learn(here, y)
        bare.learn_one(there, y)


class Dice(tree.splitter.GaussianSplitter):
    """A splitter that answers by chance."""


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        *((make(), name != "that counts first") for name, make in MODELS.items() if name != "behind a scaler"),
        (tree.HoeffdingTreeClassifier(leaf_prediction="mc"), False),
        (tree.HoeffdingTreeClassifier(splitter=Dice()), False),
        (tree.HoeffdingTreeRegressor(), False),
        (linear_model.LogisticRegression(), False),
        (naive_bayes.GaussianNB(), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, base.Base) else "",
)
def test_who_has_leaves(model: Any, expected: bool) -> None:
    assert has_leaves(model) is expected
