"""Where the time of a batch goes, leg by leg: histograms for Prometheus."""

import time
from collections.abc import Iterable
from typing import Literal

from prometheus_client import Histogram, Metric

from streams.worker.batch import Batch, timestamp_ms

#: From the time that the oldest record bears until it is polled; from then until its batch's turn comes; stepping
#: through the batch and encoding what follows; handing that to librdkafka, which is given a millisecond to send it.
Leg = Literal["fetch", "wait", "step", "send"]
LEGS: tuple[Leg, ...] = ("fetch", "wait", "step", "send")
#: Milliseconds for what a live stream needs, up to a day for what is caught up with.
_BUCKETS = (
    *(0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1.0, 2.0, 5.0, 10.0, 60.0, 600.0, 3600.0, 86400.0),
)


class Timing:
    """Takes note of batches.

    A batch counts once, however many records are in it; on a stream that the worker keeps up with, it is one or a few.

    Examples
    --------
    >>> from faust.types import TP
    >>> timing = Timing()
    >>> timing.note(Batch(TP("p.raw", 0), 1, 0, 0, [], arrived=10.0), 10.002, 10.005, 10.006)
    >>> [metric] = timing.collect()
    >>> sums = {s.labels["leg"]: round(s.value, 4) for s in metric.samples if s.name.endswith("_sum")}
    >>> sums["wait"], sums["step"], sums["send"]
    (0.002, 0.003, 0.001)
    """

    def __init__(self) -> None:
        about = "Where a batch spends its time, from the timestamp of its oldest record on"
        self._histogram = Histogram("riverrun_batch_seconds", about, ["leg"], buckets=_BUCKETS, registry=None)
        self._observe = {leg: self._histogram.labels(leg).observe for leg in LEGS}

    def note(self, batch: Batch, began: float, stepped: float, sent: float) -> None:
        """Note a batch that is done.

        Parameters
        ----------
        batch
            It.
        began, stepped, sent
            When its first record was stepped through, its last one, and when its outputs were handed over:
            `time.perf_counter`'s seconds.
        """
        if batch.messages and (oldest := timestamp_ms(batch.messages[0])) >= 0:
            arrived = time.time() - (time.perf_counter() - batch.arrived)
            self._observe["fetch"](max(0.0, arrived - oldest / 1000))
        self._observe["wait"](max(0.0, began - batch.arrived))
        self._observe["step"](stepped - began)
        self._observe["send"](sent - stepped)

    def collect(self) -> Iterable[Metric]:
        """Return the histograms."""
        return self._histogram.collect()
