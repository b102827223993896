"""How soon drift is detected: riverrun's detector in the task, and a bare ADWIN on the very same losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from river.drift import ADWIN

from benchmarks.quality.policies import Game
from benchmarks.quality.worlds import Stream
from riverrun import Drift


def detections(game: Game, stream: Stream) -> dict[str, Any]:
    """Return when drift was detected, in labelled events since the concept changed, and how often before.

    Parameters
    ----------
    game
        Of a policy that does not act: one champion, whose losses all detectors see.
    stream
        One that changes once, or never.

    Returns
    -------
    ``delay`` and ``false``, each by detector: ``task`` is riverrun's as it is declared, in its task, with the quiet
    that follows each alarm; ``bare`` is River's ADWIN of the same delta, whose falls count as nothing; ``auto`` is
    riverrun's with blocks of a length that it measures; ``blocks`` says how long they were at the end, 1 where
    neighbouring losses do not resemble each other. A delay is None where there is no detection, or nothing to detect.
    """
    losses = [(i, float(not ok)) for i, ok in enumerate(game.right) if i not in stream.missing]
    changed = next((i for i, concept in enumerate(stream.concepts) if concept != stream.concepts[0]), None)
    auto = Drift(blocks="auto").new_detector("quality", "v1", "drift")
    found = {"task": game.detections, "bare": _bare(losses), "auto": _places(losses, auto.update)}
    return {
        "delay": {name: _delay(places, changed, stream) for name, places in found.items()},
        "false": {name: sum(changed is None or i < changed for i in places) for name, places in found.items()},
        "blocks": getattr(auto, "size", 1),
    }


def _bare(losses: Sequence[tuple[int, float]]) -> list[int]:
    adwin, places = ADWIN(delta=Drift().delta), []
    for place, loss in losses:
        before = adwin.estimation
        adwin.update(loss)
        if adwin.drift_detected and adwin.estimation > before:
            places.append(place)
    return places


def _places(losses: Sequence[tuple[int, float]], update: Callable[[float, int], Any]) -> list[int]:
    changes = [(place, update(loss, place)) for place, loss in losses]
    return [place for place, change in changes if change is not None and change.level == "drift"]


def _delay(places: Sequence[int], changed: int | None, stream: Stream) -> int | None:
    first = None if changed is None else next((place for place in places if place >= changed), None)
    if changed is None or first is None:
        return None
    return sum(place not in stream.missing for place in range(changed, first + 1))
