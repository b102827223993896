"""A digest of a declaration: equal declarations have equal digests, in every process."""

import dataclasses
import hashlib
import inspect
import json
from datetime import timedelta
from typing import Any

from river import base

#: Metadata of a field of a dataclass that came later: left at its default it changes no digest.
UNLESS_DEFAULT = {"in_digest": "unless default"}


def digest(declared: Any) -> str:
    """Return 12 hexadecimal digits that stand for a declaration.

    Parameters
    ----------
    declared
        Dataclasses, River objects, dicts, lists, classes, functions and plain values, nested at will.

    Examples
    --------
    >>> digest({"ttl": timedelta(days=2)}) == digest({"ttl": timedelta(hours=48)})
    True
    """
    canonical = json.dumps(_describe(declared), sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def _describe(value: Any) -> Any:
    """Return a value as JSON can hold it, without addresses and without learned state."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, timedelta):
        return value.total_seconds()
    if inspect.isclass(value) or inspect.isroutine(value):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, dict):
        return [[_describe(key), _describe(child)] for key, child in value.items()]
    if isinstance(value, (list, tuple)):
        return [_describe(child) for child in value]
    if isinstance(value, (set, frozenset)):
        return sorted(json.dumps(_describe(child)) for child in value)
    if dataclasses.is_dataclass(value):
        fields = [field for field in dataclasses.fields(value) if not _is_silent(field, getattr(value, field.name))]
        return [_describe(type(value)), {field.name: _describe(getattr(value, field.name)) for field in fields}]
    parts = getattr(value, "steps", None) or getattr(value, "transformers", None)
    if isinstance(parts, dict):
        return [_describe(type(value)), _describe(parts)]
    if isinstance(value, base.Base):
        parameters = inspect.signature(type(value).__init__).parameters
        return [_describe(type(value)), {name: _describe(getattr(value, name, None)) for name in parameters}]
    return _describe(type(value))


def _is_silent(field: "dataclasses.Field[Any]", value: Any) -> bool:
    """Tell whether a field was left at its default, and came later than the digests of those who left it so."""
    return field.metadata == UNLESS_DEFAULT and type(value) is type(field.default) and value == field.default
