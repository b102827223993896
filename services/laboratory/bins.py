"""Bins: a stream of values by offset, summed in at most so many stretches of equal length."""

from msgspec import Struct

MOST_BINS = 512


class Bins(Struct):
    """Counts and sums of values over equal stretches of a partition, without knowing how far it will reach.

    A bin covers ``2 ** shift`` offsets; when there would be too many bins, each two become one. So the bins of two runs
    over one log have common edges.

    Parameters
    ----------
    first
        Offset at which the first bin begins.
    most
        Bins there are at most, an even number; at least half as many once there were more values. Raising it shows
        finer structure and more noise.
    shift
        Logarithm of a bin's width.
    counts, sums
        Of each bin.
    marks
        Sum of the marks in each bin, modulo 2**32: equal where the same events fell in.

    Examples
    --------
    >>> bins = Bins(first=100, most=4)
    >>> for offset in range(100, 110):
    ...     bins.add(offset, 1.0)
    >>> bins.width, bins.counts
    (4, [4, 4, 2])
    """

    first: int = 0
    most: int = MOST_BINS
    shift: int = 0
    counts: list[int] = []
    sums: list[float] = []
    marks: list[int] = []

    @property
    def width(self) -> int:
        """Offsets that a bin covers."""
        return 1 << self.shift

    def add(self, offset: int, value: float, mark: int = 0) -> None:
        """Take a value in; the order of the offsets does not matter.

        Parameters
        ----------
        offset
            Not below `first`.
        value
            A finite number.
        mark
            Stands for the event, for example a checksum of its offset.
        """
        index = self.index(offset)
        self.counts[index] += 1
        self.sums[index] += value
        self.marks[index] = (self.marks[index] + mark) & 0xFFFFFFFF

    def index(self, offset: int) -> int:
        """Return the number of the bin of an offset, after making room for it."""
        index = (offset - self.first) >> self.shift
        while index >= self.most:
            self.halve()
            index >>= 1
        missing = index + 1 - len(self.counts)
        if missing > 0:
            self.counts += [0] * missing
            self.sums += [0.0] * missing
            self.marks += [0] * missing
        return index

    def halve(self) -> None:
        """Make one bin of each two."""
        self.counts = [sum(self.counts[i : i + 2]) for i in range(0, len(self.counts), 2)]
        self.sums = [sum(self.sums[i : i + 2]) for i in range(0, len(self.sums), 2)]
        self.marks = [sum(self.marks[i : i + 2]) & 0xFFFFFFFF for i in range(0, len(self.marks), 2)]
        self.shift += 1

    def coarser(self, shift: int) -> "Bins":
        """Return the same values in bins of ``2 ** shift`` offsets, or of its own width where that is larger."""
        copy = Bins(self.first, self.most, self.shift, list(self.counts), list(self.sums), list(self.marks))
        while copy.shift < shift:
            copy.halve()
        return copy

    def rolling(self, span: int) -> list[float | None]:
        """Return, for each bin, the mean of the values in it and the `span` - 1 bins before, None without any."""
        means: list[float | None] = []
        for end in range(1, len(self.counts) + 1):
            count = sum(self.counts[max(0, end - span) : end])
            means.append(sum(self.sums[max(0, end - span) : end]) / count if count else None)
        return means
