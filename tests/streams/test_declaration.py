"""A digest that changes with whatever can change an answer, and with nothing else."""

from datetime import timedelta
from typing import Any, Optional, Union

import pytest
from river import compose, drift, forest, linear_model, metrics, optim, preprocessing

from riverrun import BackgroundChallenger, Drift, Feature, Label, ObserveOnly, Pipeline
from streams.declaration import digest

LABEL = Label("y", ttl=timedelta(days=1))
FEATURES = {"a": float, "b": Feature(str, categories=("x", "y"), out_of_range="clip")}


def model(**changes: Any) -> Any:
    """Return a pipeline of River's."""
    arguments: dict[str, Any] = {"optimizer": optim.SGD(0.01), "l2": 0.0}
    return (compose.Select("a") | preprocessing.StandardScaler()) | linear_model.LogisticRegression(
        **{**arguments, **changes}
    )


def declared(**changes: Any) -> Pipeline:
    """Return a pipeline."""
    arguments: dict[str, Any] = {"name": "p", "features": FEATURES, "label": LABEL, "model": model()}
    return Pipeline(**{**arguments, **changes})


CHANGES: dict[str, dict[str, Any]] = {
    "name": {"name": "q"},
    "feature_added": {"features": {**FEATURES, "c": int}},
    "feature_order": {"features": dict(reversed(FEATURES.items()))},
    "feature_type": {"features": {**FEATURES, "a": int}},
    "feature_nullable": {"features": {**FEATURES, "a": float | None}},
    "feature_bound": {"features": {**FEATURES, "a": Feature(float, le=5)}},
    "feature_categories": {"features": {**FEATURES, "b": Feature(str, categories=("x",), out_of_range="clip")}},
    "feature_max_categories": {"features": {**FEATURES, "b": Feature(str, max_categories=9)}},
    "feature_missing": {"features": {**FEATURES, "a": Feature(float, nullable=True, missing="mean")}},
    "feature_coerce": {"features": {**FEATURES, "a": Feature(float, coerce=True)}},
    "label_name": {"label": Label("z", ttl=timedelta(days=1))},
    "label_ttl": {"label": Label("y", ttl=timedelta(days=2))},
    "label_inline": {"label": Label("y")},
    "label_on_expiry": {"label": Label("y", ttl=timedelta(days=1), on_expiry=False)},
    "model_class": {"model": forest.ARFClassifier()},
    "model_parameter": {"model": model(l2=0.1)},
    "model_optimizer": {"model": model(optimizer=optim.Adam(0.01))},
    "model_learning_rate": {"model": model(optimizer=optim.SGD(0.02))},
    "model_selection": {"model": compose.Select("a", "b") | linear_model.LogisticRegression()},
    "model_seed": {"model": forest.ARFClassifier(seed=1)},
    "drift_delta": {"drift": Drift(delta=0.001)},
    "drift_loss": {"drift": Drift(loss="log")},
    "drift_cooldown": {"drift": Drift(cooldown=5)},
    "drift_detector": {"drift": Drift(detector=drift.PageHinkley())},
    "drift_detector_parameter": {"drift": Drift(detector=drift.PageHinkley(threshold=20))},
    "drift_blocks": {"drift": Drift(blocks=8)},
    "drift_blocks_auto": {"drift": Drift(blocks="auto")},
    "drift_by_class": {"drift": Drift(by="class")},
    "drift_by_feature": {"drift": Drift(by="b")},
    "policy": {"policy": ObserveOnly()},
    "policy_parameter": {"policy": BackgroundChallenger(min_learned=7)},
    "id_field": {"id_field": "k"},
    "max_leap": {"max_leap": timedelta(hours=1)},
    "dedupe_window": {"dedupe_window": 9},
    "max_pending_bytes": {"max_pending_bytes": 10_000},
    "max_record_bytes": {"max_record_bytes": 1000},
}


def test_declaration_with_any_change_that_matters_has_another_digest() -> None:
    """Each of the changes gives a digest of its own."""
    digests = {name: declared(**changes).declaration for name, changes in CHANGES.items()}
    digests["unchanged"] = declared().declaration
    assert len(set(digests.values())) == len(digests)


def test_declaration_that_says_nothing_of_later_fields_has_the_digest_that_it_always_had() -> None:
    """A new field at its default is no other declaration: its workers would refuse the log."""
    policy = BackgroundChallenger()
    plain = Pipeline("p", features={"a": float}, label=LABEL, model=linear_model.LogisticRegression(), policy=policy)
    assert plain.declaration == "e2e712e03b22"
    spelled_out = Drift(detector="adwin", blocks=1, by=None)
    assert declared(drift=spelled_out).declaration == declared().declaration


@pytest.mark.parametrize(
    "changes",
    [{}, {"metrics": [metrics.F1()]}, {"partitions": 8}, {"output_format": "avro"}, {"source": "elsewhere"}],
    ids=["none", "metrics", "partitions", "output_format", "source"],
)
def test_declaration_with_a_change_that_does_not_matter_has_the_same_digest(changes: dict[str, Any]) -> None:
    """Watching, formats and places change no answer."""
    assert declared(**changes).declaration == declared().declaration


def test_declaration_has_the_same_digest_however_a_feature_says_that_it_may_be_missing() -> None:
    """As ``float | None``, as typing writes it, or spelled out."""
    ways = [float | None, Optional[float], Union[None, float], Feature(float, nullable=True)]  # noqa: UP007, UP045
    assert len({declared(features={**FEATURES, "a": way}).declaration for way in ways}) == 1


def test_digest_does_not_depend_on_what_a_model_has_learned() -> None:
    """Only parameters count, not the state."""
    learned = model()
    learned.learn_one({"a": 1.0, "b": "x"}, True)
    assert digest(learned) == digest(model())


def test_digest_of_a_function_is_its_name() -> None:
    """Functions count by where they are defined; two of other names differ."""
    assert digest(len) == digest(len) != digest(sorted)
