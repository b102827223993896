"""One of two questions before a model is replaced: has the world changed? (The other one: `streams.evidence`.)

Answered by bets, too: against "the mean loss is what it was", the mean of a calm past widened by two standard errors.
"""

from collections.abc import Iterable
from typing import Any, Self

_STAKES = (0.1, 0.25, 0.5)
#: Of the alarm: fewer, since it bets at every event of every stream.
_SLOW, _FAST = 0.1, 0.4
_ALARM_BASELINE = 300
#: More evidence than this is not counted, so that what has turned is forgotten in time.
_MOST = 1e12
_LEAST_SPREAD = 0.01
#: A bet against a mean of nearly 0 would win a fortune by a single loss.
_LEAST_MEAN = 0.02
#: After as many losses without evidence worth the name, they count as how it has always been.
_PATIENCE = 500
_WORTH = 3.0
#: The mean is looked at again when the past is so many times as long.
_LONGER = 1.02


def _ends(total: float, count: int) -> tuple[float, float]:
    """Return the means between which that of a past lies, of which the sum and number of losses are known."""
    mean = total / count
    error = 2.0 * (max(mean * (1.0 - mean), _LEAST_SPREAD) / count) ** 0.5
    return min(1.0 - _LEAST_MEAN, mean - error), min(0.9, max(_LEAST_MEAN, mean + error))


class _Watch:
    """What is all in its slots, and is made without arguments."""

    __slots__: tuple[str, ...] = ()

    def snapshot(self) -> Any:
        """Return the state."""
        return tuple(getattr(self, name) for name in self.__slots__)

    @classmethod
    def restored(cls, state: Any) -> Self:
        """Return what `snapshot` was taken of."""
        watch = cls()
        for name, value in zip(cls.__slots__, state, strict=True):
            setattr(watch, name, value)
        return watch


class Shift(_Watch):
    """Evidence that the mean loss of a model that does *not* learn has changed: then the world has.

    A learner's loss also moves because it learns: a tree that splits is worse for a while, on a world that stands
    still. A frozen model's loss moves for one reason only.

    Parameters
    ----------
    baseline
        Number of losses from which the mean is learned, before there is evidence of anything.
    up, down
        Which changes are looked for.

    References
    ----------
    As `Advantage`.

    Examples
    --------
    >>> shift = Shift(baseline=100)
    >>> for i in range(200):
    ...     shift.update(float(i % 10 == 0))
    >>> before = shift.value
    >>> for i in range(30):
    ...     shift.update(float(i % 2))
    >>> before < 10 < 3000 < shift.value
    True
    """

    __slots__ = (
        "_baseline",
        "_began",
        "_count",
        "_down",
        "_down_most",
        "_down_wealth",
        "_largest",
        "_least",
        "_look_at",
        "_recent",
        "_recent_sum",
        "_sum",
        "_up",
        "_up_most",
        "_up_wealth",
    )

    def __init__(self, baseline: int = 300, *, up: bool = True, down: bool = True) -> None:
        self._baseline = baseline
        self._up, self._down = up, down
        self._sum = self._recent_sum = 0.0
        self._count = self._recent = 0
        #: Means between which the past's lies: bets are against these; and how long it is when they are found again.
        self._least, self._largest = 0.0, 1.0
        self._look_at = 0
        #: What each bet is worth, the largest one (1: no bet has won anything), and where each has begun.
        self._up_wealth = [1.0] * len(_STAKES)
        self._down_wealth = [1.0] * len(_STAKES)
        self._up_most = self._down_most = 1.0
        self._began = [-1] * len(_STAKES)

    @property
    def count(self) -> int:
        """Number of losses that the mean is of."""
        return self._count

    @property
    def ready(self) -> bool:
        """Whether the baseline is known."""
        return self._count >= self._baseline

    @property
    def value(self) -> float:
        """The evidence, as an e-value: 1 is none."""
        return max(sum(self._up_wealth), sum(self._down_wealth)) / len(_STAKES)

    @property
    def rise(self) -> tuple[float, int]:
        """The evidence that the mean has risen, and the offset of the first loss that speaks for it."""
        if self._up_most == 1.0:
            return 1.0, self._began[0]
        leading = self._up_wealth.index(self._up_most)
        return sum(self._up_wealth) / len(_STAKES), self._began[leading]

    def update(self, loss: float, offset: int = 0) -> None:
        """Take the next loss, in [0, 1], of the event at an offset."""
        if self._count < self._baseline:
            self._sum += loss
            self._count += 1
            return
        if self._count >= self._look_at:
            self._look()
        self._recent_sum += loss
        self._recent += 1
        if self._up and (loss > self._largest or self._up_most > 1.0):
            gain = loss / self._largest - 1.0
            self._up_most = self._bet(self._up_wealth, gain, offset)
        if self._down and (loss < self._least or self._down_most > 1.0):
            gain = (self._least - loss) / (1.0 - self._least)
            self._down_most = self._bet(self._down_wealth, gain, None)
        most = self._up_most if self._up_most > self._down_most else self._down_most
        if most == 1.0 or (self._recent > _PATIENCE and most < _WORTH):
            self._sum += self._recent_sum
            self._count += self._recent
            self._recent, self._recent_sum = 0, 0.0

    def _look(self) -> None:
        self._least, self._largest = _ends(self._sum, self._count)
        self._look_at = int(self._count * _LONGER) + 1

    def _bet(self, wealth: list[float], gain: float, offset: int | None) -> float:
        """Let each bet win or lose its stake's share of a gain; return what the best one is worth."""
        most = 1.0
        for i, stake in enumerate(_STAKES):
            before = wealth[i]
            after = before * (1.0 + stake * gain)
            if after <= 1.0:
                wealth[i] = 1.0
                continue
            if before == 1.0 and offset is not None:
                self._began[i] = offset
            wealth[i] = after = after if after < _MOST else _MOST
            if after > most:
                most = after
        return most


