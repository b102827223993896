"""One trial: what was done, with which seed, and what came of it."""

from pathlib import Path

from msgspec import Struct, field


class Findings(Struct):
    """What a trial has found.

    Parameters
    ----------
    counts
        What has to be zero, by name.
    figures
        Samples by name, such as ``recovery_seconds``: one for each shock.
    shocks
        How many things were done to the workers or the broker.
    notes
        What else is worth knowing.
    """

    counts: dict[str, int] = field(default_factory=dict)
    figures: dict[str, list[float]] = field(default_factory=dict)
    shocks: int = 1
    notes: list[str] = field(default_factory=list)

    @property
    def held(self) -> bool:
        """Whether every count is zero."""
        return not any(self.counts.values())


class Trial(Struct):
    """A trial that is over.

    Parameters
    ----------
    kind, case
        What was done.
    seed
        Of all chance in it.
    seconds
        How long it took.
    findings
        What came of it.
    error
        Why it did not come to its end, empty if it did.
    folder
        Where the logs are, of a trial that did not hold.
    """

    kind: str
    case: str
    seed: int
    seconds: float
    findings: Findings
    error: str = ""
    folder: Path | None = None

    @property
    def held(self) -> bool:
        """Whether all that was promised was kept."""
        return not self.error and self.findings.held
