"""SIGSTOP until another worker has taken over, then SIGCONT: what does the zombie still say?"""

import math
import random
import re
import signal
import time
from datetime import datetime
from pathlib import Path

import orjson

from tests.chaos.batches import batches
from tests.chaos.site import SHORT_SESSION, Site
from tests.chaos.stage import Stage
from tests.chaos.trial import Findings
from tests.streams.worker.kafka import until

CASES = ("SIGSTOP",)
PARTITIONS = 4
_RATE = 400
_NAMES = ("w0", "w1")
_AWAKE_SECONDS = 6.0
#: When, and the partitions: ``p.raw[3] from 0, …``, or ``2 partitions of p.raw: 2 from 0 (7 to replay), 3 from …``.
_ASSIGNED = re.compile(r"^(\S+ \S+) INFO +assigned (\S+\[\d+\]|\d+ partitions of \S+: .*)", re.MULTILINE)
_NUMBER = re.compile(r"\[(\d+)\]|(\d+) from")


def run(stage: Stage, case: str, seed: int, shocks: int, folder: Path) -> Findings:
    """Stop one of two workers past its session, and let it go on when its partitions have moved without it."""
    rng = random.Random(seed)
    broker, kafka = stage.single
    settings = {"kafka": orjson.dumps(SHORT_SESSION).decode()}
    with Site(kafka, folder, folder.name, partitions=PARTITIONS, settings=settings) as site:
        load = site.load(_RATE, seed)
        for name in _NAMES:
            site.crew.post(name)
        site.wait_until_shared(_NAMES)
        site.wait_until_working()
        time.sleep(rng.uniform(0.5, 2.0))
        zombie = rng.choice(_NAMES)
        had = site.crew.partitions(zombie)
        site.crew.signal(zombie, signal.SIGSTOP)
        stopped, stopped_ms = time.monotonic(), time.time() * 1000
        moved: float = until(lambda: site.commits.first_after(stopped + 1.0, had), 90, "a takeover")
        time.sleep(rng.uniform(0.0, 4.0))
        site.crew.signal(zombie, signal.SIGCONT)
        time.sleep(_AWAKE_SECONDS)
        site.wait_until_working()
        load.stop()
        site.finish()
        counts = site.judge()
        ends = [code for code, _ in site.crew.posts[zombie].ends]
        log = "".join(path.read_text() for path in sorted(folder.glob(f"{zombie}-*.log")))
    folders = {p: broker.data_dir / "kafka" / "node-1" / f"{site.predictions}-{p}" for p in had}
    late = [_after_takeover(place, stopped_ms, _back_ms(log, p, stopped_ms)) for p, place in folders.items()]
    counts["zombie_commits"] = sum(commits for commits, _ in late)
    written = sum(wrote for _, wrote in late)
    return Findings(
        counts,
        {"takeover_seconds": [moved - stopped]},
        notes=[f"{zombie} had {sorted(had)}, ended {ends}, wrote {written} batches too late"],
    )


def _back_ms(log: str, partition: int, after_ms: float) -> float:
    """Return when a worker was assigned a partition again, by its log; infinity when it was not."""
    times = [
        datetime.strptime(at, "%Y-%m-%d %H:%M:%S,%f").timestamp() * 1000
        for at, places in _ASSIGNED.findall(log)
        if str(partition) in map("".join, _NUMBER.findall(places))
    ]
    return min((at for at in times if at > after_ms), default=math.inf)


def _after_takeover(folder: Path, stopped_ms: float, back_ms: float) -> tuple[int, int]:
    """Return what a stopped producer has committed behind its successor's first batch, and the batches it wrote there.

    From the moment at which it is assigned the partition again, it is a zombie no more.
    """
    written = list(batches(folder))
    data = [batch for batch in written if batch.marker is None]
    own = [batch for batch in data if batch.time_ms <= stopped_ms][-1]
    taken = next(batch for batch in data if batch.offset > own.offset and batch.producer != own.producer)
    late = [b for b in written if b.producer == own.producer and b.offset > taken.offset and b.time_ms < back_ms]
    return sum(b.marker == "commit" for b in late), sum(b.marker is None for b in late)
