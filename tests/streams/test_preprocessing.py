"""Cleaning: from what came before, never from the event itself."""

import random
from datetime import timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given
from river import linear_model, preprocessing, stats

from riverrun import Feature, Label, ObserveOnly, Pipeline
from streams.feature import OTHER
from streams.preprocessing import Preprocessor
from tests.streams.logs import Fold, Log
from tests.streams.test_learner import FragileLabel


def cleaned(feature: Feature, *values: Any) -> list[Any]:
    """Return what becomes of each value of one feature, None when it is left out."""
    cleaner = Preprocessor({"a": feature})
    results = []
    for value in values:
        x = {"a": value}
        results.append(cleaner.clean(x).get("a"))
        cleaner.observe(x)
    return results


def test_missing_value_is_omitted_by_default() -> None:
    """River's way of saying missing: the feature is not there, and the order of the others stays."""
    cleaner = Preprocessor({name: Feature(float, nullable=True) for name in "abc"})
    assert list(cleaner.clean({"a": 1.0, "b": None, "c": 2.0})) == ["a", "c"]
    assert cleaner.clean({"c": 1.0}) == {"c": 1.0}


def test_category_beyond_the_bound_is_counted() -> None:
    """Each value that became another, where its event counts; not what is called so by itself."""
    features = {"id": Feature(str, max_categories=2)}
    pipeline = Pipeline("p", features, Label("y", type=str), FragileLabel(), policy=ObserveOnly())
    log = Log()
    for value in (OTHER, "u1", "u2", "u1", "u3", "u4"):
        log.event({"id": value}, y="good")
    log.event({"id": "u5"}, y="bad")
    fold = Fold(pipeline, log.records)
    assert len(fold.letters) == 1
    assert fold.counts["other_category"] == 2
    assert fold.task.preprocessor.full == {"id": 2}


def test_null_is_left_for_an_imputer_of_rivers() -> None:
    """With ``missing=None`` the model sees the null, which is what imputers look for; absent is null."""
    cleaner = Preprocessor({"a": Feature(float, nullable=True, missing=None), "b": Feature(float, nullable=True)})
    assert cleaner.clean({"a": None, "b": None}) == {"a": None}
    assert cleaner.clean({"b": 1.0}) == {"a": None, "b": 1.0}
    assert cleaner.clean({"a": 2.0, "b": 1.0}) == {"a": 2.0, "b": 1.0}


def test_imputer_of_rivers_answers_as_it_does_without_riverrun() -> None:
    """To the last digit, with labels that come seven events late: nulls are stored with what waits for its label."""

    def model() -> Any:
        imputer = preprocessing.StatImputer(("temp", stats.Mean()))
        return imputer | preprocessing.StandardScaler() | linear_model.LinearRegression()

    features = {"hour": int, "temp": Feature(float, nullable=True, missing=None)}
    label = Label("y", float, ttl=timedelta(days=1))
    pipeline = Pipeline("p", features=features, label=label, model=model(), policy=ObserveOnly())
    rng, log, late = random.Random(1), Log(), 7
    rows: list[tuple[dict[str, Any], float]] = []
    plain, expected = model(), []
    for i in range(500):
        x = {"hour": i % 24, "temp": None if rng.random() < 0.1 else rng.gauss(10, 3)}
        rows.append((x, 2.0 * (i % 24) + (x["temp"] or 9)))
        log.event(dict(x), id=f"e{i}")
        expected.append(plain.predict_one(dict(x)))
        if i >= late:
            log.label(f"e{i - late}", rows[i - late][1])
            plain.learn_one(dict(rows[i - late][0]), rows[i - late][1])
    assert [p.prediction for p in Fold(pipeline, log.records).predictions] == expected


