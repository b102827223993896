"""A fresh learner that is taught only what came since the world may have changed."""

from collections import deque
from collections.abc import Callable
from typing import Any

from streams.learner import Learner
from streams.recent import Recent

#: Evidence for a change at which one is taught, and below which the next one may be.
_SUSPICIOUS, _UNSUSPICIOUS = 30.0, 3.0
#: The newest examples that it learns, if the change began so long ago.
_MOST = 200
#: Examples that it learns at each new one, until it has caught up: steps have to stay short.
_CATCH_UP = 20
#: Examples after which it has had its time, and so many more as it had to wait for the first label of its answers.
_LIFE, _LONGEST_WAIT = 500, 10_000

_Example = tuple[dict[str, Any], Any]


class Newcomer:
    """A learner of the newest examples.

    Unlike a challenger it has learned nothing of the world before, and knows the new one from its first example on.

    References
    ----------
    Gama, Medas, Castillo, Rodrigues: Learning with drift detection, SBIA 2004, section 3: a new model is learned from
    the examples since the warning.

    Examples
    --------
    >>> from river import dummy
    >>> newcomer, recent = Newcomer(), Recent()
    >>> for offset in range(40):
    ...     recent.add((offset, {"a": 1.0}, offset % 2 == 0))
    >>> newcomer.suspect(100.0, 10, lambda: Learner(dummy.PriorClassifier, "v2", "binary"), recent)
    >>> newcomer.learn()
    >>> newcomer.is_ready, newcomer.learner.learned
    (False, 20)
    >>> newcomer.learn()
    >>> newcomer.is_ready, newcomer.learner.learned
    (True, 30)
    """

    def __init__(self) -> None:
        self.learner: Learner | None = None
        self._ahead: deque[_Example] = deque()
        self._suspects = False
        #: Examples it had learned when it had caught up, and between that and the first of its answers being compared.
        self._caught_up = self._waited = 0
        self._is_judged = False

    @property
    def is_ready(self) -> bool:
        """Whether there is one, and it has caught up."""
        return self.learner is not None and not self._ahead

    def hear(self, x: dict[str, Any], y: Any) -> None:
        """Take the next labelled example."""
        if self.learner is not None:
            self._ahead.append((x, y))

    def learn(self) -> None:
        """Learn some of the examples that are ahead; one at which the model raises is passed over, as by any learner.

        Raises
        ------
        ModelError, ModelBrokenError
            As `Learner.learn`; the examples behind it are learned the next time.
        """
        if self.learner is not None:
            for _ in range(min(_CATCH_UP, len(self._ahead))):
                self.learner.learn(*self._ahead.popleft())
            if not self._ahead and not self._caught_up:
                self._caught_up = self.learner.learned

    def judge(self) -> None:
        """Note that an answer of its is compared: where labels are late, its time begins only now."""
        if not self._is_judged and self.learner is not None:
            self._is_judged, self._waited = True, max(0, self.learner.learned - self._caught_up - 1)

    def _is_spent(self, longest_wait: int) -> bool:
        if self.learner is None:
            return False
        return self.learner.learned >= _LIFE + (self._waited if self._is_judged else longest_wait)

    def suspect(
        self, change: float, since: int, fresh: Callable[[], Learner], recent: Recent, *, asked: bool = True
    ) -> None:
        """Begin with a fresh learner when the evidence for a change rises; end with one that has had its time.

        Parameters
        ----------
        change
            The evidence, as an e-value.
        since
            Offset of the first event that speaks for it.
        fresh
            Makes a learner.
        recent
            The newest examples.
        asked
            Whether its answers are asked for at the moment.
        """
        if self._is_spent(_LONGEST_WAIT if asked else 0):
            self.leave()
        if change < _UNSUSPICIOUS:
            self._suspects = False
        elif change >= _SUSPICIOUS and not self._suspects:
            self.leave()
            self._suspects = True
            self.learner = fresh()
            self._ahead = deque((x, y) for offset, x, y in recent.newest(_MOST) if offset >= since)

    def leave(self) -> None:
        """Let it go: it serves, or has had its time."""
        self.learner, self._ahead = None, deque()
        self._caught_up = self._waited = 0
        self._is_judged = False

    def begin(self) -> None:
        """Suspect anew: another champion serves."""
        self.leave()
        self._suspects = False

    def snapshot(self) -> Any:
        """Return the state but for the model."""
        judged = self._is_judged, self._waited, self._caught_up
        return list(self._ahead), self._suspects, judged

    def restore(self, state: Any, learner: Learner | None) -> None:
        """Become what `snapshot` was taken of."""
        ahead, self._suspects, judged = state
        self._is_judged, self._waited, self._caught_up = judged
        self._ahead.extend(ahead)
        self.learner = learner
