"""One feature of an event: its type, its bounds, and what is done with values that are missing or out of range."""

import math
import types
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from schemas.errors import DeclarationError

FeatureType = type[bool] | type[int] | type[float] | type[str]

OMIT: Literal["omit"] = "omit"
MEAN: Literal["mean"] = "mean"
LAST: Literal["last"] = "last"
OTHER = "__other__"

#: Largest magnitude of a number without declared bounds; squares and products of it stay finite.
MAX_MAGNITUDE = 1e30
_INT64 = 2**63 - 1
_NUMBERS = (int, float)


@dataclass(frozen=True)
class Feature:
    """A feature and its cleaning policy.

    Parameters
    ----------
    type
        ``bool``, ``int``, ``float`` or ``str``. A float takes whole numbers too; nothing else is converted
        unless ``coerce`` is set.
    nullable
        Whether the value may be null or absent. Otherwise such an event is a dead letter.
    ge, le
        Smallest and largest value. Without them a float is held to ±1e30, an int to 64 bits: an absurd
        number ruins most models for good.
    categories
        The values a ``str`` may have.
    max_categories
        Bound on the distinct values of a ``str`` without declared categories; further ones become
        ``"__other__"``. Raising it costs memory in the model, one weight or branch each.
    max_length
        Longest ``str``, in characters.
    missing
        What stands in for a null: ``"omit"`` leaves the feature out (River's way of saying missing),
        ``"mean"`` the running mean of the events before, ``"last"`` the last value seen; anything else is the
        value itself, which has to be within the bounds or among the `categories`. None leaves the null as it is: for
        River's imputers in the model.
    out_of_range
        ``"refuse"`` makes the event a dead letter, ``"clip"`` takes the nearest bound, ``"missing"`` treats
        the value as null. For a ``str`` outside its ``categories``, ``"clip"`` gives ``"__other__"``.
    coerce
        Take ``"1.5"`` for 1.5, ``"true"`` for true, and so on: for producers that quote everything.

    Raises
    ------
    DeclarationError
        When the arguments contradict each other; `check` names the field.

    Examples
    --------
    >>> Feature(float, ge=0, le=100, out_of_range="clip").ge
    0
    """

    type: FeatureType
    nullable: bool = False
    ge: float | None = None
    le: float | None = None
    categories: tuple[str, ...] | None = None
    max_categories: int = 1000
    max_length: int = 256
    missing: Any = OMIT
    out_of_range: Literal["refuse", "clip", "missing"] = "refuse"
    coerce: bool = False

    @property
    def lowest(self) -> float | None:
        """The smallest value a number may have."""
        if self.type is int:
            return -_INT64 - 1 if self.ge is None else max(-_INT64 - 1, math.ceil(self.ge))
        return -MAX_MAGNITUDE if self.ge is None and self.type is float else self.ge

    @property
    def highest(self) -> float | None:
        """The largest value a number may have."""
        if self.type is int:
            return _INT64 if self.le is None else min(_INT64, math.floor(self.le))
        return MAX_MAGNITUDE if self.le is None and self.type is float else self.le

    def check(self, field: str) -> None:
        """Raise `DeclarationError` unless the arguments fit together."""
        if self.type not in (bool, int, float, str):
            raise DeclarationError(f"{field}.type", self.type, "bool, int, float or str, or one of them | None")
        number = self.type in _NUMBERS
        for name, bound in (("ge", self.ge), ("le", self.le)):
            if bound is not None and not (number and _is_number(bound) and abs(bound) <= MAX_MAGNITUDE):
                raise DeclarationError(f"{field}.{name}", bound, "a finite number, for an int or a float")
        if self.lowest is not None and self.highest is not None and self.lowest > self.highest:
            raise DeclarationError(f"{field}.ge", self.ge, f"at most le={self.le!r}")
        named = isinstance(self.categories, (tuple, list)) and all(isinstance(c, str) for c in self.categories)
        if self.categories is not None and not (self.type is str and named and self.categories):
            raise DeclarationError(f"{field}.categories", self.categories, "one or more strings, for a str")
        for name, least in (("max_categories", self.max_categories), ("max_length", self.max_length)):
            if not isinstance(least, int) or isinstance(least, bool) or least < 1:
                raise DeclarationError(f"{field}.{name}", least, "a whole number, 1 or more")
        for name, flag in (("nullable", self.nullable), ("coerce", self.coerce)):
            if not isinstance(flag, bool):
                raise DeclarationError(f"{field}.{name}", flag, "True or False")
        if self.out_of_range not in ("refuse", "clip", "missing"):
            raise DeclarationError(f"{field}.out_of_range", self.out_of_range, "'refuse', 'clip' or 'missing'")
        self._check_missing(field, number)

    def _check_missing(self, field: str, number: bool) -> None:
        if self.missing == MEAN and not number:
            raise DeclarationError(f"{field}.missing", self.missing, "'mean' only for an int or a float")
        named = self.missing is None or (isinstance(self.missing, str) and self.missing in (OMIT, MEAN, LAST))
        filler_types = _NUMBERS if self.type is float else (self.type,)
        if not named and not (isinstance(self.missing, filler_types) and number <= _is_number(self.missing)):
            raise DeclarationError(
                f"{field}.missing",
                self.missing,
                f"'omit', 'mean', 'last', None or a value of type {self.type.__name__}",
            )
        if not named and number and not (self.lowest or 0) <= self.missing <= (self.highest or 0):
            raise DeclarationError(f"{field}.missing", self.missing, f"{self.lowest} to {self.highest}")
        if not named and self.categories is not None and self.missing not in self._fillers:
            expected = f"'omit', 'last' or one of {', '.join(map(repr, self._fillers))}"
            raise DeclarationError(f"{field}.missing", self.missing, expected)
        if self.missing != OMIT and not self.nullable and self.out_of_range != "missing":
            raise DeclarationError(f"{field}.missing", self.missing, "nullable=True: a required value is never missing")

    @property
    def _fillers(self) -> tuple[str, ...]:
        """The values with declared categories that the model can see."""
        return (*(self.categories or ()), *((OTHER,) if self.out_of_range == "clip" else ()))


def _is_number(value: object) -> bool:
    return isinstance(value, _NUMBERS) and not isinstance(value, bool)


def to_feature(field: str, declared: object) -> Feature:
    """Return the `Feature` that a declaration such as ``float`` or ``float | None`` stands for.

    Examples
    --------
    >>> to_feature("features['temp']", float | None).nullable
    True
    """
    if isinstance(declared, Feature):
        feature = declared
    elif isinstance(declared, type):
        feature = Feature(declared)
    elif get_origin(declared) in (types.UnionType, Union):  # float | None, and Optional[float]
        kinds = [kind for kind in get_args(declared) if kind is not types.NoneType]
        if len(kinds) != 1 or len(get_args(declared)) != 2:
            raise DeclarationError(field, declared, "one type, or one type | None")
        feature = Feature(kinds[0], nullable=True)
    else:
        raise DeclarationError(field, declared, "bool, int, float, str, one of them | None, or a Feature")
    feature.check(field)
    return feature
