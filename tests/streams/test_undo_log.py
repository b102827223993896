"""The undo log: bounded whatever the model, and right wherever its checkpoint was taken."""

import pickle
from typing import Any

import pytest
from river import linear_model, tree

from schemas.errors import ModelBrokenError, ModelError
from streams import undo_log
from streams.learner import Learner


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
    """A learner of a large linear model whose checkpoints are slow."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(undo_log, "_SMALL_BYTES", 0)
        self.taken: list[Slow] = []
        self.learner = Learner(linear_model.LogisticRegression(), "v1", "binary", self._take)
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


@pytest.mark.parametrize("written", [None, 1000, 0], ids=["at work", "written", "failed"])
def test_model_comes_back_whatever_became_of_the_checkpoint(
    written: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was learned before, during and after a checkpoint is there again, once each, in order."""
    desk = Desk(monkeypatch)
    desk.learn(260)
    [checkpoint] = desk.taken
    checkpoint.size = written
    desk.learn(700)
    desk.fail()
    desk.learn(10)
    desk.fail()


def test_examples_before_a_written_checkpoint_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that came while it was being written stay."""
    desk = Desk(monkeypatch)
    desk.learn(260)
    desk.taken[0].size = 1000
    desk.learn(250)
    assert len(desk.learner._undo.examples) == 260
    desk.fail()


def test_undo_log_is_bounded_in_examples_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small models are written down often; large ones when the log is long, or large."""
    learner = Learner(linear_model.LogisticRegression(), "v1", "binary")
    longest = 0
    for i in range(5000):
        learner.learn({"a": float(i % 7)}, i % 2 == 0)
        longest = max(longest, len(learner._undo.examples))
    assert longest < undo_log._SMALL_EXAMPLES
    monkeypatch.setattr(undo_log, "_SMALL_BYTES", 0)
    monkeypatch.setattr(undo_log, "_MAX_BYTES", 10_000)
    learner = Learner(linear_model.LogisticRegression(), "v1", "binary")
    longest = 0
    for i in range(5000):
        learner.learn({"a": float(i % 7)}, i % 2 == 0)
        longest = max(longest, len(learner._undo.examples))
    assert 250 < longest < 1000


def test_model_too_deep_to_pickle_learns_on_and_its_log_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A regressor's splitter on a feature that only rises is a list, too deep for pickle: no reason to stop."""
    monkeypatch.setattr(undo_log, "_MAX_EXAMPLES", 2_500)
    learner = Learner(tree.HoeffdingTreeRegressor(grace_period=10_000), "v1", "regression")
    longest = 0
    for i in range(4_000):
        learner.learn({"a": float(i)}, float(i % 7))
        longest = max(longest, len(learner._undo.examples))
    assert learner.learned == 4_000
    assert longest <= 3_500
    with pytest.raises(ModelBrokenError, match="cannot be put back"):
        learner.learn({"a": 1.0}, "no number")
