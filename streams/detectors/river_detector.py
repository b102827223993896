"""River's detectors, and anybody's who speaks as they do."""

from typing import Any

from river import base, drift

from streams.detectors.detector import Change
from streams.detectors.history import History

#: What bounds the chance of a false alarm, by detector.
_CONFIDENCES: tuple[tuple[type, tuple[str, ...]], ...] = (
    (drift.ADWIN, ("delta",)),
    (drift.KSWIN, ("alpha",)),
    (drift.binary.HDDMA, ("drift_confidence", "warning_confidence")),
    (drift.binary.HDDMW, ("drift_confidence", "warning_confidence")),
    (drift.binary.FHDDM, ("confidence_level",)),
)
_BINARY = (base.BinaryDriftDetector, base.BinaryDriftAndWarningDetector)
#: Typed as binary by River; their bounds hold for any values in [0, 1].
_ANY_SHARE = (drift.binary.HDDMA, drift.binary.HDDMW)
_WARNS_OF_RISES_ONLY = (drift.binary.DDM, drift.binary.EDDM, drift.binary.FHDDM)


class RiverDetector:
    """A detector of River's, or of a user's with the same verbs, asked after every value.

    River's detectors say that something has changed, not in which direction. So a summary of the past is kept beside
    them, and the newest step in it tells rise from fall, and where. A warning is reported once, when it begins.

    By the time of the pair of ADWINs on 0/1 losses (`python -m benchmarks.detectors`) the summary alone costs .9 times
    as much a value; with it Page-Hinkley, DDM, EDDM and FHDDM cost 2, HDDM 10, KSWIN some 650 times as much.

    Parameters
    ----------
    detector
        The detector, fresh, its seeds filled in. It takes over: give a copy.

    References
    ----------
    Page 1954 (Page-Hinkley); Gama et al. 2004 (DDM); Baena-García et al. 2006 (EDDM); Frías-Blanco et al. 2015 (HDDM);
    Pesaranghader, Viktor 2016 (FHDDM); Raab, Heusinger, Schleif 2020 (KSWIN).

    Examples
    --------
    >>> import random
    >>> rng = random.Random(7)
    >>> detector = RiverDetector(drift.binary.HDDMA())
    >>> changes = [detector.update(float(rng.random() < (0.1 if i < 1000 else 0.5)), i) for i in range(1100)]
    >>> [(i, change.level, change.offset) for i, change in enumerate(changes) if change]
    [(1025, 'warning', 987), (1027, 'warning', 987), (1029, 'drift', 987)]
    """

    def __init__(self, detector: Any) -> None:
        self._detector = detector
        self._history = History()
        self._warned = False
        self._up_only = _sees_rises_only(detector)
        # It is the only one that wants to know what was right.
        self._wants_hits = isinstance(detector, drift.binary.FHDDM)

    def update(self, value: float, offset: int) -> Change | None:
        """Feed one value and return the change point it reveals, if any.

        Parameters
        ----------
        value
            Finite.
        offset
            Offset of the event it belongs to.
        """
        detector = self._detector
        self._history.add(value, offset)
        detector.update(1.0 - value if self._wants_hits else value)
        if detector.drift_detected:
            change = self._report("drift")
            self._history.clear()
            self._warned = False
            return change
        began = not self._warned
        self._warned = bool(getattr(detector, "warning_detected", False))
        return self._report("warning") if self._warned and began else None

    def _report(self, level: Any) -> Change | None:
        """Return a change point; None where the past is too short for a direction, and for a mere warning of a fall."""
        step = self._history.newest_step(up_only=self._up_only)
        if step is None or (level == "warning" and step.after <= step.before):
            return None
        return Change(
            level if step.after > step.before else "fall",
            step.before,
            step.after,
            step.offset,
            step.width,
            _confidence(self._detector, level),
        )

    def snapshot(self) -> Any:
        """Return the state."""
        return self._detector, self._history.snapshot(), self._warned

    def restore(self, state: Any) -> None:
        """Become what `snapshot` was taken of."""
        self._detector, history, self._warned = state
        self._history.restore(history)


def needs_zero_or_one(detector: Any) -> bool:
    """Tell whether a detector takes nothing but 0 and 1.

    Examples
    --------
    >>> needs_zero_or_one(drift.binary.DDM()), needs_zero_or_one(drift.binary.HDDMA()), needs_zero_or_one(drift.KSWIN())
    (True, False, False)
    """
    return isinstance(detector, _BINARY) and not isinstance(detector, _ANY_SHARE)


def needs_a_share(detector: Any) -> bool:
    """Tell whether a detector takes nothing outside of [0, 1].

    Examples
    --------
    >>> needs_a_share(drift.binary.HDDMA()), needs_a_share(drift.PageHinkley())
    (True, False)
    """
    return isinstance(detector, _BINARY)


def divided(detector: Any, tests: int) -> Any:
    """Return a fresh copy of a detector that is one of several: its confidence is divided by their number (Bonferroni).

    Those that bound no chance of a false alarm (Page-Hinkley, DDM, EDDM, a user's own) stay as they are.

    Examples
    --------
    >>> divided(drift.KSWIN(alpha=0.01), 10).alpha
    0.001
    """
    names = next((names for kind, names in _CONFIDENCES if isinstance(detector, kind)), ())
    shares = {name: getattr(detector, name) / tests for name in names}
    return detector.clone(shares) if shares else detector.clone()


def _confidence(detector: Any, level: str) -> float:
    names = next((names for kind, names in _CONFIDENCES if isinstance(detector, kind)), ())
    return float(getattr(detector, names[-1 if level == "warning" else 0])) if names else 0.0


def _sees_rises_only(detector: Any) -> bool:
    """Tell whether an alarm can mean nothing but a rise of what we feed it."""
    if isinstance(detector, _ANY_SHARE):
        return not detector.two_sided_test
    if isinstance(detector, drift.PageHinkley):
        return bool(detector.mode == "up")
    return isinstance(detector, _WARNS_OF_RISES_ONLY)
