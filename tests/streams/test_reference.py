"""A reference that looks back knows what one knows that was scored all the time."""

import random
from copy import deepcopy

from river import dummy

from streams.learner import Learner
from streams.recent import Example
from streams.reference import Reference
from streams.shift import Shift
from streams.versions import Frozen


def copy() -> Frozen:
    """Return a frozen model."""
    learner = Learner(dummy.PriorClassifier, "v1", "binary")
    learner.learn({}, True)
    return Frozen(learner.freeze()[0], "v1", 1, 0, "binary")


def examples(count: int, share: float, first: int = 0) -> list[Example]:
    """Return examples, of which a share is answered wrongly."""
    rng = random.Random(first)
    return [(offset, {}, rng.random() >= share) for offset in range(first, first + count)]


def loss(_: Frozen, example: Example) -> float | None:
    """Return the loss of an answer that is always yes; there is none to every hundredth example."""
    return None if example[0] % 100 == 0 else float(not example[2])


def test_who_looks_back_knows_what_was_missed() -> None:
    """And what came meanwhile, in its order: the evidence is that of losses taken one by one."""
    before, after = examples(600, 0.1), examples(100, 0.6, first=600)
    reference, scored = Reference(copy(), Shift(300), 0, before), Shift(300)
    heard = 0
    while reference.looks_back:
        if heard < len(after):
            reference.hear(after[heard])
            heard += 1
        reference.look_back(loss)
    for example in [*before, *after[:heard]]:
        if (its := loss(reference.frozen, example)) is not None:
            scored.update(its, example[0])
    assert 10 <= heard <= 20
    assert reference.shift.snapshot() == scored.snapshot()
    assert reference.shift.rise[0] > 1


def test_half_way_back_survives_a_snapshot() -> None:
    """With what it has yet to be asked of, and how old it is."""
    frozen = copy()
    straight = Reference(frozen, Shift(300), 7, examples(600, 0.3))
    straight.look_back(loss)
    resumed = Reference.restored(deepcopy(straight.snapshot()), {frozen.name: frozen})
    while straight.looks_back:
        straight.look_back(loss)
        resumed.look_back(loss)
    assert not resumed.looks_back
    assert resumed.since == 7
    assert resumed.shift.snapshot() == straight.shift.snapshot()
