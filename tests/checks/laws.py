"""What holds for every pipeline, whatever its model: each law is a function of a recipe.

Like River's own checks, a law knows nothing of the model. It raises `AssertionError` when it is broken.
"""

import copy
import math
from importlib.metadata import version
from typing import Any

import msgspec
import pytest

from riverrun import ObserveOnly, PerKey, Pool
from schemas.avro import decode_avro
from schemas.commands import Import
from schemas.errors import InvariantError
from schemas.events import DeadLetter, PredictionMade
from schemas.outgoing import OutgoingEncoder
from schemas.record import Record
from streams.foreign import pack
from streams.imports import admit
from streams.learner import Learner
from streams.scores import binary_score, public_score
from streams.versions import Frozen
from tests.checks.recipes import Recipe
from tests.streams.kept import Kept
from tests.streams.logs import Fold

Trace = list[tuple[str, dict[str, Any], Any]]
_LABELS = ("label_joined", "label_early")


def listen(learner: Learner, trace: Trace) -> None:
    """Note each call of a learner before it is made."""
    predict, learn = learner.predict, learner.learn

    def noting_predict(x: dict[str, Any]) -> Any:
        trace.append(("predict", copy.deepcopy(x), None))
        return predict(x)

    def noting_learn(x: dict[str, Any], y: Any) -> None:
        trace.append(("learn", copy.deepcopy(x), y))
        learn(x, y)

    learner.predict, learner.learn = noting_predict, noting_learn  # type: ignore[method-assign]


def predicts_before_it_learns(recipe: Recipe) -> None:
    """Each example that is learned was predicted before, with the same features, and is learned once."""
    fold = Fold(recipe.pipeline(policy=ObserveOnly()))
    trace: Trace = []
    listen(fold.task.lifecycle.champion, trace)
    open_questions: list[dict[str, Any]] = []
    learned = 0
    for record in recipe.log().records:
        del trace[:]
        events = fold.step(record)
        for verb, x, _ in trace:
            if verb == "predict":
                open_questions.append(x)
            else:
                open_questions.remove(x)  # ValueError when it was never predicted with
        for event in events:
            if isinstance(event, PredictionMade):
                assert trace[0][0] == "predict"
                assert event.learned == learned
        learned += sum(verb == "learn" for verb, _, _ in trace)
    assert learned == fold.learned > 0


def answers_without_the_label(recipe: Recipe) -> None:
    """An event that brings its label is answered as if it had brought none."""
    log = recipe.log(60)
    bare, labelled = Fold(recipe.pipeline(), log.records), Fold(recipe.pipeline(), log.records)
    if recipe.kind is None:
        return
    value = log.records[0].value or b"{}"
    row = msgspec.json.decode(value)
    answers = []
    for fold, y in ((bare, None), (labelled, recipe.truth(row, False))):
        body = msgspec.json.encode({**row, "y": y})
        answers.append(fold.task.step(Record("p.raw", 0, 10**6, 10_000, None, body, [("ce_id", b"last")]))[0])
    assert answers[0] == answers[1]


def is_deterministic(recipe: Recipe) -> None:
    """Two tasks over one log say the same, to the last digit; another name seeds another model."""
    records = recipe.log().records
    first, second = Fold(recipe.pipeline(), records), Fold(recipe.pipeline(), records)
    assert first.answers == second.answers
    assert first.digest == second.digest
    assert first.lifecycle == second.lifecycle
    assert first.metrics == second.metrics or any(math.isnan(value) for value in first.metrics.values())


def bad_records_leave_no_trace(recipe: Recipe) -> None:
    """Dead letters between the records change no answer, no metric and no drift."""
    log = recipe.log()
    mixed: list[Record] = []
    for record in log.records:
        for bad in (b"{", b"[]", b'{"a": NaN}', None, b"\xff" * 20):
            mixed.append(Record("p.raw", 0, len(mixed), record.timestamp_ms, None, bad))
        mixed.append(Record("p.raw", 0, len(mixed), record.timestamp_ms, record.key, record.value, record.headers))
    clean, poisoned = Fold(recipe.pipeline(), log.records), Fold(recipe.pipeline(), mixed)
    assert len(poisoned.letters) == 5 * len(log.records)
    assert poisoned.answers == clean.answers
    assert [type(event) for event in poisoned.lifecycle] == [type(event) for event in clean.lifecycle]
    assert {**poisoned.counts, "dead_letter": 0} == {**clean.counts, "dead_letter": 0}


