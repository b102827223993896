"""Cleaning that depends on what was seen before: fills, clips, and a bound on categories."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from streams.feature import LAST, MEAN, OMIT, OTHER, Feature


class Preprocessor:
    """Cleans the features of valid events as their declarations say.

    Cleaning an event uses the events before it and nothing of itself, so it can be used before the event's
    label is known. What it learns, it learns in `observe`, after the event was scored.

    Parameters
    ----------
    features
        The declared features.
    count
        Where values are counted that became another category, as ``other_category``.

    Examples
    --------
    >>> cleaner = Preprocessor({"temp": Feature(float, nullable=True, missing="mean"), "city": Feature(str)})
    >>> for temp in (10.0, 20.0):
    ...     cleaner.observe({"temp": temp, "city": "Oslo"})
    >>> cleaner.clean({"temp": None, "city": "Oslo"})
    {'temp': 15.0, 'city': 'Oslo'}
    """

    def __init__(self, features: Mapping[str, Feature], count: dict[str, int] | None = None) -> None:
        self._count = Counter[str]() if count is None else count
        self._names = list(features)
        self._numbers = {
            name: f for name, f in features.items() if f.type in (int, float) and f.out_of_range != "refuse"
        }
        self._fills = {name: f for name, f in features.items() if f.nullable or f.out_of_range == "missing"}
        self._strings = {name: f for name, f in features.items() if f.type is str}
        self._nulls = {name for name, f in self._fills.items() if f.missing is None}
        self._learned_fills = [name for name, f in self._fills.items() if f.missing in (MEAN, LAST)]
        self._seen: dict[str, set[str]] = {name: set() for name, f in self._strings.items() if f.categories is None}
        self.idle = not (self._numbers or self._fills or self._strings)
        self._sums: dict[str, tuple[int, float]] = {}
        self._last: dict[str, Any] = {}

    @property
    def full(self) -> dict[str, int]:
        """The bound by name of each feature that has as many categories as it may."""
        bounds = {name: self._strings[name].max_categories for name in self._seen}
        return {name: bound for name, bound in bounds.items() if len(self._seen[name]) >= bound}

    def clean(self, x: dict[str, Any]) -> dict[str, Any]:
        """Return the features as the model is to see them; nothing is learned yet.

        Values are put within their bounds in `x` itself; fills stand in what is returned only.
        """
        for name, feature in self._numbers.items():
            value = x.get(name)
            if value is not None:
                x[name] = _within(feature, value)
        for name, feature in self._strings.items():
            value = x.get(name)
            if value is not None and not self._is_known(name, feature, value):
                x[name] = None if feature.out_of_range == "missing" else OTHER
        fills = {name: self._fill(name, feature) for name, feature in self._fills.items() if x.get(name) is None}
        if not fills:
            return x
        whole = {**x, **fills}
        return {name: whole.get(name) for name in self._names if whole.get(name) is not None or name in self._nulls}

    def _is_known(self, name: str, feature: Feature, value: str) -> bool:
        if feature.categories is not None:
            return value in feature.categories
        seen = self._seen[name]
        return value in seen or len(seen) < feature.max_categories

    def _fill(self, name: str, feature: Feature) -> Any:
        if feature.missing == OMIT:
            return None
        if feature.missing == MEAN:
            count, total = self._sums.get(name, (0, 0.0))
            return total / count if count else None
        return self._last.get(name) if feature.missing == LAST else feature.missing

    def observe(self, x: dict[str, Any]) -> None:
        """Learn from an event that was scored; `x` is what `clean` was given: fills are no observations."""
        for name, seen in self._seen.items():
            value = x.get(name)
            if value is None or value in seen:
                continue
            if value != OTHER:
                seen.add(value)
            elif len(seen) >= self._strings[name].max_categories:
                self._count["other_category"] += 1
        for name in self._learned_fills:
            value = x.get(name)
            if value is not None:
                self._last[name] = value
                if self._fills[name].missing == MEAN:
                    count, total = self._sums.get(name, (0, 0.0))
                    self._sums[name] = (count + 1, total + value)

    def snapshot(self) -> Any:
        """Return the state."""
        return self._seen, self._sums, self._last

    def restore(self, state: Any) -> None:
        """Become what `snapshot` was taken of."""
        self._seen, self._sums, self._last = state


def _within(feature: Feature, value: float) -> Any:
    """Return a number within its bounds: itself, the nearest bound, or None for missing."""
    low, high = feature.lowest, feature.highest
    assert low is not None
    assert high is not None
    if low <= value <= high:
        return value
    if feature.out_of_range == "missing":
        return None
    return feature.type(low if value < low else high)
