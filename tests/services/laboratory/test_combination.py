"""Combinations of pipelines, models and policies."""

import pytest

from schemas.errors import ConfigurationError, DeclarationError
from services.laboratory.combination import Combination, combine, spread
from services.laboratory.comparison import titles
from streams.policy import ObserveOnly, Pool
from tests.services.laboratory.conftest import DECLARED, named


def test_combine_plays_each_pipeline_with_its_own_model_first() -> None:
    """Models are played in every pipeline; a pipeline among them is one more pipeline."""
    made = combine([named("pipeline")], [named("bayes"), named("price")], ["declared", "pool"], [0, 1], 2)
    assert [(one.pipeline[-5:], one.model[-5:], one.policy) for one in made[::2]] == [
        ("eline", "lared", "declared"),
        ("eline", "lared", "pool"),
        ("eline", "bayes", "declared"),
        ("eline", "bayes", "pool"),
        ("price", "lared", "declared"),
        ("price", "lared", "pool"),
        ("price", "bayes", "declared"),
        ("price", "bayes", "pool"),
    ]
    assert [(one.partition, one.partitions) for one in made[:2]] == [(0, 2), (1, 2)]


def test_combine_plays_each_model_of_a_grid() -> None:
    """As `river.utils.expand_param_grid` makes it; each is named by its place, and any process finds it there."""
    made = combine([named("pipeline")], [named("grid"), named("bayes")], [], [0], 1)
    assert titles(made) == ["declared model", "grid[0]", "grid[1]", "grid[2]", "bayes"]
    assert [one.declare().model.grace_period for one in made[1:4]] == [50, 200, 800]


def test_declare_changes_what_was_asked_and_nothing_else() -> None:
    """The declaration's digest tells; metrics that keep scores do not change it."""
    declared = Combination(named("pipeline")).declare()
    other = Combination(named("pipeline"), named("bayes"), "pool:alpha=0.01").declare()
    assert (other.model_name, other.policy) == ("GaussianNB", Pool(alpha=0.01))
    assert {name for name, digest in other.declared.items() if declared.declared[name] != digest} == {"model", "policy"}
    scored = Combination(named("pipeline")).declare(scores=True)
    assert scored.declaration == declared.declaration
    assert len(scored.metrics or ()) == len(declared.metrics or ()) + 1


def test_declare_model_that_races_takes_the_place_and_leaves_the_race() -> None:
    """None races with itself; what is left of the race goes on within its budget."""
    one = Combination(named("racing"), named("bayes")).declare()
    assert one.model_name == "GaussianNB"
    assert one.race is not None
    assert ([type(model).__name__ for model in one.race.models], one.race.budget) == (["HoeffdingTreeClassifier"], 1)
    assert Combination(named("racing"), named("grove")).declare().race is not None


def test_declare_model_that_does_not_fit_is_refused() -> None:
    """As the declaration would refuse it."""
    with pytest.raises(DeclarationError, match="a River classifier for a binary task"):
        Combination(named("pipeline"), named("regressor")).declare()


@pytest.mark.parametrize("policy", ["reset-on-drift", "background-challenger", "champion-versions", "pool:alpha=0.01"])
def test_declare_policy_that_compares_losses_is_refused_where_no_labels_come(policy: str) -> None:
    """All would answer as the one that only observes, which is played, as is the declared one."""
    with pytest.raises(
        ConfigurationError, match=f"--policy {policy}: got odd, .*: without labels there is nothing to be"
    ):
        Combination(named("odd"), policy=policy).declare()
    for same in ("observe-only", "declared"):
        assert Combination(named("odd"), policy=same).declare().policy == ObserveOnly()


@pytest.mark.parametrize(
    ("pipelines", "models", "policies", "said"),
    [
        (
            [named("nothing")],
            [],
            [],
            "got 3, expected a Pipeline. Pipelines there: broken, odd, pipeline, price, racing.",
        ),
        ([named("pipeline")], [named("nothing")], [], "got 3, expected a River model, a list of them, or a Pipeline"),
        ([named("pipeline")], [named("nix")], [], "has no 'nix'"),
        ([named("pipeline")], [named("log")], [], "got <function log at "),
        ([named("pipeline")], [named("mixed")], [], "laboratory_pipelines.py:mixed[1]: got 3, expected a River model"),
        ([named("pipeline")], [named("grid[3]")], [], "grid[3]: got a list of 3 models, expected a place below 3"),
        ([named("pipeline")], [named("bayes[0]")], [], "bayes[0]: got GaussianNB (), expected a list of models"),
        ([named("pipeline")], [named("grid[1]"), named("grid")], [], "twice"),
        (
            [named("grid")],
            [],
            [],
            "laboratory_pipelines.py:grid: got [HoeffdingTreeClassifier ( grace_period=50 max_depth=980 ",
        ),
        ([named("pipeline"), named("pipeline")], [], [], "twice"),
        ([named("pipeline")], [named("pipeline")], [], "twice"),
        ([named("pipeline")], [], ["pool", "pool"], "--policy: got 'pool' twice"),
        ([named("pipeline")], [], ["nix"], "expected declared, observe-only"),
        (["nowhere.py:x"], [], [], "nowhere.py: got no such file"),
    ],
)
def test_combine_refuses_names_by_name(pipelines: list[str], models: list[str], policies: list[str], said: str) -> None:
    """Before anything is played."""
    with pytest.raises(ConfigurationError) as caught:
        combine(pipelines, models, policies, [0], 1)
    assert said in str(caught.value)


def test_spread_gives_several_names_of_one_file() -> None:
    """By the file's absolute path, since others may stand elsewhere."""
    assert spread(f"{DECLARED}:bayes, grove") == [named("bayes"), named("grove")]
