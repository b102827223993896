"""Drift: a change point in the champion's loss, from where to where, told apart from a change for the better."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from river.drift import ADWIN

from schemas.errors import DeclarationError

_CLOCK = 32
_MARKERS = 1024


@dataclass(frozen=True)
class Drift:
    """How drift is looked for.

    Parameters
    ----------
    delta
        Confidence of the detector, in (0, 1): the smaller, the fewer false alarms and the longer the delay.
    warning_delta
        Confidence of the warning, larger than `delta`: it fires earlier and more often.
    loss
        ``"zero_one"`` or ``"log"`` (negative log of the true class's probability, clipped at e⁻⁴ and scaled to
        [0, 1]) for classes. A regression's loss is the absolute residual in units of its scale, at most 1.
    cooldown
        Labelled events after an action during which alarms are counted and not acted on.
    patience
        Labelled events after which a warning that was not followed by a detection is cleared.

    References
    ----------
    Bifet, Gavaldà: Learning from Time-Changing Data with Adaptive Windowing, SDM 2007, section 3 (ADWIN2).
    """

    delta: float = 0.002
    warning_delta: float = 0.05
    loss: Literal["zero_one", "log"] = "zero_one"
    cooldown: int = 1000
    patience: int = 2000

    def check(self, field: str = "drift") -> None:
        """Raise `DeclarationError` unless the arguments fit together."""
        for name in ("delta", "warning_delta"):
            if not isinstance(getattr(self, name), (int, float)):
                raise DeclarationError(f"{field}.{name}", getattr(self, name), "a number between 0 and 1")
        if not 0 < self.delta < 1:
            raise DeclarationError(f"{field}.delta", self.delta, "a number between 0 and 1")
        if not self.delta < self.warning_delta < 1:
            raise DeclarationError(
                f"{field}.warning_delta", self.warning_delta, f"more than delta={self.delta}, below 1"
            )
        if self.loss not in ("zero_one", "log"):
            raise DeclarationError(f"{field}.loss", self.loss, "'zero_one' or 'log'")
        for name in ("cooldown", "patience"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 0:
                raise DeclarationError(f"{field}.{name}", value, "a number of labelled events, 0 or more")


class Change(NamedTuple):
    """A change point.

    Parameters
    ----------
    level
        ``"warning"`` or ``"drift"`` for a rise, ``"fall"`` for a change to the better.
    before, after
        Mean before and after the change point.
    offset
        Offset of the newest record known to lie before it.
    width
        Number of values since.
    delta
        Confidence of the detector that fired.
    """

    level: Literal["warning", "drift", "fall"]
    before: float
    after: float
    offset: int
    width: int
    delta: float


class LossDetector:
    """A sensitive and a strict ADWIN on one signal, which report rises.

    Parameters
    ----------
    drift
        The declaration.

    Examples
    --------
    A loss that goes from one in ten to every second one:

    >>> import random
    >>> rng = random.Random(7)
    >>> detector = LossDetector(Drift())
    >>> changes = [detector.update(float(rng.random() < (0.1 if i < 1000 else 0.5)), i) for i in range(2000)]
    >>> [(i, change.level, change.offset) for i, change in enumerate(changes) if change]
    [(1055, 'drift', 544)]
    """

    def __init__(self, drift: Drift) -> None:
        self._detectors = (_Detector(drift.delta), _Detector(drift.warning_delta))
        self._markers = _Markers()
        self._seen = 0
        self._losses: list[float] = []

    def update(self, loss: float, offset: int) -> Change | None:
        """Feed one value and return the change point it reveals, if any.

        ADWIN looks for a cut at every 32nd value only, so the values between are handed on together.

        Parameters
        ----------
        loss
            In [0, 1].
        offset
            Offset of the event it belongs to.
        """
        losses = self._losses
        if not losses:
            self._markers.add(self._seen, offset)
        losses.append(loss)
        if len(losses) < _CLOCK:
            return None
        self._losses = []
        self._seen += _CLOCK
        strict, sensitive = self._detectors
        fired_strict = strict.update(losses)
        fired_sensitive = sensitive.update(losses)
        if fired_strict or fired_sensitive:
            return self._report(strict if fired_strict else sensitive, "drift" if fired_strict else "warning")
        return None

    def _report(self, detector: "_Detector", level: Literal["warning", "drift"]) -> Change:
        offset = self._markers.at_or_before(self._seen - detector.width - 1)
        rises = detector.after > detector.before
        return Change(
            level if rises else "fall", detector.before, detector.after, offset, detector.width, detector.delta
        )

    def snapshot(self) -> Any:
        """Return the state."""
        return [detector.snapshot() for detector in self._detectors], self._markers.marks, self._seen, self._losses

    def restore(self, state: Any) -> None:
        """Become what `snapshot` was taken of."""
        detectors, self._markers.marks, self._seen, self._losses = state
        for detector, its_state in zip(self._detectors, detectors, strict=True):
            detector.restore(its_state)


class _Detector:
    """ADWIN that remembers what its window held before it was cut."""

    def __init__(self, delta: float) -> None:
        self.delta = delta
        self.before = self.after = 0.0
        self.width = 0
        self._adwin = ADWIN(delta=delta, clock=_CLOCK)

    def update(self, values: list[float]) -> bool:
        """Feed 32 values; True when the window was cut, and then before, after and width tell where."""
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
        self.before = min(1.0, max(0.0, (total - self.after * self.width) / dropped))
        return True

    def snapshot(self) -> Any:
        return self.before, self.after, self.width, self._adwin

    def restore(self, state: Any) -> None:
        self.before, self.after, self.width, self._adwin = state


class _Markers:
    """Offsets of some past values, ever sparser as they age, never more than a fixed number."""

    def __init__(self) -> None:
        self.marks: list[tuple[int, int]] = []

    def add(self, count: int, offset: int) -> None:
        self.marks.append((count, offset))
        if len(self.marks) > _MARKERS:
            old, new = self.marks[: _MARKERS // 2], self.marks[_MARKERS // 2 :]
            self.marks = old[::2] + new

    def at_or_before(self, count: int) -> int:
        offset = self.marks[0][1]
        for marked, at in self.marks:
            if marked > count:
                break
            offset = at
        return offset
