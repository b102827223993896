"""What riverrun's policies are compared with: loops over River, without riverrun."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from river import forest
from river.drift import ADWIN

from benchmarks.quality.worlds import Stream, World

#: Labels of a new concept after which a "told rollback" hears of it: ten tell something to whoever waits for 1 in 20.
LABELS_TO_TELL = 10
Fresh = Callable[[], Any]
NAMES = (
    "online",
    "reset on any flag",
    "reset on rising loss",
    "dummy",
    "arf",
    "perfect reset",
    "perfect rollback",
    "told rollback",
)


class Online:
    """A model that goes on learning whatever happens."""

    def __init__(self, fresh: Fresh) -> None:
        self.fresh = fresh
        self.model = fresh()
        self.actions = 0

    def predict(self, place: int, x: dict[str, float]) -> Any:
        """Answer the event at a place of the stream."""
        return self.model.predict_one(x)

    def learn(self, place: int, x: dict[str, float], y: Any, answer: Any) -> None:
        """Learn the label of an answer."""
        self.model.learn_one(x, y)


class ResetOnFlag(Online):
    """A fresh model at each flag of ADWIN, or only where the loss has risen."""

    def __init__(self, fresh: Fresh, *, rising: bool) -> None:
        super().__init__(fresh)
        self._rising = rising
        self._adwin = ADWIN()
        #: Places of the flags that count.
        self.flags: list[int] = []

    def learn(self, place: int, x: dict[str, float], y: Any, answer: Any) -> None:
        """Learn, and look at the loss."""
        super().learn(place, x, y, answer)
        before = self._adwin.estimation
        self._adwin.update(float(answer != y))
        if self._adwin.drift_detected and (not self._rising or self._adwin.estimation > before):
            self.flags.append(place)
            self.model = self.fresh()
            self.actions += 1


class Dummy(Online):
    """A fresh model every so many events, whatever happens."""

    def __init__(self, fresh: Fresh, every: int = 1000) -> None:
        super().__init__(fresh)
        self._every = every
        self._learned = 0

    def learn(self, place: int, x: dict[str, float], y: Any, answer: Any) -> None:
        """Learn, and count."""
        super().learn(place, x, y, answer)
        self._learned += 1
        if self._learned % self._every == 0:
            self.model = self.fresh()
            self.actions += 1


class Oracle(Online):
    """Knows when the concept changes: a fresh model then, or the one it had when the concept was there before.

    It learns no lies.
    """

    def __init__(self, fresh: Fresh, stream: Stream, *, returns: bool) -> None:
        super().__init__(fresh)
        self._stream = stream
        self._returns = returns
        self._models: dict[int, Any] = {}
        self._concept = -1

    def _of(self, place: int) -> Any:
        concept = self._stream.concepts[place]
        if concept != self._concept:
            self._concept = concept
            if not (self._returns and concept in self._models):
                self._models[concept] = self.fresh()
            self.actions += 1
        return self._models[concept]

    def predict(self, place: int, x: dict[str, float]) -> Any:
        """Answer as the concept's model does."""
        return self._of(place).predict_one(x)

    def learn(self, place: int, x: dict[str, float], y: Any, answer: Any) -> None:
        """Let the concept's model learn."""
        if place not in self._stream.lies:
            self._models[self._stream.concepts[place]].learn_one(x, y)


class ToldOracle(Oracle):
    """A perfect rollback that hears of a change some events late: until then the old concept's model answers.

    Nobody can know of a change before labels tell. This is what is left to be had then.
    """

    def __init__(self, fresh: Fresh, stream: Stream, *, after: int) -> None:
        super().__init__(fresh, stream, returns=True)
        self._after = after

    def predict(self, place: int, x: dict[str, float]) -> Any:
        """Answer as the model does that seems to be the concept's."""
        self._of(place)
        return self._models[self._stream.concepts[max(0, place - self._after)]].predict_one(x)


def rivals(world: World, stream: Stream, base: str, seed: int) -> dict[str, Callable[[], Online]]:
    """Return the rivals for a stream, by name."""
    fresh = partial(world.fresh, base)
    found: dict[str, Callable[[], Online]] = {
        "online": lambda: Online(fresh),
        "reset on any flag": lambda: ResetOnFlag(fresh, rising=False),
        "reset on rising loss": lambda: ResetOnFlag(fresh, rising=True),
        "dummy": lambda: Dummy(fresh),
        "arf": lambda: Online(lambda: forest.ARFClassifier(seed=seed)),
    }
    if stream.concepts:
        found["perfect reset"] = lambda: Oracle(fresh, stream, returns=False)
        found["perfect rollback"] = lambda: Oracle(fresh, stream, returns=True)
        if world.row in ("recurring", "delayed"):
            found["told rollback"] = lambda: ToldOracle(fresh, stream, after=world.labels_after + LABELS_TO_TELL)
    return found


def play(rival: Online, world: World, stream: Stream) -> list[bool]:
    """Return whether each answer was right, test then train, with the labels as late as the world has them."""
    right: list[bool] = []
    waiting: deque[tuple[int, dict[str, float], Any, Any]] = deque()
    for place, (x, y) in enumerate(stream.examples):
        answer = rival.predict(place, x)
        right.append(answer == y)
        waiting.append((place, x, y, answer))
        while waiting and len(waiting) > world.labels_after:
            known = waiting.popleft()
            if known[0] not in stream.missing:
                rival.learn(*known)
    return right
