"""kill -9 at random times, under load, with two workers that share four partitions; each is restarted at once."""

import random
import time
from pathlib import Path

from tests.chaos.site import Site
from tests.chaos.stage import Stage
from tests.chaos.trial import Findings
from tests.streams.worker.kafka import until

CASES = ("kill -9",)
PARTITIONS = 4
_RATE = 800
_NAMES = ("w0", "w1")
# A commit that was on its way when its worker was killed is seen within that time, and is none of the next one's.
_ON_ITS_WAY_SECONDS = 0.2


def run(stage: Stage, case: str, seed: int, shocks: int, folder: Path) -> Findings:
    """Kill so many times, and measure when each killed worker's partitions move again."""
    rng = random.Random(seed)
    model = rng.choice(("lr", "hat"))
    recovery: list[float] = []
    with Site(stage.single[1], folder, folder.name, model=model, partitions=PARTITIONS) as site:
        load = site.load(_RATE, seed)
        for name in _NAMES:
            site.crew.post(name)
        site.wait_until_shared(_NAMES)
        site.wait_until_working()
        for _ in range(shocks):
            time.sleep(rng.uniform(0.2, 3.0))
            recovery.append(_kill(site, rng.choice(_NAMES)))
        load.stop()
        site.finish()
        counts = site.judge()
    return Findings(counts, {"recovery_seconds": recovery}, shocks, [f"{model}, {load.written} records"])


def _kill(site: Site, name: str) -> float:
    """Kill a worker; return the seconds until all partitions that it had have moved."""
    had = until(lambda: site.crew.partitions(name), 60, f"partitions of {name}")
    killed = site.crew.kill(name)
    after = killed + _ON_ITS_WAY_SECONDS
    moved: float = until(lambda: site.commits.first_after(after, had), 120, f"commits of {sorted(had)}")
    return moved - killed
