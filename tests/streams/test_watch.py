"""What is watched is declared, and a wrong declaration names the field."""

from typing import Any

import pytest
from river import linear_model

from riverrun import Label, Pipeline, Watch
from schemas.errors import DeclarationError


def declared(watch: Any) -> Pipeline:
    """Return a pipeline that is watched."""
    return Pipeline(
        "p", features={"a": float, "b": str}, label=Label("y"), model=linear_model.LogisticRegression(), watch=watch
    )


@pytest.mark.parametrize(
    ("watch", "field"),
    [
        (True, "watch"),
        (Watch(features="a"), "watch.features"),
        (Watch(features=[]), "watch.features"),
        (Watch(features=["a", "c"]), "watch.features"),
        (Watch(false_discovery_rate=0), "watch.false_discovery_rate"),
        (Watch(false_discovery_rate=True), "watch.false_discovery_rate"),
        (Watch(false_discovery_rate=1.0), "watch.false_discovery_rate"),
        (Watch(window=0), "watch.window"),
        (Watch(window=79), "watch.window"),
        (Watch(window=80_004), "watch.window"),
        (Watch(window=1000.0), "watch.window"),  # type: ignore[arg-type]
        (Watch(reference=9), "watch.reference"),
        (Watch(every=0), "watch.every"),
    ],
)
def test_wrong_watch_names_the_field(watch: Any, field: str) -> None:
    """At the import of the declaration."""
    with pytest.raises(DeclarationError) as error:
        declared(watch)
    assert error.value.problem.startswith(f"{field}:")


def test_watch_changes_no_digest() -> None:
    """No answer changes by it, so a worker with another takes the state over; what is declared is told all the same."""
    bare, watched = declared(None), declared(Watch())
    assert bare.declaration == watched.declaration
    assert set(watched.declared) - set(bare.declared) == {"watch"}
    assert declared(Watch(window=2000)).declared["watch"] != watched.declared["watch"]
