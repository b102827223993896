"""Seeds for every source of chance in a model, so that a replay gives the same answers."""

import copy
import hashlib
import inspect
from collections.abc import Iterable
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


def seeded(estimator: Any, *path: str) -> Any:
    """Return an unlearned copy of a River object in which every missing seed is filled in.

    Seeds that were given explicitly are kept. One source of chance is left to the process: some models walk
    through sets of strings, whose order follows ``PYTHONHASHSEED``; the command line holds it fixed.

    Parameters
    ----------
    estimator
        A River model, transformer, optimizer or detector, or a list, tuple or dict of them.
    path
        Names that lead here, such as (pipeline, version, "model").

    Returns
    -------
    The copy.

    Raises
    ------
    DeclarationError
        When an object draws at random and takes no seed.

    Examples
    --------
    >>> from river import forest
    >>> seeded(forest.ARFClassifier(), "flights", "v1").seed == seeded(forest.ARFClassifier(), "flights", "v1").seed
    True
    """
    clone = estimator.clone() if isinstance(estimator, base.Base) else copy.deepcopy(estimator)
    return _fill(clone, path)


def _fill(node: Any, path: tuple[str, ...]) -> Any:
    """Return `node` rebuilt with seeds wherever one is missing below it."""
    if isinstance(node, (list, tuple)):
        filled = [_fill(child, (*path, str(i))) for i, child in enumerate(node)]
        return filled if isinstance(node, list) else tuple(filled)
    if isinstance(node, dict):
        return {key: _fill(child, (*path, str(key))) for key, child in node.items()}
    if not isinstance(node, base.Base):
        return node
    if type(node).__name__ in _CHANCE_WITHOUT_SEED:
        raise DeclarationError("/".join(path), type(node).__name__, _CHANCE_WITHOUT_SEED[type(node).__name__])
    steps = _composed(node)
    if steps is None:
        node = _with_parameters_filled(node, path)
    else:
        for name, step in steps.items():
            steps[name] = _fill(step, (*path, str(name)))
    for name, value in _attributes(node).items():
        if type(value) is set:
            setattr(node, name, RecordedSet(value))
    return node


def _attributes(node: base.Base) -> dict[str, Any]:
    """Return the attributes of an unlearned estimator, as a twin of it has them.

    Asking an object itself for its dict makes CPython (before 3.13) keep one for it, and each access to its attributes
    is slower from then on.
    """
    attributes: dict[str, Any] = vars(node.clone())
    return attributes


def _with_parameters_filled(node: Any, path: tuple[str, ...]) -> Any:
    """Return an estimator with seeds in its own parameters and below them."""
    parameters = inspect.signature(type(node).__init__).parameters
    if _draws_unseeded(node, parameters):
        raise DeclarationError(
            "/".join(path), type(node).__name__, "an estimator whose chance a seed parameter controls"
        )
    changed: dict[str, Any] = {}
    for name in parameters:
        value = getattr(node, name, None)
        if name == "seed" and value is None:
            changed[name] = derive_seed(*path, name)
        elif isinstance(value, (base.Base, list, tuple, dict)) and _holds_estimator(value):
            changed[name] = _fill(value, (*path, name))
    return _rebuilt(node, changed) if changed else node


def _composed(node: base.Base) -> dict[Any, Any] | None:
    """Return the named parts of a Pipeline or TransformerUnion."""
    for attribute in ("steps", "transformers"):
        parts = getattr(node, attribute, None)
        if isinstance(parts, dict):
            return parts
    return None


def _holds_estimator(value: Any) -> bool:
    if isinstance(value, base.Base):
        return True
    children = value.values() if isinstance(value, dict) else value
    return any(isinstance(child, base.Base) for child in children)


def _rebuilt(node: base.Base, changed: dict[str, Any]) -> Any:
    """Construct the same estimator with some parameters changed."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for name, parameter in inspect.signature(type(node).__init__).parameters.items():
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


def _draws_unseeded(node: base.Base, parameters: Any) -> bool:
    """Tell whether an object holds a generator of chance although it takes no seed."""
    if "seed" in parameters:
        return False
    rngs = (value for value in _attributes(node).values() if type(value).__module__ in ("random", "numpy.random"))
    return any(type(value).__name__ in ("Random", "RandomState", "Generator") for value in rngs)
