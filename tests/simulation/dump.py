"""A dump as a forked child writes it: of the moment at which it begins, and there some cycles later."""

import io
from collections.abc import Callable
from typing import BinaryIO

from schemas.errors import SnapshotError


class Dump:
    """Written on the spot; the process hears of it later.

    Parameters
    ----------
    write
        Writes to the file.
    """

    #: How often it is asked for before it is there; a world decides.
    cycles = 0
    #: Simulated time is none of the processor's.
    cpu_seconds = 0.0

    def __init__(self, write: Callable[[BinaryIO], object]) -> None:
        self.failure = ""
        self._file = io.BytesIO()
        self._asked = 0
        try:
            write(self._file)
        except SnapshotError as error:
            self._file, self.failure = io.BytesIO(), str(error)

    def size_bytes(self) -> int | None:
        """Return its size, 0 when it failed, None while it is not there."""
        self._asked += 1
        return None if self._asked <= self.cycles else len(self._file.getvalue())

    def file(self) -> BinaryIO:
        """Return the file."""
        self._file.seek(0)
        return self._file
