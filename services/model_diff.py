"""Where two models differ: what they are, what they were made with, and the numbers in them."""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct
from river import base

_PLAIN = (bool, int, float, str, type(None))
_OBJECTS = 500
_LARGEST = 5
_MISSING = "-"


class Difference(Struct, frozen=True):
    """One number, word or class that is another.

    Parameters
    ----------
    where
        The part of the model, such as ``LogisticRegression.optimizer``; empty for all of it.
    what
        Name of the attribute; ``class`` for what the part is.
    a, b
        What both have there, ``-`` where one has nothing.
    """

    where: str
    what: str
    a: Any
    b: Any


def differences(a: Any, b: Any, largest: int = _LARGEST) -> list[Difference]:
    """List where two models differ.

    Estimators are compared by what they consist of, attribute by attribute: numbers, words, and tables of numbers
    such as the weights of a linear model. What is neither, such as the nodes of a tree, is not looked into.

    Parameters
    ----------
    a, b
        River models, which are only looked at.
    largest
        Of each table only so many entries are named, those that differ most. Raising it tells more of wide models.

    Examples
    --------
    >>> from river import linear_model
    >>> a, b = linear_model.LinearRegression(), linear_model.LinearRegression(l2=0.1)
    >>> b.learn_one({"x": 1.0}, 2.0)
    >>> for found in differences(a, b):
    ...     print(found.where or "(model)", found.what, found.a, found.b)
    (model) l2 0.0 0.1
    (model) intercept 0.0 0.04
    (model) weights[x] - 0.04
    optimizer n_iterations 0 1
    """
    mine, others = dict(_objects(a)), dict(_objects(b))
    found: list[Difference] = []
    for where in [*mine, *(path for path in others if path not in mine)]:
        one, other = mine.get(where), others.get(where)
        if type(one) is not type(other):
            found.append(Difference(where, "class", _class_name(one), _class_name(other)))
        else:
            found += _attributes(where, one, other, largest)
    return found


def _class_name(thing: Any) -> str:
    return _MISSING if thing is None else type(thing).__name__


def _objects(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield a model and the estimators it is made of, by path, each once."""
    waiting: list[tuple[str, Any]] = [("", model)]
    seen: set[int] = set()
    while waiting and len(seen) < _OBJECTS:
        path, thing = waiting.pop(0)
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        yield path, thing
        waiting += _children(path, thing)


def _children(path: str, thing: Any) -> Iterator[tuple[str, Any]]:
    """Yield the estimators that stand in an object's attributes; the steps of a pipeline go by their own names."""
    before = f"{path}." if path else ""
    for name, value in _own(thing).items():
        named: dict[Any, Any] = {}
        if isinstance(value, base.Base):
            yield f"{before}{name}", value
        elif isinstance(value, Mapping):
            named = dict(value)
        elif isinstance(value, list | tuple):
            named = dict(enumerate(value))
        for key, one in named.items():
            if isinstance(one, base.Base):
                yield f"{before}{key}" if name in ("steps", "transformers") else f"{before}{name}[{key}]", one


def _own(thing: Any) -> dict[str, Any]:
    return getattr(thing, "__dict__", {})


def _attributes(where: str, a: Any, b: Any, largest: int) -> Iterator[Difference]:
    mine, others = _own(a), _own(b)
    for name in [*mine, *(other for other in others if other not in mine)]:
        what = name.lstrip("_")
        one, other = mine.get(name, _MISSING), others.get(name, _MISSING)
        tables = _table(one), _table(other)
        if any(tables) and None not in tables:
            yield from _entries(where, what, *tables, largest)
        elif isinstance(one, _PLAIN) and isinstance(other, _PLAIN) and not _same(one, other):
            yield Difference(where, what, one, other)


def _same(a: Any, b: Any) -> bool:
    return bool(a == b) or (a != a and b != b)  # NaN is NaN here


def _table(value: Any) -> dict[Any, float] | None:
    """Return a table of numbers, None where something is none."""
    if not hasattr(value, "items"):
        return None
    table = dict(value.items())
    return table if all(isinstance(number, int | float) for number in table.values()) else None


def _entries(where: str, what: str, a: Any, b: Any, largest: int) -> Iterator[Difference]:
    """Yield the entries of two tables that differ most."""
    keys = [key for key in {**a, **b} if not _same(a.get(key, _MISSING), b.get(key, _MISSING))]
    keys.sort(key=lambda key: (-abs(a.get(key, 0.0) - b.get(key, 0.0)), str(key)))
    for key in keys[:largest]:
        yield Difference(where, f"{what}[{key}]", a.get(key, _MISSING), b.get(key, _MISSING))
    if len(keys) > largest:
        yield Difference(where, what, f"{len(keys) - largest} more that differ less", "")
