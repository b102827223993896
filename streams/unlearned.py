"""Whether a model that is declared has learned something, which would be forgotten in silence."""

import math
from collections import deque
from collections.abc import Iterator
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

_PLAIN = (int, float, str, bytes, bool, type(None))
_PASSED_OVER = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)
#: Parts of a model that are looked at; a larger one is taken for fresh.
_MOST = 20_000


def learned_part(model: Any) -> str:
    """Return the class of the first part of a model that has learned something, nothing where all of it is fresh.

    It is held against two clones, which have learned nothing: what differs between these is chance.

    Parameters
    ----------
    model
        A River model.

    Examples
    --------
    >>> from river import linear_model, preprocessing
    >>> model = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    >>> learned_part(model)
    ''
    >>> model.learn_one({"a": 1.0}, True)
    >>> learned_part(model), learned_part(model.clone())
    ('StandardScaler', '')
    """
    return _part(model, model.clone(), model.clone(), type(model).__name__, iter(range(_MOST)))


def _part(found: Any, fresh: Any, other: Any, owner: str, steps: Iterator[int]) -> str:
    """Return the class of what differs from both clones where these are alike."""
    if isinstance(found, _PASSED_OVER) or next(steps, None) is None:
        return ""
    if type(fresh) is not type(other):
        return ""
    if type(found) is not type(fresh):
        return owner
    if isinstance(found, _PLAIN):
        return owner if _is_same(fresh, other) and not _is_same(found, fresh) else ""
    if isinstance(found, (dict, list, tuple, deque, set, frozenset)):
        if len(fresh) != len(other):
            return ""
        if len(found) != len(fresh):
            return owner
    mine, its, others = _parts(found), _parts(fresh), _parts(other)
    name = type(found).__name__ if hasattr(found, "clone") else owner
    for key in mine:
        if key not in its or key not in others:
            continue
        part = _part(mine[key], its[key], others[key], name, steps)
        if part:
            return part
    return ""


def _parts(one: Any) -> dict[Any, Any]:
    """Return what something consists of, by key, place or attribute; nothing where that is not to be seen."""
    if isinstance(one, dict):
        return one
    if isinstance(one, (list, tuple, deque)):
        return dict(enumerate(one))
    slots = [name for kind in type(one).__mro__ for name in getattr(kind, "__slots__", ())]
    return {**{name: getattr(one, name) for name in slots if hasattr(one, name)}, **getattr(one, "__dict__", {})}


def _is_same(one: Any, other: Any) -> bool:
    return bool(one == other) or (isinstance(one, float) and math.isnan(one) and math.isnan(other))
