"""The event-time watermark: the largest event time seen that can be believed."""

import sys
from typing import Any


class EventTime:
    """The watermark of one partition. It never goes back.

    A record that lies more than `max_leap_ms` ahead is a leap. One leap alone does not move the watermark (a
    wrong clock); when the next record leaps as well, time has really moved on, and each record from there
    takes the watermark at most `max_leap_ms` further. The first record is measured by Kafka's timestamp.

    Parameters
    ----------
    max_leap_ms
        Largest step in milliseconds.

    Examples
    --------
    >>> clock = EventTime(max_leap_ms=1000)
    >>> for time_ms in (5000, 5500, 999_999, 5600, 90_000, 90_001):
    ...     leaps = clock.leaps(time_ms)
    ...     clock.advance(time_ms)
    ...     print(clock.watermark_ms, leaps)
    5000 False
    5500 False
    5500 True
    5600 False
    5600 True
    6600 True
    """

    def __init__(self, max_leap_ms: int) -> None:
        self._max_leap_ms = max_leap_ms
        self._leapt = False
        self._start_ms = -1
        self.watermark_ms = -1
        self._horizon_ms = sys.maxsize

    def begin(self, timestamp_ms: int) -> None:
        """Take Kafka's timestamp of the first record as the measure of its event time, unless there is none."""
        if timestamp_ms > 0:
            self._start_ms, self._horizon_ms = timestamp_ms, timestamp_ms + self._max_leap_ms

    def leaps(self, time_ms: int) -> bool:
        """Tell whether a record of this time lies too far ahead to be believed on its own word."""
        return time_ms > self._horizon_ms

    def after(self, time_ms: int) -> int:
        """Return what the watermark would be after a record of this time."""
        if not self.leaps(time_ms):
            return max(time_ms, self.watermark_ms)
        if self.watermark_ms < 0:
            return self._start_ms
        return self.watermark_ms + self._max_leap_ms if self._leapt else self.watermark_ms

    def advance(self, time_ms: int) -> None:
        """Take the time of a record over."""
        if self.watermark_ms <= time_ms <= self._horizon_ms:
            self.watermark_ms, self._leapt = time_ms, False
        else:
            self.watermark_ms, self._leapt = self.after(time_ms), self.leaps(time_ms)
        self._horizon_ms = self.watermark_ms + self._max_leap_ms

    def snapshot(self) -> Any:
        """Return the state."""
        return self.watermark_ms, self._leapt, self._start_ms, self._horizon_ms

    def restore(self, state: Any) -> None:
        """Become what `snapshot` was taken of."""
        self.watermark_ms, self._leapt, self._start_ms, self._horizon_ms = state
