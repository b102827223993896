"""Two ADWINs on one signal: the sensitive one warns, the strict one is certain."""

from typing import Any, Literal

from river.drift import ADWIN

from streams.detectors.detector import Change
from streams.detectors.history import History
from streams.detectors.marks import Marks

#: Values between two looks of ADWIN, as River has it.
CLOCK = 32


class AdwinPair:
    """A sensitive and a strict ADWIN, whose rises are told apart from falls.

    Parameters
    ----------
    delta
        Confidence of the strict one, in (0, 1): the smaller, the fewer false alarms and the longer the delay.
    warning_delta
        Confidence of the sensitive one, larger than `delta`: it fires earlier and more often.
    clock
        Values between two looks. Raising it costs delay and saves time. ADWIN drops the oldest part of its window only;
        where looks are more frequent than River's it fires when that part says little yet. Then the change is the
        newest step of the mean (`History`), not what ADWIN has dropped and kept.

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

    def __init__(self, delta: float, warning_delta: float, clock: int = CLOCK) -> None:
        self._clock = clock
        self._detectors = _Window(delta, clock), _Window(warning_delta, clock)
        self._marks = Marks()
        self._seen = 0
        self._values: list[float] = []
        self._history = History(every=1) if clock < CLOCK else None

    def update(self, value: float, offset: int) -> Change | None:
        """Feed one value and return the change point it reveals, if any.

        ADWIN looks for a cut once in `clock` values only, so the values between are handed on together.

        Parameters
        ----------
        value
            Finite.
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
        if self._history is not None:
            for one in values:
                self._history.add(one, offset)
        strict, sensitive = self._detectors
        fired_strict = strict.update(values)
        fired_sensitive = sensitive.update(values)
        if fired_strict or fired_sensitive:
            return self._report(strict if fired_strict else sensitive, "drift" if fired_strict else "warning")
        return None

    def _report(self, detector: "_Window", level: Literal["warning", "drift"]) -> Change:
        before, after, width = detector.before, detector.after, detector.width
        offset = self._marks.at_or_before(self._seen - width - 1)[1]
        step = self._history.newest_step() if self._history is not None else None
        if step is not None:
            before, after, offset, width = step[:4]
        change = Change(level if after > before else "fall", before, after, offset, width, detector.delta)
        if self._history is not None and change.level != "warning":
            self._history.clear()
        return change

    def snapshot(self) -> Any:
        """Return the state."""
        history = () if self._history is None else (self._history.snapshot(),)
        windows = [detector.snapshot() for detector in self._detectors]
        return windows, self._marks.marks, self._seen, self._values, *history

    def restore(self, state: Any) -> None:
        """Become what `snapshot` was taken of."""
        detectors, self._marks.marks, self._seen, self._values, *history = state
        if self._history is not None:
            self._history.restore(*history)
        for detector, its_state in zip(self._detectors, detectors, strict=True):
            detector.restore(its_state)


class _Window:
    """ADWIN that remembers what its window held before it was cut."""

    def __init__(self, delta: float, clock: int) -> None:
        self.delta = delta
        self.before = self.after = 0.0
        self.width = 0
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
        self.before = (total - self.after * self.width) / dropped
        return True

    def snapshot(self) -> Any:
        return self.before, self.after, self.width, self._adwin

    def restore(self, state: Any) -> None:
        self.before, self.after, self.width, self._adwin = state
