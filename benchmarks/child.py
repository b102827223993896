"""A contestant's process: start it, read its CPU time and memory, end it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

STOP_TIMEOUT_SECONDS = 15.0
_LOG_TAIL_CHARACTERS = 600


class Child:
    """A process and whatever processes it starts itself.

    Parameters
    ----------
    argv
        Program and arguments.
    log
        File that takes its standard output and error.
    env
        Variables on top of this process's own.
    """

    def __init__(self, argv: Sequence[str], log: Path, env: dict[str, str] | None = None) -> None:
        self._log = log
        with log.open("wb") as sink:
            self._popen = subprocess.Popen(
                argv, stdout=sink, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}, start_new_session=True
            )
        self._process = psutil.Process(self._popen.pid)

    @property
    def running(self) -> bool:
        """Whether the process is still there."""
        return self._popen.poll() is None

    def cpu_seconds(self) -> float:
        """Return user + system time of all threads, of living children, and of children already waited for."""
        own = self._process.cpu_times()
        total = own.user + own.system + own.children_user + own.children_system
        for process in self._process.children(recursive=True):
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
        return total

    def peak_rss_megabytes(self) -> float:
        """Return the largest resident set so far, children's added."""
        family = [self._process, *self._process.children(recursive=True)]
        return sum(peak_rss_megabytes(process.pid) for process in family)

    def rss_megabytes(self) -> float:
        """Return the resident set now, without children."""
        return self._process.memory_info().rss / 1e6

    def log_text(self) -> str:
        """Return everything the process has printed."""
        return self._log.read_text(errors="replace")

    def last_words(self) -> str:
        """Return the end of its log on one line, to say why it failed."""
        lines = self.log_text()[-_LOG_TAIL_CHARACTERS:].split("\n")
        return " | ".join(line.strip() for line in lines[-6:] if line.strip())

    def pause(self) -> None:
        """Hold the process and its children where they are (SIGSTOP)."""
        for process in [self._process, *self._process.children(recursive=True)]:
            process.suspend()

    def resume(self) -> None:
        """Let them go on."""
        for process in [self._process, *self._process.children(recursive=True)]:
            process.resume()

    def stop(self) -> None:
        """Ask the process to end; kill what is left of its family after `STOP_TIMEOUT_SECONDS`."""
        if self.running:
            self._popen.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(STOP_TIMEOUT_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End the process and everything it started at once, also what outlived its parent, and wait for the end.

        The process leads a group of its own (a new session), which its children share: a wrapper's program dies too.
        """
        family = self._process.children(recursive=True) if self.running else []
        with suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()
        psutil.wait_procs(family, timeout=STOP_TIMEOUT_SECONDS)


def exit_on_sigterm() -> None:
    """Turn SIGTERM into `SystemExit`, so that a driver that is stopped still ends its children."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def peak_rss_megabytes(pid: int | str = "self") -> float:
    """Return a process's VmHWM in megabytes (Linux; 0 when it has gone)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0
