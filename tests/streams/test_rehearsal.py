"""A rehearsal: it tells sooner who is better, and does not count where a label tells of the next one."""

import random

from river import dummy

from streams.learner import Learner
from streams.memory import Memory
from streams.policy import ChampionVersions
from streams.rehearsal import CHAMPION, NEWCOMER, Rehearsal
from streams.restraint import Restraint
from streams.verdict import Verdict


def newcomer(version: str = "v2", learned: int = 50) -> Learner:
    """Return one that has learned something."""
    return Learner(dummy.PriorClassifier, version, "binary", learned=learned)


def remembering(losses: int, *, run: int) -> Rehearsal:
    """Return a rehearsal that knows losses, of which as many in a row are alike."""
    rng, memory, loss = random.Random(5), Memory(), 0.0
    for i in range(losses):
        if i % run == 0:
            loss = float(rng.random() < 0.3)
        memory.add(loss, i)
    policy = ChampionVersions()
    return Rehearsal(policy, memory, Restraint(policy))


def better(rehearsal: Rehearsal, one: Learner, times: int = 40) -> Verdict | None:
    """Let a newcomer be right where the champion is wrong."""
    verdict = None
    for i in range(times):
        verdict = rehearsal.update(one, {CHAMPION: 1.0, NEWCOMER: 0.0}, 5000 + i)
    return verdict


def test_newcomer_that_is_better_is_told_of() -> None:
    """With what speaks for it: both losses, since when, over how many events."""
    verdict = better(remembering(1100, run=1), newcomer())
    assert verdict is not None
    assert (verdict.role, verdict.model.version) == ("newcomer", "v2")
    assert (verdict.advantage.means, verdict.advantage.since) == ((1.0, 0.0), 5000)


def test_rehearsal_does_not_count_where_losses_resemble_their_neighbours() -> None:
    """Who has just learned the last labels has an advantage that it will not have when it counts."""
    assert better(remembering(4000, run=20), newcomer()) is None


def test_rehearsal_does_not_count_before_anything_is_known_of_losses() -> None:
    """A few losses show no memory, whatever they are."""
    assert better(remembering(1000, run=1), newcomer()) is None


def test_newcomer_has_to_have_learned_and_to_win_by_itself() -> None:
    """What its predecessor has won is not its own; as an answer that is missing, it says nothing."""
    rehearsal = remembering(1100, run=1)
    assert better(rehearsal, newcomer(learned=4)) is None
    assert better(rehearsal, newcomer("v3"), times=1) is None
    assert rehearsal.update(newcomer("v3"), {CHAMPION: 1.0}, 6000) is None
    assert better(rehearsal, newcomer("v3")) is not None


def test_restored_rehearsal_goes_on() -> None:
    """With what speaks for the newcomer."""
    rehearsal, restored = remembering(1100, run=1), remembering(1100, run=1)
    assert better(rehearsal, newcomer(), times=4) is None
    restored.restore(rehearsal.snapshot())
    assert restored.snapshot() == rehearsal.snapshot()
    told = [better(one, newcomer(), times=3) for one in (rehearsal, restored)]
    assert told[0] is not None
    assert told[1] is not None
    assert told[0].advantage.snapshot() == told[1].advantage.snapshot()
