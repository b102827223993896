"""Every source of chance has a seed, and it is the same in every process."""

import gc
import inspect
import random
import sys
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given
from river import (
    anomaly,
    bandit,
    base,
    compose,
    drift,
    ensemble,
    feature_extraction,
    forest,
    linear_model,
    metrics,
    model_selection,
    multiclass,
    neighbors,
    preprocessing,
    stats,
    tree,
)

from schemas.errors import DeclarationError
from streams.seeding import Blueprint, derive_seed, seeded

STOCHASTIC: dict[str, Any] = {
    "forest": forest.ARFClassifier(n_models=2),
    "aggregated_forest": forest.AMFClassifier(n_estimators=2),
    "adaptive_tree": tree.HoeffdingAdaptiveTreeClassifier(),
    "bagging": ensemble.BaggingClassifier(tree.HoeffdingAdaptiveTreeClassifier(), n_models=2),
    "bandit": model_selection.BanditClassifier(
        [linear_model.LogisticRegression(), tree.HoeffdingAdaptiveTreeClassifier()],
        metric=metrics.Accuracy(),
        policy=bandit.EpsilonGreedy(epsilon=0.1),
    ),
    "half_space": anomaly.HalfSpaceTrees(),
    "hasher": preprocessing.FeatureHasher() | linear_model.LogisticRegression(),
    "union": (compose.Select("a") | preprocessing.FeatureHasher()) + feature_extraction.RBFSampler()
    | linear_model.LogisticRegression(),
    "one_vs_rest": multiclass.OneVsRestClassifier(tree.HoeffdingAdaptiveTreeClassifier()),
    "voting": ensemble.VotingClassifier([forest.ARFClassifier(n_models=1), tree.HoeffdingAdaptiveTreeClassifier()]),
    "retraining": drift.DriftRetrainingClassifier(tree.HoeffdingAdaptiveTreeClassifier(), drift.binary.DDM()),
}  # fmt: skip


def estimators(node: Any) -> list[base.Base]:
    """Return an object and all River objects that it was built of."""
    parts: list[Any] = []
    if isinstance(node, base.Base):
        steps = getattr(node, "steps", None) or getattr(node, "transformers", None)
        names = inspect.signature(type(node).__init__).parameters
        parts = list(steps.values()) if isinstance(steps, dict) else [getattr(node, name, None) for name in names]
    elif isinstance(node, (list, tuple)):
        parts = list(node)
    elif isinstance(node, dict):
        parts = list(node.values())
    here = [node] if isinstance(node, base.Base) else []
    return here + [found for part in parts for found in estimators(part)]


@pytest.mark.parametrize("name", STOCHASTIC)
def test_missing_seeds_are_filled_at_every_depth(name: str) -> None:
    """Afterwards nothing below is stochastic, and the declared object is untouched."""
    model = STOCHASTIC[name]
    unseeded = [e for e in estimators(model) if getattr(e, "_is_stochastic", False)]
    assert unseeded
    filled = estimators(seeded(model, "p", "v1"))
    assert not [e for e in filled if getattr(e, "_is_stochastic", False)]
    assert [e for e in estimators(model) if getattr(e, "_is_stochastic", False)] == unseeded
    seeds = [e.seed for e in filled if hasattr(e, "seed")]
    assert seeds
    assert all(isinstance(seed, int) and 0 <= seed < 2**31 for seed in seeds)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_seeds_depend_on_the_path_and_nothing_else(name: str) -> None:
    """Twice the same, and another version has others."""

    def seeds(*path: str) -> list[int]:
        return [e.seed for e in estimators(seeded(STOCHASTIC[name], *path)) if hasattr(e, "seed")]

    assert seeds("p", "v1") == seeds("p", "v1")
    assert not set(seeds("p", "v1")) & set(seeds("p", "v2"))
    assert not set(seeds("p", "v1")) & set(seeds("q", "v1"))


def test_parts_of_one_model_have_seeds_of_their_own() -> None:
    """Two trees of one ensemble do not draw the same numbers."""
    model = ensemble.VotingClassifier([tree.HoeffdingAdaptiveTreeClassifier(), tree.HoeffdingAdaptiveTreeClassifier()])
    seeds = [e.seed for e in estimators(seeded(model, "p")) if hasattr(e, "seed")]
    assert len(set(seeds)) == 2


def test_explicit_seeds_are_kept() -> None:
    """Zero is a seed too."""
    model = ensemble.BaggingClassifier(tree.HoeffdingAdaptiveTreeClassifier(seed=0), n_models=2, seed=42)
    filled = seeded(model, "p")
    assert filled.seed == 42
    assert filled.model.seed == 0


def test_arguments_are_kept_when_seeds_are_filled() -> None:
    """An estimator rebuilt for its seed has all its other arguments, and none of what the original had learned."""
    model = forest.AMFClassifier(n_estimators=3, step=0.5, dirichlet=0.25)
    model.learn_one({"a": 1.0}, True)
    filled = seeded(model, "p")
    assert (filled.n_estimators, filled.step, filled.dirichlet) == (3, 0.5, 0.25)
    assert filled.predict_proba_one({"a": 1.0}) == {}
    union = seeded(STOCHASTIC["union"], "p")
    assert str(union) == str(STOCHASTIC["union"])


