"""Features whose arguments contradict each other are refused by name."""

from typing import Any, Optional, Union

import pytest

from riverrun import Feature
from schemas.errors import DeclarationError
from streams.feature import to_feature

WRONG: list[tuple[str, Feature]] = [
    ("type", Feature(list)),  # type: ignore[arg-type]
    ("type", Feature(None)),  # type: ignore[arg-type]
    ("ge", Feature(str, ge=1)),
    ("ge", Feature(bool, ge=0)),
    ("le", Feature(float, le=float("inf"))),
    ("le", Feature(float, le=float("nan"))),
    ("ge", Feature(float, ge=True)),
    ("ge", Feature(float, ge="1")),  # type: ignore[arg-type]
    ("ge", Feature(float, ge=2, le=1)),
    ("ge", Feature(int, ge=0.2, le=0.8)),
    ("le", Feature(float, le=1e31)),
    ("categories", Feature(int, categories=("a",))),
    ("categories", Feature(str, categories=())),
    ("categories", Feature(str, categories="ab")),  # type: ignore[arg-type]
    ("categories", Feature(str, categories=(1, 2))),  # type: ignore[arg-type]
    ("max_categories", Feature(str, max_categories=0)),
    ("max_categories", Feature(str, max_categories=None)),  # type: ignore[arg-type]
    ("max_length", Feature(str, max_length=0)),
    ("max_length", Feature(str, max_length="9")),  # type: ignore[arg-type]
    ("out_of_range", Feature(float, out_of_range="drop")),  # type: ignore[arg-type]
    ("nullable", Feature(float, nullable="no")),  # type: ignore[arg-type]
    ("nullable", Feature(float, nullable=None)),  # type: ignore[arg-type]
    ("coerce", Feature(float, coerce="yes")),  # type: ignore[arg-type]
    ("coerce", Feature(float, coerce=1)),  # type: ignore[arg-type]
    ("missing", Feature(str, categories=("x", "y"), nullable=True, missing="zzz")),
    ("missing", Feature(str, categories=("x", "y"), nullable=True, missing="__other__")),
    ("missing", Feature(str, categories=("x", "y"), nullable=True, missing="zzz", out_of_range="clip")),
    ("missing", Feature(str, categories=("x", "y"), missing="zzz", out_of_range="missing")),
    ("missing", Feature(bool, nullable=True, missing="mean")),
    ("missing", Feature(str, nullable=True, missing="mean")),
    ("missing", Feature(float, nullable=True, missing="zero")),
    ("missing", Feature(float, nullable=True, missing=True)),
    ("missing", Feature(int, nullable=True, missing=1.5)),
    ("missing", Feature(float, nullable=True, missing=float("nan"))),
    ("missing", Feature(float, nullable=True, le=1, missing=5.0)),
    ("missing", Feature(float, nullable=True, missing=[1])),
    ("missing", Feature(float, missing="mean")),
    ("missing", Feature(float, missing=0.0)),
]


@pytest.mark.parametrize(("name", "feature"), WRONG, ids=[f"{name}-{i}" for i, (name, _) in enumerate(WRONG)])
def test_feature_that_contradicts_itself_is_refused_by_name(name: str, feature: Feature) -> None:
    """The error names the argument within the feature."""
    with pytest.raises(DeclarationError) as caught:
        feature.check("features['a']")
    assert caught.value.field == f"features['a'].{name}"


@pytest.mark.parametrize(
    "feature",
    [
        Feature(str, categories=("x", "y"), nullable=True, missing="y"),
        Feature(str, categories=["x", "y"], nullable=True, missing="y"),  # type: ignore[arg-type]
        Feature(str, categories=("x", "y"), nullable=True, missing="last"),
        Feature(str, categories=("x", "y"), nullable=True),
        Feature(str, categories=("x", "y"), nullable=True, missing="__other__", out_of_range="clip"),
        Feature(str, nullable=True, missing="zzz"),
    ],
)
def test_filler_that_the_model_can_see_is_taken(feature: Feature) -> None:
    """A category, the name of all others where there is one, and anything where no categories are declared."""
    feature.check("features['a']")


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        (float, Feature(float)),
        (bool, Feature(bool)),
        (float | None, Feature(float, nullable=True)),
        (None | str, Feature(str, nullable=True)),
        (Optional[float], Feature(float, nullable=True)),  # noqa: UP045
        (Union[None, int], Feature(int, nullable=True)),  # noqa: UP007
        (Feature(int, ge=0), Feature(int, ge=0)),
    ],
)
def test_short_declaration_stands_for_a_feature(declared: Any, expected: Feature) -> None:
    """A type, or a type that may be None, is a feature."""
    assert to_feature("features['a']", declared) == expected


@pytest.mark.parametrize(
    ("feature", "bounds"),
    [
        (Feature(float), (-1e30, 1e30)),
        (Feature(float, ge=-1, le=2.5), (-1, 2.5)),
        (Feature(int), (-(2**63), 2**63 - 1)),
        (Feature(int, ge=0.5, le=9.5), (1, 9)),
        (Feature(int, ge=-1e25, le=1e25), (-(2**63), 2**63 - 1)),
        (Feature(str), (None, None)),
        (Feature(bool), (None, None)),
    ],
)
def test_bounds_of_a_number_are_finite(feature: Feature, bounds: tuple[float, float]) -> None:
    """A number has bounds even where none are declared; those of an int are whole and fit 64 bits."""
    assert (feature.lowest, feature.highest) == bounds
