"""The file of results: a line as each game ends, so that a long run may be killed and goes on later."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Collection, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson

Result = dict[str, Any]
Key = tuple[str, str, int]
_ROOT = Path(__file__).parents[2]
#: What figures depend on; not on how they are judged and printed.
_PLAYED = ("riverrun.py", "schemas", "streams", "services/flights.py")
_NOT_PLAYED = ("streams/worker", "schemas/avro")
_OF_US = ("detecting", "playing", "policies", "rivals", "stopwatch", "worlds")


def code() -> str:
    """Return a digest of what games are played with: sources, River and Python."""
    here = Path(__file__).parent
    files = {here / f"{name}.py" for name in _OF_US}
    for name in _PLAYED:
        files |= set((_ROOT / name).rglob("*.py")) or {_ROOT / name}
    digest = hashlib.blake2b(f"{version('river')} {platform.python_version()}".encode(), digest_size=8)
    for path in sorted(files):
        name = path.relative_to(_ROOT).as_posix()
        if not name.startswith(_NOT_PLAYED):
            digest.update(name.encode() + path.read_bytes())
    return digest.hexdigest()


class Ledger:
    """Games that were played, in a file.

    A game that was played twice, with other players, is one. Half a line at the end, of a run that was killed, is
    cut off. A file of other code is put aside as ``….before``, and a new one begins.

    Parameters
    ----------
    path
        The file.
    code
        What games are played with.
    """

    def __init__(self, path: Path, code: str) -> None:
        self._path, self._code = path, code
        self._games: dict[Key, Result] = {}
        self.put_aside: Path | None = None
        if not path.exists():
            return
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if any(result["code"] != code for result in _lines(whole)):
            self.put_aside = path.replace(path.with_name(f"{path.name}.before"))
            return
        if whole != data:
            os.truncate(path, len(whole))
        for result in _lines(whole):
            self._take(result)

    def _take(self, result: Result) -> None:
        key = result["world"], result["base"], result["seed"]
        self._games[key] = _merged(self._games.get(key, {}), result)

    def missing(self, key: Key, players: Collection[str]) -> set[str]:
        """Return those of the players that have not played a game."""
        return set(players) - set(self._games.get(key, {}).get("asked", ()))

    def add(self, result: Result, asked: Collection[str]) -> None:
        """Write a result down; when this returns it is on the disk."""
        result = result | {"asked": sorted(asked), "code": self._code}
        with self._path.open("ab") as file:
            file.write(orjson.dumps(result) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._take(orjson.loads(orjson.dumps(result)))

    def games(self, keys: Collection[Key] | None = None) -> list[Result]:
        """Return the results of games, in the order of the keys; of all unless given."""
        wanted = self._games if keys is None else keys
        return [self._games[key] for key in wanted if key in self._games]


def read(path: Path) -> list[Result]:
    """Return the results in a file, whatever code they are of, and be it of a run that goes on."""
    data = path.read_bytes()
    games: dict[Key, Result] = {}
    for result in _lines(data[: data.rfind(b"\n") + 1]):
        key = result["world"], result["base"], result["seed"]
        games[key] = _merged(games.get(key, {}), result)
    return list(games.values())


def _lines(data: bytes) -> Iterator[Result]:
    return (orjson.loads(line) for line in data.splitlines())


def _merged(older: Result, newer: Result) -> Result:
    """Return what two plays of a game tell, the newer one where both tell."""
    merged = older | newer
    for name, figures in newer.items():
        if isinstance(figures, dict) and isinstance(older.get(name), dict):
            merged[name] = older[name] | figures
    merged["asked"] = sorted({*older.get("asked", ()), *newer.get("asked", ())})
    return merged
