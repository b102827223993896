"""Signals, heard of although the main thread is busy in a library."""

import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)]


def listen_to_signals(ending: Callable[[], object]) -> None:
    """Call something, from a thread of its own, when the process is told to end.

    Whoever listened before still hears of it. Python runs handlers, and an event loop its callbacks, between two steps
    of the main thread; what the interpreter writes to the wakeup descriptor is there at once. To be called in the main
    thread, after the loop has its handlers.

    Parameters
    ----------
    ending
        Called for SIGTERM and SIGINT, and SIGHUP where there is such a signal and somebody handles it.
    """
    here, there = socket.socketpair()
    there.setblocking(False)
    before = signal.set_wakeup_fd(there.fileno(), warn_on_full_buffer=False)

    def listen() -> None:
        while there and (numbers := here.recv(64)):  # both stay open as long as the process
            if any(number in _ENDING for number in numbers):
                ending()
            if before >= 0:
                with suppress(OSError):  # full, or closed: it has been told, or is at its end
                    os.write(before, numbers)

    threading.Thread(target=listen, name="riverrun-signals", daemon=True).start()
