"""A share of the tests, another one with each commit: what takes too long for every run of continuous integration.

``--sample 0.1`` runs a tenth of the tests that are left after ``-m`` and ``-k``, and those that are marked ``always``.
Which tenth is said by ``--sample-seed``: seeds in a row go round, so that ten commits run all of them. The seed is the
number of commits up to this one unless told otherwise, and is printed with what repeats the run.
"""

import argparse
import hashlib
import math
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
_said: pytest.StashKey[str] = pytest.StashKey()


def choose(names: Iterable[str], share: float, seed: int) -> set[str]:
    """Return a share of the names, at least one of them, from the place in a shuffled circle where the seed begins.

    Each seed begins where the one before ended: ``ceil(1 / share)`` seeds in a row choose all.

    Parameters
    ----------
    names
        Of the tests; their order does not matter.
    share
        From 0 to 1: more of it, more tests.
    seed
        Which share, from 0.

    Examples
    --------
    >>> [sorted(choose("abcdef", 0.4, seed)) for seed in range(2)]
    [['c', 'd', 'f'], ['a', 'b', 'e']]
    """
    circle = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    size = math.ceil(len(circle) * share)
    begin = seed * size % max(len(circle), 1)
    return set((circle + circle)[begin : begin + size])


def seed_of_commit(folder: Path = ROOT) -> int:
    """Return the number of commits up to this one, or of days since 1970 where there is no history to count."""
    command = ["git", "-C", str(folder), "rev-list", "--count", "HEAD"]
    try:
        commits = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    except (OSError, subprocess.CalledProcessError):
        commits = 0
    # A shallow clone knows one commit, whichever it is.
    return commits if commits > 1 else int(time.time() // 86_400)


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"got {text}, expected more than 0 and at most 1")
    return share


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the share and the seed."""
    group = parser.getgroup("sampling")
    group.addoption("--sample", type=_share, default=1.0, metavar="SHARE", help="run this share of the tests, 0 to 1")
    group.addoption(
        "--sample-seed",
        type=int,
        metavar="SEED",
        help="which share; the number of commits up to this one unless told otherwise",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Run a share in this process alone: others would choose by the names that they give to tests, and say nothing."""
    if config.getoption("--sample") != 1 and config.pluginmanager.has_plugin("xdist"):
        config.option.numprocesses = 0


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not in the sample, after ``-m`` and ``-k`` have left out theirs."""
    share, seed = config.getoption("--sample"), config.getoption("--sample-seed")
    if share == 1:
        return
    seed = seed_of_commit() if seed is None else seed
    always = {item.nodeid for item in items if item.get_closest_marker("always")}
    others = {item.nodeid for item in items} - always
    chosen = choose(others, share, seed)
    config.stash[_said] = (
        f"sampling: seed {seed}, {len(chosen)} of {len(others)} tests and {len(always)} that always run; "
        f"repeat with --sample {share:g} --sample-seed {seed}"
    )
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in chosen | always])
    items[:] = [item for item in items if item.nodeid in chosen | always]


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Say what was chosen, and how to choose it again."""
    return [config.stash[_said]] if _said in config.stash else []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say it again where something failed: a log is read from its end."""
    if _said in terminalreporter.config.stash and terminalreporter.stats.keys() & {"failed", "error"}:
        terminalreporter.line(terminalreporter.config.stash[_said])
