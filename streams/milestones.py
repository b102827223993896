"""Milestones: frozen copies of the champion, taken now and then; one of them tells whether the world has changed."""

import pickle
from collections.abc import Collection, Mapping
from typing import Any

from schemas.errors import NotPicklableError
from streams.label import TaskKind
from streams.learner import Learner
from streams.recent import Example, Recent
from streams.reference import Ask, Reference
from streams.shift import Shift
from streams.versions import Frozen

#: How many are kept.
_KEPT = 4
#: Examples after which it is tried again to copy what could not be copied.
_AGAIN = 8000
#: Examples after which a reference may be replaced by a copy that is taken, and after which it has to be replaced.
_LIFE = 1000
_OUTDATED = 6000
#: A reference that has more evidence than this is not replaced before it has to be: it may have seen the world change.
_NOTHING = 2.7
#: Losses from which it is learned how a reference does while the world stands still; fewer where it looks back on few.
_BASELINE, _LEAST_BASELINE = 300, 100
#: Examples to look back on that are enough: where the world changes slowly, the last few hundred are of the change.
_OLD = 1000


class Milestones:
    """The newest copies of a champion, and the reference among them.

    A reference has to be scored for a while before its loss can tell of a change. So its successor is scored beside it;
    and where nobody was scored until now, it is asked of the newest examples first, none of which it has learned.

    Parameters
    ----------
    first
        Examples learned before the first copy is taken; the next ones follow when twice as many are learned.
    kind, classes
        As `Frozen` takes them.
    """

    def __init__(self, first: int, kind: TaskKind, classes: Collection[Any]) -> None:
        self._first = first
        self._kind: TaskKind = kind
        self._classes = classes
        self._taken: list[Frozen] = []
        #: Examples learned at which the next copy is to be taken.
        self.due = first
        self._hold(None, None)

    def _hold(self, reference: Reference | None, following: Reference | None) -> None:
        """Have a reference, and the one that is to succeed it."""
        self._reference, self._next = reference, following
        self._references = [one for one in (reference, following) if one is not None]

    def begin(self, learned: int) -> None:
        """Forget all: another champion serves, which has learned so much."""
        self._taken = []
        self.due = learned + self._first
        self.rest()

    def wake(self, learned: int, recent: Recent) -> None:
        """Begin with a reference that looks back on the newest examples, if a copy is old enough."""
        self._hold(self._looking_back(learned, recent), self._next)

    def _looking_back(self, learned: int, recent: Recent) -> Reference | None:
        ages = {learned - frozen.learned: frozen for frozen in self._taken}
        enough = min((age for age in ages if age >= _OLD), default=max(ages, default=0))
        before = recent.newest(enough)
        if len(before) < 2 * _LEAST_BASELINE:
            return None
        return Reference(ages[enough], Shift(min(_BASELINE, len(before) // 2)), learned, before)

    def rest(self) -> None:
        """Score nobody."""
        self._hold(None, None)

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
        return [one.frozen for one in self._references if not one.looks_back]

    @property
    def frozen(self) -> list[Frozen]:
        """All copies that are held."""
        return [*self._taken, *(one.frozen for one in self._references)]

    @property
    def rise(self) -> tuple[float, int]:
        """Evidence that the world has changed to the worse, and the offset of the first event that speaks for it."""
        return (0.0, -1) if self._reference is None else self._reference.shift.rise

    def hear(self, example: Example) -> None:
        """Take the next example that the champion has learned, for who looks back."""
        for reference in self._references:
            reference.hear(example)

    def watch(
        self, champion: Learner, losses: Mapping[str, float | None], offset: int, recent: Recent, ask: Ask
    ) -> None:
        """Take the references' losses on the event at an offset, by their names; who looks back is asked."""
        for reference in self._references:
            if reference.looks_back:
                reference.look_back(ask)
            elif (loss := losses.get(reference.frozen.name)) is not None:
                reference.shift.update(loss, offset)
        current, following = self._reference, self._next
        outdated = current is not None and champion.learned - current.since > _OUTDATED
        if following is None:
            if outdated:
                # What it tells of is how the world has been for long: who begins now takes that for granted.
                self._hold(current, self._looking_back(champion.learned, recent))
        elif (
            following.shift.ready
            and not following.looks_back
            and (current is None or outdated or current.shift.value < _NOTHING)
        ):
            self._hold(following, None)

    def take(self, champion: Learner, offset: int, *, scored: bool) -> bool:
        """Take a copy of the champion; False when that is not possible: a model may be too deep or too large to pickle.

        The next one is due after some more examples. Where references are `scored`, it may follow the one there is.
        """
        learned = champion.learned
        self.due = learned + _AGAIN
        try:
            data, model = champion.freeze(self._classes)
        except (NotPicklableError, RecursionError, pickle.PicklingError):
            return False
        current = self._reference
        is_old = current is None or learned - current.since >= _LIFE
        follows = scored and self._next is None and is_old
        asked = model if follows else None
        frozen = Frozen(data, champion.version, learned, offset, self._kind, self._classes, asked)
        self._taken = [*self._taken[1 - _KEPT :], frozen]
        if follows:
            self._hold(current, Reference(frozen, Shift(_BASELINE), learned))
        self.due = learned + max(self._first, learned)
        return True

    def snapshot(self) -> Any:
        """Return the state but for the models."""
        references = [None if one is None else one.snapshot() for one in (self._reference, self._next)]
        return self.due, [frozen.name for frozen in self._taken], references

    def restore(self, state: Any, frozen: Mapping[str, Frozen]) -> None:
        """Become what `snapshot` was taken of, with the models by name."""
        self.due, taken, references = state
        self._taken = [frozen[name] for name in taken]
        self._hold(*(None if told is None else Reference.restored(told, frozen) for told in references))
