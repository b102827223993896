"""Which classes, functions and methods a snapshot may name: an exact list, and what a declaration brings."""

import inspect
import pickle
from collections.abc import Collection
from importlib import resources
from types import FunctionType
from typing import Any

#: A module and the qualified name of what stands in it.
Name = tuple[str, str]


def _listed() -> list[tuple[str, ...]]:
    lines = resources.files("streams").joinpath("picklable.txt").read_text(encoding="utf-8").splitlines()
    return [tuple(line.split()) for line in lines if not line.startswith("#")]


#: Classes and functions of River, of NumPy and of Python that models are made of.
NAMES = frozenset(words for words in _listed() if len(words) == 2)
#: Module and name of a class, and the name of a method that it defines and models hold.
METHODS = frozenset(words for words in _listed() if len(words) == 3)
#: River's classes that are something else when they come back, and why.
NOT_RESTORABLE = {
    ("river.feature_extraction.kernel_approx", "RandomTreesEmbedding"): "it knows leaves by their place in memory",
}


def module_of(thing: Any, name: str) -> str:
    """Return the module in which pickle finds a thing by a name."""
    module: str = pickle.whichmodule(thing, name)  # type: ignore[attr-defined]
    return module


def name_of(thing: Any) -> Name:
    """Return the name that pickle gives to a class or function.

    Examples
    --------
    >>> from river import stats
    >>> name_of(stats.Mean)
    ('river.stats.mean', 'Mean')
    """
    name = getattr(thing, "__qualname__", None) or thing.__name__
    return module_of(thing, name), name


class AllowList:
    """The names in ``picklable.txt`` and some further ones.

    Parameters
    ----------
    further
        Classes and functions that the declaration brings.

    Examples
    --------
    >>> from fractions import Fraction
    >>> ("fractions", "Fraction") in AllowList(), ("fractions", "Fraction") in AllowList({Fraction})
    (False, True)
    >>> ("river.stats.mean", "Mean") in AllowList(), ("os", "system") in AllowList()
    (True, False)
    """

    def __init__(self, further: Collection[Any] = ()) -> None:
        #: What the declaration brings, by name: it is there already, and nothing is imported for it.
        self.further = {name_of(thing): thing for thing in further}

    def __contains__(self, name: Name) -> bool:
        return name in NAMES or name in self.further

    def has_method(self, owner: Any, attribute: str) -> bool:
        """Tell whether a snapshot may hold `attribute` of `owner`, bound to it.

        It may when the class that defines it is listed with it, or when the declaration brings the owner's class and
        it is a plain method.

        Examples
        --------
        >>> from river import stats
        >>> AllowList().has_method(stats.Sum(), "clone"), AllowList().has_method(stats.Sum(), "__class__")
        (True, False)
        """
        for cls in inspect.getmro(owner if isinstance(owner, type) else type(owner)):
            if attribute in vars(cls):
                own = any(type(owner) is thing for thing in self.further.values())
                plain = isinstance(vars(cls)[attribute], FunctionType) and not attribute.startswith("__")
                return (*name_of(cls), attribute) in METHODS or (own and plain)
        return False
