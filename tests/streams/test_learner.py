"""Models that raise or answer nonsense: as if the record had never come, and after ten in a row nobody goes on."""

import pickle
import random
from collections import Counter
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np
import pytest
from river import anomaly, base, compose, forest, linear_model, metrics, preprocessing, tree

from riverrun import BackgroundChallenger, Feature, Label, ObserveOnly, Pipeline
from schemas.errors import ModelBrokenError, ModelError
from streams.learner import MODEL_ERRORS_IN_A_ROW, Learner
from streams.successor import Successor
from tests.streams.kept import Kept
from tests.streams.logs import Fold, Log
from tests.streams.recording import RecordingClassifier

LEARN, PREDICT, NAN = 1.0, 2.0, 3.0


class Fragile(linear_model.LogisticRegression):
    """Logistic regression that raises where ``b`` is above 8, after it has learned the example."""

    def learn_one(self, x: dict[str, Any], y: Any, w: float = 1.0) -> None:
        """Learn, then perhaps raise."""
        super().learn_one(x, y, w)
        if x["b"] > 8.0:
            raise ZeroDivisionError("half way")


class FragileTree(tree.HoeffdingAdaptiveTreeClassifier):
    """A tree that raises where ``b`` is above 8, after it has learned the example."""

    def learn_one(self, x: dict[str, Any], y: Any, *, w: float = 1.0) -> None:
        """Learn, then perhaps raise."""
        super().learn_one(x, y, w=w)
        if x["b"] > 8.0:
            raise ZeroDivisionError("half way")


