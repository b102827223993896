"""What is done about drift: small pure objects, chosen in the declaration."""

from dataclasses import dataclass

from schemas.errors import DeclarationError


@dataclass(frozen=True)
class ObserveOnly:
    """Report drift, never act. For measuring, and where people decide."""

    def check(self, field: str = "policy") -> None:
        """There is nothing to check."""


@dataclass(frozen=True)
class BackgroundChallenger:
    """Start a fresh model in the background at a warning; it takes over when drift is detected.

    Parameters
    ----------
    min_learned
        Examples the challenger must have learned before it takes over. Raising it delays the reaction and
        spares the users of the predictions a model that knows nothing.

    References
    ----------
    Gomes et al.: Adaptive random forests for evolving data stream classification, Machine Learning 106 (2017),
    section 3.2: background learners started at a warning.
    """

    min_learned: int = 200

    def check(self, field: str = "policy") -> None:
        """Raise `DeclarationError` unless the arguments fit together."""
        if not isinstance(self.min_learned, int) or self.min_learned < 0:
            raise DeclarationError(f"{field}.min_learned", self.min_learned, "a number of examples, 0 or more")


Policy = ObserveOnly | BackgroundChallenger
