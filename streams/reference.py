"""A reference: a frozen copy of the champion, scored in its stead."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from streams.recent import Example
from streams.shift import Shift
from streams.versions import Frozen

#: Examples of before that it is asked of at each new one: steps have to stay short.
_AT_ONCE = 50

#: Returns the loss of a frozen model's answer to an example, None where there is none.
Ask = Callable[[Frozen, Example], float | None]


class Reference:
    """A copy whose loss tells whether the world has changed.

    Parameters
    ----------
    frozen
        The copy.
    shift
        The evidence.
    since
        Examples that the champion had learned when it began.
    before
        Examples, none of which it has learned, that it is asked of first, the oldest first.
    """

    def __init__(self, frozen: Frozen, shift: Shift, since: int, before: Iterable[Example] = ()) -> None:
        self.frozen = frozen
        self.shift = shift
        self.since = since
        self._before = deque(before)

    @property
    def looks_back(self) -> bool:
        """Whether it is still asked of what was before."""
        return bool(self._before)

    def hear(self, example: Example) -> None:
        """Take the next example while it looks back: it comes after those before it."""
        if self._before:
            self._before.append(example)

    def look_back(self, ask: Ask) -> None:
        """Take some of the losses of before."""
        for _ in range(min(_AT_ONCE, len(self._before))):
            example = self._before.popleft()
            loss = ask(self.frozen, example)
            if loss is not None:
                self.shift.update(loss, example[0])

    def snapshot(self) -> Any:
        """Return the state but for the model."""
        return self.frozen.name, self.shift.snapshot(), self.since, list(self._before)

    @classmethod
    def restored(cls, state: Any, frozen: Mapping[str, Frozen]) -> "Reference":
        """Return what `snapshot` was taken of, with the models by name."""
        name, shift, since, before = state
        return cls(frozen[name], Shift.restored(shift), since, before)
