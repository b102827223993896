"""Records of one window, as far as they are watched: numbers in one array, categories by name."""

from array import array
from collections.abc import Callable, Sequence
from math import nan
from operator import itemgetter
from struct import Struct
from struct import error as StructError
from typing import Any


class Rows:
    """Gathers the watched values of records.

    Numbers stand in one array, record after record, NaN where one is missing: eight bytes each, and side by side, where
    the records' own objects are strewn over the memory and slow to look at again.

    Parameters
    ----------
    numbers, categories
        Names of the features.

    Examples
    --------
    >>> rows = Rows(["a", "b"], ["c"])
    >>> rows.add({"a": 1.5, "b": 2, "c": "x"}, True)
    >>> rows.add({"a": None, "c": "y"}, False)
    >>> rows.column("a"), rows.column("c"), rows.answers
    ([1.5, nan], ['x', 'y'], [True, False])
    """

    __slots__ = (
        "_categories",
        "_numbers",
        "_pack",
        "_pick",
        "_values",
        "answers",
        "first",
        "first_version",
        "last",
        "last_version",
    )

    def __init__(self, numbers: Sequence[str], categories: Sequence[str]) -> None:
        self._numbers = numbers
        self._pick: Callable[[dict[str, Any]], Sequence[Any]] = itemgetter(*numbers) if len(numbers) > 1 else _none
        self._pack = Struct(f"={len(numbers)}d").pack
        self._values = array("d")
        self._categories: dict[str, list[Any]] = {name: [] for name in categories}
        #: What the model answered.
        self.answers: list[Any] = []
        #: Offsets of the first and the last record, and versions of the models that answered them.
        self.first = self.last = -1
        self.first_version = self.last_version = ""

    def __len__(self) -> int:
        return len(self.answers)

    def add(self, x: dict[str, Any], answer: Any) -> None:
        """Take a record: its features, None or absent where one is missing, and the answer."""
        get = x.get
        try:
            packed = self._pack(*self._pick(x))
        except (KeyError, StructError):
            packed = self._pack(*[nan if (value := get(name)) is None else value for name in self._numbers])
        self._values.frombytes(packed)
        for name, column in self._categories.items():
            column.append(get(name))
        self.answers.append(answer)

    def column(self, name: str) -> list[Any]:
        """Return the values of a feature; what is missing is NaN among numbers and None among categories."""
        if name in self._categories:
            return self._categories[name]
        return self._values[self._numbers.index(name) :: len(self._numbers)].tolist()

    def snapshot(self) -> Any:
        """Return the state."""
        ends = self.first, self.last, self.first_version, self.last_version
        return self._values.tolist(), self._categories, self.answers, ends

    def restore(self, state: Any) -> None:
        """Become what `snapshot` was taken of."""
        values, self._categories, self.answers, ends = state
        self.first, self.last, self.first_version, self.last_version = ends
        self._values = array("d", values)


def _none(x: dict[str, Any]) -> Sequence[Any]:
    """Pick nothing, and leave it to the way of those with missing values: one name gives no tuple to pick from."""
    return ()
