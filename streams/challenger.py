"""The challenger: a fresh learner beside the champion, replaced when it has had its time."""

from collections.abc import Callable
from typing import Any

from streams.learner import Learner

#: Up to so many compared answers a challenger is young.
_YOUNG = 300


class Challenger:
    """A learner that begins with nothing, and the time that it is given.

    Its time begins with the first of its answers whose label is known: where labels are late it has learned much
    before anything can be said of it.

    Parameters
    ----------
    fresh
        Makes a learner.
    life
        Compared answers after which it is replaced. Raising it gives slow learners more time, and the world more time
        to change unnoticed.

    Examples
    --------
    >>> from river import dummy
    >>> challenger = Challenger(lambda: Learner(dummy.NoChangeClassifier, "v2", "binary"), life=2)
    >>> challenger.begin()
    >>> for _ in range(5):
    ...     challenger.learner.learn({}, True)
    >>> challenger.is_spent
    False
    >>> challenger.judge()
    >>> challenger.learner.learn({}, True)
    >>> challenger.is_spent
    True
    """

    def __init__(self, fresh: Callable[[], Learner], life: int) -> None:
        self._fresh = fresh
        self._life = life
        self.learner: Learner | None = None
        #: Examples it had learned when the first of its answers was compared.
        self._judged_from: int | None = None

    def begin(self) -> None:
        """Begin anew."""
        self.learner, self._judged_from = self._fresh(), None

    def renew(self) -> None:
        """Begin anew at a warning, if there is one that is not young."""
        if self.learner is not None and not self.is_young:
            self.begin()

    def leave(self) -> None:
        """Let it go."""
        self.learner, self._judged_from = None, None

    def judge(self) -> None:
        """Note that an answer of its is compared."""
        if self._judged_from is None and self.learner is not None:
            self._judged_from = self.learner.learned

    @property
    def is_young(self) -> bool:
        """Whether little is known of it yet."""
        return self._judged <= _YOUNG

    @property
    def is_spent(self) -> bool:
        """Whether it has had its time."""
        return self._judged >= self._life

    @property
    def _judged(self) -> int:
        if self.learner is None or self._judged_from is None:
            return 0
        return self.learner.learned - self._judged_from + 1

    def snapshot(self) -> Any:
        """Return the state but for the model."""
        return self._judged_from

    def restore(self, state: Any, learner: Learner | None) -> None:
        """Become what `snapshot` was taken of."""
        self._judged_from, self.learner = state, learner
