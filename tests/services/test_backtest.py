"""Rows that are dicts: the same fold as of a file, and what a notebook asks of it."""

import math
from datetime import timedelta
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from river import compose, datasets, linear_model, naive_bayes, preprocessing

from riverrun import Backtest, Label, ObserveOnly, PerKey, Pipeline
from schemas.lines import records_of


def declare(**further: Any) -> Pipeline:
    """Return a pipeline of two numbers."""
    plain = {
        "features": {"a": float, "b": float},
        "label": Label("y"),
        "model": preprocessing.StandardScaler() | linear_model.LogisticRegression(),
        "policy": ObserveOnly(),
        "id_field": "id",
    }
    return Pipeline("p", **(plain | further))


def rows(count: int = 200) -> list[dict[str, Any]]:
    """Return rows with their labels."""
    return [{"id": f"e{i}", "a": i % 7, "b": (i * 5) % 11, "y": (i % 7) * 2 > (i * 5) % 11} for i in range(count)]


def test_rows_are_answered_as_the_lines_of_a_file_are() -> None:
    """At the same positions, and the labels' losses are those of the answers."""
    test, filed = Backtest(declare()), Backtest(declare())
    made = test.fold(rows())
    lines = filed.run(records_of(map(orjson.dumps, rows()), "p.raw"))
    assert made == [event for _, events in lines for event in events]
    assert test.digest.hexdigest() == filed.digest.hexdigest()
    wrong = [(one.offset, float(one.prediction != row["y"])) for one, row in zip(made, rows(), strict=True) if one]
    assert test.losses == wrong
    assert test.metrics == filed.metrics == filed.task.evaluation.values
    assert test.model is test.task.lifecycle.champion.model


def test_rows_go_on_where_the_ones_before_ended() -> None:
    """In pieces or at once; also behind records."""
    whole, pieces, mixed = Backtest(declare()), Backtest(declare()), Backtest(declare())
    made = whole.fold(rows())
    assert pieces.fold(rows()[:50]) + pieces.fold(iter(rows()[50:])) == made
    for _ in mixed.run(records_of(map(orjson.dumps, rows()[:50]), "p.raw")):
        pass
    assert mixed.fold(rows()[50:]) == made[50:]
    assert pieces.losses == whole.losses
    assert mixed.losses == whole.losses[50:]


def test_row_without_an_answer_is_none_and_its_reason_is_kept() -> None:
    """A bad row, and a label of its own: there is an entry for each row."""
    test = Backtest(declare(label=Label("y", ttl=timedelta(days=1))))
    late = {"specversion": "1.0", "type": "riverrun.label", "data": {"id": "e0", "y": True}}
    made = test.fold([{"id": "e0", "a": 1.0, "b": 2.0}, {"id": "bad", "a": "x", "b": 1.0}, late])
    assert [one is None for one in made] == [False, True, True]
    assert [letter.reason.split(":")[0] for letter in test.first_dead_letters] == ["a"]
    assert [offset for offset, _ in test.losses] == [0]


def test_row_may_hold_what_notebooks_hold() -> None:
    """Numbers of NumPy's, NaN for what is missing, times; anything else is an error of whoever made it."""
    model = compose.Discard("at") | naive_bayes.GaussianNB()
    test = Backtest(declare(features={"a": float, "b": float | None, "at": str}, model=model, id_field=None))
    moment = next(iter(datasets.WaterFlow()))[0]["Time"]
    assert test.fold([{"a": np.float32(1.5), "b": float("nan"), "at": moment, "y": np.bool_(True)}]) != [None]
    assert test.fold([{"a": 2.5, "at": pd.Timestamp(moment), "y": True}]) != [None]
    assert test.task.preprocessor._seen == {"at": {moment.isoformat()}}


@pytest.mark.parametrize("bad", [{"a": object()}, [1.0, 2.0], {"a": np.datetime64("NaT")}])
def test_row_that_is_no_json_is_named_and_those_before_it_count(bad: Any) -> None:
    """By its number among the rows; what follows goes on behind them, and nobody listens any more."""
    test = Backtest(declare())
    with pytest.raises(TypeError, match=r"^row 3: (got a|unsupported)"):
        test.fold([*rows(3), bad, *rows(1)])
    assert (test.task.next_offset, len(test.losses), test.task.witness) == (3, 3, None)


class NaTType:
    """Looks as pandas' missing time does."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, _: object) -> bool:
        return False

    def isoformat(self) -> str:
        """As text."""
        return "NaT"


class NAType:
    """Looks as pandas' missing value does, which cannot be compared."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, _: object) -> bool:
        raise TypeError("boolean value of NA is ambiguous")


@pytest.mark.parametrize("missing", [NaTType(), NAType(), pd.NaT, pd.NA, math.nan, math.inf, None])
def test_value_that_a_library_has_for_missing_is_null(missing: Any) -> None:
    """No category of its own, nor an error."""
    test = Backtest(declare(features={"a": str | None}, model=naive_bayes.GaussianNB(), id_field=None))
    test.fold([{"a": missing, "y": True}])
    assert not test.dead_letters
    assert not test.task.preprocessor._seen.get("a")


def test_attribute_of_a_cloud_event_that_is_missing_is_absent() -> None:
    """Each event has its own id, and a time nobody has said is none."""
    test = Backtest(declare(id_field=None))
    made = test.fold([{"specversion": "1.0", "id": None, "time": pd.NaT, "data": row} for row in rows(3)])
    assert len({one.id for one in made if one is not None}) == 3
    assert not test.dead_letters


def test_field_of_a_row_can_be_its_key() -> None:
    """As ``--key-field`` has it."""
    test = Backtest(declare(model_per=PerKey(min_learned=1)))
    test.fold([{**row, "who": i % 3} for i, row in enumerate(rows())], key_field="who")
    assert test.model.learned == {"0": 67, "1": 67, "2": 66}


def test_loss_of_a_regression_is_in_units_of_its_label() -> None:
    """Whatever scale the detectors use."""
    test = Backtest(
        Pipeline("p", {"a": float}, Label("y", type=float), linear_model.LinearRegression(), policy=ObserveOnly())
    )
    test.fold([{"a": 1.0, "y": 250.0}])
    assert test.losses == [(0, 250.0)]
