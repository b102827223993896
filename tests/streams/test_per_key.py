"""What can be declared of models per key, and what it does to a declaration."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import linear_model, naive_bayes, preprocessing

from riverrun import Label, PerKey, Pipeline
from schemas.errors import DeclarationError
from streams.per_key import KEY, key_text, with_key, without_key

keys = st.none() | st.binary(min_size=1, max_size=6) | st.text(min_size=1, max_size=4).map(str.encode)


def declare(**further: Any) -> Pipeline:
    """Return a small pipeline."""
    return Pipeline("p", {"a": float}, Label("y"), linear_model.LogisticRegression(), **further)


@pytest.mark.parametrize(
    ("model_per", "field"),
    [
        ("entity", "model_per"),
        (True, "model_per"),
        (PerKey, "model_per"),
        (PerKey(most=0), "model_per.most"),
        (PerKey(most=True), "model_per.most"),
        (PerKey(most=1.5), "model_per.most"),  # type: ignore[arg-type]
        (PerKey(min_learned=-1), "model_per.min_learned"),
        (PerKey(min_learned=None), "model_per.min_learned"),  # type: ignore[arg-type]
    ],
)
def test_model_per_what_cannot_be_is_refused_and_named(model_per: Any, field: str) -> None:
    """At import, with the field."""
    with pytest.raises(DeclarationError) as refused:
        declare(model_per=model_per)
    assert refused.value.problem.startswith(f"{field}: ")


def test_model_per_key_is_another_declaration_and_no_model_per_is_the_old_one() -> None:
    """The word stands for the defaults; each bound counts, and is told apart by its field."""
    assert declare(model_per=None).declared == declare().declared
    assert declare(model_per="key").declaration == declare(model_per=PerKey()).declaration
    digests = [
        declare(model_per=one).declaration for one in (None, "key", PerKey(most=7), PerKey(min_learned=0), PerKey(7, 0))
    ]
    assert len(set(digests)) == 5
    before, now = declare().declared, declare(model_per="key").declared
    assert {name for name in {**before, **now} if before.get(name) != now.get(name)} == {"model_per"}


def test_model_goes_by_the_name_of_what_an_entity_has() -> None:
    """Predictions name it, and metrics are held against it."""
    model = preprocessing.StandardScaler() | naive_bayes.GaussianNB()
    assert Pipeline("p", {"a": float}, Label("y"), model, model_per="key").model_name == "GaussianNB"


@given(keys, keys)
def test_keys_have_the_same_text_only_when_they_are_the_same(one: bytes | None, other: bytes | None) -> None:
    """Bytes that are no UTF-8, a leading zero, and no key at all are each told from everything else."""
    assert (key_text(one) == key_text(other)) == (one == other)


@given(keys)
def test_key_among_features_survives_json_and_leaves_no_trace(key: bytes | None) -> None:
    """What waits for a label is JSON; the features of the caller stay as they are."""
    x = {"a": 1.0, "b": "word"}
    carried = orjson.loads(orjson.dumps(with_key(x, key)))
    before = dict(carried)
    assert without_key(carried) == (key_text(key), x)
    assert carried == before
    assert KEY not in x
