"""How long losses resemble each other: the weather does, a change of the world or a rare mistake does not."""

import random
from collections.abc import Iterable
from copy import deepcopy
from statistics import mean

import pytest

from streams.memory import Memory


def remembering(losses: Iterable[float]) -> list[int]:
    """Return the sizes of blocks that are said, one after the other."""
    memory, said = Memory(), []
    for offset, loss in enumerate(losses):
        memory.add(loss, offset)
        said.append(memory.block)
    return said


def drawn(rates: Iterable[float]) -> list[float]:
    """Draw losses of 0 and 1 at rates that are given one by one."""
    rng = random.Random(3)
    return [float(rng.random() < rate) for rate in rates]


def wandering(phi: float, events: int = 6000) -> list[float]:
    """Return losses at a rate that wanders about .2, the longer in one direction the larger phi is."""
    rng, state, rates = random.Random(4), 0.0, list[float]()
    for _ in range(events):
        state = phi * state + (1 - phi * phi) ** 0.5 * rng.gauss(0, 1)
        rates.append(min(1.0, max(0.0, 0.2 + 0.2 * state)))
    return drawn(rates)


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.1, 0.3, 0.5])
def test_losses_that_are_independent_have_no_memory(rate: float) -> None:
    """However rare mistakes are: a thousand losses that are all 0 say nothing."""
    assert set(remembering(drawn([rate] * 6000))) == {1}


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.6), (0.01, 0.5), (0.1, 0.4)])
def test_change_of_the_world_is_no_memory(low: float, high: float) -> None:
    """A hundred labels late and a hundred more until a model takes over: that happens, and is not the weather."""
    calm, worse = [low] * 2500, [high] * 200
    assert set(remembering(drawn([*calm, *worse, *calm, *worse, *calm]))) == {1}


@pytest.mark.parametrize("phi", [0.97, 0.99])
def test_losses_that_wander_have_a_memory(phi: float) -> None:
    """It is told for most of the time; the slower, the less of it there is among neighbours."""
    said = remembering(wandering(phi))[2000:]
    assert mean(block > 1 for block in said) > 0.5


def test_memory_is_not_known_at_once() -> None:
    """1,024 losses are needed; until then they are taken one by one."""
    memory = Memory()
    for i in range(1023):
        memory.add(float(i % 100 < 50), i)
        assert (memory.is_known, memory.block) == (False, 1)
    memory.add(1.0, 1023)
    assert memory.is_known
    assert memory.block > 1


def test_restored_memory_goes_on() -> None:
    """With the block it has said, and when it measures again."""
    losses, memory, restored = wandering(0.97, 2200), Memory(), Memory()
    for offset, loss in enumerate(losses[:1500]):
        memory.add(loss, offset)
    restored.restore(deepcopy(memory.snapshot()))
    for offset, loss in enumerate(losses[1500:], 1500):
        memory.add(loss, offset)
        restored.add(loss, offset)
        assert restored.block == memory.block
    assert restored.snapshot() == memory.snapshot()
