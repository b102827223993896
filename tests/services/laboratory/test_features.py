"""Features over the log against plain sums."""

from statistics import fmean, pstdev

import orjson
import pytest
from river import linear_model

from riverrun import Feature, Label, Pipeline
from schemas.record import Record
from services.laboratory.features import REST, FeatureBins


def declare(**features: object) -> Pipeline:
    """Return a pipeline with these features."""
    return Pipeline("f", features=features, label=Label("y"), model=linear_model.LogisticRegression())


def watched(pipeline: Pipeline, events: list[dict[str, object]], first: int = 0) -> FeatureBins:
    """Return what watched events from an offset on."""
    bins = FeatureBins(pipeline, first)
    for number, event in enumerate(events):
        bins.add(Record("f.raw", 0, first + number, 1000 + number, None, orjson.dumps(event)))
    return bins


@pytest.mark.parametrize("base", [0.0, 1.7e12])
def test_numbers_have_mean_and_spread_of_each_stretch(base: float) -> None:
    """Also where squares of the numbers would swallow it."""
    events = [{"a": base + (i % 10) + (i >= 500) * 20} for i in range(1000)]
    found = watched(declare(a=float), events, first=90).curves()
    [curve] = found.curves
    assert (found.first, found.width) == (90, 8)
    for place in (0, 60, 124):
        held = [float(event["a"]) for event in events[8 * place : 8 * place + 8]]
        assert curve.lines["mean"][place] == pytest.approx(fmean(held))
        assert curve.spread[place] == pytest.approx(pstdev(held), rel=1e-6)
    everything = [float(event["a"]) for event in events]
    assert curve.shift == pytest.approx(20 / pstdev(everything), rel=0.05)
    assert found.times[0] == 1007


def test_names_have_shares_and_their_distance() -> None:
    """From all Oslo to half Rome is a distance of a half."""
    cities = ["Oslo"] * 600 + ["Oslo", "Rome"] * 200
    [curve] = watched(declare(city=str), [{"city": city} for city in cities]).curves().curves
    assert (curve.first, curve.last, curve.shift) == ("Oslo 100%, Rome 0%", "Oslo 50%, Rome 50%", 0.5)
    assert curve.lines["Rome"][-1] == 0.5


def test_names_without_end_are_bounded() -> None:
    """What is rare is one value."""
    found = watched(declare(city=Feature(str, max_categories=10**6)), [{"city": f"c{i}"} for i in range(3000)])
    assert len({value for bin in found._bins for value in bin["city"]}) <= 41
    [curve] = found.curves().curves
    assert list(curve.lines)[-1] == REST


def test_values_are_cleaned_as_the_task_cleans_them() -> None:
    """Clipped, filled in, and nothing that is a dead letter."""
    pipeline = declare(
        a=Feature(float, le=10, out_of_range="clip"), b=float | None, c=Feature(float, nullable=True, missing="mean")
    )
    events = [{"a": 50.0, "b": 1.0, "c": 6.0}, {"a": "x", "b": 9.0}, {"a": 4.0}, {"a": 4.0, "b": None}]
    a, b, c = watched(pipeline, events).curves().curves
    assert a.lines["mean"] == [10.0, None, 4.0, 4.0]
    assert (b.lines["mean"], b.missing) == ([1.0, None, None, None], [0.0, None, 1.0, 1.0])
    assert (c.lines["mean"], c.missing) == ([6.0, None, 6.0, 6.0], [0.0, None, 0.0, 0.0])


def test_features_of_no_events_are_empty() -> None:
    """A log of nothing is told as such."""
    number, name = watched(declare(a=float, city=str), []).curves().curves
    assert (number.first, number.shift, name.first, name.shift) == ("-", None, "-", None)
