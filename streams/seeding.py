"""Seeds for every source of chance in a model, so that a replay gives the same answers."""

import copy
import hashlib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from river import base

from schemas.errors import DeclarationError

#: Estimators whose answers differ from run to run whatever their seed, and what to use in their place.
_CHANCE_WITHOUT_SEED = {"SWINN": "neighbors.LazySearch(): SWINN is not deterministic, not even with a seed"}


def derive_seed(*path: str) -> int:
    """Return a seed in [0, 2³¹) that depends on nothing but the path.

    Examples
    --------
    >>> derive_seed("flights", "v1", "model")
    2103032823
    """
    digest = hashlib.sha256("/".join(path).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


class RecordedSet(set[Any]):
    """A set that is pickled as the sequence of its insertions, and so is walked in the same order afterwards.

    Some River models walk through a set of classes or keys, and ties and float sums depend on the order. A plain
    set is pickled in the order it is walked; built anew from that, it is walked in another.

    Examples
    --------
    >>> import pickle
    >>> classes = RecordedSet(["sky", "path", "grass", "brick", "window", "cement"])
    >>> list(pickle.loads(pickle.dumps(classes))) == list(classes)
    True
    """

    def __init__(self, items: Iterable[Any] = ()) -> None:
        super().__init__()
        self._insertions: list[Any] = []
        self.update(items)

    def add(self, item: Any) -> None:
        """Add an item, unless it is there."""
        if item not in self:
            self._insertions.append(item)
            super().add(item)

    def discard(self, item: Any) -> None:
        """Remove an item, if it is there."""
        if item in self:
            self._insertions.remove(item)
            super().discard(item)

    def update(self, *others: Iterable[Any]) -> None:
        """Add all items of others, one by one."""
        for other in others:
            for item in other:
                self.add(item)

    def __reduce__(self) -> tuple[Any, ...]:
        return RecordedSet, (tuple(self._insertions),)


class Blueprint:
    """What unlearned copies of a River object are made by, with every missing seed filled in.

    Seeds that were given explicitly are kept. One source of chance is left to the process: some models walk
    through sets of strings, whose order follows ``PYTHONHASHSEED``; the command line holds it fixed. What is to be
    filled in is looked up once. Copies share nothing that learns, not even where River's own do (`StatImputer`).

    Parameters
    ----------
    estimator
        A River model, transformer, optimizer or detector, or a list, tuple or dict of them.
    path
        Names that lead to it, such as (pipeline, "model"): for error messages.

    Raises
    ------
    DeclarationError
        When an object draws at random and takes no seed.

    Examples
    --------
    >>> from river import forest
    >>> blueprint = Blueprint(forest.ARFClassifier())
    >>> blueprint.copy("flights", "v1").seed == blueprint.copy("flights", "v1").seed
    True
    """

    def __init__(self, estimator: Any, *path: str) -> None:
        self._estimator = estimator
        self._fill = _filling(estimator, path)

    def copy(self, *path: str) -> Any:
        """Return a copy, whose seeds follow from a path such as (pipeline, version, "model")."""
        estimator = self._estimator
        copied = estimator.clone() if isinstance(estimator, base.Base) else copy.deepcopy(estimator)
        return copied if self._fill is None else self._fill(copied, path)


def seeded(estimator: Any, *path: str) -> Any:
    """Return an unlearned copy of a River object in which every missing seed is filled in, see `Blueprint`."""
    return Blueprint(estimator, *path).copy(*path)


#: Returns a node with what is missing in it filled in, given the path that leads to it.
_Fill = Callable[[Any, tuple[str, ...]], Any]


def _filling(node: Any, path: tuple[str, ...]) -> _Fill | None:
    """Return what fills in a node, None where nothing is missing in it."""
    if isinstance(node, (list, tuple)):
        return _filling_items(node, path)
    if isinstance(node, dict):
        return _filling_values(node, path)
    if not isinstance(node, base.Base):
        return None
    if type(node).__name__ in _CHANCE_WITHOUT_SEED:
        raise DeclarationError("/".join(path), type(node).__name__, _CHANCE_WITHOUT_SEED[type(node).__name__])
    attributes = _attributes(node)
    steps = _steps_of(node)
    fill = _filling_parameters(node, path, attributes) if steps is None else _filling_steps(steps, path)
    sets = [name for name, value in attributes.items() if type(value) is set]
    return _recording(fill, sets) if sets else fill


def _fillings(parts: Iterable[tuple[Any, Any]], path: tuple[str, ...]) -> dict[Any, _Fill]:
    """Return what fills in those of some named parts in which something is missing."""
    fillings = ((name, _filling(part, (*path, str(name)))) for name, part in parts)
    return {name: fill for name, fill in fillings if fill is not None}


def _filling_items(node: Sequence[Any], path: tuple[str, ...]) -> _Fill | None:
    fills = _fillings(enumerate(node), path)

    def fill(node: Any, path: tuple[str, ...]) -> Any:
        items = [fills[i](item, (*path, str(i))) if i in fills else item for i, item in enumerate(node)]
        return items if isinstance(node, list) else tuple(items)

    return fill if fills else None


def _filling_values(node: Mapping[Any, Any], path: tuple[str, ...]) -> _Fill | None:
    fills = _fillings(node.items(), path)

    def fill(node: Any, path: tuple[str, ...]) -> Any:
        return {
            name: fills[name](value, (*path, str(name))) if name in fills else value for name, value in node.items()
        }

    return fill if fills else None


def _filling_steps(steps: Mapping[Any, Any], path: tuple[str, ...]) -> _Fill | None:
    fills = _fillings(steps.items(), path)

    def fill(node: Any, path: tuple[str, ...]) -> Any:
        steps = _steps_of(node)
        assert steps is not None, "a copy has the parts that it was copied with"
        for name, fill_step in fills.items():
            steps[name] = fill_step(steps[name], (*path, str(name)))
        return node

    return fill if fills else None


def _filling_parameters(node: Any, path: tuple[str, ...], attributes: Mapping[str, Any]) -> _Fill | None:
    names = _parameters(type(node).__init__)
    if "seed" not in names and any(map(_is_chance, attributes.values())):
        raise DeclarationError(
            "/".join(path), type(node).__name__, "an estimator whose chance a seed parameter controls"
        )
    lacks_seed = "seed" in names and getattr(node, "seed", None) is None
    values = {name: getattr(node, name, None) for name in names}
    fills = _fillings(values.items(), path)
    several = {name: value for name, value in values.items() if isinstance(value, (list, tuple, dict))}
    listed = [name for name, value in several.items() if _holds_estimator(value)]

    def fill(node: Any, path: tuple[str, ...]) -> Any:
        changed = {name: _copied(getattr(node, name)) for name in listed}
        for name, fill_part in fills.items():
            changed[name] = fill_part(changed.get(name, getattr(node, name)), (*path, name))
        if lacks_seed:
            changed["seed"] = derive_seed(*path, "seed")
        return _rebuilt(node, changed)

    return fill if fills or listed or lacks_seed else None


def _holds_estimator(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_estimator, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_holds_estimator, value))
    return isinstance(value, base.Base)


