"""What librdkafka says, without its repetitions: a broker that is away is told of twenty times a second."""

import logging
import re
import time
from collections.abc import Callable

_SECONDS = 60.0
_MOST = 256
#: What tells alike messages from each other: clients and threads, remarks in brackets, whose connection it is.
_DETAILS = re.compile(r"\[[^]]*\]|\([^)]*\)|/bootstrap|/\d+")


class Repetitions(logging.Filter):
    """Lets a message pass once a minute, with the number of those like it that were held back meanwhile.

    Messages are alike that differ in nothing but clients, threads and what stands in brackets. Why a
    transaction was aborted never passes: that is told once, by us.

    Parameters
    ----------
    clock
        Returns seconds.

    Examples
    --------
    >>> passes, seconds = Repetitions(lambda: seconds), 0.0
    >>> record = logging.LogRecord("kafka", logging.ERROR, "", 0, "FAIL [client-%d]", (3,), None)
    >>> passes.filter(record), passes.filter(record), passes.filter(record)
    (True, False, False)
    >>> seconds = 61.0
    >>> passes.filter(record), record.getMessage()
    (True, 'FAIL [client-3] (2 more like this in the minute before)')
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._told: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a message is to be passed on."""
        message = record.getMessage()
        if "TXNERR" in message:
            return False
        kind, now = _DETAILS.sub("", message), self._clock()
        at, held_back = self._told.get(kind, (now - _SECONDS, 0))
        if now - at < _SECONDS:
            self._told[kind] = at, held_back + 1
            return False
        if len(self._told) >= _MOST:
            self._told.clear()
        self._told[kind] = now, 0
        if held_back:
            record.msg, record.args = f"{message} ({held_back} more like this in the minute before)", None
        return True
