"""Simulated worlds: ``python -m tests.simulation --seeds 10000``, or one of them, told step by step: ``--seed 123``."""

import argparse
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext

from tests.simulation.bugs import BUGS, planted
from tests.simulation.reality import simulated
from tests.simulation.run import Outcome, find_bug, run_many, run_one

_SHOWN = 10


def main() -> int:
    """Run what the command line says; the exit code tells whether all went well."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many worlds")
    parser.add_argument("--first", type=int, default=0, help="seed of the first")
    parser.add_argument("--seed", type=int, nargs="+", help="one world, or some, with their traces")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--bug", choices=BUGS, help="plant a bug, which has to be found")
    parser.add_argument("--bugs", action="store_true", help="then plant every bug there is, and see when it is found")
    parser.add_argument("--quarantine", action="store_true", help="worlds in which workers die very often")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        return max([tell(seed, arguments.bug, quarantine=arguments.quarantine) for seed in arguments.seed])
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    failed = search(seeds, arguments.processes, arguments.bug, quarantine=arguments.quarantine)
    return failed or (find_bugs(arguments.processes) if arguments.bugs else 0)


def tell(seed: int, bug: str | None, *, quarantine: bool) -> int:
    """Run one world and print what happens."""
    outcome = Outcome()
    with planted(bug) if bug else nullcontext(), simulated(aloud=True):
        run_one(seed, outcome, print, quarantine=quarantine)
    print(f"simulation: seed {seed}: {outcome.failures.get(seed, 'as it should be')}")
    return bool(outcome.failures)


def search(seeds: range, processes: int, bug: str | None, *, quarantine: bool) -> int:
    """Run many worlds; print the seeds that went wrong."""
    began, counts, failed = time.monotonic(), Counter[str](), 0
    for outcome in run_many(seeds, processes, bug, quarantine=quarantine):
        counts += outcome.counts
        for seed, words in outcome.failures.items():
            failed += 1
            if failed <= _SHOWN:
                again = " ARGS=--quarantine" if quarantine else ""
                print(f"simulation: seed {seed}: {words}\n  make sim SEED={seed}{again}", flush=True)
        if failed >= _SHOWN:
            break
    done = counts.pop("seeds")
    each = ", ".join(f"{name} {count / done:.2f}" for name, count in counts.most_common())
    print(f"simulation: {done} worlds in {time.monotonic() - began:.0f} s, {failed} failed; each has {each}")
    return int(failed > 0)


def find_bugs(processes: int) -> int:
    """Plant bug after bug, and print how many worlds it takes to find each."""
    began, missed = time.monotonic(), 0
    with ProcessPoolExecutor(processes) as pool:
        for bug, outcome in zip(BUGS, pool.map(find_bug, BUGS), strict=True):
            found = bool(outcome.failures)
            missed += not found
            words = next(iter(outcome.failures.values()), "NOT FOUND").partition("\n")[0]
            print(f"  {bug:30} {outcome.counts['seeds']:5} worlds  {words:.100}", flush=True)
    print(f"simulation: {len(BUGS)} planted bugs in {time.monotonic() - began:.0f} s, {missed} not found")
    return missed


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of sets of strings is part of a world.
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, "PYTHONHASHSEED": "0"})
    sys.exit(main())
