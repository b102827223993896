"""What policies cost: processor time of steps, and of the models in them.

Times are those of the thread: a busy machine makes them longer by what it does to caches, not by what it does else.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterable
from typing import Any, ClassVar

from msgspec import Struct, field

from streams.learner import Learner

now_ns = time.thread_time_ns
#: What stands beside the champion: nobody, and it is the first one; nobody, and it is another; models that are scored
#: or learn. (Frozen copies that are scored now and then to tell whether the world has changed are no shadows.)
CALM, REPLACED, SHADOWS = 0, 1, 2


def _reading() -> int:
    """Measure what one interval has too much, because the clock was read."""
    readings = [(now_ns(), now_ns()) for _ in range(5000)]
    gaps = sorted(second - first for first, second in readings)
    return gaps[len(gaps) // 4]


READING_NS = _reading()


class Timing(Struct):
    """Processor time of a game's steps.

    Parameters
    ----------
    steps_ns
        Of each record's step.
    beside
        What stood beside the champion then.
    models_ns
        Of all models in the step, where it was measured.
    """

    steps_ns: array[int] = field(default_factory=lambda: array("q"))
    beside: bytearray = field(default_factory=bytearray)
    models_ns: array[int] = field(default_factory=lambda: array("q"))


class Meter:
    """While it is entered, all learners of this process are timed at what they predict and learn."""

    _VERBS: ClassVar = ("predict", "learn")

    def __init__(self) -> None:
        #: Processor time since somebody set this to 0.
        self.spent_ns = 0
        self._plain = {verb: getattr(Learner, verb) for verb in self._VERBS}

    def __enter__(self) -> None:
        for verb, plain in self._plain.items():
            setattr(Learner, verb, self._timed(plain))

    def __exit__(self, *_: Any) -> None:
        for verb, plain in self._plain.items():
            setattr(Learner, verb, plain)

    def _timed(self, plain: Any) -> Any:
        def timed(learner: Learner, *args: Any) -> Any:
            start = now_ns()
            try:
                return plain(learner, *args)
            finally:
                self.spent_ns += max(0, now_ns() - start - READING_NS)

        return timed


def costs(ours: Timing, observer: Timing, metered: tuple[Timing, Timing] | None) -> dict[str, list[int]]:
    """Return what a policy costs, by that of the one that never acts, at the same records.

    Parameters
    ----------
    ours, observer
        Of both.
    metered
        The same of two more games, in which models were timed.

    Returns
    -------
    ``calm``
        Records at which the very champion serves that the other has, alone: how many, our time, its time.
    ``shadows``
        Records at which there are shadows: the same.
    ``models``
        At these, what all our models take, and what the other's one does, in ns; where they were timed.
    ``records``
        How many there are.
    """
    found = {"records": [len(ours.beside)]}
    for name, state in (("calm", CALM), ("shadows", SHADOWS)):
        places = [i for i, beside in enumerate(ours.beside) if beside == state]
        found[name] = [len(places), sum(ours.steps_ns[i] for i in places), sum(observer.steps_ns[i] for i in places)]
    if metered is not None:
        found["models"] = [sum(timing.models_ns[i] for i in places) for timing in metered]
    return found


def added(costs: Iterable[dict[str, list[int]]]) -> dict[str, list[int]]:
    """Return the sums of games' costs, without ``models``, which not all of them have."""
    costs = list(costs)
    return {
        name: [sum(column) for column in zip(*(cost[name] for cost in costs), strict=True)]
        for name in ("records", "calm", "shadows")
    }


def share_beyond(costs: Iterable[dict[str, list[int]]]) -> float | None:
    """Return what shadows take beside their own models, by what their models take; None where it was not measured.

    Their models' time is that of all models less that of the champion, which is as long as the observer's one takes.
    Beside it is the time of our steps, less all models, less what the observer's steps take beside its one, less what
    the life cycle takes where it is calm, as often. (Where it never is, all of that is the shadows'.)
    """
    costs = [cost for cost in costs if "models" in cost]
    if not costs:
        return None
    sums = added(costs)
    (quiet, alone, observed), (events, ours, observer) = sums["calm"], sums["shadows"]
    models, its_model = (sum(column) for column in zip(*(cost["models"] for cost in costs), strict=True))
    if models <= its_model:
        return None
    calm = (alone - observed) * events / quiet if quiet else 0
    return (ours - models - (observer - its_model) - calm) / (models - its_model)
