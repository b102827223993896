"""How models are written to snapshots and read from them: by an exact list of names, and attribute by attribute.

What is written is an ordinary pickle, except that objects are put together by `setattr`. Plain pickle goes through an
object's ``__dict__``, and whoever touches that makes CPython before 3.13 keep a dict for the object, which is slower
ever after. For the same reason *writing* a model slows it down: have a forked child do it.
"""

import copyreg
import io
import pickle
from collections.abc import Collection
from types import FunctionType, MemberDescriptorType
from typing import Any
from weakref import WeakKeyDictionary

from schemas.errors import NotPicklableError
from streams.picklable import NAMES, NOT_RESTORABLE, AllowList, Name, module_of, name_of

_PROTOCOL = 5
_UNLISTED = "is not on the list: nothing of it was used"
_new: Any = copyreg.__newobj__  # type: ignore[attr-defined]
# Flags of types, see Include/object.h of CPython.
_IMMUTABLE, _ON_HEAP = 1 << 8, 1 << 9
_DESCRIPTORS: WeakKeyDictionary[type, frozenset[str]] = WeakKeyDictionary()


def dumps(obj: Any, *, further: Collection[Any] = ()) -> bytes:
    """Write an object such that `loads` gives it back, or refuse.

    Parameters
    ----------
    obj
        A River model, or anything made of listed classes.
    further
        Classes and functions besides those of ``picklable.txt``, see `globals_of`.

    Returns
    -------
    A pickle.

    Raises
    ------
    NotPicklableError
        When something in it has a name that `loads` would refuse, or cannot be pickled at all.

    Examples
    --------
    >>> from fractions import Fraction
    >>> loads(dumps({"a": 1.0}))
    {'a': 1.0}
    >>> dumps([Fraction(1, 2)])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    schemas.errors.NotPicklableError: fractions.Fraction cannot go into a snapshot: River's own estimators are known...
    >>> loads(dumps([Fraction(1, 2)], further={Fraction}), further={Fraction})
    [Fraction(1, 2)]
    """
    file = io.BytesIO()
    _write(obj, _Writer(file, AllowList(further)))
    return file.getvalue()


def loads(data: bytes, *, further: Collection[Any] = ()) -> Any:
    """Read what `dumps` has written.

    This is the second line of defence: check where the bytes come from first. They cannot name anything that is not
    listed, nor leave a class or function changed; but they can ask for any amount of memory.

    Parameters
    ----------
    data
        A pickle.
    further
        Classes and functions besides those of ``picklable.txt``, as when it was written.

    Raises
    ------
    NotPicklableError
        When it names anything else, or is no pickle.

    Examples
    --------
    >>> loads(b"cos\\nsystem\\n(S'true'\\ntR.")
    Traceback (most recent call last):
    ...
    schemas.errors.NotPicklableError: a snapshot names os.system, which is not on the list: nothing of it was used
    """
    copyreg.clear_extension_cache()  # what it holds, pickle takes without asking for its name
    try:
        return _Reader(io.BytesIO(data), AllowList(further)).load()
    except NotPicklableError:
        raise
    except Exception as error:
        raise NotPicklableError(f"a snapshot cannot be read, nothing of it was used: {error!r:.200}") from error


def globals_of(fresh: Any) -> set[Any]:
    """Find the classes and functions of a declared model that are not listed: the user's own.

    Parameters
    ----------
    fresh
        The model as declared. It is slower afterwards, so give a copy.

    Raises
    ------
    NotPicklableError
        When it cannot be pickled, such as one with a lambda.

    Examples
    --------
    >>> import math
    >>> from river import compose, stats
    >>> globals_of([compose.FuncTransformer(math.dist), stats.Mean()])
    {<built-in function dist>}
    """
    collector = _Collector(io.BytesIO())
    _write(fresh, collector)
    return collector.found


def set_state(obj: Any, state: Any) -> None:
    """Give an object a state as its class wants it: a twin takes the state, the object takes over from the twin."""
    cls: Any = type(obj)
    twin = cls.__new__(cls)
    twin.__setstate__(state)
    for name, value in vars(twin).items():
        setattr(obj, name, value)


