"""Which tests a sample has: the same for a seed, all of them in some seeds, and those that always run in each."""

import os
import subprocess
import sys
from math import ceil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sampling import ROOT, choose, seed_of_commit

NAMES = [f"tests/test_it.py::test_{i}" for i in range(40)]
SHARES = st.floats(0.01, 1)
SEEDS = st.integers(0, 10_000)

SUITE = """\
import pytest

@pytest.mark.parametrize("i", range(40))
def test_some(i):
    assert i >= 0

@pytest.mark.always
def test_irreplaceable():
    pass
"""


@given(st.lists(st.text(), unique=True, max_size=50), SHARES, SEEDS)
def test_choice_is_a_share_rounded_up(names: list[str], share: float, seed: int) -> None:
    """Of no names none, of some at least one."""
    chosen = choose(names, share, seed)
    assert chosen <= set(names)
    assert len(chosen) == ceil(len(names) * share)


@given(SHARES, SEEDS, st.permutations(NAMES))
def test_choice_of_a_seed_is_the_same_in_whatever_order(share: float, seed: int, names: list[str]) -> None:
    """It depends on names, share and seed, on nothing else."""
    assert choose(names, share, seed) == choose(NAMES, share, seed)


@given(SHARES, SEEDS)
def test_seeds_in_a_row_choose_every_test(share: float, seed: int) -> None:
    """And none of them twice before all had their turn."""
    turns = ceil(len(NAMES) / ceil(len(NAMES) * share))
    chosen = [choose(NAMES, share, seed + i) for i in range(turns)]
    assert set().union(*chosen) == set(NAMES)
    assert len(set().union(*chosen[:-1])) == sum(len(hand) for hand in chosen[:-1])


def test_neighbours_are_not_chosen_together() -> None:
    """The cases of one test are spread over the seeds."""
    assert all(len(choose(NAMES, 0.25, seed) & set(NAMES[:10])) <= 5 for seed in range(4))


def test_seed_of_this_commit_is_the_number_of_commits(tmp_path: Path) -> None:
    """A commit more is one more; without history it is the day."""

    def commit() -> int:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, "commit", "-q", "--allow-empty", "-m", "a"], check=True)
        return seed_of_commit(tmp_path)

    day = seed_of_commit(tmp_path)
    assert day > 20_000
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    assert [commit() for _ in range(3)] == [pytest.approx(day, abs=1), 2, 3]


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A folder with 41 tests."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = always: runs\n")
    (tmp_path / "test_it.py").write_text(SUITE)
    return tmp_path


def run(suite: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the tests of a folder with this plugin and no other."""
    command = [sys.executable, "-m", "pytest", "-p", "tests.sampling", "-v", "--rootdir", str(suite), str(suite)]
    env = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run([*command, *arguments], cwd=ROOT, env=env, capture_output=True, text=True)


def test_sample_is_told_and_run(suite: Path) -> None:
    """Nine tests and the one that always runs; what is printed repeats it."""
    done = run(suite, "--sample", "0.22", "--sample-seed", "1234")
    assert done.returncode == 0, done.stdout + done.stderr
    words = "sampling: seed 1234, 9 of 40 tests and 1 that always run; repeat with --sample 0.22 --sample-seed 1234"
    assert done.stdout.count(words) == 1
    assert "10 passed, 31 deselected" in done.stdout
    assert "test_irreplaceable PASSED" in done.stdout


def test_failure_in_a_sample_repeats_the_seed_at_the_end(suite: Path) -> None:
    """Where people look first."""
    (suite / "test_it.py").write_text(SUITE.replace("pass", "assert False"))
    done = run(suite, "--sample", "0.1", "--sample-seed", "7")
    assert done.returncode == 1
    assert done.stdout.count("repeat with --sample 0.1 --sample-seed 7") == 2


def test_all_are_run_unless_a_share_is_asked_for(suite: Path) -> None:
    """Nothing is said of sampling either; a share that cannot be is refused."""
    for arguments in ((), ("--sample", "1.0", "--sample-seed", "3")):
        done = run(suite, *arguments)
        assert "41 passed" in done.stdout
        assert "sampling" not in done.stdout
    refused = run(suite, "--sample", "0")
    assert refused.returncode == 4
    assert "got 0, expected more than 0 and at most 1" in refused.stderr
