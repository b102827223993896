"""Models from elsewhere: what is settled before one travels, and what cannot be unpacked."""

import os
import zlib
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import compose, ensemble, forest, linear_model, multiclass, naive_bayes, preprocessing, tree

from schemas.errors import NotPicklableError
from streams import pickling
from streams.foreign import LARGEST_BYTES, pack, settle, unpack
from streams.seeding import RecordedSet

UNSETTLED: list[Any] = [
    forest.ARFClassifier(n_models=2),
    preprocessing.StandardScaler() | ensemble.BaggingClassifier(naive_bayes.GaussianNB(), n_models=2),
    ensemble.LeveragingBaggingClassifier(forest.AMFClassifier(n_estimators=2), n_models=2),
    ensemble.SRPClassifier(forest.AMFClassifier(n_estimators=2), n_models=2, seed=2),
    multiclass.OneVsRestClassifier(forest.AMFClassifier(n_estimators=2)),
]


@pytest.mark.parametrize("examples", [0, 30])
@pytest.mark.parametrize("model", UNSETTLED, ids=lambda model: type(model).__name__)
def test_settled_model_learns_the_same_in_every_replay(model: Any, examples: int) -> None:
    """Two copies of it, read from the same bytes, answer alike to the last bit however long they learn."""
    learned = model.clone()
    for number in range(examples):
        learned.learn_one({"a": number % 7 - 3.0, "b": number % 5}, number % 7 > 2)
    settle(learned)
    data = pickling.dumps(learned)
    one, other = pickling.loads(data), pickling.loads(data)
    for number in range(900):
        x, y = {"a": number * 7919 % 11 - 5.0, "b": number % 13}, (number * 7919 % 11 > 5) == (number < 300)
        assert one.predict_proba_one(x) == other.predict_proba_one(x)
        one.learn_one(x, y)
        other.learn_one(x, y)


def test_seeds_that_were_given_stay() -> None:
    """What somebody chose is not ours to change."""
    model = ensemble.BaggingClassifier(linear_model.LogisticRegression(), seed=7)
    settle(model)
    assert model.seed == 7


def test_sets_keep_their_order() -> None:
    """Wherever in the model they are."""
    trees = [tree.HoeffdingTreeClassifier() for _ in range(2)]
    model = compose.Pipeline(compose.Select("a"), ensemble.VotingClassifier(trees))
    for label in ("sky", "path", "grass"):
        model.learn_one({"a": 1.0}, label)
    inner = model._last_step[0]
    settle(model)
    for kept, items in ((inner.classes, {"sky", "path", "grass"}), (model.steps["Select"].keys, {"a"})):
        assert isinstance(kept, RecordedSet)
        assert kept == items


@given(st.binary(max_size=2000))
def test_packing_loses_nothing(data: bytes) -> None:
    """And what is large by a byte is told from what is not."""
    assert unpack(pack(data), max(len(data), 1)) == data
    if len(data) > 1:
        with pytest.raises(NotPicklableError, match="more than"):
            unpack(pack(data), len(data) - 1)


@given(st.binary(max_size=200))
def test_anything_at_all_is_unpacked_or_refused(packed: bytes) -> None:
    """Nothing else is raised."""
    with suppress(NotPicklableError):
        unpack(packed)


@pytest.mark.parametrize("packed", [b"", pack(b"model")[:-1], pack(b"model") + b"x"])
def test_half_a_stream_and_more_than_one_are_refused(packed: bytes) -> None:
    """It is all of it and nothing but it."""
    with pytest.raises(NotPicklableError, match="missing, or comes behind"):
        unpack(packed)


def test_bomb_is_refused_before_it_is_large() -> None:
    """A few kilobytes that would be sixteen times the bound: no more memory is taken than the bound, twice."""
    import tracemalloc

    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(bytes(LARGEST_BYTES)) for _ in range(4)) + packer.flush()
    assert len(bomb) < 1024 * 1024
    tracemalloc.start()
    try:
        with pytest.raises(NotPicklableError, match=f"more than {LARGEST_BYTES} bytes"):
            unpack(bomb)
        assert tracemalloc.get_traced_memory()[1] < 2.5 * LARGEST_BYTES
    finally:
        tracemalloc.stop()


def test_noise_is_packed_with_little_loss() -> None:
    """What cannot be compressed grows by a thousandth or so."""
    assert len(pack(os.urandom(100_000))) < 100_200
