"""One of three brokers goes down, cleanly or not, and comes back; three copies, of which two are enough."""

import random
import time
from pathlib import Path

from tests.chaos.site import Site
from tests.chaos.stage import Stage
from tests.chaos.trial import Findings

CASES = ("clean", "hard")
PARTITIONS = 4
_RATE = 300
_NAMES = ("w0", "w1")


def run(stage: Stage, case: str, seed: int, shocks: int, folder: Path) -> Findings:
    """Take so many brokers down, one after the other; the time without a commit of some partition is measured."""
    rng = random.Random(seed)
    broker, kafka = stage.cluster
    gaps: list[float] = []
    with Site(kafka, folder, folder.name, partitions=PARTITIONS) as site:
        load = site.load(_RATE, seed)
        for name in _NAMES:
            site.crew.post(name)
        site.wait_until_shared(_NAMES)
        site.wait_until_working()
        for _ in range(shocks):
            node, began = rng.randint(1, 3), time.monotonic()
            try:
                broker.stop_node(node) if case == "clean" else broker.kill(node)
                time.sleep(rng.uniform(4.0, 10.0))
            finally:
                broker.start_node(node)
            time.sleep(rng.uniform(4.0, 8.0))
            site.wait_until_working(180)
            gaps.append(site.commits.longest_gap(began, time.monotonic()))
        load.stop()
        site.finish()
        counts = site.judge()
        ends = site.crew.ends()
    return Findings(counts, {"unavailable_seconds": gaps}, shocks, [f"{load.written} records, workers ended {ends}"])
