"""The command line that all peers share."""

from __future__ import annotations

import argparse
import time

FETCH_AHEAD = {"queued.min.messages": 1_000, "fetch.queue.backoff.ms": 10}
"""For librdkafka's consumers: how far they read ahead.

The default, 100,000, has them fetch to the end of the topic at once. The development broker answers a fetch at the end
immediately instead of holding it, so they would ask without a pause all through the run.
The back-off is how long a consumer with a full queue waits before it looks again; its default is a second.
"""


def parse(description: str | None) -> argparse.Namespace:
    """Read `--bootstrap --in-topic --out-topic --group --model` and the switch `--exactly-once`."""
    parser = argparse.ArgumentParser(description=description)
    for name in ("--bootstrap", "--in-topic", "--out-topic", "--group", "--model"):
        parser.add_argument(name, required=True)
    parser.add_argument("--exactly-once", action="store_true")
    return parser.parse_args()


def report(milestone: str) -> None:
    """Print a line that `benchmarks.startup` reads: milestone and monotonic time in seconds."""
    print(f"@bench {milestone} {time.monotonic():.6f}", flush=True)
