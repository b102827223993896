"""The file of results: a line as each game ends, so that a long run may be killed and goes on later."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Collection, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from benchmarks.quality import rivals

Result = dict[str, Any]
Key = tuple[str, str, int]
_ROOT = Path(__file__).parents[2]
#: What figures depend on; not on how they are judged and printed. Rivals are River's alone.
_OF_RIVALS = ("playing", "rivals", "worlds")
_PLAYED = ("riverrun.py", "schemas", "streams", "services/flights.py")
_NOT_PLAYED = ("streams/worker", "schemas/avro")
_OF_US = ("detecting", "playing", "policies", "rivals", "stopwatch", "worlds")


class Code(NamedTuple):
    """What games are played with, by digest of sources, River and Python: all of it, and what rivals need of it."""

    ours: str
    rivals: str


def code() -> Code:
    """Return what games are played with now."""
    here = Path(__file__).parent
    ours = {here / f"{name}.py" for name in _OF_US}
    for name in _PLAYED:
        ours |= set((_ROOT / name).rglob("*.py")) or {_ROOT / name}
    rivals = {here / f"{name}.py" for name in _OF_RIVALS}
    return Code(_digest(ours), _digest({*rivals, _ROOT / "services" / "flights.py"}))


def _digest(files: Collection[Path]) -> str:
    digest = hashlib.blake2b(f"{version('river')} {platform.python_version()}".encode(), digest_size=8)
    for path in sorted(files):
        name = path.relative_to(_ROOT).as_posix()
        if not name.startswith(_NOT_PLAYED):
            digest.update(name.encode() + path.read_bytes())
    return digest.hexdigest()


class Ledger:
    """Games that were played, in a file.

    A game that was played twice, with other players, is one. Half a line at the end, of a run that was killed, is
    cut off. A file of other code is put aside as ``….before``, and a new one begins: with what rivals have played, if
    they are what they were.

    Parameters
    ----------
    path
        The file.
    code
        What games are played with.
    """

    def __init__(self, path: Path, code: Code) -> None:
        self._path, self._code = path, code
        self._games: dict[Key, Result] = {}
        self.put_aside: Path | None = None
        if not path.exists():
            return
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if any(result["code"] != code.ours for result in _lines(whole)):
            self.put_aside = path.replace(path.with_name(f"{path.name}.before"))
            for result in _lines(whole):
                told, asked = _of_rivals(result)
                if asked and result.get("rivals_code") == code.rivals:
                    self.add(told, asked)
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
        result = result | {"asked": sorted(asked), "code": self._code.ours, "rivals_code": self._code.rivals}
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


def _of_rivals(result: Result) -> tuple[Result, list[str]]:
    """Return what a line tells of rivals, and which of them were asked to play."""
    told = {
        name: {who: figure for who, figure in figures.items() if who in rivals.NAMES}
        for name, figures in result.items()
        if isinstance(figures, dict)
    }
    plain = {name: figure for name, figure in result.items() if not isinstance(figure, dict)}
    return plain | {name: figures for name, figures in told.items() if figures}, [
        name for name in result["asked"] if name in rivals.NAMES
    ]


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