class Alarm(_Watch):
    """Evidence that a champion's own loss has risen: a reason to look closer, and no more, since a champion learns.

    As `Shift` for rises, with two bets: it is told of every event of every stream.

    Examples
    --------
    >>> alarm = Alarm()
    >>> for i in range(400):
    ...     calm = alarm.update(float(i % 10 == 0))
    >>> for i in range(20):
    ...     risen = alarm.update(float(i % 2))
    >>> calm < 3 < 30 < risen
    True
    """

    __slots__ = ("_count", "_fast", "_look_at", "_per_mean", "_recent", "_recent_sum", "_slow", "_sum")

    def __init__(self) -> None:
        self._sum = self._recent_sum = 0.0
        self._count = self._recent = 0
        self._look_at = 0
        #: 1 by the mean that bets are against.
        self._per_mean = 1.0
        self._slow = self._fast = 1.0

    @classmethod
    def after(cls, losses: Iterable[float]) -> Self:
        """Return one that has heard of some losses."""
        alarm = cls()
        for loss in losses:
            alarm.update(loss)
        return alarm

    def update(self, loss: float) -> float:
        """Take the next loss, in [0, 1], and return the evidence, as an e-value: 1 is none."""
        if self._count < _ALARM_BASELINE or (not loss and self._slow == self._fast == 1.0):
            self._sum += loss
            self._count += 1
            return 1.0
        if self._count >= self._look_at:
            self._per_mean = 1.0 / _ends(self._sum, self._count)[1]
            self._look_at = int(self._count * _LONGER) + 1
        self._recent_sum += loss
        self._recent += 1
        gain = loss * self._per_mean - 1.0
        slow, fast = self._slow * (1.0 + _SLOW * gain), self._fast * (1.0 + _FAST * gain)
        self._slow = slow = 1.0 if slow <= 1.0 else slow if slow < _MOST else _MOST
        self._fast = fast = 1.0 if fast <= 1.0 else fast if fast < _MOST else _MOST
        if slow == fast == 1.0 or (self._recent > _PATIENCE and slow < _WORTH and fast < _WORTH):
            self._sum += self._recent_sum
            self._count += self._recent
            self._recent, self._recent_sum = 0, 0.0
        return (slow + fast) / 2.0