@pytest.mark.parametrize("name", STOCHASTIC)
def test_copies_share_nothing_that_learns(name: str) -> None:
    """What one learns, neither another nor the declared object knows."""
    blueprint = Blueprint(STOCHASTIC[name], "p")
    one, other = (estimators(blueprint.copy("p", "v1")) for _ in range(2))
    declared = estimators(STOCHASTIC[name])
    for this, that in ((one, other), (one, declared)):
        assert not {id(part) for part in this} & {id(part) for part in that}


def test_imputers_of_copies_learn_for_themselves() -> None:
    """River's own clones of a StatImputer share its statistics, with each other and with what was cloned."""
    declared = preprocessing.StatImputer(("a", stats.Mean()), ("b", "none")) | preprocessing.StandardScaler()
    blueprint = Blueprint(declared, "p")
    one, other = blueprint.copy("p", "v1"), blueprint.copy("p", "v2")
    one["StatImputer"].learn_one({"a": 4.0, "b": None})
    told = [model["StatImputer"].transform_one({"a": None, "b": None}) for model in (one, other, declared)]
    assert told == [{"a": 4.0, "b": "none"}, {"a": 0.0, "b": "none"}, {"a": 0.0, "b": "none"}]


def test_models_of_an_ensembles_list_are_fresh_in_copies() -> None:
    """River's own clone of a VotingClassifier copies what its models have learned."""
    declared = ensemble.VotingClassifier([linear_model.LogisticRegression(), tree.HoeffdingTreeClassifier()])
    for _ in range(20):
        declared.learn_one({"a": 1.0}, True)
    assert declared.clone().models[0].weights
    copied = Blueprint(declared, "p").copy("p", "v1")
    assert not copied.models[0].weights
    assert copied.models[1].predict_proba_one({"a": 1.0}) == {}
    assert declared.models[0].weights


def test_seeds_are_filled_in_below_any_nesting() -> None:
    """A list of pairs, a dict of lists: what is missing in there is found."""

    class Nest(base.Classifier):
        def __init__(self, pairs: list[tuple[str, Any]], groups: dict[str, list[Any]]) -> None:
            self.pairs, self.groups = pairs, groups

        def learn_one(self, x: dict[str, Any], y: Any) -> None:
            """Learn nothing."""

    tree_, forest_ = tree.HoeffdingAdaptiveTreeClassifier(), forest.ARFClassifier(n_models=1)
    filled = seeded(Nest([("a", tree_), ("b", 1)], {"c": [forest_]}), "p")
    assert filled.pairs[0][1].seed == derive_seed("p", "pairs", "0", "1", "seed")
    assert filled.groups["c"][0].seed == derive_seed("p", "groups", "c", "0", "seed")
    assert (filled.pairs[1], tree_.seed, forest_.seed) == (("b", 1), None, None)


def test_estimator_that_no_seed_can_tame_is_refused_by_name() -> None:
    """SWINN is not deterministic, and the message names what to use in its place."""
    for model in (
        neighbors.KNNClassifier(engine=neighbors.SWINN(graph_k=3)),
        neighbors.KNNRegressor(neighbors.SWINN()),
    ):
        with pytest.raises(DeclarationError, match=r"p/v1.*: got 'SWINN', expected neighbors\.LazySearch"):
            seeded(preprocessing.StandardScaler() | model, "p", "v1")
    seeded(neighbors.KNNClassifier(engine=neighbors.LazySearch()), "p")


class Dice(base.Classifier):
    """Draws at random and takes no seed."""

    def __init__(self) -> None:
        self.rng = random.Random()

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        """Learn nothing."""


def test_estimator_with_chance_and_without_seed_is_refused_by_name() -> None:
    """Chance that nobody controls would make a replay another story."""
    with pytest.raises(DeclarationError, match=r"p/model/Dice: got 'Dice', expected .* seed"):
        seeded(preprocessing.StandardScaler() | Dice(), "p", "model")


@given(st.lists(st.text(max_size=5), min_size=1, max_size=4))
def test_derived_seed_is_a_number_of_31_bits(path: list[str]) -> None:
    """NumPy takes it, and so does Python."""
    assert 0 <= derive_seed(*path) < 2**31


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="CPython 3.13 has no such difference")
def test_objects_of_a_fresh_model_keep_no_dict_of_their_own() -> None:
    """An object that was once asked for its dict is slower for as long as it lives."""
    model = seeded(preprocessing.StandardScaler() | linear_model.LogisticRegression(), "p", "v1")
    assert not [node for node in (model, *model.steps.values()) if keeps_a_dict(node)]
    node = model.steps["LogisticRegression"]
    vars(node)
    assert keeps_a_dict(node)


def keeps_a_dict(node: Any) -> bool:
    """Tell whether an object's attributes are held by a dict: that is then all it refers to, beside its class."""
    return [type(held) for held in gc.get_referents(node)] == [dict, type(type(node))]
