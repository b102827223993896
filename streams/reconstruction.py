"""A champion as it was before a change, put together again: an old copy, and what it learned after that was taken."""

import pickle
from collections import deque
from collections.abc import Iterable, Mapping
from itertools import takewhile
from typing import Any

from schemas.errors import NotPicklableError
from streams.learner import Learner
from streams.recent import Example
from streams.versions import Frozen

#: Examples that it learns at each new one: steps have to stay short.
_AT_ONCE = 25


class Reconstruction:
    """A copy of a champion that is taught what the champion had learned since, up to where the world looks changed.

    A copy costs as much as some hundred examples, so there are few, and each is old when it is wanted. What has been
    learned since is the same for the copy as it was for the champion, so what comes of it is the same to the last bit,
    if all of it is still at hand; else it knows the newest of it.

    Examples
    --------
    >>> from river import dummy
    >>> champion = Learner(dummy.PriorClassifier, "v1", "binary")
    >>> champion.learn({}, True)
    >>> old = Frozen(champion.freeze()[0], "v1", champion.learned, 0, "binary")
    >>> reconstruction = Reconstruction()
    >>> reconstruction.begin(old, [(offset, {}, False) for offset in range(1, 50)], until=40)
    >>> while not reconstruction.is_done:
    ...     reconstruction.learn()
    >>> reconstruction.end().name
    'v1@40'
    """

    def __init__(self) -> None:
        self.learner: Learner | None = None
        self._of: Frozen | None = None
        self._ahead: deque[Example] = deque()
        #: Of the newest event that it has learned.
        self._offset = -1

    @property
    def is_done(self) -> bool:
        """Whether there is one, and nothing is ahead of it."""
        return self._of is not None and not self._ahead

    def begin(self, old: Frozen, since: Iterable[Example], until: int) -> None:
        """Begin with a copy.

        Parameters
        ----------
        old
            The copy.
        since
            What the champion has learned since it was taken.
        until
            Offset of the first event that it must not learn.
        """
        self._of, self._offset = old, old.offset
        self._ahead = deque(takewhile(lambda example: example[0] < until, since))
        if self._ahead:
            self.learner = old.learner()

    def learn(self) -> None:
        """Learn some of the examples that are ahead.

        Raises
        ------
        ModelError, ModelBrokenError
            As `Learner.learn`; the examples behind it are learned the next time.
        """
        if self.learner is not None:
            for _ in range(min(_AT_ONCE, len(self._ahead))):
                self._offset, x, y = self._ahead.popleft()
                self.learner.learn(x, y)

    def end(self) -> Frozen | None:
        """Return what has come of it, which may be the copy itself, and forget it; None if there is none."""
        of, learner, offset = self._of, self.learner, self._offset
        self.learner = self._of = None
        self._ahead, self._offset = deque(), -1
        if of is None or learner is None or learner.learned == of.learned:
            return of
        try:
            return of.grown(learner, offset)
        except (NotPicklableError, RecursionError, pickle.PicklingError):
            return of

    @property
    def frozen(self) -> list[Frozen]:
        """The copy that it began with, if there is one."""
        return [] if self._of is None else [self._of]

    def snapshot(self) -> Any:
        """Return the state but for the models."""
        return None if self._of is None else (self._of.name, list(self._ahead), self._offset)

    def restore(self, state: Any, frozen: Mapping[str, Frozen], learner: Learner | None) -> None:
        """Become what `snapshot` was taken of, with the models."""
        if state is not None:
            of, ahead, self._offset = state
            self._of, self._ahead, self.learner = frozen[of], deque(ahead), learner
