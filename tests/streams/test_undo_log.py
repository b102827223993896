"""The undo log: bounded whatever the model, and right wherever its checkpoint was taken."""

import pickle
from typing import Any

import pytest
from river import linear_model, tree

from schemas.errors import ModelBrokenError, ModelError
from streams import undo_log
from streams.learner import Learner
from streams.undo_log import Pickled


class Slow:
    """A checkpoint that is written when the test says so, as a child process does."""

    def __init__(self, model: Any) -> None:
        self.data = pickle.dumps(model)
        self.size: int | None = None

    def size_bytes(self) -> int | None:
        """Return what the test says."""
        return self.size

    def load(self) -> Any:
        """Return the model."""
        return pickle.loads(self.data)


class Desk:
    """A learner whose checkpoints are slow, with room for some hundred examples, and its twin."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(undo_log, "_MAX_BYTES", 4 * 12_000)
        self.taken: list[Slow] = []
        self.learner = Learner(linear_model.LogisticRegression, "v1", "binary", self._take)
        self.twin = linear_model.LogisticRegression()

    def _take(self, model: Any) -> Slow:
        self.taken.append(Slow(model))
        return self.taken[-1]

    def learn(self, count: int) -> None:
        """Let the learner and its twin learn the same."""
        for i in range(self.learner.learned, self.learner.learned + count):
            x, y = {"a": float(i % 7), "b": float(i)}, i % 3 == 0
            self.learner.learn(x, y)
            self.twin.learn_one(x, y)

    def fail(self) -> None:
        """Let the model raise half way, and hold what comes back against the twin."""
        self.learner.model.weights["a"] = 99.0
        with pytest.raises(ModelError):
            self.learner.learn({"a": "no number"}, True)
        assert dict(self.learner.model.weights) == dict(self.twin.weights)


def test_model_comes_back_before_its_first_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh model and all that was learned make the model, as often as it is asked for."""
    desk = Desk(monkeypatch)
    for count in (0, 20, 30):
        desk.learn(count)
        desk.fail()
        desk.fail()
    assert desk.taken == []


@pytest.mark.parametrize("written", [None, 1000], ids=["at work", "written"])
def test_model_comes_back_whatever_became_of_the_checkpoint(
    written: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was learned before, during and after a checkpoint is there again, once each, in order."""
    desk = Desk(monkeypatch)
    desk.learn(120)
    [checkpoint] = desk.taken
    checkpoint.size = written
    desk.learn(70)
    desk.fail()
    desk.learn(10)
    desk.fail()


def test_examples_before_a_written_checkpoint_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that came while it was being written stay."""
    desk = Desk(monkeypatch)
    desk.learn(120)
    before = len(desk.learner._undo.examples)
    desk.taken[0].size = 1000
    desk.learn(60)
    assert 0 < len(desk.learner._undo.examples) <= 180 - desk.learner._undo._next_at < before
    desk.fail()


def test_undo_log_is_bounded_in_bytes_however_the_examples_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand small examples, then large ones: the log never holds much more than its bound."""
    monkeypatch.setattr(undo_log, "_MAX_BYTES", 100_000)
    learner = Learner(linear_model.LogisticRegression, "v1", "binary")
    largest = 0
    for i in range(3_000):
        x = {"a": float(i % 7)} if i < 2_000 else {f"a{n}": float(i) for n in range(200)}
        learner.learn(x, i % 2 == 0)
        largest = max(largest, sum(map(len, learner._undo.examples)))
    assert 10_000 < largest < 110_000


def test_large_model_has_a_shorter_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a slow one, and what was learned has to be learned again on the way back."""
    monkeypatch.setattr(undo_log, "_MAX_BYTES", 100_000)
    lengths = {}
    for large in (True, False):
        monkeypatch.setattr(undo_log, "_LARGE_MODEL_BYTES", 0 if large else 1_000_000)
        learner = Learner(linear_model.LogisticRegression, "v1", "binary")
        lengths[large] = 0
        for i in range(4_000):
            learner.learn({"a": float(i % 7)}, i % 2 == 0)
            lengths[large] = max(lengths[large], len(learner._undo.examples))
    assert 3.5 < lengths[False] / lengths[True] < 4.5


def test_model_too_deep_to_pickle_learns_on_and_its_log_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A regressor's splitter on a feature that only rises is a list, too deep for pickle: no reason to stop."""
    monkeypatch.setattr(undo_log, "_MAX_BYTES", 4 * 250_000)
    learner = Learner(lambda: tree.HoeffdingTreeRegressor(grace_period=10_000), "v1", "regression")
    longest = 0
    for i in range(5_000):
        learner.learn({"a": float(i)}, float(i % 7))
        longest = max(longest, len(learner._undo.examples))
    assert Pickled(learner.model).size_bytes() == 0
    assert learner.learned == 5_000
    assert longest < 2_500
    with pytest.raises(ModelBrokenError, match="cannot be put back"):
        learner.learn({"a": 1.0}, "no number")
