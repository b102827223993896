"""Models come back as they were, as fast as they were, and nothing else comes with them."""

import ast
import copy
import gc
import inspect
import math
import os
import pickle
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import pytest
from river import base, compose, forest, linear_model, metrics, optim, preprocessing, stats, tree

from schemas.errors import NotPicklableError
from streams import pickling
from streams.picklable import METHODS, NAMES, NOT_RESTORABLE, AllowList
from streams.pickling import dumps, globals_of, loads
from streams.seeding import RecordedSet, seeded
from tests.checks.picklable import EXAMPLES, FILE, HARMLESS, generated, is_forbidden, named_by, text_of
from tests.checks.river_models import Model, example, models
from tests.streams.attacks import COMMANDS, TRICKS, Attack, Victim, registered_extension

MORE = range(EXAMPLES, EXAMPLES + 40)
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


@pytest.mark.slow
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
    of_module: dict[str, set[str]] = defaultdict(set)
    for module, name in NAMES:
        if module.startswith("river.") and not module.startswith("river._river_rust"):
            of_module[module].add(name.split(".")[0])
    for module, names in of_module.items():
        parsed = ast.parse(inspect.getsource(sys.modules[module]))
        definitions = [node for node in parsed.body if getattr(node, "name", None) in names]
        assert len(definitions) >= len(names)
        for node in (node for definition in definitions for node in ast.walk(definition)):
            called = node.func if isinstance(node, ast.Call) else None
            name = getattr(called, "id", None) or getattr(called, "attr", None)
            owner = getattr(getattr(called, "value", None), "id", None)
            assert name not in evil or owner == "re", (module, name)
            if isinstance(node, ast.Import):
                assert not any(is_forbidden((alias.name, "")) for alias in node.names), module


# Attacks


@pytest.fixture
def sentinel(tmp_path: Path) -> Path:
    """A file that is there when an attack has run its command."""
    return tmp_path / "sentinel"


def command(sentinel: Path) -> str:
    """Return what makes the sentinel."""
    return f"touch {sentinel}"


def wait_for(sentinel: Path) -> bool:
    """Tell whether a command has run, perhaps in a process of its own."""
    deadline = time.monotonic() + 5
    while not sentinel.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return sentinel.exists()


@pytest.mark.parametrize("attack", COMMANDS.values(), ids=COMMANDS)
def test_attack_is_refused_and_runs_nothing(attack: Attack, sentinel: Path) -> None:
    """What runs a command under plain pickle is refused by `loads` before it runs."""
    data = attack(command(sentinel))
    with pytest.raises(NotPicklableError):
        loads(data)
    assert not sentinel.exists()
    with suppress(Exception):
        pickle.loads(data)
    assert wait_for(sentinel), "the attack does nothing even where it could"


@pytest.mark.parametrize("data", TRICKS.values(), ids=TRICKS)
def test_trick_is_refused_and_changes_nothing(data: bytes) -> None:
    """Classes and functions are the same afterwards, in every attribute."""
    copy.copy(Victim())  # fills a cache in the class
    things = (Victim, stats.Mean, copy.deepcopy)
    before = [(dict(vars(thing)), getattr(thing, "__bases__", thing.__module__)) for thing in things]
    defaults = copy.deepcopy.__defaults__
    with pytest.raises(NotPicklableError):
        loads(data, further={Victim})
    assert [(dict(vars(thing)), getattr(thing, "__bases__", thing.__module__)) for thing in things] == before
    assert copy.deepcopy.__defaults__ is defaults


def test_extension_number_that_pickle_knows_already_is_refused(sentinel: Path) -> None:
    """Numbers of `copyreg` are names, too."""
    with registered_extension(command(sentinel)) as data:
        with pytest.raises(NotPicklableError, match=r"os\.system"):
            loads(data)
        assert not sentinel.exists()


