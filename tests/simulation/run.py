"""Runs many worlds, over the cores, and says which of them went wrong."""

import os
import signal
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import repeat
from types import FrameType

from tests.simulation.bugs import planted
from tests.simulation.reality import simulated
from tests.simulation.world import World

_CHUNK = 50
_SECONDS_A_SEED = 30
#: A planted bug has to be found within so many.
SEEDS_A_BUG = 1000


@dataclass
class Outcome:
    """What came of some seeds.

    Parameters
    ----------
    counts
        What happened, how often.
    failures
        What went wrong, by seed.
    """

    counts: Counter[str] = field(default_factory=Counter)
    failures: dict[int, str] = field(default_factory=dict)


def run_one(
    seed: int, outcome: Outcome, trace: Callable[[str], None] | None = None, *, quarantine: bool = False
) -> None:
    """Run one world; within `simulated`."""
    signal.alarm(_SECONDS_A_SEED)
    world = None
    try:
        world = World(seed, trace, quarantine=quarantine)
        world.run()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a panic of River's Rust parts is no Exception
        where = "".join(traceback.format_exception(error)) if trace is not None else ""
        outcome.failures[seed] = f"{where}{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
    outcome.counts["seeds"] += 1
    if world is not None:
        outcome.counts += world.counts


def run_some(seeds: range, bug: str | None = None, quarantine: bool = False, *, stop_at_first: bool = False) -> Outcome:
    """Run some worlds in this process."""
    outcome = Outcome()
    signal.signal(signal.SIGALRM, _takes_too_long)
    with planted(bug) if bug else nullcontext(), simulated():
        for seed in seeds:
            run_one(seed, outcome, quarantine=quarantine)
            if outcome.failures and stop_at_first:
                break
    return outcome


def find_bug(bug: str) -> Outcome:
    """Run worlds until a planted bug is found, or has had its chance.

    Raises
    ------
    TypeError
        When the bug itself is broken: the code that it is planted in takes other arguments by now.
    RuntimeError
        When a world fails in which nothing is planted: then nothing is found.
    """
    if found := run_some(range(1), None).failures:
        raise RuntimeError(f"bug {bug}: there is another one: {found}")
    outcome = run_some(range(SEEDS_A_BUG), bug, stop_at_first=True)
    for words in outcome.failures.values():
        if words.startswith("TypeError"):
            raise TypeError(f"bug {bug}: {words}")
    return outcome


def run_many(
    seeds: range, processes: int | None = None, bug: str | None = None, *, quarantine: bool = False
) -> Iterator[Outcome]:
    """Run worlds in several processes; yield what came of each portion, in order."""
    portions = [seeds[start : start + _CHUNK] for start in range(0, len(seeds), _CHUNK)]
    with ProcessPoolExecutor(processes or os.cpu_count()) as pool:
        yield from pool.map(run_some, portions, repeat(bug), repeat(quarantine))


def _takes_too_long(number: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"not at its end after {_SECONDS_A_SEED} s")
