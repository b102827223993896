"""Operators who look at the models of a partition and command, now and then two of them at the same moment."""

import random
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from schemas.commands import Freeze, Import, Order, Pin, Promote, Resume, Retrain, RollBack
from streams import pickling
from streams.foreign import pack
from streams.lifecycle import Lifecycle
from tests.simulation.models import Slope

#: Commands that change the champion where they are obeyed.
CHANGES = (Promote, RollBack)
_SINGLE: dict[str, type[Order]] = {"freeze": Freeze, "pin": Pin, "resume": Resume, "retrain": Retrain}


def command(rng: random.Random, lifecycle: Lifecycle) -> list[Order]:
    """Return what comes to operators' minds, in the order in which it is written.

    Parameters
    ----------
    rng
        Decides.
    lifecycle
        What they have looked at; it is not changed.
    """
    serving = lifecycle.champion.version
    expected = rng.choices((serving, "", "v1"), (7, 2, 1))[0]
    kinds: dict[str, int] = {"rivals": 5, "there and back": 3, "change": 4, "resume": 3, "pin": 1, "import": 2}
    if lifecycle.acts and lifecycle.learns:
        kinds |= {"retrain": 2, "freeze": 1}
    kind = rng.choices(list(kinds), list(kinds.values()))[0]
    change = _changing(rng, lifecycle)
    if kind == "rivals":
        return [change(serving), _changing(rng, lifecycle)(serving)]
    if kind == "there and back":
        return [change(expected), *(RollBack(pipeline="p", who="nell") for _ in range(rng.randint(1, 2)))]
    if kind == "change":
        return [change(expected)]
    if kind == "import":
        return [_importing(rng, expected)]
    return [_SINGLE[kind](pipeline="p", expected=expected, who="nell")]


def _importing(rng: random.Random, expected: str) -> Order:
    """Return the import of a model that was trained elsewhere, now and then with another feature set."""
    model = Slope()
    model.weights = {"a": rng.gauss(0.0, 2.0), "b": rng.gauss(0.0, 1.0)}
    data = pack(pickling.dumps(model, further={Slope}))
    features = rng.choice((("a", "b"), ("b", "a"), ("a", "b"), ("a",)))
    common: dict[str, Any] = {"pipeline": "p", "who": "nell", "expected": expected}
    return Import(**common, model=data, learned=rng.randrange(50), features=features, river=version("river"))


def _changing(rng: random.Random, lifecycle: Lifecycle) -> Callable[[str], Order]:
    """Return a command that changes the champion, still to be told whom it expects."""
    common: dict[str, Any] = {"pipeline": "p", "who": rng.choice(("nell", "bob"))}
    contest = lifecycle.shadows.contest
    names = list(contest.candidates(lifecycle.champion)) if contest is not None else []
    name = rng.choice([*names, "v99"])
    if rng.random() < 0.5:
        return lambda expected: Promote(**common, model=name, expected=expected)
    to = rng.choice(("", "", name))
    return lambda expected: RollBack(**common, to=to, expected=expected)