def _write(obj: Any, pickler: pickle.Pickler) -> None:
    try:
        pickler.dump(obj)
    except NotPicklableError:
        raise
    except RecursionError as error:
        raise NotPicklableError("a model cannot go into a snapshot: it is nested too deeply for pickle") from error
    except Exception as error:
        raise NotPicklableError(f"a model cannot go into a snapshot: {error!r:.200}") from error


class _Writer(pickle.Pickler):
    """A pickler that knows what its reader will refuse."""

    def __init__(self, file: io.BytesIO, allowed: AllowList) -> None:
        super().__init__(file, _PROTOCOL)
        self._allowed = allowed
        #: Of each plain class the names that `setattr` would not put into an object's dict; None for other classes.
        self._plain: dict[type, frozenset[str] | None] = {}

    def reducer_override(self, obj: Any) -> Any:
        """Say what makes an object again; called for everything but numbers, strings and plain containers."""
        cls = type(obj)
        descriptors = self._plain.get(cls)
        if descriptors is None:
            return self._reduce(obj, cls)
        state = obj.__dict__
        # A state of two parts is an object's dict, and what is to be set with `setattr`.
        return (_new, (cls,), (None, state)) if descriptors.isdisjoint(state) else NotImplemented

    def _reduce(self, obj: Any, cls: type) -> Any:
        """Reduce what is no object of a plain class: a class, a function, an object with ways of its own."""
        if issubclass(cls, type) or cls is FunctionType:
            self._check(obj, name_of(obj))
            return NotImplemented
        reducer = copyreg.dispatch_table.get(cls)
        reduction = reducer(obj) if reducer else obj.__reduce_ex__(_PROTOCOL)
        if isinstance(reduction, str):
            self._check(obj, (module_of(obj, reduction), reduction))
        elif reduction[0] is getattr:
            self._check_method(*reduction[1])
        elif reduction[0] is _new and reduction[1] == (cls,):
            if cls not in self._plain:
                self._plain[cls] = _descriptors(cls) if _is_plain(cls, *reduction[2:]) else None
            return _by_attribute(cls, *reduction[2:])
        return reduction

    def _check(self, thing: Any, name: Name) -> None:
        """Refuse a class or function that the reader would refuse."""
        why = NOT_RESTORABLE.get(name)
        if "<" in name[1]:
            why = "it is a lambda, or defined within a function: define it at the top level of a module"
        if why:
            raise NotPicklableError(f"{'.'.join(name)} cannot go into a snapshot: {why}")
        if name not in self._allowed and thing is not getattr:  # that is the first half of a bound method
            raise _refusal(".".join(name))

    def _check_method(self, owner: Any, attribute: str) -> None:
        """Refuse a bound method that the reader would refuse."""
        if not self._allowed.has_method(owner, attribute):
            raise _refusal(_method(owner, attribute))


class _Collector(_Writer):
    """A pickler that notes which names are not listed."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, AllowList())
        self.found: set[Any] = set()

    def _check(self, thing: Any, name: Name) -> None:
        if name not in self._allowed and thing is not getattr:
            self.found.add(thing)
            self._allowed = AllowList(self.found)
        super()._check(thing, name)

    def _check_method(self, owner: Any, attribute: str) -> None:
        """Leave it to the writer: the class of the owner may be found later."""


def _refusal(what: str) -> NotPicklableError:
    return NotPicklableError(
        f"{what} cannot go into a snapshot: River's own estimators are known, and what the declared model is made of; "
        "name your own classes and functions that only come later"
    )


def _method(owner: Any, attribute: str) -> str:
    cls = owner if isinstance(owner, type) else type(owner)
    return f"the method {'.'.join(name_of(cls))}.{attribute}"


def _descriptors(cls: type) -> frozenset[str]:
    """Return the names that `setattr` hands to a property or a slot instead of the object's dict; found once."""
    known = _DESCRIPTORS.get(cls)
    if known is None:
        attributes = (attribute for base in cls.__mro__ for attribute in vars(base).items())
        known = frozenset(name for name, value in attributes if hasattr(type(value), "__set__"))
        _DESCRIPTORS[cls] = known
    return known


