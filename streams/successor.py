"""The model that is to take over when it has learned enough, and why."""

from typing import Any, Literal

from msgspec import Struct

from streams.learner import MODEL_ERRORS_IN_A_ROW, Learner

#: After a warning it learns, and takes over only if a detection follows. After a drift, an operator's command, or a new
#: declaration of the model it takes over when it has learned enough.
Origin = Literal["warning", "drift", "command", "declaration"]


class Successor(Struct, frozen=True):
    """A fresh learner that is to replace the champion, without evidence.

    Parameters
    ----------
    learner
        Itself.
    origin
        What it was started for.
    reason
        Id of the event that tells of that.
    failed
        Number of lessons since the last one that it has learned.
    """

    learner: Learner
    origin: Origin
    reason: str
    failed: int = 0

    @property
    def is_due(self) -> bool:
        """Whether it takes over when it has learned enough; else it waits for the detection."""
        return self.origin != "warning"

    @property
    def cannot_learn(self) -> bool:
        """Whether so many lessons in a row have failed that it is broken."""
        return self.failed >= MODEL_ERRORS_IN_A_ROW

    @property
    def is_ordered(self) -> bool:
        """Whether somebody has ordered or declared it: then it is wanted whoever takes over meanwhile."""
        return self.origin in ("command", "declaration")

    def snapshot(self) -> Any:
        """Return the state but for the model."""
        return self.origin, self.reason, self.failed
