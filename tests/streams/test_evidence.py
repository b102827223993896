"""Evidence: it is right about nothing at all, and finds what is there."""

import random
from copy import deepcopy
from itertools import product

import pytest
from river import base

from riverrun import Pool
from streams.accounting import Books
from streams.contest import Contest
from streams.evidence import Advantage
from streams.learner import Learner
from streams.prequential import Loss
from streams.shift import Shift

STREAMS = 1000
EVENTS = 400


class Mute(base.Classifier):
    """Answers nothing worth a look: a test draws the losses."""

    def learn_one(self, x: object, y: object) -> None:
        """There is nothing to learn."""

    def predict_one(self, x: object) -> bool:
        """Say no."""
        return False


def contest_by_chance(policy: Pool, rng: random.Random, rate: float, events: int) -> tuple[bool, bool]:
    """Return whether the champion was replaced, and whether anybody looked better, where all are alike by chance."""
    versions = iter(range(1, 1_000_000))

    def fresh() -> Learner:
        return Learner(Mute, f"v{next(versions)}", "binary")

    champion, looked_better = fresh(), False
    contest = Contest(policy, champion, fresh, "binary", (Mute,), Books(), Loss("binary", "zero_one").of)
    contest.begin()
    for offset in range(events):
        asked = (contest.answers(champion, {}, offset) or {}) | (contest.later_answers({}, offset) or {})
        champion.learn({}, True)
        contest.learn(champion, {}, True, offset)
        losses = {name: float(rng.random() < rate) for name in asked}
        loss, learned = float(rng.random() < rate), (offset, dict[str, float](), True)
        verdict = contest.update(champion, loss, losses, offset, learned=learned)
        if verdict is not None and not verdict.held:
            return True, True
        looked_better |= verdict is not None
    return False, looked_better


@pytest.mark.parametrize(("both", "one"), [(0.3, 0.1), (0.1, 0.5), (0.0, 0.02)])
@pytest.mark.parametrize("alpha", [0.2, 0.05])
def test_one_test_hardly_ever_finds_an_advantage_that_is_not_there(alpha: float, both: float, one: float) -> None:
    """Looked at after each of 400 events, in at most a share of alpha of 1,000 streams (three standard errors more).

    Ville's inequality; both models err together or one of them does, either as often as the other.
    """
    rng = random.Random(f"{alpha}/{both}/{one}")
    found = 0
    for _ in range(STREAMS):
        advantage = Advantage(restarts=False)
        for i in range(EVENTS):
            fate = rng.random()
            first = fate < both + one / 2
            second = fate < both or both + one / 2 <= fate < both + one
            advantage.update(float(first), float(second), i)
            if advantage.value * alpha >= 1:
                found += 1
                break
    assert found / STREAMS <= alpha + 3 * (alpha * (1 - alpha) / STREAMS) ** 0.5


def test_losses_between_0_and_1_are_no_way_around_it() -> None:
    """As before, with differences that are skewed: often a little better, seldom much worse."""
    rng, alpha, found = random.Random(3), 0.05, 0
    for _ in range(STREAMS):
        advantage = Advantage(restarts=False)
        for i in range(EVENTS):
            advantage.update(*((0.1, 0.0) if rng.random() < 0.9 else (0.0, 0.9)), i)
            if advantage.value * alpha >= 1:
                found += 1
                break
    assert found / STREAMS <= alpha + 3 * (alpha * (1 - alpha) / STREAMS) ** 0.5


def test_detector_alarms_by_chance_no_oftener_than_it_says() -> None:
    """With restarts, the time to a false alarm is at least 1/alpha events on average."""
    rng, alpha = random.Random(4), 0.01
    waits = []
    for _ in range(200):
        advantage, events = Advantage(), 0
        while advantage.value * alpha < 1:
            events += 1
            advantage.update(float(rng.random() < 0.3), float(rng.random() < 0.3), events)
        waits.append(events)
    assert sum(waits) / len(waits) >= 1 / alpha


