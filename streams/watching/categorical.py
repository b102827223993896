"""A window of categories in short, and what of it is held against a reference."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from streams.watching.reference import Statistic, share_of

#: Most frequent categories that are told apart; what is left is one.
_TOLD_APART = 20
_SHOWN = 5
_REST = "(others)"


class Categories:
    """A window of categories, counted.

    Parameters
    ----------
    values
        Categories, None where one is missing.

    Examples
    --------
    >>> window = Categories(["UA", None, "UA", "B6"])
    >>> window.count, window.missing, window.share("UA")
    (3, 1, 0.6666666666666666)
    """

    __slots__ = ("count", "counts", "missing")

    def __init__(self, values: Sequence[Any]) -> None:
        self.counts = Counter([str(value) for value in values if value is not None])
        self.count = self.counts.total()
        self.missing = len(values) - self.count

    def thin(self) -> None:
        """Keep it as it is."""

    def share(self, name: str) -> float:
        """Return how often a category came, as a share of what is not missing."""
        return self.counts[name] / self.count if self.count else 0.0

    @classmethod
    def pooled(cls, windows: Sequence["Categories"]) -> "Categories":
        """Return several windows as one."""
        pooled = cls(())
        for window in windows:
            pooled.counts.update(window.counts)
            pooled.count += window.count
            pooled.missing += window.missing
        return pooled

    def snapshot(self) -> Any:
        """Return the state."""
        return dict(self.counts), self.missing

    @classmethod
    def restored(cls, state: Any) -> "Categories":
        """Return what `snapshot` was taken of."""
        window = cls(())
        counts, window.missing = state
        window.counts = Counter(counts)
        window.count = window.counts.total()
        return window


class CategoryScale:
    """The categories of a reference whose shares are watched: the twenty most frequent, and all others as one.

    Parameters
    ----------
    reference
        The windows of the reference as one.

    Examples
    --------
    >>> scale = CategoryScale(Categories("aab"))
    >>> scale.names, [round(statistic.value, 2) for statistic in scale.statistics(Categories("abcc"))]
    (('a', 'b', '(others)', 'missing'), [0.52, 0.52, 0.79, 0.0])
    """

    def __init__(self, reference: Categories, windows: int = 1) -> None:
        counts = reference.counts
        frequent = sorted(counts, key=lambda name: (-counts[name], name))[:_TOLD_APART]
        self._set(frequent)

    def _set(self, frequent: list[str]) -> None:
        self._frequent = frequent
        self.names = (*frequent, _REST, "missing")

    def statistics(self, window: Categories) -> list[Statistic]:
        """Return what of a window is held against the reference, in the order of `names`."""
        parts = [window.counts[name] for name in self._frequent]
        parts.append(window.count - sum(parts))
        return [
            *(share_of(part, window.count) for part in parts),
            share_of(window.missing, window.count + window.missing),
        ]

    @staticmethod
    def compared(before: Categories, after: Categories) -> tuple[dict[str, float], dict[str, float]]:
        """Return what is said of a reference and of a window: the shares that differ most."""
        shares = {name: (before.share(name), after.share(name)) for name in {*before.counts, *after.counts}}
        most = sorted(shares, key=lambda name: (-abs(shares[name][0] - shares[name][1]), name))[:_SHOWN]
        return {name: shares[name][0] for name in most}, {name: shares[name][1] for name in most}

    def snapshot(self) -> Any:
        """Return the state."""
        return self._frequent

    @classmethod
    def restored(cls, state: Any) -> "CategoryScale":
        """Return what `snapshot` was taken of."""
        scale = cls.__new__(cls)
        scale._set(state)
        return scale
