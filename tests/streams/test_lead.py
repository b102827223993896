"""The lead of a model in the race: hardly ever there by chance, and found however it began."""

import random
from collections.abc import Callable

import pytest

from streams.evidence import Lead

STREAMS = 1000


def coins(rng: random.Random) -> Callable[[int], tuple[float, float]]:
    """Return losses of two models that answer by different coins."""
    return lambda i: (float(rng.random() < 0.3), float(rng.random() < 0.3))


def twins(rng: random.Random) -> Callable[[int], tuple[float, float]]:
    """Return losses of two models that differ once in fifty events, and are as good."""

    def losses(i: int) -> tuple[float, float]:
        loss = float(rng.random() < 0.2)
        return (loss, 1.0 - loss) if rng.random() < 0.01 else (loss, loss)

    return losses


def waves(rng: random.Random) -> Callable[[int], tuple[float, float]]:
    """Return losses whose difference grows and shrinks, and is worth nothing on average, whatever came before."""
    return lambda i: (0.5 + (r := rng.choice((-0.5, 0.5)) * (1 + i // 100 % 3) / 3), 0.5 - r)


def worse(rng: random.Random) -> Callable[[int], tuple[float, float]]:
    """Return losses of a second model that is a little worse."""
    return lambda i: (float(rng.random() < 0.3), float(rng.random() < 0.32))


@pytest.mark.parametrize("null", [coins, twins, waves, worse])
def test_no_lead_is_seen_where_there_is_none_however_often_one_looks(
    null: Callable[[random.Random], Callable[[int], tuple[float, float]]],
) -> None:
    """Of 1,000 streams, looked at after each of 600 events, at most alpha ever show one (and three deviations)."""
    most: list[float] = []
    for seed in range(STREAMS):
        losses, lead, highest = null(random.Random(seed)), Lead(), 1.0
        for i in range(600):
            lead.update(*losses(i), offset=i)
            highest = max(highest, lead.value)
        most.append(highest)
    for alpha in (0.5, 0.2, 0.05, 0.01):
        share = sum(value >= 1 / alpha for value in most) / STREAMS
        assert share <= alpha + 3 * (alpha * (1 - alpha) / STREAMS) ** 0.5


@pytest.mark.parametrize("youth", [0, 300, 2000])
def test_lead_is_found_in_time_however_badly_it_began(youth: int) -> None:
    """A model that was worse by .2 while it was young is found better by .1 within as many events, and 600."""
    rng, lead = random.Random(1), Lead()
    for i in range(2 * youth + 900):
        second = 0.5 if i < youth else 0.2
        lead.update(float(rng.random() < 0.3), float(rng.random() < second), offset=i)
        if lead.value >= 20:
            break
    assert lead.value >= 20
    assert i <= 2 * youth + 600
    assert lead.since >= youth / 2


def test_lead_is_what_it_was_when_brought_back() -> None:
    """And goes on the same way; a thousand doublings would take no more room."""
    rng, lead = random.Random(2), Lead()
    for i in range(5000):
        lead.update(rng.random(), rng.random(), i)
    again = Lead.restored(lead.snapshot())
    for i in range(5000, 5200):
        first, second = rng.random(), rng.random()
        lead.update(first, second, i)
        again.update(first, second, i)
    assert (again.value, again.since, again.count, again.means) == (lead.value, lead.since, lead.count, lead.means)
    assert len(str(lead.snapshot())) < 3000
