"""Where the time of a record goes, leg by leg: histograms for Prometheus."""

import time
from bisect import bisect_left
from itertools import accumulate
from typing import Literal

from prometheus_client.core import HistogramMetricFamily

from streams.worker.batch import Batch, timestamp_ms

#: From the time that the batch's oldest record bears until it is polled; from then until the batch's turn comes;
#: stepping through the batch and encoding what follows; handing that to librdkafka, which may take a millisecond.
Leg = Literal["fetch", "wait", "step", "send"]
LEGS: tuple[Leg, ...] = ("fetch", "wait", "step", "send")
#: Seconds; milliseconds for what a live stream needs, up to a day for what is caught up with.
_ENDS = (
    *(0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1.0, 2.0, 5.0, 10.0, 60.0, 600.0, 3600.0, 86400.0),
)


class Timing:
    """Takes note of batches: each record counts, with the times of its batch.

    So a stall shows as many records as it holds up.

    Examples
    --------
    >>> from confluent_kafka import Message
    >>> from faust.types import TP
    >>> timing = Timing()
    >>> batch = Batch(TP("p.raw", 0), 1, 0, 2, [Message(), Message()], arrived=10.0)
    >>> timing.note(batch, 10.002, 10.005, 10.006)
    >>> sums = {s.labels["leg"]: round(s.value, 4) for s in timing.collect().samples if s.name.endswith("_sum")}
    >>> sums["wait"], sums["step"], sums["send"]
    (0.004, 0.006, 0.002)
    """

    def __init__(self) -> None:
        self._counts = {leg: [0] * (len(_ENDS) + 1) for leg in LEGS}
        self._sums = dict.fromkeys(LEGS, 0.0)

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
        records, oldest = len(batch.messages), timestamp_ms(batch.messages[0])
        if oldest >= 0:
            polled = time.time() - (time.perf_counter() - batch.arrived)
            self._observe("fetch", polled - oldest / 1000, records)
        self._observe("wait", began - batch.arrived, records)
        self._observe("step", stepped - began, records)
        self._observe("send", sent - stepped, records)

    def _observe(self, leg: Leg, seconds: float, records: int) -> None:
        seconds = max(0.0, seconds)  # clocks of two machines may differ
        self._counts[leg][bisect_left(_ENDS, seconds)] += records
        self._sums[leg] += seconds * records

    def collect(self) -> HistogramMetricFamily:
        """Return the histograms."""
        about = "Where a record spends its time, from the timestamp of its batch's oldest one on"
        family = HistogramMetricFamily("riverrun_record_seconds", about, labels=["leg"])
        for leg, counts in self._counts.items():
            buckets = zip((*map(str, _ENDS), "+Inf"), accumulate(counts), strict=True)
            family.add_metric([leg], list(buckets), self._sums[leg])
        return family
