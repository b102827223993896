"""Worlds in which everything goes wrong, and bugs that have to be found in them; ``make sim`` runs many more."""

import subprocess
import sys

import pytest

from tests.simulation.bugs import BUGS
from tests.simulation.reality import simulated
from tests.simulation.run import find_bug
from tests.simulation.world import World

SEEDS = 120
#: Found after some dozen or hundred worlds only; `make sim` finds them too.
RARE = {
    "entity_order_unsaved",
    "snapshot_outlives_its_cycle",
    "no_fencing",
    "no_abort_when_lost",
    "parked_whatever_happened",
    "manifest_before_commit",
    "state_without_waiting_events",
    "digests_unchecked",
    "pin_forgotten",
    "evidence_against_pins",
    "commands_forgotten",
}


@pytest.mark.slow
@pytest.mark.timeout(660)
def test_all_worlds_come_to_the_end_that_the_oracle_knows() -> None:
    """Whatever was killed, stopped, aborted, damaged or deleted on the way; in a process of its own, as `make sim`."""
    command = [sys.executable, "-m", "tests.simulation", "--seeds", str(SEEDS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    for event in (
        "crashes",
        "failures",
        "aborts",
        "restored",
        "parked",
        "on_revoke",
        "on_lost",
        "skips",
        "rivals",
        "back",
        "by_evidence",
        "imports",
    ):
        assert event in done.stdout, f"a simulation without {event} would find nothing"


@pytest.mark.timeout(660)
@pytest.mark.parametrize(
    ("seeds", "further"),
    [
        # `make sim` has these among its 10,000.
        pytest.param((1608, 1937, 4956, 71, 399), [], marks=pytest.mark.slow),
        ((1161, 3063, 7838), ["--quarantine"]),
    ],
)
def test_worlds_that_found_a_bug_are_well(seeds: tuple[int, ...], further: list[str]) -> None:
    """Chunks of two writings had one key; a worker took back another one's skip; a rollback led to the champion."""
    command = [sys.executable, "-m", "tests.simulation", "--seed", *map(str, seeds), *further]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    said = [line for line in done.stdout.splitlines() if line.startswith("simulation: ")]
    assert said == [f"simulation: seed {seed}: as it should be" for seed in seeds], done.stdout[-2000:] + done.stderr
    assert done.returncode == 0


def test_seed_reproduces_a_world() -> None:
    """Step by step, to the last word."""

    def told(seed: int) -> list[str]:
        trace: list[str] = []
        with simulated():
            World(seed, trace.append).run()
        return trace

    for seed in range(10):
        assert told(seed) == told(seed)


@pytest.mark.parametrize("bug", [pytest.param(b, marks=[pytest.mark.slow] if b in RARE else []) for b in BUGS])
def test_planted_bug_is_found(bug: str) -> None:
    """Each of them, within some hundred worlds."""
    assert find_bug(bug).failures
