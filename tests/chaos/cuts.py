"""The network between worker and broker is down for a while, and neither is told."""

import random
import time
from pathlib import Path

from tests.chaos.site import Site
from tests.chaos.stage import Stage
from tests.chaos.trial import Findings
from tests.streams.worker.kafka import until

SECONDS = {"5 s": 5.0, "60 s": 60.0}
CASES = tuple(SECONDS)
PARTITIONS = 2
_RATE = 400


def run(stage: Stage, case: str, seed: int, shocks: int, folder: Path) -> Findings:
    """Cut so many times, at random moments; how long the first commit takes after healing is measured."""
    rng = random.Random(seed)
    broker, kafka = stage.single
    firsts: list[float] = []
    with Site(kafka, folder, folder.name, partitions=PARTITIONS, bootstrap=broker.proxied) as site:
        load = site.load(_RATE, seed)
        site.crew.post("w0")
        site.wait_until_working()
        for _ in range(shocks):
            time.sleep(rng.uniform(0.5, 3.0))
            broker.proxy.cut()
            try:
                time.sleep(SECONDS[case])
            finally:
                broker.proxy.heal()
            healed = time.monotonic()
            moved: float = until(lambda h=healed: site.commits.first_after(h, range(PARTITIONS)), 180, "commits")
            firsts.append(moved - healed)
        load.stop()
        site.finish()
        counts = site.judge()
        ends = site.crew.ends()
    return Findings(counts, {"first_commit_seconds": firsts}, shocks, [f"{load.written} records, workers ended {ends}"])
