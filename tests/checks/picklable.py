"""Writes the list of what a snapshot may name: ``python -m tests.checks.picklable --write``.

Two sources: the classes that River defines, and what turns up in the pickles of everything of River that learns.
"""

import datetime as dt
import inspect
import pickle
import pickletools
import sys
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from types import BuiltinMethodType, ClassMethodDescriptorType, MethodDescriptorType, MethodType
from typing import Any

import numpy as np

from streams.picklable import NOT_RESTORABLE, name_of
from tests.checks.river_models import Model, models, river_classes

Name = tuple[str, ...]

FILE = Path(__file__).resolve().parents[2] / "streams" / "picklable.txt"
#: Examples that each model learns before it is looked into: the concept turns round once.
EXAMPLES = 240
HEADER = """\
# What a snapshot may name: module and name; with a third word, a method that a snapshot may hold bound to an object.
# Written by `python -m tests.checks.picklable --write`.
"""

OURS = {
    ("streams.entity_models", "EntityModels"), ("streams.pickling", "set_state"), ("streams.seeding", "RecordedSet"),
}  # fmt: skip
#: What a user's own estimator is likely to hold beside what River's do.
VALUES = (
    bytearray(1), 1j, frozenset((1,)), np.arange(6).reshape(2, 3)[:, ::2], np.array([1, None], object), np.float64(1),
    np.random.default_rng(1), np.random.RandomState(1), dt.datetime(2013, 1, 1, tzinfo=dt.UTC), dt.timedelta(1),
)  # fmt: skip

#: Never, whatever holds it: what can do anything, or ask any object for anything.
FORBIDDEN_MODULES = {
    "_codecs", "_io", "_operator", "_pickle", "asyncio", "builtins", "cProfile", "code", "codecs", "codeop", "copy",
    "copyreg", "ctypes", "gc", "importlib", "inspect", "io", "logging", "marshal", "multiprocessing", "nt", "numpy.lib",
    "operator", "os", "pathlib", "pdb", "pickle", "platform", "posix", "profile", "pty", "pydoc", "runpy", "shutil",
    "signal", "socket", "subprocess", "sys", "tempfile", "threading", "timeit", "trace", "types", "urllib", "weakref",
    "webbrowser",
}  # fmt: skip
#: Of these what models hold nonetheless: values, and functions that do nothing a pickle could not do by itself.
HARMLESS = {("copy", "deepcopy"), ("operator", "itemgetter")} | {
    ("builtins", name) for name in
    ("bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "iter", "list", "max", "min",
     "range", "set", "str", "tuple")
}  # fmt: skip

_METHOD_TYPES = (MethodType, BuiltinMethodType, MethodDescriptorType, ClassMethodDescriptorType)


def generated(named: Callable[[Model], set[Name]] | None = None) -> set[Name]:
    """Return what the list should hold.

    Parameters
    ----------
    named
        Returns the names in the pickle of a model that has learned; for those who know them already.
    """
    found = set(OURS).union(*map(named_by, VALUES))
    for model in models():
        found |= named(model) if named else named_by(model.after(EXAMPLES))
    classes = [cls for cls in river_classes() if not _is_abstract(cls)]
    parents = {parent for cls in classes for parent in cls.__mro__[1:]}
    found |= {name_of(cls) for cls in classes if cls not in parents}
    return {name for name in found if not is_forbidden(name)}


def is_forbidden(name: Name) -> bool:
    """Tell whether a name must not be on the list."""
    parts = name[0].split(".")
    if name in NOT_RESTORABLE:
        return True
    modules = {".".join(parts[: i + 1]) for i in range(len(parts))}
    return bool(modules & FORBIDDEN_MODULES) and name[:2] not in HARMLESS


def named_by(made: Any) -> set[Name]:
    """Return the names that plain pickle writes for an object, and its bound methods."""
    file = BytesIO()
    pickler = _MethodFinder(file, 5)
    pickler.dump(made)
    return pickler.methods | names_in(file.getvalue())


def names_in(data: bytes) -> set[Name]:
    """Return module and name of every global in a pickle of protocol 4 or 5.

    Examples
    --------
    >>> sorted(names_in(pickle.dumps([dict, len, dict], 5)))
    [('builtins', 'dict'), ('builtins', 'len')]
    """
    found: set[Name] = set()
    pushed: list[Any] = []
    memo: list[Any] = []
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name == "STACK_GLOBAL":
            found.add((pushed[-2], pushed[-1]))
        if opcode.name == "MEMOIZE":
            memo.append(pushed[-1] if pushed else None)
        elif opcode.name in ("BINGET", "LONG_BINGET"):
            pushed.append(memo[argument])
        else:
            assert "GLOBAL" not in opcode.name or opcode.name == "STACK_GLOBAL"
            pushed.append(argument if isinstance(argument, str) else None)
        del pushed[:-2]
    return found


class _MethodFinder(pickle.Pickler):
    """A pickler that notes the bound methods on its way, with the class that defines each."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.methods: set[Name] = set()

    def reducer_override(self, obj: Any) -> Any:
        """Note what is pickled as an attribute of something else."""
        reduction = obj.__reduce_ex__(5) if isinstance(obj, _METHOD_TYPES) else ()
        if isinstance(reduction, tuple) and reduction[:1] == (getattr,):
            owner, name = reduction[1]
            mro = inspect.getmro(owner if isinstance(owner, type) else type(owner))
            self.methods.add(next((*name_of(cls), name) for cls in mro if name in vars(cls)))
        return NotImplemented


def _is_abstract(cls: type) -> bool:
    """Tell whether a class has no objects in a model: an interface, a metaclass, an exception."""
    return inspect.isabstract(cls) or getattr(cls, "_is_protocol", False) or issubclass(cls, (type, BaseException))


def text_of(names: Iterable[Name]) -> str:
    """Return the list as a file."""
    return HEADER + "".join(f"{' '.join(name)}\n" for name in sorted(names))


if __name__ == "__main__":
    text = text_of(generated())
    if sys.argv[1:] == ["--write"]:
        FILE.write_text(text, encoding="utf-8")
    else:
        print(text, end="")
