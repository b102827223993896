"""A rehearsal: what the champion and a newcomer would say today to events whose labels come late."""

from collections.abc import Mapping
from typing import Any

from schemas.errors import ModelError
from streams.evidence import Advantage
from streams.learner import Learner
from streams.memory import Memory
from streams.policy import ChampionVersions
from streams.restraint import Restraint
from streams.verdict import Verdict

#: What they go by among an event's answers; no version is called so.
CHAMPION, NEWCOMER = "champion today", "newcomer today"


class Rehearsal:
    """Both are asked once more when a label comes, before they learn it.

    A newcomer cannot be compared with the champion before the first label of an event comes that it has answered: where
    labels are a day late, that is a day after it has learned what there was to learn. A rehearsal tells the same at
    once, if a label says nothing of the next one beyond what a model learns of it. Where losses resemble their
    neighbours', as with the weather, it does: who has just learned the last hour's labels answers the next event better
    than it will when it counts, a day ahead. So it counts only where the champion's losses have no memory.

    Parameters
    ----------
    policy
        The declaration.
    memory
        Of the champion's losses.
    restraint
        Says how much evidence is needed.
    """

    def __init__(self, policy: ChampionVersions, memory: Memory, restraint: Restraint) -> None:
        self._policy = policy
        self._memory = memory
        self._restraint = restraint
        self._advantage = Advantage()
        #: Version of the newcomer that it speaks for.
        self._newcomer = ""

    def answers(self, champion: Learner, newcomer: Learner, x: dict[str, Any]) -> dict[str, tuple[Any, Any]] | None:
        """Return what both say of an event, prediction and score; None when one of them cannot."""
        try:
            return {CHAMPION: champion.predict(x), NEWCOMER: newcomer.predict(x)}
        except ModelError:
            return None  # uncounted: if the champion cannot learn it either, it leaves no trace

    def update(self, newcomer: Learner, losses: Mapping[str, float | None], offset: int) -> Verdict | None:
        """Take the losses of what was said to one event, if both have said something.

        Returns
        -------
        The newcomer, if it is better than the champion, and that counts.
        """
        first, second = losses.get(CHAMPION), losses.get(NEWCOMER)
        if first is None or second is None:
            return None
        if newcomer.version != self._newcomer:
            self._newcomer, self._advantage = newcomer.version, Advantage()
        self._advantage.update(first, second, offset)
        if newcomer.learned < self._policy.min_learned or not self._memory.is_known or self._memory.block > 1:
            return None
        enough = self._restraint.suffices(self._advantage.value, "newcomer", newcomer.version)
        return Verdict("newcomer", newcomer, self._advantage, 0.0) if enough else None

    def snapshot(self) -> Any:
        """Return the state."""
        return self._advantage.snapshot(), self._newcomer

    def restore(self, state: Any) -> None:
        """Become what `snapshot` was taken of."""
        advantage, self._newcomer = state
        self._advantage = Advantage.restored(advantage)
