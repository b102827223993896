"""Two ADWINs on one signal: the sensitive one warns, the strict one is certain."""

from math import inf
from typing import Any, Literal

from river.drift import ADWIN

from streams.detectors.detector import Change
from streams.detectors.marks import Marks

_CLOCK = 32


class AdwinPair:
    """A sensitive and a strict ADWIN, whose rises are told apart from falls.

    Parameters
    ----------
    delta
        Confidence of the strict one, in (0, 1): the smaller, the fewer false alarms and the longer the delay.
    warning_delta
        Confidence of the sensitive one, larger than `delta`: it fires earlier and more often.
    clock
        Values between two looks. Raising it costs delay and saves time.
    bounds
        Smallest and largest mean: rounding does not leave them.

    References
    ----------
    Bifet, Gavaldà: Learning from Time-Changing Data with Adaptive Windowing, SDM 2007, section 3 (ADWIN2).

    Examples
    --------
    A loss that goes from one in ten to every second one:

    >>> import random
    >>> rng = random.Random(7)
    >>> detector = AdwinPair(0.002, 0.05)
    >>> changes = [detector.update(float(rng.random() < (0.1 if i < 1000 else 0.5)), i) for i in range(2000)]
    >>> [(i, change.level, change.offset) for i, change in enumerate(changes) if change]
    [(1055, 'drift', 544)]
    """

    def __init__(
        self,
        delta: float,
        warning_delta: float,
        clock: int = _CLOCK,
        bounds: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        self._clock = clock
        self._detectors = tuple(_Window(d, clock, bounds) for d in (delta, warning_delta))
        self._marks = Marks()
        self._seen = 0
        self._values: list[float] = []

    def update(self, value: float, offset: int) -> Change | None:
        """Feed one value and return the change point it reveals, if any.

        ADWIN looks for a cut once in `clock` values only, so the values between are handed on together.

        Parameters
        ----------
        value
            Within the bounds.
        offset
            Offset of the event it belongs to.
        """
        values = self._values
        if not values:
            self._marks.add(self._seen, offset)
        values.append(value)
        if len(values) < self._clock:
            return None
        self._values = []
        self._seen += self._clock
        strict, sensitive = self._detectors
        fired_strict = strict.update(values)
        fired_sensitive = sensitive.update(values)
        if fired_strict or fired_sensitive:
            return self._report(strict if fired_strict else sensitive, "drift" if fired_strict else "warning")
        return None

    def _report(self, detector: "_Window", level: Literal["warning", "drift"]) -> Change:
        offset = self._marks.at_or_before(self._seen - detector.width - 1)[1]
        rises = detector.after > detector.before
        return Change(
            level if rises else "fall", detector.before, detector.after, offset, detector.width, detector.delta
        )

    def snapshot(self) -> Any:
        """Return the state."""
        return [detector.snapshot() for detector in self._detectors], self._marks.marks, self._seen, self._values

    def restore(self, state: Any) -> None:
        """Become what `snapshot` was taken of."""
        detectors, self._marks.marks, self._seen, self._values = state
        for detector, its_state in zip(self._detectors, detectors, strict=True):
            detector.restore(its_state)


class _Window:
    """ADWIN that remembers what its window held before it was cut."""

    def __init__(self, delta: float, clock: int, bounds: tuple[float, float]) -> None:
        self.delta = delta
        self.before = self.after = 0.0
        self.width = 0
        self._lowest, self._highest = bounds
        self._adwin = ADWIN(delta=delta, clock=clock)

    def update(self, values: list[float]) -> bool:
        """Feed the values up to a look; True when the window was cut, and then before, after and width tell where."""
        adwin = self._adwin
        feed = adwin.update
        total, width = adwin.estimation * adwin.width + sum(values), int(adwin.width) + len(values)
        for value in values:
            feed(value)
        if not adwin.drift_detected:
            return False
        self.width = int(adwin.width)
        self.after = float(adwin.estimation)
        dropped = max(1, width - self.width)
        self.before = min(self._highest, max(self._lowest, (total - self.after * self.width) / dropped))
        return True

    def snapshot(self) -> Any:
        return self.before, self.after, self.width, self._adwin

    def restore(self, state: Any) -> None:
        self.before, self.after, self.width, self._adwin = state


#: Bounds of a signal that may have any mean.
UNBOUNDED = (-inf, inf)
