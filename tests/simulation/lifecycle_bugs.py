"""Bugs planted where operators' commands and evidence change the champion."""

from typing import Any

import msgspec

from streams import orders
from streams.contest import Contest
from streams.entrants import Entrants
from streams.lifecycle import Lifecycle
from streams.task import Task

Patches = list[tuple[Any, str, Any]]


def expected_ignored() -> Patches:
    """A command is obeyed whoever serves: of two that expect the same champion both win."""
    obey = orders.obey

    def comply(order: Any, *rest: Any) -> Any:
        return obey(msgspec.structs.replace(order, expected=""), *rest)

    return [(orders, "obey", comply)]


def contest_begins_anew() -> Patches:
    """Who else could serve, and what speaks for them, is not restored."""
    return [(Contest, "restore", lambda self, *_: None)]


def race_begins_anew() -> Patches:
    """Who races, whose turn it is and who is ahead is not restored."""
    return [(Entrants, "restore", lambda self, *_: self.begin(""))]


def pin_forgotten() -> Patches:
    """What was pinned is free after a restore."""
    restore = Lifecycle.restore

    def forget(self: Any, *arguments: Any, **further: Any) -> None:
        restore(self, *arguments, **further)
        self.acts = True

    return [(Lifecycle, "restore", forget)]


def evidence_against_pins() -> Patches:
    """Evidence replaces a champion that is pinned."""
    observe = Lifecycle.observe

    def act(self: Any, *arguments: Any) -> Any:
        pinned, self.acts = not self.acts, True
        events = observe(self, *arguments)
        self.acts = not pinned
        return events

    return [(Lifecycle, "observe", act)]


def commands_forgotten() -> Patches:
    """After a restore a command that was signed once counts once more."""
    return [(orders.Orders, "restore", lambda self, state: None)]


def unscored_after_a_change() -> Patches:
    """The first event of a new champion is passed over."""
    score = Task._score

    def rest(self: Any, record: Any, example: Any) -> Any:
        champion = self.lifecycle.champion.version
        served, self.served = getattr(self, "served", champion), champion
        if served == champion:
            return score(self, record, example)
        self.books.count["duplicate_event"] += 1
        return []

    return [(Task, "_score", rest)]


LIFECYCLE_BUGS = (
    expected_ignored,
    contest_begins_anew,
    race_begins_anew,
    pin_forgotten,
    evidence_against_pins,
    commands_forgotten,
    unscored_after_a_change,
)
