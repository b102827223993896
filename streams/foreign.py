"""Models from elsewhere: what is settled in one before it may serve, and how it is packed for the log."""

import inspect
import zlib
from collections.abc import Iterator
from functools import cache
from typing import Any

from river import base

from schemas.errors import NotPicklableError
from streams.seeding import RecordedSet, derive_seed

#: Largest pickle that is unpacked, whatever a record promises: it has to fit into memory, several times.
LARGEST_BYTES = 64 * 1024 * 1024
_LEVEL = 9


def settle(model: Any) -> None:
    """Make a model answer the same in every replay: missing seeds are filled in, and sets keep their order.

    A declared model is treated so before it learns; one that was trained elsewhere may not have been.

    Parameters
    ----------
    model
        A River model, which is changed, and slower afterwards: write it down and read it back.

    Examples
    --------
    >>> from river import forest
    >>> model = forest.ARFClassifier()
    >>> settle(model)
    >>> model.seed
    108600080
    """
    for path, node in _parts(model):
        for name, value in _loose_ends(node):
            setattr(node, name, derive_seed("import", *path, name) if value is None else RecordedSet(value))


def _loose_ends(node: Any) -> list[tuple[str, Any]]:
    """Return seeds that are missing and sets that do not keep their order, by attribute."""
    cls: Any = type(node)
    found = [(name, value) for name, value in _own(node).items() if type(value) is set]
    return [*found, ("seed", None)] if getattr(node, "seed", 0) is None and _takes_seed(cls) else found


@cache
def _takes_seed(cls: Any) -> bool:
    return "seed" in inspect.signature(cls.__init__).parameters


def _parts(model: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield a model and the objects it is made of, each once, with the names that lead there.

    Some ensembles keep their members in helpers that are no estimators, so all of River's objects are looked into.
    """
    waiting: list[tuple[tuple[str, ...], Any]] = [((), model)]
    seen: set[int] = set()  # which object it is: some estimators are lists, which have no hash of their own
    while waiting:
        path, thing = waiting.pop()
        if _is_part(thing):
            if (identity := object.__hash__(thing)) in seen:
                continue
            seen.add(identity)
            yield path, thing
            waiting += [((*path, name), value) for name, value in _own(thing).items() if _may_hold(value)]
        elif isinstance(thing, dict):
            waiting += [((*path, str(name)), value) for name, value in thing.items() if _may_hold(value)]
        elif isinstance(thing, list | tuple):
            waiting += [((*path, str(place)), value) for place, value in enumerate(thing) if _may_hold(value)]


def _may_hold(value: Any) -> bool:
    return isinstance(value, dict | list | tuple) or _is_part(value)


def _is_part(value: Any) -> bool:
    return isinstance(value, base.Base) or type(value).__module__.startswith("river.")


def _own(thing: Any) -> dict[str, Any]:
    return getattr(thing, "__dict__", {})


def pack(data: bytes) -> bytes:
    """Return a pickle as a command carries it."""
    return zlib.compress(data, _LEVEL)


def unpack(packed: bytes, largest: int = LARGEST_BYTES) -> bytes:
    """Return the pickle in a command.

    Parameters
    ----------
    packed
        What `pack` has made, or anything at all.
    largest
        Bytes at which unpacking stops: a few kilobytes can be made to unpack into gigabytes.

    Raises
    ------
    NotPicklableError
        When it is larger, or nothing that was packed.

    Examples
    --------
    >>> unpack(pack(b"model"))
    b'model'
    >>> unpack(pack(bytes(1000)), largest=999)
    Traceback (most recent call last):
    ...
    schemas.errors.NotPicklableError: it unpacks into more than 999 bytes
    """
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(packed, largest)
        if not unpacker.eof and len(data) == largest:
            data += unpacker.decompress(unpacker.unconsumed_tail, 1)
    except zlib.error as error:
        raise NotPicklableError(f"it cannot be unpacked: {error}") from None
    if len(data) > largest:
        raise NotPicklableError(f"it unpacks into more than {largest} bytes")
    if not unpacker.eof or unpacker.unused_data:
        raise NotPicklableError("it cannot be unpacked: something is missing, or comes behind it")
    return data
