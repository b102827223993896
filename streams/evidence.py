"""One of two questions before a model is replaced: is another model better? (The other one: `streams.shift`.)

Both are answered by bets against "no". A bet's wealth multiplies with each loss; if "no" is true, no way of betting
makes it grow on average, so wealth is evidence, and it may be looked at after each loss.
"""

from typing import Any

#: Stakes of the bets: small ones find small differences in the long run, large ones find large differences at once.
_STAKES = (0.1, 0.3, 0.6, 0.9)
#: What bets are worth of which none has won anything.
_UNWON = [1.0] * len(_STAKES)
_LONG_STAKES = (0.01, 0.03, 0.1, 0.3, 0.6)
#: Bets on a lead begin anew after so many events, and then whenever there are twice as many; so many series are kept.
_FIRST_AGAIN, _SERIES = 250, 6
#: More evidence than this is not counted, so that what has turned is forgotten in time.
_MOST = 1e12


class Advantage:
    """Evidence that one model's losses are smaller than another's on the same events.

    Where losses resemble their neighbours', bets are on the means of blocks: a stretch in which one model happens to be
    better is one event then, and no hundred.

    Parameters
    ----------
    restarts
        True: a bet that has lost money begins anew with 1, so an advantage is found whenever it begins (an
        e-detector); the time between false alarms is at least 1/alpha events on average when the threshold is 1/alpha.
        False: one test from the first event on (an e-process); the probability that it *ever* reaches 1/alpha is at
        most alpha when there is no advantage, however often one looks.

    References
    ----------
    Waudby-Smith, Ramdas: Estimating means of bounded random variables by betting, JRSS B 86 (2024), section 4.
    Shin, Ramdas, Rinaldo: E-detectors: a nonparametric framework for sequential change detection, NEJSDS 2 (2024),
    section 2.3 (e-CUSUM). Ville: Étude critique de la notion de collectif (1939).

    Examples
    --------
    One that is wrong every second time, and one that is never wrong:

    >>> advantage = Advantage()
    >>> for i in range(30):
    ...     advantage.update(float(i >= 10 and i % 2), 0.0, offset=i)
    >>> advantage.value > 100, advantage.since, advantage.means
    (True, 11, (0.5263157894736842, 0.0))
    """

    __slots__ = ("_block", "_count", "_first", "_marks", "_restarts", "_second", "_wealth", "value")

    def __init__(self, *, restarts: bool = True) -> None:
        self._restarts = restarts
        self._wealth = [1.0] * len(_STAKES)
        #: The evidence that the second is better, as an e-value: 1 is none.
        self.value = 1.0
        self._count = 0
        self._first = self._second = 0.0
        # Of the block that is not full yet: offset of its first event, number of events, and the sums of their losses.
        self._block = (-1, 0, 0.0, 0.0)
        # Where each bet began: offset, and the sums before it.
        self._marks: list[tuple[int, int, float, float]] = [(-1, 0, 0.0, 0.0)] * len(_STAKES)

    def update(self, first: float, second: float, offset: int, block: int = 1) -> None:
        """Take both models' losses, in [0, 1], of the event at an offset; bet when there is a block of so many."""
        since, events, firsts, seconds = self._block
        if block == 1 and not events:
            self._bet(first, second, offset, 1)
            return
        since, events, first, second = since if events else offset, events + 1, first + firsts, second + seconds
        if events < block:
            self._block = since, events, first, second
        else:
            self._block = -1, 0, 0.0, 0.0
            self._bet(first, second, since, events)

    def _bet(self, first: float, second: float, offset: int, events: int) -> None:
        """Take the sums of losses of as many events, the first one at an offset."""
        difference = (first - second) / events
        # Where no bet has won anything, and each may begin anew, there is nothing to lose.
        if difference > 0 or (difference and not (self._restarts and self._wealth == _UNWON)):
            wealth, marks = self._wealth, self._marks
            for i, stake in enumerate(_STAKES):
                before = wealth[i]
                after = before * (1.0 + stake * difference)
                if self._restarts and after <= 1.0:
                    after = 1.0
                elif before == 1.0:
                    marks[i] = (offset, self._count, self._first, self._second)
                wealth[i] = after if after < _MOST else _MOST
            self.value = sum(wealth) / len(_STAKES)
        self._count += events
        self._first += first
        self._second += second

    @property
    def since(self) -> int:
        """Offset of the first event that speaks for the second: an estimate of the change point."""
        return self._leading()[0]

    @property
    def count(self) -> int:
        """Number of events since then."""
        return self._count - self._leading()[1]

    @property
    def means(self) -> tuple[float, float]:
        """Mean loss of both since then."""
        _, count, first, second = self._leading()
        events = max(1, self._count - count)
        return (self._first - first) / events, (self._second - second) / events

    def _leading(self) -> tuple[int, int, float, float]:
        return self._marks[max(range(len(_STAKES)), key=self._wealth.__getitem__)]

    def snapshot(self) -> Any:
        """Return the state."""
        return self._restarts, self._wealth, self._count, self._first, self._second, self._marks, self._block

    @classmethod
    def restored(cls, state: Any) -> "Advantage":
        """Return what `snapshot` was taken of."""
        advantage = cls()
        advantage._restarts, advantage._wealth, advantage._count = state[:3]
        advantage._first, advantage._second, advantage._marks, block = state[3:]
        advantage._block = tuple(block)
        advantage.value = sum(advantage._wealth) / len(_STAKES)
        return advantage


