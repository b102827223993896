"""Where riverrun says that its records spend their time: its own histograms, read twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from math import inf
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.race import RaceError

METRIC = "riverrun_record_seconds"
SCRAPE_TIMEOUT_SECONDS = 10.0

Counts = Mapping[str, Mapping[float, float]]
"""Leg → upper end of a bucket in seconds → records that took so long or less."""


class Legs:
    """Reads the histograms of a worker between two moments.

    Parameters
    ----------
    port
        Of its metrics.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self._thread = ThreadPoolExecutor(1)
        self._before: Future[Counts] = Future()

    def mark(self) -> None:
        """Begin here; a thread asks, so that the caller need not wait."""
        self._before = self._thread.submit(self._scrape)

    def percentiles(self) -> dict[str, tuple[float, float]]:
        """Return p50 and p99 in milliseconds of each leg since the mark.

        Raises
        ------
        RaceError
            If the worker has not answered, then or now.
        """
        counts = since(self._before.result(2 * SCRAPE_TIMEOUT_SECONDS), self._scrape())
        return {leg: (quantile(its, 0.5), quantile(its, 0.99)) for leg, its in counts.items()}

    def _scrape(self) -> Counts:
        url = f"http://127.0.0.1:{self.port}/metrics"
        try:
            with urlopen(url, timeout=SCRAPE_TIMEOUT_SECONDS) as answer:
                return parse(answer.read().decode())
        except OSError as error:
            raise RaceError(f"{url}: no metrics ({error})") from error


def parse(text: str) -> Counts:
    """Return the cumulative counts on a page of metrics."""
    found: dict[str, dict[float, float]] = defaultdict(dict)
    for family in text_string_to_metric_families(text):
        for sample in family.samples if family.name == METRIC else ():
            if sample.name == f"{METRIC}_bucket":
                found[sample.labels["leg"]][float(sample.labels["le"])] = sample.value
    return found


def since(before: Counts, after: Counts) -> Counts:
    """Return what has been added between two readings."""
    return {
        leg: {end: count - before.get(leg, {}).get(end, 0.0) for end, count in counts.items()}
        for leg, counts in after.items()
    }


def quantile(counts: Mapping[float, float], share: float) -> float:
    """Return a quantile in milliseconds, straight within its bucket, as Prometheus' `histogram_quantile` does.

    Examples
    --------
    >>> quantile({0.001: 0.0, 0.002: 100.0, float("inf"): 100.0}, 0.5)
    1.5
    """
    wanted, start, below = share * counts[inf], 0.0, 0.0
    for end, count in sorted(counts.items()):
        if count >= wanted > 0:
            return 1000 * (start if end == inf else start + (end - start) * (wanted - below) / (count - below))
        start, below = end, count
    return 0.0