def test_refusal_names_what_was_refused() -> None:
    """Module and name, or class and method."""
    with pytest.raises(NotPicklableError, match=r"names os\.system, which is not on the list"):
        loads(COMMANDS["os.system"]("true"))
    with pytest.raises(NotPicklableError, match=r"names the method river\.stats\.mean\.Mean\.__class__, which is not"):
        loads(TRICKS["getattr of an object"])
    with pytest.raises(NotPicklableError, match=r"changes tests\.streams\.attacks\.Victim, which was put back"):
        loads(TRICKS["a method of a class"], further={Victim})


class Prefixes(AllowList):
    """The mistake: River is trusted as a whole."""

    def __contains__(self, name: tuple[str, str]) -> bool:
        return name[0].startswith("river.") or super().__contains__(name)


def test_list_of_prefixes_would_let_an_attack_through(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The attacks can tell a bad list from a good one."""
    monkeypatch.setattr(pickling, "AllowList", Prefixes)
    through = set()
    for number, (name, attack) in enumerate(COMMANDS.items()):
        sentinel = tmp_path / str(number)
        with suppress(NotPicklableError):
            loads(attack(command(sentinel)))
        if sentinel.exists():
            through.add(name)
    assert through == {"os in river.datasets"}


def test_getattr_without_a_guard_would_let_an_attack_through(monkeypatch: pytest.MonkeyPatch, sentinel: Path) -> None:
    """So would a list that trusts `getattr`."""
    monkeypatch.setattr(AllowList, "has_method", lambda *_: True)
    loads(COMMANDS["globals of a listed class"](command(sentinel)))
    assert sentinel.exists()


# The user's own


class Own(base.Classifier):
    """A user's estimator that holds this and that."""

    class Node:
        """Something with dots in its name."""

        def __init__(self) -> None:
            self.seen = Counter[str]()

    def __init__(self, rate: float = 0.1) -> None:
        self.rate = rate
        self.node = self.Node()
        self.count = self._count
        self.classes = RecordedSet()

    def _count(self, y: Any) -> None:
        self.node.seen[y] += 1
        self.classes.add(y)

    def learn_one(self, x: dict[str, float], y: Any) -> None:
        """Count."""
        self.count(y)

    def predict_proba_one(self, x: dict[str, float]) -> dict[Any, float]:
        """Return shares."""
        return {y: self.node.seen[y] / self.node.seen.total() for y in self.classes}


class Late(Own):
    """Makes an object of another class only when it learns."""

    def learn_one(self, x: dict[str, float], y: Any) -> None:
        """Count, and note."""
        super().learn_one(x, y)
        self.last = Mark(y)


class Mark:
    """A label."""

    def __init__(self, label: Any) -> None:
        self.label = label


def double(x: dict[str, float]) -> dict[str, float]:
    """Return twice each feature."""
    return {name: 2 * value for name, value in x.items()}


def own_pipeline(model: base.Classifier) -> compose.Pipeline:
    """Return a pipeline with a function and a class of this module."""
    return compose.Pipeline(compose.FuncTransformer(double), model)


def test_own_class_is_refused_unless_the_declaration_brings_it() -> None:
    """What the fresh model is made of may come back; the error says so otherwise."""
    model = own_pipeline(Own())
    further = globals_of(own_pipeline(Own()))
    assert further == {Own, Own.Node, double}
    model.learn_one({"a": 1.0}, "x")
    with pytest.raises(NotPicklableError, match=r"test_pickling\.double cannot go into a snapshot: River's own"):
        dumps(model)
    data = dumps(model, further=further)
    with pytest.raises(NotPicklableError, match=r"test_pickling\.double, which is not on the list"):
        loads(data)
    restored = loads(data, further=further)
    for one in (model, restored):
        one.learn_one({"a": 1.0}, "y")
    assert restored.predict_proba_one({}) == model.predict_proba_one({}) == {"x": 0.5, "y": 0.5}
    assert restored["Own"].count.__self__ is restored["Own"]


def test_own_class_that_comes_later_has_to_be_named() -> None:
    """It is not found in the fresh model, and refused when it is written, not when it is read."""
    model, further = Late(), globals_of(Late())
    model.learn_one({}, "x")
    with pytest.raises(NotPicklableError, match=r"Mark cannot go into a snapshot"):
        dumps(model, further=further)
    assert loads(dumps(model, further={*further, Mark}), further={*further, Mark}).last.label == "x"


@pytest.mark.parametrize("further", [set(), {Own}], ids=["unknown", "known"])
def test_lambda_is_refused_with_what_to_do(further: set[Any]) -> None:
    """Neither lambdas nor functions within functions can be found by name."""
    model = compose.FuncTransformer(lambda x: x)
    for write in (globals_of, partial(dumps, further=further)):
        with pytest.raises(NotPicklableError, match="define it at the top level of a module"):
            write(model)


def test_functions_of_python_and_numpy_may_come_with_a_declaration() -> None:
    """Such as those that River's documentation takes to transform a target."""
    model = compose.TargetTransformRegressor(linear_model.LinearRegression(), np.log1p, math.exp)
    assert globals_of(model.clone()) == {np.log1p, math.exp}
    restored = loads(dumps(model, further={np.log1p, math.exp}), further={np.log1p, math.exp})
    assert restored.func is np.log1p


@pytest.mark.parametrize(
    "thing",
    [Own().Node(), np.load, os.path.join, open, sys, {"a": [sys.stdout]}, iter({}).__next__],
    ids=["nested class", "of numpy", "of Python", "builtin", "module", "open file", "method of an iterator"],
)
def test_what_could_not_be_read_is_not_written(thing: Any) -> None:
    """Refused when it is written, whatever it is."""
    with pytest.raises(NotPicklableError):
        dumps(thing)


def test_model_that_is_too_deep_is_refused() -> None:
    """Pickle recurses."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(NotPicklableError, match="nested too deeply"):
        dumps(deep)
    while deep:
        deep = deep.pop()


# Attribute by attribute


class Slotted:
    """Slots and a dict."""

    __slots__ = ("__dict__", "_slot")


class Guarded:
    """A property, with what it says in the dict."""

    def __init__(self) -> None:
        self.__dict__["name"] = "in the dict"

    @property
    def name(self) -> Any:
        """Say what stands in the dict."""
        return self.__dict__["name"]


class Stateful:
    """A state of its own."""

    def __init__(self) -> None:
        self.numbers = [1]

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, restored=True)


class Strict:
    """Attributes cannot be set."""

    def __init__(self) -> None:
        self.__dict__["a"] = 1

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(name)


class Named(dict[str, Any]):
    """A dict with attributes."""


class Listed(list[Any]):
    """A list with attributes."""


class Argued:
    """An object that cannot be made without an argument."""

    def __new__(cls, value: int) -> "Argued":
        made = super().__new__(cls)
        made.value = value
        return made

    def __getnewargs__(self) -> tuple[int]:
        return (self.value,)

    value: int


ODD = {Slotted, Guarded, Stateful, Strict, Named, Listed, Argued, Own, Own.Node, Mark}


def there_and_back(thing: Any) -> Any:
    """Return what comes back of something that is made of odd classes."""
    return loads(dumps(thing, further=ODD), further=ODD)


def test_odd_classes_come_back_as_pickle_brings_them_back() -> None:
    """Slots, properties, own states, guarded attributes, subclasses of containers, arguments of `__new__`."""
    slotted, named, listed = Slotted(), Named(a=1), Listed([1, 2])
    slotted.a, slotted._slot, named.b, listed.c = 1, 2, 3, 4  # type: ignore[attr-defined]
    things = [slotted, Slotted(), Guarded(), Stateful(), Strict(), named, Named(), listed, Argued(7)]
    restored, expected = there_and_back(things), pickle.loads(pickle.dumps(things))
    for got, wanted, was in zip(restored, expected, things, strict=True):
        assert type(got) is type(was)
        assert vars(got) == vars(wanted)
    assert restored[0]._slot == 2
    assert not hasattr(restored[1], "_slot")
    assert restored[2].name == "in the dict"
    assert restored[3].restored
    assert restored[5:8] == [named, {}, listed]


def test_shared_and_recursive_references_are_kept() -> None:
    """One object stays one, an object that holds itself holds itself."""
    mark, numbers = Mark("x"), [1]
    mark.itself, mark.numbers, mark.by = mark, numbers, {"numbers": numbers}  # type: ignore[attr-defined]
    restored, again = there_and_back((mark, mark))
    assert restored is again is restored.itself
    assert restored.numbers is restored.by["numbers"]
    own = there_and_back(Own())
    assert own.count == own._count


def test_containers_numbers_and_chance_come_back() -> None:
    """What models hold besides estimators."""
    rng, nprng = random.Random(3), np.random.default_rng(3)
    values = {
        "counter": Counter("abca"),
        "factory": defaultdict(partial(defaultdict, float), {"a": defaultdict(float, {"b": 1.0})}),
        "array": np.arange(6.0).reshape(2, 3)[:, ::2],
        "scalar": np.float64(0.1),
        "objects": np.array([None, "a", {"b": 1}], object),
        "classes": RecordedSet(f"class {i}" for i in range(100)),
        "nan": math.inf,
        "type": float,
    }
    restored, rng2, nprng2 = loads(dumps((values, rng, nprng)))
    assert repr(restored) == repr(values)
    assert list(restored["classes"]) == list(values["classes"])
    assert restored["factory"]["new"]["newer"] == 0.0
    assert [rng2.random(), nprng2.random()] == [rng.random(), nprng.random()]


def walk(root: Any) -> list[Any]:
    """Return all objects below one, without asking any for its dict."""
    found, seen = [root], {id(root)}
    for thing in found:
        for child in gc.get_referents(thing):
            if id(child) not in seen and not isinstance(child, (type, ModuleType, FunctionType)):
                seen.add(id(child))
                found.append(child)
    return found


def attributes_of(model: Any) -> dict[type, set[str]]:
    """Return the names of the attributes of River's objects below one, by class; they keep dicts from then on."""
    names: dict[type, set[str]] = {}
    for thing in walk(model):
        if type(thing).__module__.startswith("river.") and hasattr(thing, "__dict__"):
            names.setdefault(type(thing), set()).update(vars(thing))
    return names


def kept_dicts(model: Any, names: dict[type, set[str]]) -> Counter[str]:
    """Count the objects that keep a dict, by class: one refers to its dict, or to its attributes directly."""
    return Counter(
        type(thing).__name__
        for thing in walk(model)
        for child in gc.get_referents(thing)
        if type(child) is dict and child and set(child) <= names.get(type(thing), set())
    )


PIPELINES: dict[str, Callable[[], Any]] = {
    "logistic": linear_model.LogisticRegression,
    "scaled": lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(optim.Adam()),
    "min_max": lambda: preprocessing.MinMaxScaler() | linear_model.LogisticRegression(),
    "tree": lambda: tree.HoeffdingTreeClassifier(grace_period=20, delta=0.1),
    "hat": lambda: tree.HoeffdingAdaptiveTreeClassifier(grace_period=20, delta=0.1),
    "arf": lambda: forest.ARFClassifier(n_models=3, grace_period=20, delta=0.1, metric=metrics.LogLoss()),
}


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="objects do not keep a dict there")
@pytest.mark.parametrize("make", PIPELINES.values(), ids=PIPELINES)
def test_restored_model_keeps_no_dicts(make: Callable[[], Any]) -> None:
    """A restored object is as slim, and so as fast, as one that never was written; plain pickle's is not."""

    def taught() -> Any:
        model = seeded(make(), "check")
        for number in range(200):
            model.predict_one(example(number).x)
            model.learn_one(example(number).x, example(number).flag)
        return model

    data, plain = dumps(taught()), pickle.dumps(taught())
    names = attributes_of(taught())
    # Some keep one from the start: forests have too many attributes, nodes of trees ask for their own dict.
    fresh = kept_dicts(taught(), names)
    assert kept_dicts(loads(data), names) <= fresh
    assert kept_dicts(pickle.loads(plain), names).total() > fresh.total()
