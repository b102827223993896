"""Drift: how a change point in the champion's loss is looked for."""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from river import base

from schemas.errors import DeclarationError
from streams.declaration import UNLESS_DEFAULT
from streams.detectors.adwin_pair import CLOCK, AdwinPair
from streams.detectors.blocked import Blocked
from streams.detectors.detector import Detector
from streams.detectors.river_detector import RiverDetector, divided, needs_a_share, needs_zero_or_one
from streams.detectors.segmented import CLASS, LIMIT, Segmented
from streams.feature import Feature
from streams.label import TaskKind
from streams.seeding import seeded
from streams.unlearned import learned_part

_RIVERS = "'adwin', or a River detector such as drift.PageHinkley() or drift.binary.HDDMA()"


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
        [0, 1]) for classes. A regression's loss is the absolute residual in a unit (`Loss.measure`), at most 1.
    cooldown
        Labelled events after a detection, or a change of the champion, during which alarms are counted and not acted
        on. A detection is news all the same where the loss has risen above what the one before it said.
    patience
        Labelled events after which a warning that was not followed by a detection is cleared.
    detector
        ``"adwin"``, a sensitive and a strict ADWIN with the two deltas; or one of River's detectors, or an object of
        your own with their verbs, derived from one of their base classes. Each champion gets a fresh copy, missing
        seeds filled in. `delta` and `warning_delta` are ADWIN's: the others bring parameters of their own. Those that
        take only 0 and 1 need a zero-one loss. By ADWIN's time most cost 2, HDDM 10, KSWIN some 650.
    blocks
        Labelled events a block, whose mean is what the detector sees: 1, or more for losses that are autocorrelated, as
        where neighbouring events share the day's weather. Raising it costs delay. ``"auto"`` measures that at each
        alarm, and believes none of blocks that are too short.
    by
        ``"class"`` looks for drift within each class of the label, too; the name of a ``str``, ``bool`` or ``int``
        feature within each of its values. Its detectors share one more `delta`; 32 values have one of their own.

    References
    ----------
    Bifet, Gavaldà: Learning from Time-Changing Data with Adaptive Windowing, SDM 2007, section 3 (ADWIN2).
    """

    delta: float = 0.002
    warning_delta: float = 0.05
    loss: Literal["zero_one", "log"] = "zero_one"
    cooldown: int = 1000
    patience: int = 2000
    detector: Any = field(default="adwin", metadata=UNLESS_DEFAULT)
    blocks: int | Literal["auto"] = field(default=1, metadata=UNLESS_DEFAULT)
    by: str | None = field(default=None, metadata=UNLESS_DEFAULT)

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
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise DeclarationError(f"{field}.{name}", value, "a number of labelled events, 0 or more")
        whole = isinstance(self.blocks, int) and not isinstance(self.blocks, bool)
        if self.blocks != "auto" and not (whole and self.blocks >= 1):
            raise DeclarationError(f"{field}.blocks", self.blocks, "a number of labelled events, 1 or more, or 'auto'")
        if self.detector != "adwin":
            self._check_detector(f"{field}.detector")

    def _check_detector(self, field: str) -> None:
        detector = self.detector
        verbs = hasattr(type(detector), "drift_detected") and callable(getattr(detector, "update", None))
        if not isinstance(detector, base.Base) or not verbs:
            raise DeclarationError(field, detector, _RIVERS)
        name = type(detector).__name__
        if getattr(detector, "mode", None) == "down":
            raise DeclarationError(f"{field}.mode", "down", "'up' or 'both': drift is a loss that rises")
        if getattr(detector, "dynamic_cloning", False):
            raise DeclarationError(f"{field}.dynamic_cloning", True, "False: its copies would differ from run to run")
        if needs_a_share(detector) and self.blocks != 1:
            expected = f"1, since {name} takes nothing outside of [0, 1] and stretched block means leave it"
            raise DeclarationError(f"{field.removesuffix('detector')}blocks", self.blocks, expected)
        try:
            pickle.dumps(seeded(detector, field))
        except (AttributeError, TypeError, pickle.PicklingError) as error:
            raise DeclarationError(field, str(error), "a detector that pickle takes: no lambdas") from error
        if learned_part(detector):
            expected = "its clone(), for each champion begins with a fresh one"
            raise DeclarationError(field, f"{name} that was updated", expected)

    def check_against(self, kind: TaskKind, features: Mapping[str, Feature], label: Any, field: str = "drift") -> None:
        """Raise `DeclarationError` unless it fits the rest of a declaration."""
        zero_one = kind in ("binary", "multiclass") and self.loss == "zero_one"
        if needs_zero_or_one(self.detector) and not zero_one:
            loss = "a log loss" if kind in ("binary", "multiclass") else f"the loss of a {kind} task"
            expected = f"a detector for any loss in [0, 1], since {loss} is not only 0 or 1: ADWIN, KSWIN, HDDMA"
            raise DeclarationError(f"{field}.detector", type(self.detector).__name__, expected)
        if self.by is None:
            return
        if self.by == CLASS and CLASS not in features:
            if label is None or kind == "regression":
                raise DeclarationError(f"{field}.by", self.by, f"a feature: a {kind} task has no classes to go by")
            return
        feature = features.get(self.by) if isinstance(self.by, str) else None
        if feature is None or self.by == CLASS:
            raise DeclarationError(f"{field}.by", self.by, "'class', or the name of one feature that is not called so")
        if feature.type is float:
            raise DeclarationError(f"{field}.by", self.by, "a str, bool or int feature: each value is a segment")

    def new_detector(self, *path: str, tests: int = 1) -> Detector:
        """Return a fresh detector.

        Parameters
        ----------
        path
            Names that lead here, such as (pipeline, version, "drift"), for seeds.
        tests
            Number of detectors that share the confidence, 1 or more.
        """

        def make(size: int) -> Detector:
            if self.detector != "adwin":
                return RiverDetector(seeded(divided(self.detector, tests), *path))
            return AdwinPair(self.delta / tests, self.warning_delta / tests, max(1, CLOCK // size))

        return make(1) if self.blocks == 1 else Blocked(make, self.blocks)

    def new_segments(self, *path: str, kind: TaskKind, features: Mapping[str, Feature]) -> Segmented | None:
        """Return fresh detectors for the segments; None when there are to be none.

        Parameters
        ----------
        path
            As for `new_detector`.
        kind, features
            Of the pipeline: they tell how many segments there can be.
        """
        if self.by is None:
            return None
        tests = _segments(kind if self.by == CLASS else features[self.by])
        return Segmented(self.by, lambda segment: self.new_detector(*path, segment, tests=tests))


def _segments(of: TaskKind | Feature) -> int:
    """Return how many segments there can be, the shared one among them."""
    if not isinstance(of, Feature):
        return LIMIT + 1 if of == "multiclass" else 2
    if of.type is bool:
        return 2
    return min(LIMIT, len(of.categories)) + 1 if of.categories else LIMIT + 1
