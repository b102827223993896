"""Time that passes when the simulation says so; it stands for the module ``time``."""

#: Late enough that nothing is before 1970.
BEGIN = 1_700_000_000.0


class Clock:
    """Seconds since a beginning."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Set it back."""
        self.now, self._named = 0.0, 0

    def new_name(self) -> str:
        """Return a name that was not there since the beginning."""
        self._named += 1
        return f"{self._named:012d}"

    def monotonic(self) -> float:
        """Seconds."""
        return self.now

    perf_counter = monotonic

    def time(self) -> float:
        """Seconds since 1970."""
        return BEGIN + self.now

    def sleep(self, seconds: float) -> None:
        """Let them pass."""
        self.now += seconds


#: The modules under test look at this one; a world sets it back when it begins.
CLOCK = Clock()