class FragileLabel(base.Classifier):
    """Counts labels and raises at one."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    @property
    def _multiclass(self) -> bool:
        return True

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        """Count, then perhaps raise."""
        self.counts[y] += 1
        if y == "bad":
            raise ValueError(y)

    def predict_proba_one(self, x: dict[str, Any]) -> dict[Any, float]:
        """Say nothing."""
        return {}


class Constant(base.Regressor):
    """Answers always the same, whatever that is."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        """Learn nothing."""

    def predict_one(self, x: dict[str, Any]) -> Any:
        """Answer."""
        return self.answer


def declared(model: Any, **changes: Any) -> Pipeline:
    """Return a pipeline of two features with inline labels."""
    arguments: dict[str, Any] = {
        "features": {"a": float, "b": float},
        "label": Label("y"),
        "policy": ObserveOnly(),
        "metrics": [metrics.Accuracy()],
    }
    return Pipeline("p", model=model, **{**arguments, **changes})


def stream(poison_at: set[int], length: int = 400, seed: int = 5) -> tuple[Log, Log]:
    """Return a log without and one with poisonous records among the others."""
    rng = random.Random(seed)
    clean, poisoned = Log(), Log()
    for i in range(length):
        a, b = rng.gauss(0, 1), rng.gauss(0, 1)
        if i in poison_at:
            poisoned.event({"a": 50.0, "b": 1e9}, f"bad{i}", y=True)
        for log in (clean, poisoned):
            log.event({"a": a, "b": b}, f"e{i}", y=a + b * b > 0.5)
    return clean, poisoned


@pytest.mark.parametrize(
    ("model", "poison_at"),
    [
        (Fragile(), {0, 1, 2, 99, 100, 101, 250, 399}),
        (FragileTree(grace_period=20, seed=3), {0, 1, 2, 99, 100, 101, 250, 399}),
        # A value of 1e9 is √n when scaled, so above 8 from the 65th on.
        (preprocessing.StandardScaler() | Fragile(), {99, 100, 101, 250, 399}),
        ((compose.Select("a") | preprocessing.StandardScaler()) + compose.Select("b") | Fragile(), {0, 99, 250}),
    ],
    ids=["logistic", "tree", "chain", "union"],
)
def test_model_that_raises_while_learning_is_as_if_the_record_had_never_come(model: Any, poison_at: set[int]) -> None:
    """Half an update is undone, at the first record, between and after checkpoints, to the last digit."""
    clean, poisoned = stream(poison_at)
    expected, got = Fold(declared(model), clean.records), Fold(declared(model), poisoned.records)
    assert got.answers == expected.answers
    assert got.metrics == expected.metrics
    assert got.counts == {"scored": 400, "dead_letter": len(poison_at), "model_error": len(poison_at)}
    assert "ZeroDivisionError('half way')" in got.letters[0].reason
    assert len(expected.answers) == 400


def test_model_that_raises_leaves_preprocessing_as_it_was() -> None:
    """Fills and categories of a record that became a dead letter are not remembered."""
    pipeline = declared(
        compose.SelectType(float) | Fragile(),
        features={"a": Feature(float, nullable=True, missing="mean"), "b": float, "s": str},
    )
    log = Log()
    log.event({"a": 1.0, "b": 99.0, "s": "bad"}, y=True)
    fold = Fold(pipeline, log.records)
    assert fold.counts["dead_letter"] == 1
    fold.step(log.event({"b": 0.0, "s": "good"}, "next"))
    assert fold.task.preprocessor._seen == {"s": {"good"}}
    assert fold.task.preprocessor._sums == {}


def test_model_error_at_a_label_leaves_the_event_waiting() -> None:
    """A label the model cannot learn is a dead letter of stage learn; the corrected one is learned after all."""
    pipeline = declared(FragileLabel(), label=Label("y", type=str, ttl=timedelta(days=1)), features={"a": float})
    log = Log()
    log.event({"a": 1.0}, "e")
    log.label("e", "bad")
    fold = Fold(pipeline, log.records)
    assert [(letter.stage, letter.record.offset) for letter in fold.letters] == [("learn", 1)]
    fold.step(log.label("e", "good"))
    assert fold.counts == {"scored": 1, "dead_letter": 1, "model_error": 1, "label_joined": 1}
    assert fold.task.lifecycle.champion.model.counts == Counter(good=1)


@pytest.mark.parametrize(
    ("trap", "words"), [(PREDICT, "trapped while predicting"), (NAN, "answered"), (LEARN, "learning")]
)
def test_model_error_names_the_model_and_the_next_record_is_scored(trap: float, words: str) -> None:
    """Raising or NaN: a dead letter that says which model did what, and the stream goes on."""
    pipeline = declared(RecordingClassifier(), features={"trap": float})
    log = Log()
    log.event({"trap": 0.0}, y=True)
    log.event({"trap": trap}, "bad", y=True)
    log.event({"trap": 0.0}, y=True)
    fold = Fold(pipeline, log.records)
    [letter] = fold.letters
    assert letter.reason.startswith("RecordingClassifier v1 ")
    assert words in letter.reason
    assert letter.stage == ("learn" if trap == LEARN else "score")
    assert [p.learned for p in fold.predictions] == [0, 1]
    assert not fold.task.join.has_seen("bad")
    assert fold.task.lifecycle.champion.model.total == 2


def test_ten_model_errors_in_a_row_stop_the_task_and_move_nothing() -> None:
    """The tenth raises by name of its position; offset, records read and model stay."""
    pipeline = declared(RecordingClassifier(), features={"trap": float})
    log = Log()
    log.event({"trap": 0.0}, y=True)
    for _ in range(MODEL_ERRORS_IN_A_ROW):
        log.event({"trap": PREDICT}, y=True)
    fold = Fold(pipeline, log.records[:-1])
    with pytest.raises(ModelBrokenError, match=r"p\.raw\[0\]@10: 10 model errors in a row, the last: .*trapped"):
        fold.task.step(log.records[-1])
    assert fold.task.next_offset == 10
    assert fold.task.books.read == 10
    assert fold.task.books.balanced
    assert fold.learned == 1


def test_good_record_between_ends_the_row_of_model_errors() -> None:
    """Only errors in a row count; bad data between them does not end the row."""
    pipeline = declared(RecordingClassifier(), features={"trap": float})
    log = Log()
    for i in range(40):
        log.event({"trap": PREDICT if i % 9 else 0.0}, y=True)
    assert Fold(pipeline, log.records).counts["model_error"] == 35
    for _ in range(MODEL_ERRORS_IN_A_ROW):
        log.event({"trap": PREDICT}, y=True)
        log.raw(b"no JSON")
    with pytest.raises(ModelBrokenError):
        Fold(pipeline, log.records)


def failing_at_assumed_labels(events: int) -> tuple[Pipeline, Log]:
    """Return a declaration that assumes labels after a second, and events at none of which the model can learn one."""
    label = Label("y", ttl=timedelta(seconds=1), on_expiry=False)
    log = Log()
    for i in range(events):
        log.event({"trap": LEARN}, f"e{i}", time_ms=1500 * i)
    return declared(RecordingClassifier(), features={"trap": float}, label=label), log


def test_ten_assumed_labels_in_a_row_that_cannot_be_learned_stop_the_task() -> None:
    """Answers between them end no row; the record that moved the watermark is named, and is not taken in."""
    pipeline, log = failing_at_assumed_labels(MODEL_ERRORS_IN_A_ROW + 1)
    fold = Fold(pipeline, log.records[:-1])
    assert fold.counts == {"scored": 10, "model_error": 9, "expired": 9}
    with pytest.raises(ModelBrokenError, match=r"p\.raw\[0\]@10: 10 model errors in a row, the last: .*trapped"):
        fold.task.step(log.records[-1])
    assert (fold.task.next_offset, fold.task.books.read) == (10, 10)


@pytest.mark.parametrize("place", range(1, MODEL_ERRORS_IN_A_ROW + 1))
def test_row_of_model_errors_goes_on_after_a_restart(place: int) -> None:
    """Wherever the snapshot was taken, the task stops at the record at which it would have without one."""
    pipeline, log = failing_at_assumed_labels(MODEL_ERRORS_IN_A_ROW + 1)
    fold, kept = Fold(pipeline, log.records[:place]), Kept()
    kept.take(fold.task)
    fold.task = kept.restored(pipeline)
    fold.step_all(log.records[place:-1])
    with pytest.raises(ModelBrokenError, match=r"p\.raw\[0\]@10: 10 model errors in a row"):
        fold.task.step(log.records[-1])


def test_late_labels_that_cannot_be_learned_are_in_a_row_whatever_is_answered_between() -> None:
    """An event that is scored says nothing of learning."""
    pipeline = declared(RecordingClassifier(), features={"trap": float}, label=Label("y", ttl=timedelta(days=1)))
    log = Log()
    for i in range(MODEL_ERRORS_IN_A_ROW):
        log.event({"trap": LEARN}, f"e{i}")
        log.label(f"e{i}", True)
    fold = Fold(pipeline, log.records[:-1])
    assert fold.counts == {"scored": 10, "dead_letter": 9, "model_error": 9}
    with pytest.raises(ModelBrokenError, match=r"p\.raw\[0\]@19: 10 model errors in a row, the last: .*trapped"):
        fold.task.step(log.records[-1])


def test_events_that_cannot_be_answered_are_in_a_row_whatever_is_learned_between() -> None:
    """A label that is learned says nothing of answering."""
    pipeline = declared(RecordingClassifier(), features={"trap": float}, label=Label("y", ttl=timedelta(days=1)))
    log = Log()
    for i in range(MODEL_ERRORS_IN_A_ROW):
        log.event({"trap": 0.0}, f"e{i}")
    for i in range(MODEL_ERRORS_IN_A_ROW):
        log.event({"trap": PREDICT}, f"bad{i}")
        log.label(f"e{i}", True)
    fold = Fold(pipeline, log.records[:-2])
    with pytest.raises(ModelBrokenError, match=r"p\.raw\[0\]@28: 10 model errors in a row, the last: .*trapped"):
        fold.task.step(log.records[-2])


@pytest.mark.parametrize("inline", [True, False])
def test_lesson_that_is_learned_ends_the_row_of_those_that_are_not(inline: bool) -> None:
    """Nine errors, a lesson, nine errors: the data's fault."""
    pipeline = declared(RecordingClassifier(), features={"trap": float}, label=Label("y", ttl=timedelta(days=1)))
    log = Log()
    for i in range(40):
        trap = LEARN if i % MODEL_ERRORS_IN_A_ROW else 0.0
        log.event({"trap": trap}, f"e{i}", y=True if inline else None)
        if not inline:
            log.label(f"e{i}", True)
    assert Fold(pipeline, log.records).counts["model_error"] == 36


