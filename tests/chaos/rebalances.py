"""A third worker that joins and leaves every few seconds, under load."""

import random
import time
from pathlib import Path

from tests.chaos.reader import Reader
from tests.chaos.site import Site
from tests.chaos.stage import Stage
from tests.chaos.trial import Findings

CASES = ("join and leave",)
PARTITIONS = 4
STALL_SECONDS = 20.0
_RATE = 600
_STAY = ("w0", "w1")
_GUEST = "w2"


def run(stage: Stage, case: str, seed: int, shocks: int, folder: Path) -> Findings:
    """Have a guest join and leave in turns, so many times in all; all are dynamic members."""
    rng = random.Random(seed)
    model = rng.choice(("lr", "hat"))
    gaps: list[float] = []
    with Site(stage.single[1], folder, folder.name, model=model, partitions=PARTITIONS) as site:
        everything = Reader(site.kafka.bootstrap, {site.predictions: PARTITIONS}, "read_uncommitted")
        everything.start()
        load = site.load(_RATE, seed)
        for name in _STAY:
            site.crew.post(name, worker_id=None)
        site.wait_until_shared(_STAY)
        site.wait_until_working()
        for number in range(shocks):
            began = time.monotonic()
            if number % 2 == 0:
                site.crew.post(_GUEST, worker_id=None)
                site.wait_until_shared([*_STAY, _GUEST])
            else:
                site.crew.dismiss(_GUEST)
                site.wait_until_shared(_STAY)
            time.sleep(rng.uniform(2.0, 6.0))
            site.wait_until_working()
            gaps.append(site.commits.longest_gap(began, time.monotonic()))
        load.stop()
        site.finish()
        counts = site.judge()
        ends = [code for code in site.crew.ends() if code != 0]
        everything.finish([place for place in site.reader.seen if place[0] == site.predictions])
    counts["forks"] = forks(everything)
    counts["stalls"] = sum(gap > STALL_SECONDS for gap in gaps)
    return Findings(
        counts, {"gap_seconds": gaps}, shocks, [f"{model}, {load.written} records, ended otherwise: {ends}"]
    )


def forks(everything: Reader) -> int:
    """Return the events to which there are two answers, those of aborted transactions included."""
    answers: dict[bytes | None, set[str]] = {}
    for event_id, digest in everything.seen.values():
        answers.setdefault(event_id, set()).add(digest)
    return sum(len(different) > 1 for different in answers.values())
