"""The end of a process in which anything may hang."""

import faulthandler
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger("riverrun.worker")

_FRAMES = 4
_WORDS_SECONDS = 5.0


class LastResort:
    """Ends the process with exit code 1, whatever hangs: nothing is closed, left, or committed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._disarmed = False

    def arm(self, seconds: float) -> None:
        """Have the process end, its stacks written to standard error, unless this is called again in time.

        It takes no thread of Python's to do so, so it also ends one in which somebody hangs who holds the GIL.
        """
        with self._lock:
            if not self._disarmed:
                faulthandler.dump_traceback_later(seconds, exit=True)

    def disarm(self) -> None:
        """Let the process end as it will, from now on."""
        with self._lock:
            self._disarmed = True
            faulthandler.cancel_dump_traceback_later()

    def end_within(self, seconds: float, words: str, last_act: Callable[[], object] = lambda: None) -> None:
        """End, with words and without stacks, unless this is disarmed in time; told again, the first time counts."""
        timer = threading.Timer(seconds, self._end_late, (words, last_act))
        timer.daemon = True
        timer.start()

    def _end_late(self, words: str, last_act: Callable[[], object]) -> None:
        if not self._disarmed:
            try:
                _end_soon()
                log.critical("%s", words)
                last_act()
            finally:
                os._exit(1)

    def end(self, words: str, last_act: Callable[[], object] = lambda: None) -> None:
        """Say why in one line, write the stacks of all threads to standard error, act once more, and end."""
        try:
            _end_soon()
            log.critical("%s. The main thread is at %s", words, main_stack())
            faulthandler.dump_traceback(sys.stderr)
            for handler in logging.getLogger().handlers:
                handler.flush()
            sys.stderr.flush()
            last_act()
        finally:
            os._exit(1)


def _end_soon() -> None:
    """End the process even where somebody hangs who holds the lock of a log handler: then it ends without words."""
    timer = threading.Timer(_WORDS_SECONDS, os._exit, (1,))
    timer.daemon = True
    timer.start()


def main_stack() -> str:
    """Return where the main thread is, in a few words, innermost first.

    Examples
    --------
    >>> "last_resort.py:" in main_stack() and " < " in main_stack()
    True
    """
    main = threading.main_thread().ident
    frame = sys._current_frames().get(main) if main is not None else None
    if frame is None:
        return "its end"
    stack = traceback.extract_stack(frame, limit=_FRAMES)
    return " < ".join(f"{Path(entry.filename).name}:{entry.lineno} {entry.name}" for entry in reversed(stack))
