"""The leash: a broker ends with the process that started it, however that one ends."""

import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
# The kernel closes the owner's end of the pipe however the owner ends; only then does this import anything.
_PROGRAM = """
import sys
sys.stdin.buffer.read()
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from services.broker.home import BrokerHome
BrokerHome(Path(sys.argv[2])).stop(only=sys.argv[3])
"""


class Leash:
    """A small process that stops a broker as soon as this process is gone.

    Parameters
    ----------
    data_dir
        The broker's.
    start_id
        Of the broker as it is now: one that was started later is left alone.
    """

    def __init__(self, data_dir: Path, start_id: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(_ROOT), str(data_dir), start_id],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def drop(self) -> None:
        """End it; the broker goes its own way."""
        self._process.kill()
        self._process.communicate()
