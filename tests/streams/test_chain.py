"""A chain does what River's own pipeline does, to the last bit."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import compose, linear_model, naive_bayes, optim, preprocessing

from streams.chain import Chain, is_chain


class Halving(linear_model.LogisticRegression):
    """A regression that learns in its own way."""

    def learn_one(self, x: dict[str, Any], y: Any, w: float = 1.0) -> None:
        super().learn_one(x, y, w / 2)


MODELS: dict[str, Callable[[], Any]] = {
    "scaler": lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    "centred only": lambda: preprocessing.StandardScaler(with_std=False) | linear_model.LogisticRegression(),
    "of a window": lambda: preprocessing.StandardScaler(window_size=3) | linear_model.LogisticRegression(),
    "twice": lambda: (
        preprocessing.StandardScaler() | preprocessing.StandardScaler() | linear_model.LogisticRegression()
    ),
    **{
        f"scaler, regression {name}": partial(
            lambda further: preprocessing.StandardScaler() | linear_model.LogisticRegression(**further()), further
        )
        for name, further in {
            "that starts elsewhere": lambda: {"initializer": optim.initializers.Normal(seed=1), "intercept_init": 2},
            "of another rate": lambda: {"optimizer": optim.SGD(3), "intercept_lr": 0},
            "clipped": lambda: {"clip_gradient": 0.1},
            "of another loss": lambda: {"loss": optim.losses.Hinge(threshold=1.0)},
            "by weight": lambda: {"loss": optim.losses.Log(weight_pos=3.0)},
            "by Adam": lambda: {"optimizer": optim.Adam(0.1)},
            "of a falling rate": lambda: {"optimizer": optim.SGD(optim.schedulers.InverseScaling(0.1))},
            "of a falling intercept": lambda: {"intercept_lr": optim.schedulers.InverseScaling(0.1)},
            "with l1": lambda: {"l1": 0.1},
            "with l2": lambda: {"l2": 0.1},
        }.items()
    },
    "of another kind": lambda: preprocessing.StandardScaler() | Halving(),
    "of others": lambda: preprocessing.MinMaxScaler() | preprocessing.StandardScaler() | naive_bayes.GaussianNB(),
}
NUMBERS = st.one_of(
    st.sampled_from((0, -0.0, 1, 1e-300, -7)),
    st.integers(-(2**40), 2**40),
    st.floats(-1e6, 1e6),
)
#: Features come and go, in any order.
EXAMPLES = st.lists(st.tuples(st.dictionaries(st.sampled_from("abcd"), NUMBERS), st.booleans()), max_size=40)


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
@given(examples=EXAMPLES)
def test_chain_is_its_pipeline_called_step_by_step(
    make: Callable[[], Any], examples: list[tuple[dict[str, float], bool]]
) -> None:
    taught, called = make(), make()
    chain = Chain(called)
    for x, y in examples:
        assert repr(chain.predict_proba_one(x)) == repr(taught.predict_proba_one(x))
        taught.learn_one(x, y)
        chain.learn_one(x, y)
    assert _state(called) == _state(taught)


def _state(model: Any) -> list[Any]:
    """Return what scalers and a regression hold, with the order of names; other models are compared by answers."""
    scalers = [step for step in model.steps.values() if isinstance(step, preprocessing.StandardScaler)]
    held = [
        [(type(values), list(values), repr(values)) for values in (scaler.counts, scaler.means, scaler.vars)]
        for scaler in scalers
    ]
    last = list(model.steps.values())[-1]
    if isinstance(last, linear_model.LogisticRegression):
        held += [[repr(last.weights), repr(last.intercept), last.optimizer.n_iterations]]
    return held


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (preprocessing.StandardScaler() | linear_model.LogisticRegression(), True),
        (linear_model.LogisticRegression(), False),
        (preprocessing.StandardScaler() | linear_model.LinearRegression(), False),
        (preprocessing.StandardScaler() + compose.Select("a") | linear_model.LogisticRegression(), False),
    ],
    ids=["chain", "model", "regressor", "union"],
)
def test_plain_pipelines_of_classifiers_are_chains(model: Any, expected: bool) -> None:
    assert is_chain(model) is expected


def test_example_that_cannot_be_learned_raises_as_in_the_pipeline() -> None:
    model = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    with pytest.raises(TypeError) as of_river:
        model.clone().learn_one({"a": 1.0, "b": None}, True)
    with pytest.raises(TypeError) as of_chain:
        Chain(model).learn_one({"a": 1.0, "b": None}, True)
    assert str(of_chain.value) == str(of_river.value)


class Exact(optim.losses.Log):
    """A loss whose slope River cannot weigh."""

    def gradient(self, y_true: Any, y_pred: Any) -> Any:
        return Decimal(1)


def test_loss_of_ones_own_is_left_to_river() -> None:
    model = preprocessing.StandardScaler() | linear_model.LogisticRegression(loss=Exact())
    with pytest.raises(TypeError, match="Decimal"):
        Chain(model).learn_one({"a": 1.0}, True)