def test_successor_that_raises_is_counted_and_harms_nobody() -> None:
    """Errors of a successor are its own: the record is learned by the champion."""
    fold = Fold(declared(Fragile(), policy=BackgroundChallenger()))
    lifecycle = fold.task.lifecycle
    lifecycle.successor = Successor(Learner(Fragile, "v2", "binary"), "drift", "r")
    lifecycle.teach_successor({"a": 1.0, "b": 99.0}, True)
    lifecycle.teach_successor({"a": 1.0, "b": 1.0}, True)
    assert fold.task.books.count["shadow_error"] == 1
    assert lifecycle.successor.learner.learned == 1


@pytest.mark.parametrize("answer", [float("nan"), float("inf"), -np.inf, {"a": 1.0}, (1.0, True), 1 + 2j])
def test_answer_that_is_no_finite_number_is_a_model_error(answer: Any) -> None:
    """Whatever a model answers, it is a number or a model error, and never an exception of another kind."""
    learner = Learner(lambda: Constant(answer), "v1", "regression")
    learner.learn({}, 1.0)
    with pytest.raises(ModelError, match="Constant v1"):
        learner.predict({})


@pytest.mark.parametrize("answer", [np.float64(1.5), np.float32(1.5), 1.5])
def test_number_of_numpy_is_answered_as_a_plain_one(answer: Any) -> None:
    """Encoders take plain floats only."""
    prediction, _ = Learner(lambda: Constant(answer), "v1", "regression").predict({})
    assert (prediction, type(prediction)) == (1.5, float)


