"""Which trials there are, and how many of each."""

import re
import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from tests.chaos import bounces, cuts, failpoints, forgeries, full_disks, kills, pauses, poison, rebalances
from tests.chaos.stage import Stage
from tests.chaos.trial import Findings, Trial

#: Stage, case, seed, shocks, folder.
Run = Callable[[Stage, str, int, int, Path], Findings]


class Kind(Struct, frozen=True):
    """A kind of trial.

    Parameters
    ----------
    name
        As ``--only`` takes it.
    what
        In words.
    run
        Runs one.
    cases
        Its variants.
    trials, shocks
        How many trials of each case there are, and how many things are done in each.
    """

    name: str
    what: str
    run: Run
    cases: Sequence[str]
    trials: int
    shocks: int = 1

    def planned(self, wanted: int | None, *, quick: bool) -> Iterator[tuple[str, int]]:
        """Yield case and shocks of each trial; `wanted` is a number of shocks for each case."""
        for case in self.cases:
            left = wanted or (min(2, self.shocks) if quick else self.trials * self.shocks)
            while left > 0:
                shocks = min(left, self.shocks)
                yield case, shocks
                left -= shocks

    def trial(self, stage: Stage, case: str, seed: int, shocks: int) -> Trial:
        """Run a trial; what it leaves behind is kept when it did not hold."""
        slug = re.sub("[^A-Za-z0-9]+", "-", case).strip("-")
        folder = stage.folder / f"{self.name}-{slug}-{seed}"
        shutil.rmtree(folder, ignore_errors=True)
        began, findings, error = time.monotonic(), Findings(shocks=shocks), ""
        try:
            findings = self.run(stage, case, seed, shocks, folder)
        except Exception as failure:
            error = f"{type(failure).__name__}: {failure}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "error.txt").write_text(traceback.format_exc())
        trial = Trial(self.name, case, seed, round(time.monotonic() - began, 1), findings, error)
        if trial.held:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            trial.folder = folder
        return trial


KINDS = [
    Kind("failpoints", "kill -9 at a named point, twice each", failpoints.run, failpoints.CASES, 5),
    Kind("kills", "kill -9 at random times, two workers", kills.run, kills.CASES, 3, 10),
    Kind("pauses", "SIGSTOP past the session, takeover, SIGCONT", pauses.run, pauses.CASES, 10),
    Kind("bounces", "one of three brokers down and up", bounces.run, bounces.CASES, 1, 5),
    Kind("cuts", "the network is down", cuts.run, cuts.CASES, 1, 5),
    Kind("rebalances", "a third worker joins and leaves", rebalances.run, rebalances.CASES, 2, 15),
    Kind("poison", "no events, and models that raise", poison.run, poison.CASES, 1),
    Kind("forgeries", "damaged, forged and repeated snapshots", forgeries.run, forgeries.CASES, 2),
    Kind("full-disks", "no room for snapshots; takes root", full_disks.run, tuple(full_disks.CASES), 2),
]
BY_NAME = {kind.name: kind for kind in KINDS}
