"""Models come back as they were, as fast as they were, and nothing else comes with them."""

import ast
import copyreg
import inspect
import os
import pickle
import struct
import sys
import textwrap
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from schemas.errors import NotPicklableError
from streams.picklable import METHODS, NAMES, NOT_RESTORABLE
from streams.pickling import dumps, loads
from tests.checks.picklable import EXAMPLES, FILE, HARMLESS, generated, is_forbidden, named_by, text_of
from tests.checks.river_models import Model, models

MORE = range(EXAMPLES, EXAMPLES + 60)
MODELS = list(models())
NO_EQUALS = {
    "KNN-swinn": "it is not deterministic, and refused by the declaration",
    "swinn.SWINN": "it is not deterministic, and refused by the declaration",
}

_named: dict[str, set[tuple[str, ...]]] = {}


def learned(model: Model) -> Any:
    """Return a model that has learned, and note what its pickle names."""
    made = model.after(EXAMPLES)
    _named[model.name] = named_by(made)
    return made


def names_in(model: Model) -> set[tuple[str, ...]]:
    """Return what the pickle of a model names once it has learned."""
    if model.name not in _named:
        learned(model)
    return _named[model.name]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_restored_model_goes_on_as_the_original(model: Model) -> None:
    """What River has, once it has learned, answers to the last bit as the one that never was written."""
    original = learned(model)
    if (type(original).__module__, type(original).__qualname__) in NOT_RESTORABLE:
        with pytest.raises(NotPicklableError, match="by their place in memory"):
            dumps(original)
        return
    restored = loads(dumps(original))
    answers, expected = model.answers(restored, MORE), model.answers(original, MORE)
    assert model.name in NO_EQUALS or answers == expected


def test_list_holds_what_river_needs_and_no_more() -> None:
    """The checked-in list is what the generator finds; after an update of River, write it again and look at it."""
    assert FILE.read_text() == text_of(generated(names_in)), "run python -m tests.checks.picklable --write"


# The list


def test_list_has_nothing_that_can_do_anything() -> None:
    """No module that reaches the system, no function that evaluates, imports or gets any attribute."""
    assert [name for name in (*NAMES, *METHODS) if is_forbidden(name)] == []
    assert all(is_forbidden(name) for name in (("os", "system"), ("builtins", "eval"), ("importlib.util", "find_spec")))
    assert {name for name in NAMES if name[0] in ("builtins", "operator", "copy")} <= HARMLESS
    parts = {part for module, _ in NAMES for part in module.split(".")}
    assert parts.isdisjoint({"datasets", "stream", "evaluate", "checks", "compat", "envs"})


def test_list_names_only_what_stands_in_its_own_module() -> None:
    """No name is a re-export, none leads through a module, and each is a class or a function."""
    for module, name in NAMES:
        thing: Any = sys.modules.get(module) or __import__(module, fromlist=["_"])
        for part in name.split("."):
            thing = getattr(thing, part)
            assert not isinstance(thing, ModuleType), (module, name)
        assert callable(thing)
        if module.startswith("river."):
            assert thing.__module__ == module


def test_listed_classes_of_river_have_no_code_that_reaches_the_system() -> None:
    """Nothing in their source opens, evaluates or imports by name."""
    evil = {"open", "eval", "exec", "compile", "__import__", "import_module", "system", "popen", "Popen", "globals"}
    for module, name in NAMES:
        thing: Any = sys.modules.get(module)
        if not module.startswith("river.") or module.startswith("river._river_rust"):
            continue
        for part in name.split("."):
            thing = getattr(thing, part)
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(thing)))):
            called = node.func if isinstance(node, ast.Call) else None
            named = getattr(called, "id", None) or getattr(called, "attr", None)
            owner = getattr(getattr(called, "value", None), "id", None)
            assert named not in evil or owner == "re", (module, name, named)
            if isinstance(node, ast.Import):
                assert not any(is_forbidden((alias.name, "")) for alias in node.names), (module, name)


# Attacks


def text(value: str) -> bytes:
    """Return the opcode that pushes a string."""
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def named(module: str, name: str) -> bytes:
    """Return the opcodes that push a class or function."""
    return text(module) + text(name) + b"\x93"


def call(function: bytes, *arguments: bytes) -> bytes:
    """Return the opcodes that call a function."""
    return function + b"(" + b"".join(arguments) + b"tR"


def get(owner: bytes, attribute: str) -> bytes:
    """Return the opcodes that get an attribute."""
    return call(named("builtins", "getattr"), owner, text(attribute))


def changing(thing: bytes, attribute: str, value: bytes) -> bytes:
    """Return the opcodes that set an attribute and leave the thing on the stack."""
    return thing + b"N}" + text(attribute) + value + b"s\x86b"


