"""One game: a world, a base model and a seed, and all players in it."""

from __future__ import annotations

import time
from collections.abc import Collection
from itertools import groupby
from statistics import mean
from typing import Any

from benchmarks.quality import policies, rivals, worlds
from benchmarks.quality.detecting import detections
from benchmarks.quality.stopwatch import costs
from benchmarks.quality.worlds import Stream, World

Result = dict[str, Any]
PLAYERS = (*rivals.NAMES, *policies.POLICIES)
_RETURN = 1000
_CHANGES_ONCE = ("stationary", "abrupt", "autocorrelated")
#: Models are timed in games of this seed: that takes two or three more plays.
_METERED = 1


def play(name: str, base: str, seed: int, players: Collection[str]) -> Result:
    """Play a game and return its figures, by player."""
    world = worlds.world(name)
    stream = world.build(seed)
    result: Result = {"world": name, "row": world.row, "base": base, "seed": seed, "events": len(stream.examples)}
    if stream.lies:
        result["lies"] = _stretches(stream.lies)
    games = _rivals(world, stream, base, seed, players)
    declared = {policy: how for policy, how in policies.POLICIES.items() if policy in players}
    plain, metered = policies.play(declared, world, stream, base, metered=seed == _METERED)
    for player, game in (games | plain).items():
        _tell(result, player, game, world, stream)
    observer = plain.get(policies.OBSERVER)
    if observer is not None:
        result["costs"] = {player: _costs(player, plain, metered) for player in plain if player != policies.OBSERVER}
        if world.row in _CHANGES_ONCE:
            result["detection"] = detections(observer, stream)
    return result


def _rivals(world: World, stream: Stream, base: str, seed: int, players: Collection[str]) -> dict[str, policies.Game]:
    games: dict[str, policies.Game] = {}
    for rival, make in rivals.rivals(world, stream, base, seed).items():
        if rival in players:
            player, start = make(), time.thread_time()
            right = rivals.play(player, world, stream)
            games[rival] = policies.Game(right, player.actions, cpu_seconds=time.thread_time() - start)
    return games


def _costs(player: str, plain: dict[str, policies.Game], metered: dict[str, policies.Game]) -> dict[str, list[int]]:
    timings = [
        games[name].timing for games in (plain, metered) for name in (player, policies.OBSERVER) if name in games
    ]
    ours, observer, *models = [timing for timing in timings if timing is not None]
    return costs(ours, observer, (models[0], models[1]) if len(models) == 2 else None)


def _tell(result: Result, player: str, game: policies.Game, world: World, stream: Stream) -> None:
    """Add a player's figures to those of the game."""

    def say(what: str, figure: Any) -> None:
        result.setdefault(what, {})[player] = figure

    say("accuracy", mean(ok for place, ok in enumerate(game.right) if place not in stream.lies))
    say("actions", game.actions)
    say("cpu_seconds", round(game.cpu_seconds, 3))
    if player in policies.POLICIES:
        say("suppressed", game.suppressed)
        say("held", game.held)
        say("alarms", len(game.detections))
        say("detections", game.detections[:20])
        say("crowned", game.crowned)
        say("slowest_ms", round(game.slowest_ms, 1))
    if returns := _returns(stream.concepts):
        say("returns", mean(not game.right[i] for start in returns for i in range(start, start + _RETURN)))
    if (late := world.labels_after) and stream.concepts:
        told = range(late, len(stream.examples))
        known = [i for i in told if stream.concepts[i] == stream.concepts[i - late]]
        say("informed", mean(game.right[i] for i in known))


def _returns(concepts: list[int]) -> list[int]:
    """Return the places at which a concept begins that was there before."""
    known: set[int] = set()
    places: list[int] = []
    for place, concept in enumerate(concepts):
        if place == 0 or concept != concepts[place - 1]:
            if concept in known:
                places.append(place)
            known.add(concept)
    return places


def _stretches(places: Collection[int]) -> list[tuple[int, int]]:
    """Return first and last of each run of places."""
    runs = [[i for _, i in run] for _, run in groupby(enumerate(sorted(places)), lambda pair: pair[1] - pair[0])]
    return [(run[0], run[-1]) for run in runs]
