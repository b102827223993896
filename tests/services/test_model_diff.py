"""Where two models differ, and that nothing is said of what is equal."""

import copy
import math

from river import compose, forest, linear_model, optim, preprocessing, tree

from services.model_diff import Difference, differences


def linear(l2: float = 0.0) -> compose.Pipeline:
    """Return a scaler before a linear model."""
    return preprocessing.StandardScaler() | linear_model.LogisticRegression(l2=l2)


def test_copy_of_a_learned_model_does_not_differ() -> None:
    """Of a forest, too, whose trees are compared one by one."""
    for model in (linear(), forest.ARFClassifier(n_models=3, seed=7), tree.HoeffdingTreeClassifier()):
        for i in range(50):
            model.learn_one({"a": float(i % 5), "b": 1.0}, i % 2 == 0)
        assert differences(model, copy.deepcopy(model)) == []


def test_linear_model_the_weights_that_differ_most_come_first() -> None:
    """So many as are wanted, and how many more there are; a weight that one has not is told as missing."""
    a, b = linear(), linear()
    a["LogisticRegression"]._weights = {"x": 1.0, "y": 2.0, "z": 3.0}
    b["LogisticRegression"]._weights = {"x": 1.5, "y": -2.0, "z": 3.0, "w": 1.0}
    where = "LogisticRegression"
    assert differences(a, b, largest=2) == [
        Difference(where, "weights[y]", 2.0, -2.0),
        Difference(where, "weights[w]", "-", 1.0),
        Difference(where, "weights", "1 more that differ less", ""),
    ]


def test_parameters_and_nested_estimators_are_compared() -> None:
    """What a model was made with: its own numbers, and those of its optimizer."""
    a, b = linear(), linear(l2=0.5)
    b["LogisticRegression"].optimizer = optim.Adam()
    found = {(one.where, one.what): (one.a, one.b) for one in differences(a, b)}
    assert found["LogisticRegression", "l2"] == (0.0, 0.5)
    assert found["LogisticRegression.optimizer", "class"] == ("SGD", "Adam")


def test_models_of_other_classes_differ_by_their_steps() -> None:
    """A step that one has not is named, and not compared."""
    told = differences(linear(), preprocessing.StandardScaler() | tree.HoeffdingTreeClassifier())
    assert Difference("LogisticRegression", "class", "LogisticRegression", "-") in told
    assert Difference("HoeffdingTreeClassifier", "class", "-", "HoeffdingTreeClassifier") in told
    assert not any(one.where == "StandardScaler" for one in told)


def test_nan_is_equal_to_nan() -> None:
    """And differs from a number."""
    a, b = linear(), linear()
    a["LogisticRegression"].intercept = b["LogisticRegression"].intercept = math.nan
    assert differences(a, b) == []
    b["LogisticRegression"].intercept = 1.0
    assert [one.what for one in differences(a, b)] == ["intercept"]
