"""Checkpoints of models, written by a forked child: it sees the model as it was, and this process goes on."""

import gc
import os
import pickle
import signal
import sys
import tempfile
import warnings
from typing import Any

from streams.undo_log import Checkpoint, Pickled

_CHILD_SECONDS = 120
_CHILD_RECURSION = 20_000


class Forked:
    """A checkpoint that a child process writes to an unnamed file.

    Parameters
    ----------
    model
        What to write; the child has it as it is now, whatever becomes of it here.

    Examples
    --------
    >>> numbers = [1, 2]
    >>> forked = Forked(numbers)
    >>> numbers.append(3)
    >>> forked.load()
    [1, 2]
    """

    _size: int | None

    def __init__(self, model: Any) -> None:
        self._child, self._size = 0, None
        self._file = tempfile.TemporaryFile(prefix="riverrun-")  # noqa: SIM115 - it lives as long as this does
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # other threads: the child touches nothing of theirs
            self._child = os.fork()
        if self._child == 0:
            _write_and_exit(model, self._file.fileno())

    def size_bytes(self) -> int | None:
        """Return the size of the pickle, None while the child is at it, 0 when it failed."""
        if self._size is None:
            self._look(os.WNOHANG)
        return self._size

    def _look(self, options: int) -> None:
        """Ask how the child fares, or wait for it."""
        ended, status = os.waitpid(self._child, options)
        if ended:
            self._size = os.fstat(self._file.fileno()).st_size if status == 0 else 0

    def load(self) -> Any:
        """Return the model as it was; waits for the child."""
        if self._size is None:
            self._look(0)
        self._file.seek(0)
        return pickle.load(self._file)

    def __del__(self) -> None:
        """Leave no zombie behind when a checkpoint is forgotten before it is written."""
        if self._child and self._size is None:
            os.kill(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)


def checkpoint(model: Any) -> Checkpoint:
    """Return a checkpoint of a model: forked where the system can, else written on the spot."""
    if not hasattr(os, "fork"):
        return Pickled(model)
    try:
        return Forked(model)
    except OSError:
        return Pickled(model)  # no room for another process, or no place for the file


def _write_and_exit(model: Any, descriptor: int) -> None:
    """The child: write, and end without running anything that belongs to the parent."""
    status = 1
    try:
        gc.disable()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.alarm(_CHILD_SECONDS)
        sys.setrecursionlimit(_CHILD_RECURSION)
        with open(descriptor, "wb", closefd=False) as file:
            pickle.dump(model, file, pickle.HIGHEST_PROTOCOL)
        status = 0
    finally:
        os._exit(status)
