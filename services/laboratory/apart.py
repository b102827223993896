"""A combination in a process of its own, so that one that dies, or eats the memory, takes no other with it."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

from services.laboratory.outcome import Job, Outcome, decode_outcome, encode

_ROOT = Path(__file__).resolve().parents[2]
_SAID_BYTES = 2000
Tell = Callable[[float], None]


class Apart:
    """Processes that play jobs, one each; all end with the one that started them.

    A pool of `concurrent.futures` would fail all that it has when one of its processes is killed, and its processes
    cannot be started from within those of dask.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def play(self, job: Job, tell: Tell = lambda share: None) -> Outcome:
        """Return what comes of a job; what goes wrong is an outcome, too.

        Parameters
        ----------
        job
            What to play.
        tell
            Hears, a few times a second, which share of the records has been read.
        """
        with tempfile.TemporaryFile() as said:
            process = self._start(job, said)
            if process is None:
                return Outcome(job.combination, error="interrupted")
            try:
                outcome = _follow(process, job, tell)
            finally:
                self._end(process)
            if outcome is None:
                outcome = Outcome(job.combination, error=_cause(process.returncode, said))
            return outcome

    def stop(self) -> None:
        """Kill all that are running; no other is started."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.kill()

    def _start(self, job: Job, said: IO[bytes]) -> "subprocess.Popen[bytes] | None":
        paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "PYTHONHASHSEED": job.hash_seed, "PYTHONPATH": os.pathsep.join(paths)}
        with self._lock:
            if self._stopped:
                return None
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "services.laboratory.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                env=environment,
                start_new_session=True,  # ^C is for us; we end it
            )
            self._running.add(process)
        return process

    def _end(self, process: "subprocess.Popen[bytes]") -> None:
        process.kill() if process.returncode is None and process.poll() is None else None
        process.communicate()
        with self._lock:
            self._running.discard(process)


def _follow(process: "subprocess.Popen[bytes]", job: Job, tell: Tell) -> Outcome | None:
    """Send the job and read what is said: shares, and at last the outcome."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(encode(job) + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        return None
    for line in process.stdout:
        if line.startswith(b"{"):
            process.wait()
            return decode_outcome(line)
        tell(float(line))
    process.wait()
    return None


def _cause(code: int, said: IO[bytes]) -> str:
    """Tell how a process ended that gave no answer."""
    try:
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    except ValueError:
        how = f"killed by signal {-code}"
    said.seek(max(0, said.seek(0, 2) - _SAID_BYTES))
    lines = [line.strip() for line in said.read().decode(errors="replace").splitlines() if line.strip()]
    return f"the process was {how}" + (f": {lines[-1]}" if lines else "")
