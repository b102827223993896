"""A few of the trials of `python -m tests.chaos`, so that they do not rot."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.plan import BY_NAME, KINDS
from tests.chaos.stage import Stage

pytestmark = pytest.mark.kafka

#: Kind, case and number of shocks.
QUICK = [
    ("failpoints", "during commit", 1),
    ("kills", "kill -9", 1),
    ("cuts", "5 s", 1),
    ("poison", "last", 1),
    ("pauses", "SIGSTOP", 1),
    ("forgeries", "100 flipped bits", 1),
]
SLOW = [
    ("forgeries", "old manifest under a new key", 1),
    ("failpoints", "after rename", 1),
    ("bounces", "hard", 1),
    ("cuts", "60 s", 1),
    ("rebalances", "join and leave", 2),
    ("forgeries", "chunk with a flipped bit", 1),
    ("full-disks", "a page left", 1),
]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Brokers for the trials of this module."""
    with Stage(tmp_path_factory.mktemp("chaos")) as made:
        yield made


@pytest.mark.parametrize(
    ("kind", "case", "shocks"), [*QUICK, *(pytest.param(*trial, marks=pytest.mark.slow) for trial in SLOW)]
)
def test_trial_holds(stage: Stage, kind: str, case: str, shocks: int) -> None:
    """Whatever is done to workers, broker or network: what has to be zero is zero."""
    if kind == "full-disks" and not (sys.platform == "linux" and os.geteuid() == 0):
        pytest.skip("a small disk is mounted, which takes Linux and root")
    trial = BY_NAME[kind].trial(stage, case, 1, shocks)
    logs = "" if trial.folder is None else _logs(trial.folder)
    assert trial.held, f"seed 1: {trial.error} {trial.findings}\n{logs}"


def _logs(folder: Path) -> str:
    """Return the ends of the logs of a trial."""
    return "\n".join(f"--- {path.name}\n{path.read_text()[-2000:]}" for path in sorted(folder.glob("*.log")))


def test_plan_has_the_trials_that_are_run_here() -> None:
    """And each kind is among them."""
    assert {kind for kind, _, _ in QUICK + SLOW} == {kind.name for kind in KINDS}
    assert all(case in BY_NAME[kind].cases for kind, case, _ in QUICK + SLOW)
