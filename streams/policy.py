"""What is done about drift: small pure objects, chosen in the declaration."""

from dataclasses import dataclass, field
from typing import Any

from schemas.errors import DeclarationError
from streams.declaration import UNLESS_DEFAULT


@dataclass(frozen=True)
class ObserveOnly:
    """Report drift, never act. For measuring, and where people decide."""

    def check(self, field: str = "policy") -> None:
        """There is nothing to check."""


@dataclass(frozen=True)
class ResetOnDrift:
    """Replace the model with a fresh one when drift is detected.

    The simplest that acts, and the one to compare with: everything that was learned is gone at once, whether the fresh
    model will be better or not.
    """

    def check(self, field: str = "policy") -> None:
        """There is nothing to check."""


@dataclass(frozen=True)
class BackgroundChallenger:
    """Start a fresh model in the background at a warning; it takes over when drift is detected.

    Cheap: a second model learns only between warning and detection. It asks no evidence that the fresh model is better.

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
        _check_count(field, "min_learned", self.min_learned, 0)


@dataclass(frozen=True, kw_only=True)
class ChampionVersions:
    """Keep old versions, and let the best serve, by evidence: two questions have to be answered with yes.

    Has the world changed? A frozen copy of the champion is scored in its stead: its loss moves when the world does, and
    never because a model learns. Is another model better? A fresh challenger, a newcomer that is taught only what came
    since the world looks changed, the learner that was never reset, the champion before, and archived versions are
    compared with the champion on the same events.

    Other models are scored only while the champion's loss looks as if it had risen (`alarm`), so a calm stream costs
    less than with `Pool`, which scores them always, and is quicker and surer.

    Parameters
    ----------
    alpha
        Another model must be better with an e-value of 1/alpha. Smaller is slower and surer.
    change
        The e-value that says the world has changed. 3,000 is reached by chance at most once in 50,000 events or so
        (``tests/streams/test_evidence.py``).
    alarm
        The e-value for a rise of the champion's loss at which the others are scored, for 200 labelled events. Raising
        it is cheaper, and a change is answered later.
    versions
        Archived versions that are kept. Fewer than there are concepts, and the one that is wanted will be missing.
    challenger_life
        Examples after which the challenger is replaced with a fresh one.
    min_learned
        Examples it must have learned before it can take over.
    probation
        Labelled events for which a champion that was replaced goes on learning, and may come back.
    milestone
        Examples after which a first frozen copy of the champion is taken; the next ones follow when it has learned
        twice as many. Raising it takes less time, and a change that comes soon after another leaves nothing to keep.
    actions
        Changes of the champion in 10,000 labelled events, at most, the last of them to a model that has served before;
        an operator's count, and are never held back.
    scored
        Share of the events on which others are scored, in [0.01, 1]. Lowering it costs less, and a change is answered
        later: at half the share after twice the events. Who learns, learns from all of them.
    """

    alpha: float = 0.05
    change: float = 3000.0
    alarm: float = 30.0
    versions: int = 5
    challenger_life: int = 1000
    min_learned: int = 5
    probation: int = 1000
    milestone: int = 500
    actions: int = 30
    scored: float = field(default=1.0, metadata=UNLESS_DEFAULT)

    #: Whether other models are scored at all times.
    always = False

    def check(self, field: str = "policy") -> None:
        """Raise `DeclarationError` unless the arguments fit together."""
        if not isinstance(self.alpha, (int, float)) or not 0 < self.alpha < 1:
            raise DeclarationError(f"{field}.alpha", self.alpha, "a number between 0 and 1")
        if not isinstance(self.scored, (int, float)) or not 0.01 <= self.scored <= 1:
            raise DeclarationError(f"{field}.scored", self.scored, "a share, from 0.01 to 1")
        for name in ("change", "alarm"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not 1 <= value <= 1e9:
                raise DeclarationError(f"{field}.{name}", value, "an e-value, from 1 to 1e9")
        for name, least in (("versions", 0), ("min_learned", 0), ("challenger_life", 1), ("probation", 0)):
            _check_count(field, name, getattr(self, name), least)
        _check_count(field, "milestone", self.milestone, 1)
        _check_count(field, "actions", self.actions, 1)


@dataclass(frozen=True, kw_only=True)
class Pool(ChampionVersions):
    """As `ChampionVersions`, with all models scored always: for streams whose concepts come and go.

    Three to five models learn where one did, and up to twelve answer; `make quality` tells what that costs. With
    `scored` they answer less often.

    References
    ----------
    Herbster, Warmuth: Tracking the best expert, Machine Learning 32 (1998). Gonçalves, Barros: RCD: a recurring concept
    drift framework, Pattern Recognition Letters 34 (2013).
    """

    always = True


Policy = ObserveOnly | ResetOnDrift | BackgroundChallenger | ChampionVersions


def _check_count(field: str, name: str, value: Any, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise DeclarationError(f"{field}.{name}", value, f"a whole number, {least} or more")
