"""Milestones: frozen copies of the champion, taken now and then; one of them tells whether the world has changed."""

import pickle
from collections.abc import Collection, Mapping
from typing import Any

from schemas.errors import NotPicklableError
from streams.label import TaskKind
from streams.learner import Learner
from streams.shift import Shift
from streams.versions import Frozen

#: How many are kept: evidence for a change begins at most this many of them ago.
_KEPT = 8
#: Copies are taken when a quarter more is learned, at most so many times the first distance apart: they take time, and
#: a version that comes back is as old as its copy. (Not by their size: a restored model's differs a little.)
_MOST_APART = 16
#: Losses from which a reference's mean is known well enough.
_KNOWN = 300
#: Examples after which the reference is to be a younger one, and after which it is so whatever it tells.
_LIFE = 1000
_OUTDATED = 6000
#: A reference that has more evidence than this is not replaced: it may have seen the world change.
_NOTHING = 2.7


class _Reference:
    """A milestone that is scored in the champion's stead."""

    def __init__(self, frozen: Frozen, shift: Shift) -> None:
        self.frozen = frozen
        self.shift = shift


class Milestones:
    """The newest copies of a champion, and the reference among them.

    A reference has to be scored for a while before its loss can tell of a change, so its successor is scored beside it.

    Parameters
    ----------
    first
        Examples learned before the first copy is taken; the next ones are half as many apart, later
        a quarter of what is learned, 16 times as many at most.
    baseline
        Losses from which it is learned how a reference does while the world stands still.
    kind, classes
        As `Frozen` takes them.
    """

    def __init__(self, first: int, baseline: int, kind: TaskKind, classes: Collection[Any]) -> None:
        self._first = first
        self._baseline = baseline
        self._kind: TaskKind = kind
        self._classes = classes
        self._taken: list[Frozen] = []
        #: Examples learned at which the next copy is to be taken.
        self.due = first
        self._reference: _Reference | None = None
        self._next: _Reference | None = None

    def begin(self, learned: int) -> None:
        """Forget all: another champion serves, which has learned so much."""
        self._taken = []
        self.due = learned + self._first
        self._reference = self._next = None

    @property
    def change(self) -> float | None:
        """Evidence that the world has changed, as an e-value; None while it is too early to tell."""
        return None if self._reference is None else self._reference.shift.value

    def before(self, offset: int) -> Frozen | None:
        """Return the newest copy from before an offset, None when there is none."""
        return next((frozen for frozen in reversed(self._taken) if frozen.offset < offset), None)

    @property
    def references(self) -> list[Frozen]:
        """The copies that are to be scored."""
        return [one.frozen for one in (self._reference, self._next) if one is not None]

    def due_references(self, turn: int) -> list[Frozen]:
        """Return the copies that are to be scored at a turn: what is known well enough at every second one."""
        known = self._reference
        if turn % 2 and known is not None and known.shift.count >= _KNOWN:
            return [] if self._next is None else [self._next.frozen]
        return self.references

    @property
    def frozen(self) -> list[Frozen]:
        """All copies that are held."""
        return [*self._taken, *self.references]

    @property
    def rise(self) -> tuple[float, int]:
        """Evidence that the world has changed to the worse, and the offset of the first event that speaks for it."""
        return (0.0, -1) if self._reference is None else self._reference.shift.rise

    def watch(self, champion: Learner, losses: Mapping[str, float | None], offset: int) -> None:
        """Take the references' losses on the event at an offset, by their names."""
        current, following = self._reference, self._next
        for reference in (current, following):
            loss = None if reference is None else losses.get(reference.frozen.name)
            if reference is not None and loss is not None:
                reference.shift.update(loss, offset)
        if following is None or not following.shift.ready:
            return
        outdated = current is not None and champion.learned - current.frozen.learned > _OUTDATED
        if current is None or outdated or current.shift.value < _NOTHING:
            self._reference, self._next = following, None

    def take(self, champion: Learner, offset: int) -> bool:
        """Take a copy of the champion; False when that is not possible: a model may be too deep or too large to pickle.

        The next one is due after some more examples.
        """
        learned = champion.learned
        self.due = learned + _MOST_APART * self._first
        try:
            data, model = champion.freeze(self._classes)
        except (NotPicklableError, RecursionError, pickle.PicklingError):
            return False
        current = self._reference
        follows = self._next is None and (current is None or learned - current.frozen.learned >= _LIFE)
        asked = model if follows else None
        frozen = Frozen(data, champion.version, learned, offset, self._kind, self._classes, asked)
        self._taken = [*self._taken[1 - _KEPT :], frozen]
        if follows:
            self._next = _Reference(frozen, Shift(self._baseline))
        apart = min(learned // 4, _MOST_APART * self._first)
        self.due = learned + max(self._first // 2, apart)
        return True

    def snapshot(self) -> Any:
        """Return the state but for the models."""
        references = [
            None if one is None else (one.frozen.name, one.shift.snapshot()) for one in (self._reference, self._next)
        ]
        return self.due, [frozen.name for frozen in self._taken], references

    def restore(self, state: Any, frozen: Mapping[str, Frozen]) -> None:
        """Become what `snapshot` was taken of, with the models by name."""
        self.due, taken, references = state
        self._taken = [frozen[name] for name in taken]
        self._reference, self._next = (
            None if told is None else _Reference(frozen[told[0]], Shift.restored(told[1])) for told in references
        )