def model_errors_leave_no_trace(recipe: Recipe) -> None:
    """A `learn_one` that raises after its work, at any record, is as if that record had never come."""
    records = recipe.log(150).records
    clean, broken = Fold(recipe.pipeline()), Fold(recipe.pipeline())
    letters = 0
    for i, record in enumerate(records):
        if _teaches(clean, record) and i % 7 == 0:
            _break_once(broken.task.lifecycle.champion)
            [letter] = broken.task.step(msgspec.structs.replace(record, offset=2 * i))
            assert isinstance(letter, DeadLetter)
            assert (letter.stage, "after all" in letter.reason) == ("learn", True)
            letters += 1
        broken.step(msgspec.structs.replace(record, offset=2 * i + 1))
    assert letters > 3
    assert broken.answers == clean.answers
    assert broken.counts == {**clean.counts, "dead_letter": letters, "model_error": letters}


def _teaches(fold: Fold, record: Record) -> bool:
    """Step, and tell whether the record itself taught the champion one example, and assumed none."""
    count, champion = fold.task.books.count, fold.task.lifecycle.champion
    learned, assumed = champion.learned, count["assumed"]
    fold.step(record)
    return champion.learned == learned + 1 and count["assumed"] == assumed


def _break_once(learner: Learner) -> None:
    """Let the model learn the next example and raise."""
    learn = learner._learn_one

    def failing(*args: Any) -> None:
        learn(*args)
        raise RuntimeError("after all")

    learner._learn_one = failing


def books_balance(recipe: Recipe) -> None:
    """Every record has one outcome; what the champion learned is what the books say."""
    fold = Fold(recipe.pipeline(), recipe.log().records)  # holds the sum after each record
    count = fold.task.books.count
    assert fold.task.books.read == len(recipe.log().records)
    assert count["scored"] == len(fold.predictions) == len({p.id for p in fold.predictions})
    assert count["dead_letter"] == 0


def memory_is_bounded(recipe: Recipe) -> None:
    """Small buffers hold their bounds, and what falls out is counted."""
    fold = Fold(recipe.pipeline(max_pending_bytes=1500, dedupe_window=20))
    join = fold.task.join
    for record in recipe.log().records:
        fold.step(record)
        assert join.pending.size_bytes <= 1500
        assert join.held.size_bytes <= 1500
        assert len(join.settled.young) + len(join.settled.old) <= 40
        assert len(fold.task.lifecycle.champion._undo.examples) <= 20_000
    counted = fold.task.books.count
    settled = counted["scored"] - len(join.pending)
    inline = settled - sum(counted[name] for name in (*_LABELS, "expired", "assumed", "evicted"))
    assert inline >= 0


def restored_task_continues_identically(recipe: Recipe) -> None:
    """A task restored from a snapshot every 45 records, each on top of the last, says what an undisturbed one says."""
    records = recipe.log().records
    straight, resumed = Fold(recipe.pipeline(), records), Fold(recipe.pipeline())
    kept = Kept()
    for i, record in enumerate(records):
        if i % 45 == 44:
            kept.take(resumed.task)
            resumed.task = kept.restored(recipe.pipeline())
        resumed.step(record)
    assert resumed.answers == straight.answers
    assert resumed.lifecycle == straight.lifecycle
    assert resumed.counts == straight.counts
    assert resumed.metrics == straight.metrics or any(math.isnan(value) for value in straight.metrics.values())


