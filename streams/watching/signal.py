"""A signal that is watched: a feature or the predictions, with the reference that its windows are held against."""

from collections.abc import Sequence
from typing import Any

from schemas.data_drift import MovedSignal
from schemas.errors import InvariantError
from streams.watch import LEAST_WINDOWS
from streams.watching.categorical import Categories, CategoryScale
from streams.watching.numeric import Numbers, NumberScale
from streams.watching.reference import Reference, Statistic, has_trend

#: Windows that have to follow one before it counts.
_TRIAL = 4
Window = Numbers | Categories
_KINDS: dict[str, tuple[type[Any], type[Any]]] = {
    "number": (Numbers, NumberScale),
    "category": (Categories, CategoryScale),
}


class Signal:
    """Gathers a reference, then holds each window against it.

    A reference begins with ten windows that show no trend; where they do, the older half is forgotten and more are
    gathered. What moved gathers a new one, so one move is told once.

    Parameters
    ----------
    name
        Of the feature, or ``prediction``.
    kind
        ``"number"`` or ``"category"``.
    most
        Windows that the reference grows to.

    Examples
    --------
    >>> import random
    >>> rng, signal = random.Random(7), Signal("a", "number", 20)
    >>> for window in range(10):
    ...     signal.take([rng.gauss(0, 1) for _ in range(500)], 500 * window)
    >>> round(signal.take([rng.gauss(0, 1) for _ in range(500)], 5000), 2)
    1.0
    >>> signal.take([rng.gauss(1, 1) for _ in range(500)], 5500) < 1e-4
    True
    """

    def __init__(self, name: str, kind: str, most: int) -> None:
        self.name, self.kind, self._most = name, kind, most
        self._window_of, self._scale_of = _KINDS[kind]
        self.forget()

    def forget(self) -> None:
        """Begin anew with the next window."""
        self._gathered: list[tuple[int, Any]] = []
        self._since = 0
        self._pooled: Any = None
        self._scale: Any = None
        self._reference: Reference | None = None
        self._on_trial: list[list[Statistic]] = []
        self._newest: tuple[Any, list[Statistic], list[float]] | None = None

    @property
    def is_gathering(self) -> bool:
        """Whether it has no reference yet."""
        return self._reference is None

    def take(self, values: Sequence[Any], offset: int) -> float | None:
        """Take a window and return its p-value, None while a reference is gathered.

        Parameters
        ----------
        values
            One for each record; what is missing is NaN among numbers and None among categories.
        offset
            Offset of the first of them.
        """
        window = self._window_of(values)
        if self._reference is None:
            self._gather(window, offset)
            return None
        statistics = self._scale.statistics(window)
        p_values = self._reference.p_values(statistics)
        self._newest = window, statistics, p_values
        return min(1.0, min(p_values) * len(p_values))

    def accept(self) -> None:
        """Count the newest window among those of a world that stands still, once four more have come.

        A slow move would else be taken for how much windows differ, before it can be told from that.
        """
        if self._newest is not None and self._reference is not None and self._reference.windows < self._most:
            self._on_trial.append(self._newest[1])
            if len(self._on_trial) > _TRIAL:
                self._reference.add(self._on_trial.pop(0))
        self._newest = None

    def moved(self, q: float, *, of_answers: bool = False) -> MovedSignal:
        """Say how the newest window differs from the reference; a new one begins.

        Parameters
        ----------
        q
            Its q-value.
        of_answers
            Whether this is what a model answers, and no feature.

        Raises
        ------
        InvariantError
            When there is no window that was held against a reference.
        """
        if self._newest is None:
            raise InvariantError(f"signal {self.name}: got no window, expected one that was held against a reference")
        window, _, p_values = self._newest
        pooled, (before, after) = self._pooled, self._scale.compared(self._pooled, window)
        moved = MovedSignal(
            name=self.name,
            kind=f"prediction:{self.kind}" if of_answers else self.kind,
            what=self._scale.names[p_values.index(min(p_values))],
            q=q,
            before=before,
            after=after,
            missing_before=_missing(pooled),
            missing_after=_missing(window),
            reference_offset=self._since,
        )
        self.forget()
        return moved

    def _gather(self, window: Window, offset: int) -> None:
        """Take in a window of the reference that is to be."""
        window.thin()
        self._gathered.append((offset, window))
        if len(self._gathered) < LEAST_WINDOWS:
            return
        windows = [window for _, window in self._gathered]
        pooled = self._window_of.pooled(windows)
        scale = self._scale_of(pooled, len(windows))
        statistics = [scale.statistics(window) for window in windows]
        if has_trend(statistics):
            del self._gathered[: LEAST_WINDOWS // 2]
            return
        self._since = self._gathered[0][0]
        self._gathered = []
        pooled.thin()
        self._pooled, self._scale, self._reference = pooled, scale, Reference()
        for one in statistics:
            self._reference.add(one)

    def snapshot(self) -> Any:
        """Return the state."""
        gathered = [(offset, window.snapshot()) for offset, window in self._gathered]
        if self._reference is None:
            return gathered, None
        known = self._since, self._pooled.snapshot(), self._scale.snapshot(), self._reference.snapshot()
        newest = self._newest and (self._newest[0].snapshot(), self._newest[2])
        return gathered, (known, [[*map(tuple, statistics)] for statistics in self._on_trial], newest)

    def restore(self, state: Any) -> None:
        """Become what `snapshot` was taken of."""
        self.forget()
        gathered, beyond = state
        self._gathered = [(offset, self._window_of.restored(window)) for offset, window in gathered]
        if beyond is None:
            return
        (self._since, pooled, scale, reference), on_trial, newest = beyond
        self._on_trial = [[Statistic(*fields) for fields in statistics] for statistics in on_trial]
        self._pooled, self._scale = self._window_of.restored(pooled), self._scale_of.restored(scale)
        self._reference = Reference()
        self._reference.restore(reference)
        if newest is not None:
            window = self._window_of.restored(newest[0])
            self._newest = window, self._scale.statistics(window), newest[1]


def _missing(window: Window) -> float:
    return window.missing / max(1, window.missing + window.count)
