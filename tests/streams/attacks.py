"""Pickles that do what no snapshot may: run a command, change a class, or leave the list by a side door."""

import builtins
import copyreg
import os
import pickle
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

Attack = Callable[[str], bytes]
_EXTENSION = 77


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


def change(thing: bytes, attribute: str, value: bytes) -> bytes:
    """Return the opcodes that set an attribute of a thing, and leave the thing on the stack."""
    return thing + b"N}" + text(attribute) + value + b"s\x86b"


def pickled(opcodes: bytes, protocol: int = 5) -> bytes:
    """Return a whole pickle."""
    return b"\x80" + bytes([protocol]) + opcodes + b"."


class Victim:
    """A class that a declaration brings, to be changed: putting back some attributes leaves traces in CPython."""

    def learn_one(self) -> None:
        """Learn nothing."""


class Call:
    """An object that is pickled as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._reduction = function, arguments

    def __reduce__(self) -> Any:
        return self._reduction


def _code(command: str) -> str:
    return f"__import__('os').system({command!r})"


_LR = named("river.linear_model.log_reg", "LogisticRegression")
_VICTIM = named(__name__, "Victim")
_MEAN = named("river.stats.mean", "Mean")
_SYSTEM = named("os", "system")
_PARTIAL = named("functools", "partial")


def _by_globals(command: str) -> bytes:
    """From a method of a listed class to the builtins of its module."""
    names = call(get(get(get(_LR, "__init__"), "__globals__"), "get"), text("__builtins__"))
    return pickled(call(call(get(names, "get"), text("eval")), text(_code(command))))


def _by_dotted_globals(command: str) -> bytes:
    """The same, in a name with dots."""
    names = call(
        named("river.linear_model.log_reg", "LogisticRegression.__init__.__globals__.get"), text("__builtins__")
    )
    return pickled(call(call(get(names, "get"), text("eval")), text(_code(command))))


def _by_import(command: str) -> bytes:
    return pickled(call(get(call(named("importlib", "import_module"), text("os")), "system"), text(command)))


def _by_attrgetter(command: str) -> bytes:
    system = call(call(named("operator", "attrgetter"), text("system")), named("river.datasets.base", "os"))
    return pickled(call(system, text(command)))


def _by_methodcaller(command: str) -> bytes:
    caller = call(named("operator", "methodcaller"), text("system"), text(command))
    return pickled(call(caller, named("river.datasets.base", "os")))


def _by_state_of_partial(command: str) -> bytes:
    """A harmless partial is given another function as its state."""
    state = b"(" + _SYSTEM + b"(" + text(command) + b"t}Nt"
    return pickled(call(_PARTIAL, named("builtins", "int")) + state + b"b)R")


def _by_factory(command: str) -> bytes:
    """A defaultdict calls its factory when a key is missing."""
    factory = call(_PARTIAL, _SYSTEM, text(command))
    return pickled(call(get(call(named("collections", "defaultdict"), factory), "__missing__"), text("key")))


#: Pickles that run a command under plain pickle.
COMMANDS: dict[str, Attack] = {
    "os.system": lambda c: b"cos\nsystem\n(" + text(c) + b"tR.",
    "posix.system": lambda c: pickled(call(named("posix", "system"), text(c))),
    "builtins.eval": lambda c: pickled(call(named("builtins", "eval"), text(_code(c)))),
    "builtins.exec": lambda c: pickled(call(named("builtins", "exec"), text(_code(c)))),
    "eval by its name in Python 2": lambda c: pickled(call(b"c__builtin__\neval\n", text(_code(c))), 2),
    "globals of a listed class": _by_globals,
    "globals of a listed class, with dots": _by_dotted_globals,
    "os in river.datasets": lambda c: pickled(call(named("river.datasets.base", "os.system"), text(c))),
    "os in river.datasets, by getattr": lambda c: pickled(
        call(get(named("river.datasets.base", "os"), "system"), text(c))
    ),
    "modules that a listed module imports": lambda c: pickled(
        call(get(call(named("river.preprocessing.scale", "collections._sys.modules.get"), text("os")), "system"),
             text(c))
    ),
    "importlib": _by_import,
    "attrgetter": _by_attrgetter,
    "methodcaller": _by_methodcaller,
    "partial": lambda c: pickled(call(call(_PARTIAL, _SYSTEM, text(c)))),
    "partial with another state": _by_state_of_partial,
    "factory of a defaultdict": _by_factory,
    "opcode INST": lambda c: b"(S" + repr(c).encode() + b"\nios\nsystem\n.",
    "opcode OBJ": lambda c: pickled(
        b"(" + named("subprocess", "Popen") + b"(" + text("sh") + text("-c") + text(c) + b"to"
    ),
    "reduce": lambda c: pickle.dumps(Call(os.system, c), 2),
    "reduce in an array of objects": lambda c: pickle.dumps(np.array([1, Call(os.system, c)], object), 5),
    "reduce in a set state": lambda c: pickle.dumps({"a": [Call(builtins.eval, _code(c))]}, 4),
    "pickle in a pickle": lambda c: pickled(
        call(named("pickle", "loads"), b"B" + struct.pack("<I", len(inner := COMMANDS["os.system"](c))) + inner)
    ),
    "runpy": lambda c: pickled(call(named("runpy", "_run_code"), text(_code(c)), b"}")),
    "timeit": lambda c: pickled(
        call(named("timeit", "timeit"), text(_code(c)), text("0"), named("time", "time"), b"K\x01")
    ),
}  # fmt: skip

#: Pickles that change something, or come by what is not on the list.
TRICKS: dict[str, bytes] = {
    "a method of a class": pickled(change(_VICTIM, "learn_one", named("builtins", "dict"))),
    "a new attribute of a class": pickled(change(_VICTIM, "__setstate__", named("builtins", "dict"))),
    "a class before it is used": pickled(
        change(_VICTIM, "__new__", named("builtins", "dict")) + b"0" + _VICTIM + b")\x81"
    ),
    "the bases of a class": pickled(change(_VICTIM, "__bases__", b"(" + _MEAN + b"t")),
    "the defaults of a function": pickled(change(named("copy", "deepcopy"), "__defaults__", b"(K\x01t")),
    "an attribute of a function": pickled(change(named("copy", "deepcopy"), "__wrapped__", _MEAN)),
    "an attribute of what stands in for getattr": pickled(
        named("builtins", "getattr") + b"}" + text("__setstate__") + named("builtins", "dict") + b"sb"
    ),
    "a class, then an error": pickled(change(_VICTIM, "learn_one", named("builtins", "dict")) + _SYSTEM),
    "getattr of an object": pickled(get(call(_MEAN), "__class__")),
    "getattr of a class": pickled(get(_MEAN, "__subclasses__")),
    "getattr of a method": pickled(get(call(_MEAN), "__reduce_ex__")),
    "getattr beside its list": pickled(get(call(_MEAN), "update")),
    "numpy.load": pickled(call(named("numpy", "load"), text("file.npy"))),
    "numpy's loader": pickled(call(named("numpy.lib._npyio_impl", "load"), text("file.npy"))),
    "codecs": pickled(call(named("_codecs", "encode"), text("x"), text("rot13"))),
    "copyreg": pickled(call(named("copyreg", "add_extension"), text("os"), text("system"), b"K\x07")),
    "copyreg._reconstructor": pickled(
        call(named("copyreg", "_reconstructor"), _MEAN, named("builtins", "object"), b"N")
    ),
    "type": pickled(call(named("builtins", "type"), text("Evil"), b"(" + _LR + b"t", b"}")),
    "a dataset": pickled(named("river.datasets.http", "HTTP") + b")\x81"),
    "a module that only begins like River": pickled(named("river_evil", "Mean")),
    "a name that only begins like a listed one": pickled(named("river.stats.mean", "Mean.__init__")),
    "a listed name in another module": pickled(named("river.stats", "Mean")),
    "opcode NEWOBJ": pickled(named("subprocess", "Popen") + b"(" + text("true") + b"t\x81"),
    "a module": pickled(named("river.stats.mean", "copy")),
    "persistent id": b"Pos.system\n.",
    "persistent id, binary": pickled(text("os.system") + b"Q"),
    "extension code": pickled(b"\x82\x07"),
    "out-of-band buffer": pickled(b"\x97"),
    "nothing": b"",
    "no pickle": b"\x80\x05river",
    "too short": pickled(_LR)[:-1],
}  # fmt: skip


@contextmanager
def registered_extension(command: str) -> Iterator[bytes]:
    """Yield a pickle that calls os.system by a number that has been used before: pickle asks for no name then."""
    copyreg.add_extension("os", "system", _EXTENSION)
    try:
        number = b"\x82" + bytes([_EXTENSION])
        assert pickle.loads(pickled(number)) is os.system
        yield pickled(call(number, text(command)))
    finally:
        copyreg.remove_extension("os", "system", _EXTENSION)
