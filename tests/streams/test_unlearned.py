"""Whether a model has learned: held against its own clones, over all of River's."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest
import river
from river import (
    base,
    compose,
    drift,
    ensemble,
    feature_extraction,
    linear_model,
    neighbors,
    preprocessing,
    stats,
    tree,
)

from streams.unlearned import learned_part


def estimators() -> Iterator[Any]:
    """Yield River's estimators as River's own tests make them."""
    seen = set()
    for found in pkgutil.walk_packages(river.__path__, "river."):
        if ".test" in found.name or found.name.startswith(("river.api", "river.datasets")):
            continue
        try:
            module = importlib.import_module(found.name)
        except ImportError:
            continue
        for kind in vars(module).values():
            if not inspect.isclass(kind) or not issubclass(kind, base.Estimator) or inspect.isabstract(kind):
                continue
            if kind in seen or not kind.__module__.startswith("river."):
                continue
            seen.add(kind)
            try:
                yield from [kind(**params) for params in kind._unit_test_params()]
            except Exception:  # base classes, and those that want what is not installed
                continue


def test_no_fresh_estimator_of_rivers_has_learned() -> None:
    """Nobody is refused who has done nothing wrong, seeded or not."""
    found = list(estimators())
    assert len(found) > 120
    assert [type(one).__name__ for one in found if learned_part(one)] == []


class Ring(base.Classifier):
    """A user's model whose parts know each other, and that ends nowhere."""

    def __init__(self) -> None:
        self.nodes: list[dict[str, Any]] = [{"to": None, "seen": 0} for _ in range(9)]
        for one, next_one in zip(self.nodes, [*self.nodes[1:], self.nodes[0]], strict=True):
            one["to"], one["all"] = next_one, self.nodes

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        """Count."""
        self.nodes[0]["seen"] += 1


def test_model_whose_parts_go_round_in_circles_is_looked_at_in_bounds() -> None:
    """Neither for ever nor too deep."""
    model = Ring()
    assert learned_part(model) == ""
    model.learn_one({}, True)
    assert learned_part(model) == "Ring"


@pytest.mark.parametrize(
    "model",
    [
        linear_model.LogisticRegression(),
        tree.HoeffdingTreeClassifier(),
        neighbors.KNNClassifier(),
        ensemble.BaggingClassifier(tree.HoeffdingTreeClassifier(), seed=1),
        compose.Select("a") | preprocessing.MinMaxScaler() | linear_model.Perceptron(),
        feature_extraction.TargetAgg(by="a", how=stats.Mean()) | linear_model.Perceptron(),
    ],
    ids=lambda model: type(model).__name__,
)
def test_what_has_learned_is_known(model: Any) -> None:
    """After two examples; its clone is fresh again."""
    assert learned_part(model) == ""
    model.learn_one({"a": 1.0}, True)
    model.learn_one({"a": 2.0}, False)
    assert learned_part(model) != ""
    assert learned_part(model.clone()) == ""


DETECTORS = [
    kind
    for module in (drift, drift.binary)
    for kind in vars(module).values()
    if inspect.isclass(kind) and issubclass(kind, base.DriftDetector | base.BinaryDriftDetector)
    if kind is not drift.NoDrift  # which learns nothing
]


@pytest.mark.parametrize("kind", DETECTORS)
def test_detector_that_was_updated_is_known(kind: Any) -> None:
    """Each of River's, after the first value; nobody who has seen none is refused."""
    detector = kind()
    assert learned_part(detector) == ""
    for count in range(300):
        detector.update(count % 3 == 0)
        assert learned_part(detector) != ""
    assert learned_part(detector.clone()) == ""


@pytest.mark.parametrize(
    "model",
    [
        ensemble.VotingClassifier([linear_model.LogisticRegression(), tree.HoeffdingTreeClassifier()]),
        preprocessing.StatImputer(("a", stats.Mean())) | linear_model.Perceptron(),
    ],
    ids=lambda model: type(model).__name__,
)
def test_what_rivers_own_clones_have_learned_as_well_is_known(model: Any) -> None:
    """Their clones share the models of a list, or copy what these have learned."""
    assert learned_part(model) == ""
    model.learn_one({"a": 1.0}, True)
    assert learned_part(model) != ""
