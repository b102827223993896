"""Signals to look for changes in, and each detector there is."""

import math
import random
from collections.abc import Iterable
from typing import Any

from river import base, drift

from riverrun import Drift
from streams.detectors.detector import Change, Detector


class OneSidedCusum(base.DriftDetector):
    """A user's own: Page's test with a fixed target, which starts again after an alarm and never warns."""

    def __init__(self, target: float = 0.25, threshold: float = 12.0) -> None:
        super().__init__()
        self.target = target
        self.threshold = threshold
        self._sum = 0.0

    def update(self, x: float) -> None:
        """Take a value."""
        self._sum = max(0.0, (0.0 if self._drift_detected else self._sum) + x - self.target)
        self._drift_detected = self._sum > self.threshold


#: All, by name; those of River draw from an explicit seed where they draw at all.
RIVERS: dict[str, Any] = {
    "adwin": drift.ADWIN(),
    "page_hinkley": drift.PageHinkley(),
    "page_hinkley_up": drift.PageHinkley(threshold=30, mode="up"),
    "kswin": drift.KSWIN(alpha=1e-3, seed=1),
    "hddm_a": drift.binary.HDDMA(),
    "hddm_a_two_sided": drift.binary.HDDMA(two_sided_test=True),
    "hddm_w": drift.binary.HDDMW(),
    "hddm_w_two_sided": drift.binary.HDDMW(two_sided_test=True),
    "ddm": drift.binary.DDM(),
    "eddm": drift.binary.EDDM(),
    "fhddm": drift.binary.FHDDM(),
    "fhddm_short": drift.binary.FHDDM(short_window_size=20),
    "own": OneSidedCusum(),
}
DRIFTS: dict[str, Drift] = {
    "pair": Drift(),
    "pair_blocks": Drift(blocks=8),
    "pair_auto": Drift(blocks="auto"),
    "page_hinkley_auto": Drift(detector=drift.PageHinkley(), blocks="auto"),
    "none": Drift(detector=drift.NoDrift()),
    "dummy": Drift(detector=drift.DummyDriftDetector(trigger_method="random", t_0=200, w=100)),
    **{name: Drift(detector=detector) for name, detector in RIVERS.items()},
}
#: Those that look at the signal.
SEEING = [name for name in DRIFTS if name not in ("none", "dummy")]


def steps(seed: int, *plan: tuple[int, float]) -> list[float]:
    """Return 0/1 losses: as many as planned at each rate."""
    rng = random.Random(seed)
    return [float(rng.random() < rate) for count, rate in plan for _ in range(count)]


def regular(*plan: tuple[int, int]) -> list[float]:
    """Return 0/1 losses without chance: as many as planned, one in so many of them wrong."""
    return [float(i % period == 0) for count, period in plan for i in range(count)]


def autocorrelated(seed: int, count: int, phi: float, jump: float = 0.0, at: int = 0) -> list[float]:
    """Return an AR(1) of variance 1 that jumps somewhere."""
    rng = random.Random(seed)
    step, value, values = math.sqrt(1 - phi * phi), rng.gauss(0, 1), []
    for i in range(count):
        value = phi * value + step * rng.gauss(0, 1)
        values.append(value + (jump if i >= at else 0.0))
    return values


def changes(detector: Detector, values: Iterable[float], start: int = 0) -> list[tuple[int, Change]]:
    """Return at which value which change was reported; the offset of the i-th value is 10 i."""
    reported = ((i, detector.update(value, 10 * i)) for i, value in enumerate(values, start))
    return [(i, change) for i, change in reported if change is not None]


def drifts(detector: Detector, values: Iterable[float]) -> list[int]:
    """Return at which values drift was reported."""
    return [i for i, change in changes(detector, values) if change.level == "drift"]
