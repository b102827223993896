"""The records of a run: seeded Agrawal data whose concept changes halfway."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import orjson
from river.datasets import synth

ID_WIDTH = 6


def record_id(index: int) -> str:
    """Name a record by its place in the input, `a000123`; ids grow longer past a million."""
    return f"a{index:0{ID_WIDTH}d}"


def generate(count: int, seed: int = 1) -> Iterator[bytes]:
    """Yield JSON records: `id`, nine features, `label`.

    Parameters
    ----------
    count
        How many records; classification function 0 makes the labels of the first half, function 2 those of the second.
    seed
        Decides every feature value.

    Yields
    ------
    bytes
        One flat JSON object; `label` is `true` or `false`.

    Examples
    --------
    >>> first, second = generate(2)
    >>> first[:40]
    b'{"id":"a000000","salary":37467.351734612'
    >>> orjson.loads(second)["id"]
    'a000001'
    """
    half = count // 2
    before = islice(synth.Agrawal(classification_function=0, seed=seed), half)
    after = islice(synth.Agrawal(classification_function=2, seed=seed + 1), count - half)
    for index, (features, label) in enumerate(chain(before, after)):
        yield orjson.dumps({"id": record_id(index), **features, "label": bool(label)})


def key_of(payload: bytes) -> bytes:
    """Return the record's id without parsing it: the id is the first field.

    Examples
    --------
    >>> key_of(b'{"id":"a000123","age":40}')
    b'a000123'
    """
    return payload[7 : payload.index(b'"', 7)]


def save(payloads: list[bytes], path: Path) -> None:
    """Write one record a line."""
    path.write_bytes(b"\n".join(payloads))


def load(path: Path) -> list[bytes]:
    """Read what `save` wrote."""
    return path.read_bytes().split(b"\n")
