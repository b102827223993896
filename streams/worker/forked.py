"""What a forked child writes: it sees this process as it was, and this process goes on."""

import gc
import io
import os
import pickle
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO

from streams.undo_log import Checkpoint, Pickled

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_CHILD_SECONDS = 120
#: The first descriptor after those of input, output and errors.
_FIRST = 3
_OPEN_FILES = "/dev/fd"
_CHILD_RECURSION = 20_000
_MESSAGE_CHARACTERS = 1000


class Forked:
    """An unnamed file that a child process writes.

    Parameters
    ----------
    write
        Writes to the file; it finds everything as it is now, whatever becomes of it here.

    Examples
    --------
    >>> numbers = [1, 2]
    >>> forked = Forked(lambda file: file.write(bytes(numbers)))
    >>> numbers.append(3)
    >>> forked.file().read()
    b'\\x01\\x02'
    """

    def __init__(self, write: Callable[[BinaryIO], object]) -> None:
        self._child = 0
        self._size: int | None = None
        #: Why the child failed, if it did and could tell.
        self.failure = ""
        #: Processor time that the child took.
        self.cpu_seconds = 0.0
        self._file = tempfile.TemporaryFile(prefix="riverrun-")  # noqa: SIM115 - it lives as long as this does
        parent = os.getpid()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # other threads: the child touches nothing of theirs
            self._child = os.fork()
        if self._child == 0:
            _write_and_exit(write, self._file.fileno(), parent)

    def size_bytes(self) -> int | None:
        """Return the size of the file, None while the child is at it, 0 when it failed."""
        if self._size is None:
            self._look(os.WNOHANG)
        return self._size

    def _look(self, options: int) -> None:
        """Ask how the child fares, or wait for it."""
        ended, status, usage = os.wait4(self._child, options)
        if not ended:
            return
        self.cpu_seconds = usage.ru_utime + usage.ru_stime
        self._size = os.fstat(self._file.fileno()).st_size if status == 0 else 0
        if status != 0:
            told = os.pread(self._file.fileno(), 4 * _MESSAGE_CHARACTERS, 0) if os.WIFEXITED(status) else b""
            self.failure = told.decode(errors="replace") or f"the child that writes it ended with status {status}"

    def file(self) -> BinaryIO:
        """Return the file, at its beginning; waits for the child."""
        if self._size is None:
            self._look(0)
        self._file.seek(0)
        return self._file

    def __del__(self) -> None:
        """Leave no zombie behind when this is forgotten before it is written."""
        if self._child and self._size is None:
            os.kill(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)


class ForkedCheckpoint:
    """A checkpoint of a model that a child process writes.

    Parameters
    ----------
    model
        What to write.

    Examples
    --------
    >>> numbers = [1, 2]
    >>> checkpoint = ForkedCheckpoint(numbers)
    >>> numbers.append(3)
    >>> checkpoint.load()
    [1, 2]
    """

    def __init__(self, model: Any) -> None:
        self._written = Forked(lambda file: pickle.dump(model, file, pickle.HIGHEST_PROTOCOL))

    def size_bytes(self) -> int | None:
        """Return the size of the pickle, None while the child is at it, 0 when it failed."""
        return self._written.size_bytes()

    def load(self) -> Any:
        """Return the model as it was; waits for the child."""
        return pickle.load(self._written.file())


def checkpoint(model: Any) -> Checkpoint:
    """Return a checkpoint of a model: forked where the system can, else written on the spot."""
    if not hasattr(os, "fork"):
        return Pickled(model)
    try:
        return ForkedCheckpoint(model)
    except OSError:
        return Pickled(model)  # no room for another process, or no place for the file


def _write_and_exit(write: Callable[[BinaryIO], object], descriptor: int, parent: int) -> None:
    """The child: write, and end without running anything that belongs to the parent."""
    status = 1
    try:
        gc.disable()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.alarm(_CHILD_SECONDS)
        sys.setrecursionlimit(_CHILD_RECURSION)
        _close_others(descriptor)
        try:
            file = io.BufferedWriter(_Leashed(descriptor, parent))
            write(file)
            file.flush()
            status = 0
        except Exception as error:
            # Past what `file` has in its buffer, which there may be no room for.
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{type(error).__name__}: {error}"[:_MESSAGE_CHARACTERS].encode(), 0)
    finally:
        os._exit(status)


class _Leashed(io.FileIO):
    """A file of the child, which ends when it has something to write and its parent is gone."""

    def __init__(self, descriptor: int, parent: int) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self._parent = parent

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write, for as long as somebody waits for it."""
        if os.getppid() != self._parent:
            os._exit(1)
        return super().write(data)


def _close_others(descriptor: int) -> None:
    """Close what the parent has open: where that is killed, its port and its connections end with it."""
    try:
        opened = {int(name) for name in os.listdir(_OPEN_FILES)}  # the limit of open files may be a thousand million
    except OSError:
        os.closerange(_FIRST, descriptor)
        os.closerange(max(_FIRST, descriptor + 1), os.sysconf("SC_OPEN_MAX"))
        return
    for number in opened - {*range(_FIRST), descriptor}:
        with suppress(OSError):
            os.close(number)
