"""kill -9 at a named point of a transaction or a snapshot, twice, and a third start that has to mend it."""

import random
from pathlib import Path

from tests.chaos.site import Site
from tests.chaos.stage import Stage
from tests.chaos.trial import Findings
from tests.chaos.worker import FOLDER_DEATHS
from tests.streams.worker.kafka import until
from tests.streams.worker.runner import DEATHS, SNAPSHOT_DEATHS

_IN_FIRST = "in the first transaction"
CASES = (*DEATHS, *SNAPSHOT_DEATHS, *FOLDER_DEATHS, _IN_FIRST)
_KILLED = -9
_RATE = 800
# After two deaths without a commit each record is committed for itself, so there are not many.
_RECORDS_OF_FIRST = 400
# A transaction has several batches; these have to come to a commit before the worker dies.
_BATCHES = 12


def run(stage: Stage, case: str, seed: int, shocks: int, folder: Path) -> Findings:
    """Die twice at a point, under load: with some work committed before, or none at all."""
    rng = random.Random(seed)
    late_labels = rng.random() < 0.4
    further = {"model": rng.choice(("lr", "nb", "hat"))} | ({"ttl_seconds": 3600} if late_labels else {})
    settings = {"snapshot_interval": 0.3 if case in DEATHS or case == _IN_FIRST else 0.05}
    if case in FOLDER_DEATHS:
        settings["snapshot_store"] = f"file://{folder / 'store'}"
    faults = _faults(case, rng)
    with Site(stage.single[1], folder, folder.name, settings=settings, **further) as site:
        load = site.load(_RATE, seed, late_labels=late_labels, limit=_RECORDS_OF_FIRST if case == _IN_FIRST else None)
        post = site.crew.post("w0", faults)
        until(lambda: len(post.ends) >= len(faults), 60, f"deaths {faults}")
        if case != _IN_FIRST:
            site.wait_until_working()
        load.stop()
        site.finish()
        counts = site.judge()
    died = [code for code, _ in post.ends]
    if died != [_KILLED] * len(faults):
        raise RuntimeError(f"expected {len(faults)} deaths by SIGKILL, got exit codes {died}")
    return Findings(counts, shocks=len(faults), notes=[", ".join(faults), f"{further}, {load.written} records"])


def _faults(case: str, rng: random.Random) -> list[str]:
    """Return the faults of the first two starts."""
    if case == _IN_FIRST:
        return [f"{rng.choice(list(DEATHS))}:1" for _ in range(2)]
    if case == "after the manifest":  # there are seconds from one to the next
        return [f"{case}:{rng.randint(1, 2)}" for _ in range(2)]
    scale = _BATCHES if case in ("after begin", "after produce") else 1
    return [f"{case}:{scale * rng.randint(2, 5)}" for _ in range(2)]