class Lead:
    """Evidence that one model is better than another in the long run, and may be looked at for ever.

    Bets begin at the first event, and anew whenever twice as many have been seen, each with less money: so a model that
    began badly is not held down by its youth, and all of them together are still one test. The probability that their
    money *ever* comes to 1/alpha is at most alpha when the second model is no better.

    References
    ----------
    As `Advantage`, and Ramdas et al.: Game-theoretic statistics and safe anytime-valid inference, Statistical
    Science 38 (2023): an average of e-processes is one.

    Examples
    --------
    One that is worse for 300 events, and better from then on:

    >>> lead = Lead()
    >>> for i in range(500):
    ...     lead.update(float(i >= 300 and i % 2), float(i < 300 and i % 2), offset=i)
    >>> lead.value > 1e6, lead.since
    (True, 250)
    """

    __slots__ = ("_count", "_due", "_first", "_second", "_starts", "_weight")

    def __init__(self) -> None:
        self._count, self._due = 0, 0
        self._first = self._second = 0.0
        #: Money that no bet has been made with.
        self._weight = 1.0
        # Of each series of bets: its money at the beginning; offset, and the sums before it; what each bet is worth.
        self._starts: list[tuple[float, int, int, float, float, list[float]]] = []

    def update(self, first: float, second: float, offset: int) -> None:
        """Take both models' losses, in [0, 1], of the event at an offset."""
        if self._count >= self._due:
            self._begin(offset)
        difference = first - second
        if difference:
            for *_, wealth in self._starts:
                for i, stake in enumerate(_LONG_STAKES):
                    wealth[i] = min(_MOST, wealth[i] * (1.0 + stake * difference))
        self._count += 1
        self._first += first
        self._second += second

    def _begin(self, offset: int) -> None:
        """Begin to bet anew with half of the money that is left; of older bets but for a few the money is lost."""
        self._weight /= 2.0
        start = self._weight, offset, self._count, self._first, self._second, [1.0] * len(_LONG_STAKES)
        self._starts = [*self._starts[1 - _SERIES :], start]
        self._due = max(_FIRST_AGAIN, 2 * self._count)

    @property
    def value(self) -> float:
        """The evidence that the second is better, as an e-value: 1 is none."""
        return self._weight + sum(map(_worth, self._starts))

    @property
    def since(self) -> int:
        """Offset of the first event that speaks for the second."""
        return self._leading()[1] if self._starts else -1

    @property
    def count(self) -> int:
        """Number of events since then."""
        return self._count - self._leading()[2] if self._starts else 0

    @property
    def means(self) -> tuple[float, float]:
        """Mean loss of both since then."""
        if not self._starts:
            return 0.0, 0.0
        _, _, count, first, second, _ = self._leading()
        events = max(1, self._count - count)
        return (self._first - first) / events, (self._second - second) / events

    def _leading(self) -> tuple[float, int, int, float, float, list[float]]:
        return max(self._starts, key=_worth)

    def snapshot(self) -> Any:
        """Return the state."""
        return self._count, self._due, self._first, self._second, self._weight, self._starts

    @classmethod
    def restored(cls, state: Any) -> "Lead":
        """Return what `snapshot` was taken of."""
        lead = cls()
        lead._count, lead._due, lead._first, lead._second, lead._weight, lead._starts = state
        return lead


def _worth(start: tuple[float, int, int, float, float, list[float]]) -> float:
    weight, *_, wealth = start
    return weight * sum(wealth) / len(wealth)
