"""What is watched without labels: which features, how closely, and how often a false alarm may be raised."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.errors import DeclarationError

#: Windows that a reference has before anything is held against it.
LEAST_WINDOWS = 10
_LEAST_SAMPLES, _MOST_SAMPLES = 20, 20_000


@dataclass(frozen=True)
class Watch:
    """How the inputs and the answers of a pipeline are watched, before any label comes.

    Records are cut into windows. Each feature's window (numbers or categories, and how many are missing), and that of
    the predictions, is held against the windows of a reference; what moved is said in a ``drift.data`` event.

    Parameters
    ----------
    features
        Names of the features that are watched; None for all.
    false_discovery_rate
        In (0, 1). While nothing moves, at most this share of the windows raises an alarm; of the signals that alarms
        name, at most this share on average did not move. Raising it finds smaller shifts.
    window
        Records in a window. It has to be several times as long as a feature's values resemble each other: 1,000 are
        enough for AR(1) up to .99. Raising it finds smaller shifts, later, and takes memory. The accuracy is estimated
        over as many answers.
    reference
        Windows that a reference grows to, 10 or more; with 10 it begins to be used. Raising it finds smaller shifts;
        what creeps in while it grows is taken for normal.
    every
        Each so many-th record is looked at. Raising it saves time and memory, and misses smaller shifts.

    References
    ----------
    Benjamini, Yekutieli: The control of the false discovery rate in multiple testing under dependency, Annals of
    Statistics 2001, theorem 1.3.
    """

    features: Collection[str] | None = None
    false_discovery_rate: float = 0.01
    window: int = 1000
    reference: int = 20
    every: int = 4

    def check(self, declared: Mapping[str, Any], field: str = "watch") -> None:
        """Raise `DeclarationError` unless the arguments fit together, and the features are declared."""
        if self.features is not None:
            if isinstance(self.features, str) or not isinstance(self.features, Collection):
                raise DeclarationError(f"{field}.features", self.features, "a list of names of features, or None")
            if not self.features:
                raise DeclarationError(
                    f"{field}.features", self.features, "at least one name, or None for all features"
                )
            for name in self.features:
                if name not in declared:
                    raise DeclarationError(f"{field}.features", name, f"names among {', '.join(declared)}")
        rate = self.false_discovery_rate
        if not isinstance(rate, (int, float)) or isinstance(rate, bool) or not 0 < rate < 1:
            raise DeclarationError(f"{field}.false_discovery_rate", rate, "a number between 0 and 1")
        for name, least in (("window", 1), ("reference", LEAST_WINDOWS), ("every", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise DeclarationError(f"{field}.{name}", value, f"a whole number, {least} or more")
        if not _LEAST_SAMPLES <= self.samples <= _MOST_SAMPLES:
            expected = f"{_LEAST_SAMPLES} to {_MOST_SAMPLES} times every={self.every}"
            raise DeclarationError(f"{field}.window", self.window, expected)

    @property
    def samples(self) -> int:
        """Number of records of a window that are looked at."""
        return self.window // self.every