def _copied(value: Any) -> Any:
    """Return an unlearned copy of what River's `clone` hands on learned: an ensemble's list of models, or shares."""
    if isinstance(value, dict):
        return {name: _copied(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        copies = map(_copied, value)
        return list(copies) if isinstance(value, list) else tuple(copies)
    return value.clone() if isinstance(value, base.Base) else value


def _recording(fill: _Fill | None, sets: Iterable[str]) -> _Fill:
    """Return what also makes sets of a node record what they are given."""

    def fill_sets(node: Any, path: tuple[str, ...]) -> Any:
        node = node if fill is None else fill(node, path)
        for name in sets:
            setattr(node, name, RecordedSet(getattr(node, name)))
        return node

    return fill_sets


def _attributes(node: base.Base) -> dict[str, Any]:
    """Return the attributes of an unlearned estimator, as a twin of it has them.

    Asking an object itself for its dict makes CPython (before 3.13) keep one for it, and each access to its attributes
    is slower from then on.
    """
    attributes: dict[str, Any] = vars(node.clone())
    return attributes


def _steps_of(node: Any) -> dict[Any, Any] | None:
    """Return the named parts of a Pipeline or TransformerUnion, None of anything else."""
    for attribute in ("steps", "transformers"):
        parts = getattr(node, attribute, None)
        if isinstance(parts, dict):
            return parts
    return None


@cache
def _parameters(initializer: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(initializer).parameters


def _is_chance(value: Any) -> bool:
    """Tell whether a value is a generator of random numbers."""
    kind = type(value)
    return kind.__module__ in ("random", "numpy.random") and kind.__name__ in ("Random", "RandomState", "Generator")


def _rebuilt(node: base.Base, changed: dict[str, Any]) -> Any:
    """Construct the same estimator with some parameters changed."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for name, parameter in _parameters(type(node).__init__).items():
        if name == "self" or not hasattr(node, name):
            continue
        value = changed.get(name, getattr(node, name))
        if parameter.kind is parameter.VAR_POSITIONAL:
            args.extend(value)
        elif parameter.kind is parameter.VAR_KEYWORD:
            kwargs.update(value)
        elif parameter.kind is parameter.POSITIONAL_ONLY:
            args.append(value)
        else:
            kwargs[name] = value
    return type(node)(*args, **kwargs)