@pytest.mark.parametrize(
    "scaler", [preprocessing.MinMaxScaler(), preprocessing.MaxAbsScaler(), preprocessing.RobustScaler()]
)
def test_scaler_that_makes_nan_until_it_has_learned_can_start(scaler: Any) -> None:
    """Before anything was learned a NaN means that the model cannot say yet; later it is a model error."""
    clean, _ = stream(set())
    fold = Fold(declared(scaler | linear_model.LogisticRegression()), clean.records)
    assert fold.counts == {"scored": 400}
    assert fold.learned == 400


def test_answer_that_is_nan_before_anything_was_learned_is_no_answer() -> None:
    """The model cannot say yet, which is no error of the record."""
    learner = Learner(lambda: Constant(float("nan")), "v1", "regression")
    assert learner.predict({}) == (None, None)
    learner.learn({}, 1.0)
    with pytest.raises(ModelError, match="answered"):
        learner.predict({})


def test_forest_answers_before_its_first_label() -> None:
    """A forest's empty answer is a Counter, which is as good as a dict."""
    learner = Learner(lambda: forest.ARFClassifier(n_models=2, seed=1), "v1", "multiclass")
    assert learner.predict({"a": 1.0}) == (None, {})


def test_anomaly_detector_with_a_threshold_gives_a_verdict() -> None:
    """A filter classifies its score; a bare detector gives the score alone."""
    detector = anomaly.HalfSpaceTrees(n_trees=2, height=2, seed=1)
    bare = Learner(lambda: detector, "v1", "anomaly").predict({"a": 0.5})
    judged = Learner(lambda: anomaly.ThresholdFilter(detector, threshold=0.0), "v1", "anomaly").predict({"a": 0.5})
    assert bare[0] is None
    assert judged == (True, bare[1])


def test_tree_with_classes_of_strings_answers_the_same_after_pickle() -> None:
    """River's adaptive tree walks through a set of its classes; a snapshot and the undo log must not shuffle it."""
    for i in range(30):
        pipeline = declared(tree.HoeffdingAdaptiveTreeClassifier(seed=1), label=Label("y", type=str))
        learner = Learner(partial(pipeline.fresh_model, "v1"), "v1", "multiclass")
        for name in "abc":
            learner.learn({"a": float(ord(name))}, f"{name}{i}")
        restored = Learner(partial(pickle.loads, pickle.dumps(learner.model)), "v1", "multiclass")
        before, after = learner.predict({"a": 0.5}), restored.predict({"a": 0.5})
        assert (before[0], list(before[1].items())) == (after[0], list(after[1].items()))


def test_selected_features_stand_in_the_same_order_after_pickle() -> None:
    """River's `Select` walks through a set of its keys, and float sums depend on the order."""
    for i in range(30):
        x = {f"{letter}{i}": 1.0 for letter in "abc"}
        model = compose.Select(*x) | linear_model.LogisticRegression()
        select = declared(model, features=dict.fromkeys(x, float)).fresh_model("v1").steps["Select"]
        assert list(select.transform_one(x)) == list(pickle.loads(pickle.dumps(select)).transform_one(x))