def test_missing_value_is_filled_with_the_mean_of_the_values_before() -> None:
    """The running mean knows the values that came, not the fills, and nothing of the event itself."""
    feature = Feature(float, nullable=True, missing="mean")
    assert cleaned(feature, None, 10.0, None, 20.0, None) == [None, 10.0, 10.0, 20.0, 15.0]
    assert cleaned(feature, 10.0, None, None, None, 40.0, None)[-1] == 25.0


def test_missing_value_is_filled_with_the_last_one() -> None:
    """The last value seen stands in, and goes on standing in."""
    feature = Feature(int, nullable=True, missing="last")
    assert cleaned(feature, None, 7, None, None, 8, None) == [None, 7, 7, 7, 8, 8]


def test_missing_value_is_filled_with_a_constant() -> None:
    """A value given as fill is that value."""
    assert cleaned(Feature(str, nullable=True, missing="none"), None, "x") == ["none", "x"]


@pytest.mark.parametrize(
    ("feature", "values", "expected"),
    [
        (Feature(float, ge=0, le=1, out_of_range="clip"), (-1.0, 0.5, 7.0), [0.0, 0.5, 1.0]),
        (Feature(float, out_of_range="clip"), (1e308,), [1e30]),
        (Feature(int, ge=0.5, le=2.5, out_of_range="clip"), (0, 2, 3), [1, 2, 2]),
        (Feature(float, le=1, out_of_range="missing"), (0.5, 2.0), [0.5, None]),
        (Feature(float, le=1, out_of_range="missing", missing="last"), (0.5, 2.0), [0.5, 0.5]),
        (Feature(str, categories=("x",), out_of_range="clip"), ("x", "y"), ["x", OTHER]),
        (Feature(str, categories=("x",), out_of_range="missing"), ("x", "y"), ["x", None]),
        (Feature(str, max_categories=2), ("x", "y", "z", "x", "z"), ["x", "y", OTHER, "x", OTHER]),
        (Feature(str, max_categories=1, out_of_range="missing"), ("x", "y"), ["x", None]),
    ],
)
def test_value_out_of_range_is_cleaned_as_declared(
    feature: Feature, values: tuple[Any, ...], expected: list[Any]
) -> None:
    """Clipped to the bound, to the other category, or taken as missing."""
    results = cleaned(feature, *values)
    assert results == expected
    assert [type(result) for result in results] == [type(each) for each in expected]


@given(
    before=st.lists(st.none() | st.floats(-10, 10), max_size=6),
    fill=st.sampled_from(["mean", "last", "omit", 3.0]),
    others=st.tuples(st.floats(-10, 10), st.floats(-10, 10)),
)
def test_fill_depends_on_the_events_before_and_not_on_the_event(
    before: list[float | None], fill: Any, others: tuple[float, float]
) -> None:
    """Two events that differ in everything else get the same fill."""
    features = {"a": Feature(float, nullable=True, missing=fill), "b": Feature(float)}
    fills = []
    for other in others:
        cleaner = Preprocessor(features)
        for value in before:
            x = {"a": value, "b": 0.0}
            cleaner.clean(x)
            cleaner.observe(x)
        fills.append(cleaner.clean({"a": None, "b": other}).get("a"))
    assert fills[0] == fills[1]


def test_cleaning_alone_learns_nothing() -> None:
    """An event that is cleaned and then not scored leaves no trace."""
    cleaner = Preprocessor({"a": Feature(float, nullable=True, missing="mean"), "s": Feature(str, max_categories=1)})
    cleaner.clean({"a": 99.0, "s": "x"})
    assert cleaner.clean({"a": None, "s": "y"}) == {"s": "y"}


def test_numbers_and_flags_without_policies_need_no_cleaning() -> None:
    """The task skips a cleaner that has nothing to do."""
    assert Preprocessor({"a": Feature(float), "b": Feature(bool)}).idle
    assert not Preprocessor({"a": Feature(float, nullable=True)}).idle
    assert not Preprocessor({"a": Feature(float, out_of_range="clip")}).idle
    assert not Preprocessor({"a": Feature(str)}).idle