@pytest.mark.parametrize("quiet", [0, 1000, 20_000])
def test_advantage_is_found_as_soon_whenever_it_begins(quiet: int) -> None:
    """However long the second was the worse one before; and it is known since when."""
    rng, advantage = random.Random(5), Advantage()
    for i in range(quiet):
        advantage.update(float(rng.random() < 0.1), float(rng.random() < 0.4), i)
    offset = quiet
    while advantage.value < 50:
        advantage.update(float(rng.random() < 0.5), float(rng.random() < 0.1), offset)
        offset += 1
    assert offset - quiet < 60
    assert quiet - 5 <= advantage.since < offset
    assert advantage.count >= offset - advantage.since
    first, second = advantage.means
    assert first > second


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.35])
def test_world_that_stands_still_is_seldom_said_to_have_changed(rate: float) -> None:
    """As for how often 3,000 is reached: in less than a tenth of 60 stretches of 5,000 events."""
    rng = random.Random(int(rate * 100))
    alarms = 0
    for _ in range(60):
        shift = Shift()
        most = 0.0
        for _ in range(5000):
            shift.update(float(rng.random() < rate))
            most = max(most, shift.value)
        alarms += most >= 3000
    assert alarms < 6


@pytest.mark.parametrize(("before", "after"), [(0.1, 0.5), (0.05, 0.3), (0.5, 0.05), (0.2, 0.9)])
def test_world_that_changes_is_found_out_in_time(before: float, after: float) -> None:
    """Up and down; a shift that looks the other way only sees nothing."""
    rng = random.Random(f"{before}/{after}")
    losses = [float(rng.random() < before) for _ in range(1000)] + [float(rng.random() < after) for _ in range(100)]
    for up, down in product((True, False), repeat=2):
        shift = Shift(up=up, down=down)
        for loss in losses:
            shift.update(loss)
        sees = up if after > before else down
        assert (shift.value >= 3000) == sees


def test_shift_says_nothing_before_it_knows_how_it_was() -> None:
    """The baseline comes first."""
    shift = Shift(baseline=50)
    for i in range(50):
        assert not shift.ready, i
        shift.update(float(i % 2))
        assert shift.value == 1.0
    assert shift.ready


def test_evidence_never_overflows_and_is_forgotten_in_time() -> None:
    """A million records of an advantage, and then none any more."""
    advantage, shift = Advantage(), Shift(baseline=10)
    for i in range(5000):
        advantage.update(1.0, 0.0, i)
        shift.update(float(i >= 10))
    assert advantage.value <= 1e12
    assert shift.value <= 1e12
    for i in range(300):
        advantage.update(0.0, 1.0, 5000 + i)
    assert advantage.value == 1.0


def test_block_is_one_bet_and_tells_of_its_first_event() -> None:
    """Ten blocks of 8 are worth ten events; what is not full yet is worth nothing, and is bet when blocks are."""
    blocks, events = Advantage(), Advantage()
    for i in range(80):
        blocks.update(1.0, 0.5 * (i % 2), 100 + i, block=8)
    for i in range(10):
        events.update(0.75, 0.0, i)
    assert blocks.value == pytest.approx(events.value)
    assert (blocks.since, blocks.count, blocks.means) == (100, 80, (1.0, 0.25))
    for i in range(7):
        blocks.update(1.0, 0.0, 200 + i, block=8)
    assert blocks.value == pytest.approx(events.value)
    restored = Advantage.restored(deepcopy(blocks.snapshot()))
    for one in (blocks, restored):
        one.update(1.0, 0.0, 207, block=1)
        assert (one.value > events.value, one.count) == (True, 88)
    assert restored.snapshot() == blocks.snapshot()


@pytest.mark.slow
def test_gate_hardly_ever_opens_where_all_are_alike() -> None:
    """Looked at after each of 600 labels, of 1,000 null streams at most a share of alpha changes its champion.

    Losses of the champion, its challengers and its frozen copies are drawn alike, so each change is a false one. In
    half of the streams somebody looks better at some time: it is the other question that holds them back. (The first
    copy is taken early, so that both questions are asked for two fifths of each stream.)
    """
    rng, policy = random.Random(6), Pool(milestone=50)
    ends = [contest_by_chance(policy, rng, (0.05, 0.3)[i % 2], 600) for i in range(STREAMS)]
    promoted, looked_better = (sum(column) for column in zip(*ends, strict=True))
    alpha = policy.alpha
    assert promoted / STREAMS <= alpha + 3 * (alpha * (1 - alpha) / STREAMS) ** 0.5
    assert looked_better > STREAMS / 4
