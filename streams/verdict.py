"""Who is to serve, and what speaks for it."""

from typing import Literal

from msgspec import Struct

from streams.evidence import Advantage, Lead
from streams.learner import Learner
from streams.versions import Frozen

#: A steady learner was never reset; a previous champion is on probation; a reconstruction is on its way to be a
#: version; a version answers and does not learn; an entrant is another declared model, which races; a loser has served,
#: and races on.
Role = Literal["steady", "challenger", "newcomer", "previous", "reconstruction", "version", "entrant", "loser"]
_NEW: tuple[Role, ...] = ("challenger", "newcomer", "entrant")
RACING: tuple[Role, ...] = ("entrant", "loser")


class Verdict(Struct, frozen=True):
    """One that is better than the champion.

    Parameters
    ----------
    role
        What it is.
    model
        Itself.
    advantage
        What speaks for it.
    change
        The evidence that the world has changed, as an e-value; 0 when there is nothing to tell it by yet.
    held
        Why it does not take over all the same: ``"no change"``, ``"budget"`` or ``"policy"``; empty when it does.
    """

    role: Role
    model: Learner | Frozen
    advantage: Advantage | Lead
    change: float
    held: str = ""

    @property
    def has_served(self) -> bool:
        """Whether the model, or the one that it is a copy of, has served here before."""
        return self.role not in _NEW and not (isinstance(self.model, Frozen) and self.model.is_imported)