def entity_alone_is_answered_as_the_only_model_is(recipe: Recipe) -> None:
    """Where all records have one key, a model per key is the one model: answers, life cycle and metrics."""
    records = recipe.log().records
    single = Fold(recipe.pipeline(), records)
    alone = Fold(recipe.pipeline(model_per=PerKey(min_learned=0)), records)
    assert alone.answers == single.answers
    assert alone.lifecycle == single.lifecycle
    assert alone.counts == single.counts


def restored_entities_continue_identically(recipe: Recipe) -> None:
    """So does a task with more entities than models, and a shared one, whatever the models are."""
    pipeline = recipe.pipeline(model_per=PerKey(most=3, min_learned=4))
    records = [msgspec.structs.replace(one, key=b"%d" % (one.offset * 7 % 5)) for one in recipe.log().records]
    straight, resumed, kept = Fold(pipeline, records), Fold(pipeline), Kept()
    for i, record in enumerate(records):
        if i % 45 == 44:
            kept.take(resumed.task)
            resumed.task = kept.restored(pipeline)
        resumed.step(record)
    assert resumed.answers == straight.answers
    assert resumed.counts == straight.counts
    assert straight.counts["entity_evicted"] > 20


def imported_model_goes_on_as_it_would_have(recipe: Recipe) -> None:
    """A champion that is imported elsewhere answers, and learns, as the one that stayed: to the last bit."""
    records = recipe.log().records
    half = len(records) // 2
    fold = Fold(recipe.pipeline(policy=ObserveOnly()), records[:half])
    champion, here = fold.task.lifecycle.champion, recipe.pipeline(policy=Pool())
    order = Import(
        pipeline=recipe.name,
        model=pack(champion.freeze(here.classes)[0]),
        learned=champion.learned,
        features=tuple(here.features),
        river=version("river"),
    )
    taken = admit(order, here, 7)
    assert isinstance(taken, Frozen), taken
    twin = Learner(taken.thaw, "twin", here.kind, learned=taken.learned)
    trace: Trace = []
    listen(champion, trace)
    fold.step_all(records[half:])
    answers = iter(fold.answers[-sum(verb == "predict" for verb, _, _ in trace) :])
    public = binary_score if here.kind == "binary" else public_score
    for verb, x, y in trace:
        if verb == "learn":
            twin.learn(x, y)
            continue
        prediction, score = twin.predict(x)
        assert (prediction, public(score), twin.learned) == (*(answer := next(answers))[1:3], answer[4])


def positions_may_have_gaps(recipe: Recipe) -> None:
    """Offsets with holes change no answer; one that was read before stops the task."""
    records = recipe.log(80).records
    sparse = [Record(r.topic, 0, 5 * r.offset + 2, r.timestamp_ms, r.key, r.value, r.headers) for r in records]
    dense, gapped = Fold(recipe.pipeline(), records), Fold(recipe.pipeline(), sparse)
    assert gapped.answers == dense.answers
    for again in (sparse[-1], sparse[0]):
        with pytest.raises(InvariantError, match="read again"):
            gapped.task.step(again)
    assert gapped.answers == dense.answers


def every_event_can_be_encoded(recipe: Recipe) -> None:
    """What a task says fits JSON and Avro, and Avro reads it back as JSON does."""
    json, avro = OutgoingEncoder(recipe.name), OutgoingEncoder(recipe.name, "avro")
    fold = Fold(recipe.pipeline())
    for record in recipe.log(120).records:
        for event in fold.step(record):
            assert not isinstance(event, DeadLetter)
            text = msgspec.json.decode(json.encode(event, record).value)
            fields = decode_avro(type(event), avro.encode(event, record).value)
            assert fields == text
            assert isinstance(event, PredictionMade) is (json.encode(event, record).topic.endswith(".predictions"))


LAWS = (
    predicts_before_it_learns,
    answers_without_the_label,
    is_deterministic,
    bad_records_leave_no_trace,
    model_errors_leave_no_trace,
    books_balance,
    memory_is_bounded,
    restored_task_continues_identically,
    entity_alone_is_answered_as_the_only_model_is,
    restored_entities_continue_identically,
    imported_model_goes_on_as_it_would_have,
    positions_may_have_gaps,
    every_event_can_be_encoded,
)
