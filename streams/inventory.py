"""Which models a snapshot holds, read from the small state of a life cycle: no model is loaded for it."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

#: Roles of models that do not learn: kept to come back, or to be compared with.
ARCHIVED, MILESTONE = "archived", "milestone"
#: Role of those that race.
ENTRANT = "entrant"


class KeptModel(Struct, frozen=True):
    """A model as a snapshot holds it.

    Parameters
    ----------
    name
        A version, ``v3``, or an archived one, ``v1@1500``.
    role
        ``champion``; ``successor``, which takes over when it has learned enough; ``steady``, ``challenger``,
        ``newcomer``, ``previous``, ``reconstruction`` in the contest; ``entrant``, which races;
        ``archived``, which could serve again; ``milestone``, which the champion is held against.
    learned
        Examples it had learned.
    offset
        Offset of the record at which a frozen copy was taken; None where it goes on learning.
    part
        Name of the part it is in.
    """

    name: str
    role: str
    learned: int
    offset: int | None
    part: str


def models_in(lifecycle: Any) -> list[KeptModel]:
    """List the models of a partition, the champion first.

    Parameters
    ----------
    lifecycle
        What `Lifecycle.snapshot` returned.

    Examples
    --------
    >>> past = {"frozen": {"v1@5": ("v1", 5, 4)}, "archive": (["v1@5"], {})}
    >>> contest = {"learners": {"steady": ("v1", 9)}, "past": past}
    >>> state = (1, 2), (), {"champion": ("v2", 7)}, contest, None
    >>> [(model.name, model.role, model.learned, model.offset) for model in models_in(state)]
    [('v2', 'champion', 7, None), ('v1', 'steady', 9, None), ('v1@5', 'archived', 5, 4)]
    """
    _, _, learners, contest, race = lifecycle
    found = [KeptModel(version, role, learned, None, role) for role, (version, learned) in learners.items()]
    if contest is not None:
        found += _beside(contest)
    if race is not None:
        racing, *_ = race
        found += [KeptModel(name, ENTRANT, learned, None, f"race-{name}") for name, (_, learned, *_) in racing.items()]
    return found


def _beside(contest: Any) -> Iterator[KeptModel]:
    """Yield those that could serve, or are compared with, beside the champion."""
    for role, (version, learned) in contest["learners"].items():
        # What is put together is a version as it was once: by its own name nobody else is meant.
        name = f"{version}@{learned}" if role == "reconstruction" else version
        yield KeptModel(name, role, learned, None, f"contest-{role}")
    archived, _ = contest["past"]["archive"]
    for name, (_, learned, offset) in contest["past"]["frozen"].items():
        role = ARCHIVED if name in archived else MILESTONE
        yield KeptModel(name, role, learned, offset, f"frozen-{name}")