class Evil:
    """Pickled as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduction = function, arguments

    def __reduce__(self) -> Any:
        return self.reduction


def nested(command: str) -> bytes:
    """Return a NumPy array of objects that holds a call."""
    return pickle.dumps(np.array([1, Evil(os.system, command)], object), 5)


def extension(command: str) -> bytes:
    """Return a call by a number of the extension registry, which is asked for no name once it has been used."""
    copyreg.add_extension("os", "system", 77)
    pickle.loads(b"\x80\x02\x82M.")
    copyreg.remove_extension("os", "system", 77)
    copyreg.add_extension("os", "system", 77)
    copyreg._extension_cache[77] = os.system  # type: ignore[attr-defined]
    return b"\x80\x02" + call(b"\x82M", text(command)) + b"."


SYSTEM = b"cos\nsystem\n"
_LR = named("river.linear_model.log_reg", "LogisticRegression")
_MEAN = call(named("river.stats.mean", "Mean"))
_PROTO = b"\x80\x05"

#: A pickle by its name, made from a shell command; those of the first group work on plain pickle.
WORKING: dict[str, Callable[[str], bytes]] = {
    "os.system": lambda c: SYSTEM + b"(" + text(c) + b"tR.",
    "posix.system": lambda c: _PROTO + call(named("posix", "system"), text(c)) + b".",
    "builtins.eval": lambda c: _PROTO + call(named("builtins", "eval"), text(f"__import__('os').system({c!r})")) + b".",
    "builtins.exec": lambda c: _PROTO + call(named("builtins", "exec"), text(f"import os; os.system({c!r})")) + b".",
    "__builtin__.eval of Python 2": lambda c: (
        b"\x80\x02" + call(b"c__builtin__\neval\n", text(f"__import__('os').system({c!r})")) + b"."
    ),
    "getattr chain": lambda c: _PROTO + call(
        call(get(get(get(_LR, "__init__"), "__globals__"), "get"), text("__builtins__")), text(c)) + b"."
    if False else _PROTO + call(get(named("os", "path"), "__class__"), text(c)) + b"",
    "os by way of river.datasets": lambda c: _PROTO + call(named("river.datasets.base", "os.system"), text(c)) + b".",
    "river module that holds a module": lambda c: (
        _PROTO + call(named("river.stats.mean", "copy.weakref._collections_abc.sys.modules.get"), text("os")) + b"0"
        + call(named("river.datasets.base", "pathlib.os.system"), text(c)) + b"."
    ),
    "globals of a listed function": lambda c: (
        _PROTO
        + call(call(named("river.datasets.base", "Dataset.__init__.__globals__.get"), text("os")), text(c))[:0]
        + call(get(call(named("river.datasets.base", "Dataset.__init__.__globals__.get"), text("os")), "system"), text(c))
        + b"."
    ),
    "partial of os.system": lambda c: (
        _PROTO + call(call(named("functools", "partial"), named("os", "system"), text(c))) + b"."
    ),
    "partial that is given another function": lambda c: (
        _PROTO + call(named("functools", "partial"), named("builtins", "int"))
        + b"(" + named("os", "system") + b"(" + text(c) + b"t}Ntb)R."
    ),
    "instance opcode": lambda c: b"(S" + repr(c).encode() + b"\nios\nsystem\n.",
    "object opcode": lambda c: b"(" + SYSTEM + text(c) + b"o.",
    "new object of Popen": lambda c: (
        _PROTO + named("subprocess", "Popen") + b"(](" + text("sh") + text("-c") + text(c) + b"et\x81."
    ),
    "extension registry": extension,
    "numpy array of objects": nested,
    "pickle in a pickle": lambda c: _PROTO + call(
        named("pickle", "loads"), b"C" + bytes([len(SYSTEM) + len(c) + 9]) + SYSTEM + b"(" + text(c) + b"tR.") + b".",
    "reduce of an object": lambda c: pickle.dumps(Evil(os.system, c), 2),
    "runpy": lambda c: _PROTO + call(
        named("runpy", "_run_code"), text(f"import os; os.system({c!r})"), b"}") + b".",
    "timeit": lambda c: _PROTO + call(named("timeit", "timeit"), text(f"import os; os.system({c!r})")
                                      , text("pass"), named("time", "perf_counter"), b"K\x01") + b".",
    "defaultdict whose factory is called": lambda c: _PROTO + call(
        get(call(named("collections", "defaultdict"), call(named("functools", "partial"), named("os", "system"),
                                                           text(c))), "__missing__"), text("x")) + b".",
    "methodcaller": lambda c: _PROTO + call(
        call(named("operator", "methodcaller"), text("system"), text(c)), named("os", "sys.modules.get('os')"))[:0]
    + call(call(named("operator", "attrgetter"), text("system")), call(named("importlib", "import_module"), text("os"))
           )[:0] + call(call(call(named("operator", "attrgetter"), text("system")),
                             call(named("importlib", "import_module"), text("os"))), text(c)) + b".",
}  # fmt: skip
