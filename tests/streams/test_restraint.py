"""What holds a better model back: a world that stands still, earlier mistakes, a budget, and its own copy."""

from typing import Any

import pytest

from streams.evidence import Advantage
from streams.policy import ChampionVersions
from streams.restraint import Restraint
from streams.verdict import Role, Verdict
from streams.versions import Frozen

CHANGED, CALM = 1e6, 1.0


def verdict(value: float, name: str = "v1", role: Role = "version") -> Verdict:
    """Return what speaks for a version with an e-value."""
    advantage = Advantage()
    advantage.value = value
    return Verdict(role, Frozen(b"", name, 10, 0, "binary"), advantage, 0.0)


def least(restraint: Restraint, name: str = "v1@10", role: Role = "version") -> float:
    """Return the least power of two that is evidence enough."""
    return next(value for value in (2.0**n for n in range(60)) if restraint.suffices(value, role, name))


def test_version_that_returns_in_place_of_its_own_copy_needs_more_each_time() -> None:
    """The second time as much, then four times as much and 16 times; another one as much as ever."""
    restraint = Restraint(ChampionVersions(alpha=1 / 16))
    needed = []
    for now in range(4):
        needed.append(least(restraint))
        restraint.note("version", "v1@10", now, by_evidence=True)
    assert needed == [16, 16, 64, 256]
    assert least(restraint, name="v2@10") == 16
    restraint.note("version", "v2@10", 9, by_evidence=True)
    assert least(restraint) == 16


def test_what_an_operator_wants_makes_nothing_harder() -> None:
    """However often the same version is promoted; and nothing is so hard that it cannot be written down."""
    restraint = Restraint(ChampionVersions(alpha=1 / 16))
    for now in range(600):
        restraint.note("version", "v1@10", now, by_evidence=False)
    assert least(restraint) == 16
    for now in range(1200):
        restraint.note("steady", "v0", now, by_evidence=True)
    for now in range(600):
        restraint.note("version", "v1@10", now, by_evidence=True)
    assert not restraint.suffices(1e12, "version", "v1@10")
    assert restraint.suffices(16, "steady", "v0")


def test_setback_makes_the_next_one_harder_until_one_holds() -> None:
    """A replacement that probation took back doubles what is needed; one that holds halves it again."""
    restraint = Restraint(ChampionVersions(alpha=1 / 16))
    for needed in (16, 32, 64):
        assert least(restraint) == needed
        assert least(restraint, role="steady") == 16
        restraint.note("steady", "v0", 5, by_evidence=True)
    restraint.note("previous", "v0", 6, by_evidence=False)  # an operator's wish is no mistake of ours
    restraint.relax()
    assert least(restraint) == 64


@pytest.mark.parametrize(
    ("change", "fits_again", "role", "held"),
    [
        (CHANGED, 0, "version", ""),
        (CALM, 0, "version", "no change"),
        (CALM, CHANGED, "version", ""),
        (CALM, 0, "previous", ""),
        (None, 0, "version", "no change"),
    ],
)
def test_still_world_holds_back_whom_it_does_not_know(change: Any, fits_again: float, role: Role, held: str) -> None:
    """Who has served lately needs no change, nor does a version whose own world is back."""
    found = Restraint(ChampionVersions()).weigh(verdict(1e9, role=role), change, fits_again, 99)
    assert (found.held, found.change) == (held, max(change or 0.0, fits_again))


def test_restored_restraint_is_the_same() -> None:
    """Whatever it was told."""
    restraint, restored = (Restraint(ChampionVersions(actions=2)) for _ in range(2))
    for now in range(2):
        restraint.note("version", "v1@10", now, by_evidence=True)
    assert restraint.is_news(verdict(1.0))
    restored.restore(restraint.snapshot())
    assert restored.snapshot() == restraint.snapshot()
    assert not restored.is_news(verdict(1.0))
    assert not restored.may_act(9_999, is_new=False)
    assert restored.may_act(10_000, is_new=False)


@pytest.mark.parametrize(
    ("role", "actions", "taken", "held"),
    [
        ("newcomer", 3, 1, ""),
        ("newcomer", 3, 2, "budget"),
        ("entrant", 3, 2, "budget"),
        ("version", 3, 2, ""),
        ("previous", 3, 2, ""),
        ("version", 3, 3, "budget"),
        ("newcomer", 1, 0, ""),
        ("version", 1, 1, "budget"),
    ],
)
def test_last_action_of_the_budget_is_for_who_has_served(role: Role, actions: int, taken: int, held: str) -> None:
    """Whoever learned from a broken upstream may be taken back; where there is one action only, it is anybody's."""
    restraint = Restraint(ChampionVersions(actions=actions))
    for now in range(taken):
        restraint.note("challenger", f"v{now}", now, by_evidence=False)
    assert restraint.weigh(verdict(1e9, role=role), CHANGED, 0, 99).held == held
