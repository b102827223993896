"""Whether a model, or a detector, that is declared has learned something, which would be forgotten in silence."""

import math
from collections import deque
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from river import base, drift

_PLAIN = (int, float, str, bytes, bool, type(None))
_CONTAINERS = (dict, list, tuple, deque, set, frozenset)
_PASSED_OVER = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)
#: Parts of a model that are looked at; a larger one is taken for fresh.
_MOST = 20_000


def learned_part(model: Any) -> str:
    """Return the class of the first part of a model that has learned something, nothing where all of it is fresh.

    Of a detector likewise, one that was updated has learned.

    It is held against two clones, which have learned nothing: what differs between these is chance. Some models note
    what they were asked about, and are not fresh any more.

    Parameters
    ----------
    model
        A River model, or a drift detector.

    Examples
    --------
    >>> from river import preprocessing
    >>> model = preprocessing.StandardScaler()
    >>> learned_part(model)
    ''
    >>> model.learn_one({"a": 1.0})
    >>> learned_part(model), learned_part(model.clone())
    ('StandardScaler', '')
    """
    waiting = deque([(model, model.clone(), model.clone(), type(model).__name__)])
    steps = 0
    while waiting and steps < _MOST:
        steps += 1
        found, fresh, other, owner = waiting.popleft()
        if isinstance(found, _PASSED_OVER) or type(fresh) is not type(other):
            continue
        if _differs(found, fresh, other):
            return owner
        name = type(found).__name__ if hasattr(found, "clone") else owner
        if isinstance(found, (list, tuple, dict)):  # River's clones keep what models in a list know
            fresh, other = _fresh_items(fresh), _fresh_items(other)
        mine, its, others = _parts(found), _parts(fresh), _parts(other)
        waiting += [(mine[k], its[k], others[k], name) for k in mine if k in its and k in others]
    return ""


def _fresh_items(items: Any) -> Any:
    if isinstance(items, dict):
        return {name: one.clone() if isinstance(one, base.Base) else one for name, one in items.items()}
    return [one.clone() if isinstance(one, base.Base) else one for one in items]


def _differs(found: Any, fresh: Any, other: Any) -> bool:
    """Tell whether something is not as in two clones that are alike; what it consists of is not looked at."""
    if type(found) is not type(fresh):
        return True
    if isinstance(found, _PLAIN):
        return _is_same(fresh, other) and not _is_same(found, fresh)
    if isinstance(found, _CONTAINERS):
        return len(fresh) == len(other) and len(found) != len(fresh)
    return False


def _parts(one: Any) -> dict[Any, Any]:
    """Return what something consists of, by key, place or attribute; nothing where that is not to be seen."""
    if isinstance(one, dict):
        return one
    if isinstance(one, (list, tuple, deque)):
        return dict(enumerate(one))
    if isinstance(one, drift.ADWIN):  # its window is where Python does not see it
        return {"width": one.width, **vars(one)}
    slots = [name for kind in type(one).__mro__ for name in getattr(kind, "__slots__", ())]
    return {**{name: getattr(one, name) for name in slots if hasattr(one, name)}, **getattr(one, "__dict__", {})}


def _is_same(one: Any, other: Any) -> bool:
    return bool(one == other) or (isinstance(one, float) and math.isnan(one) and math.isnan(other))