def _is_plain(cls: type, state: Any, *items: Any) -> bool:
    """Tell whether all there is to an object of a class is its dict."""
    values = (value for base in cls.__mro__ for value in vars(base).values())
    return (
        isinstance(state, dict)
        and not any(items)
        and _has_default(cls, "__reduce__", "__reduce_ex__", "__getstate__", "__setattr__")
        and not any(hasattr(cls, hook) for hook in ("__setstate__", "__getnewargs__", "__getnewargs_ex__"))
        and not any(isinstance(value, MemberDescriptorType) for value in values)
    )


def _has_default(cls: type, *names: str) -> bool:
    return all(getattr(cls, name) is getattr(object, name) for name in names)


def _by_attribute(cls: type, state: Any, *items: Any) -> tuple[Any, ...]:
    """Return the reduction of an object whose state, if it can be, is set with `setattr`."""
    padded = (*items, None, None)[:2]
    if not _has_default(cls, "__getstate__", "__setattr__"):
        return _new, (cls,), state, *padded
    if not hasattr(cls, "__setstate__"):
        attributes, slots = state if isinstance(state, tuple) else (state, None)
        if attributes and _descriptors(cls).isdisjoint(attributes):
            state = None, {**attributes, **(slots or {})}
    elif isinstance(state, dict) and name_of(cls) in NAMES:
        # River's scalers take a state through their dict. Classes that are not River's are left their own way.
        return _new, (cls,), state, *padded, set_state
    return _new, (cls,), state, *padded


class _Reader(pickle.Unpickler):
    """An unpickler that takes no name but those allowed, and leaves what it is given as it was."""

    def __init__(self, file: io.BytesIO, allowed: AllowList) -> None:
        super().__init__(file, fix_imports=False)
        self._allowed = allowed
        self._lent: dict[Name, tuple[Any, dict[str, Any]]] = {}

    def load(self) -> Any:
        """Read the pickle; put classes and functions back as they were, whatever happens."""
        try:
            loaded = super().load()
        finally:
            changed = [".".join(name) for name, (thing, before) in self._lent.items() if _put_back(thing, before)]
        if changed:
            raise NotPicklableError(f"a snapshot changes {changed[0]}, which was put back: nothing of it was used")
        return loaded

    def find_class(self, module: str, name: str) -> Any:
        """Return the class or function of a name."""
        found = module, name
        if found == ("builtins", "getattr"):
            self._lend(found, _Reader._get_method)
            return self._get_method
        if found not in self._allowed:
            raise NotPicklableError(f"a snapshot names {module}.{name}, which {_UNLISTED}")
        further = self._allowed.further
        thing = further[found] if found in further else super().find_class(module, name)
        self._lend(found, thing)
        return thing

    def _lend(self, name: Name, thing: Any) -> None:
        if name not in self._lent:
            self._lent[name] = thing, _changeable(thing)

    def _get_method(self, owner: Any, attribute: str) -> Any:
        """Stand in for `getattr`."""
        if not self._allowed.has_method(owner, attribute):
            raise NotPicklableError(f"a snapshot names {_method(owner, attribute)}, which {_UNLISTED}")
        return getattr(owner, attribute)


def _changeable(thing: Any) -> dict[str, Any]:
    """Return what `setattr` could change of a class or function."""
    beside: tuple[str, ...] = ()
    if isinstance(thing, type):
        if thing.__flags__ & _IMMUTABLE or not thing.__flags__ & _ON_HEAP:
            return {}
        copyreg._slotnames(thing)  # type: ignore[attr-defined] # a cache in the class; the first to copy an object fills it
        beside = ("__bases__", "__name__", "__qualname__")
    elif isinstance(thing, FunctionType):
        beside = ("__code__", "__defaults__", "__kwdefaults__")
    return {**getattr(thing, "__dict__", {}), **{name: getattr(thing, name) for name in beside}}


def _put_back(thing: Any, before: dict[str, Any]) -> bool:
    """Undo what a pickle has changed of a class or function, and tell whether there was anything."""
    after, missing = _changeable(thing), object()
    changed = [name for name in {**before, **after} if before.get(name, missing) is not after.get(name, missing)]
    for name in changed:
        if name in before:
            setattr(thing, name, before[name])
        else:
            delattr(thing, name)
    return bool(changed)
