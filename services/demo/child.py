"""The worker of the demo: a child process that ends with its parent, however the parent ends."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from schemas.errors import RiverrunError
from services.demo.scenario import ROOT
from streams.worker.keys import SIGNING_FILE, TRUSTED_FOLDER, make_keys

STOP_GRACE_SECONDS = 10.0
TAIL_LINES = 12

# Imports are what a start takes: they are done while the broker starts. Then the pipe brings the command line, and
# later its own end: the kernel closes it however the parent ends.
_PROGRAM = """
import os, signal, sys, threading
import river.linear_model, river.metrics, streams.worker.main
from services.cli import main
command = b""
while not command.endswith(b"\\0\\0"):
    command += os.read(0, 4096) or sys.exit(0)
def leash():
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=leash, daemon=True).start()
sys.argv[1:] = command.decode().split("\\0")[:-2]
main()
"""


class WorkerFailed(RiverrunError):
    """The worker ended by itself."""


class Worker:
    """``riverrun run`` in a process of its own, out of reach of the terminal's Ctrl-C.

    Parameters
    ----------
    log_path
        What it says goes there.
    keys
        Folder of the keys that its snapshots are signed with; made if they are not there.
    """

    def __init__(self, log_path: Path, keys: Path) -> None:
        self.log_path = log_path
        # What is set for other deployments is not meant for this one.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RIVERRUN_")}
        paths = filter(None, (str(ROOT), inherited.get("PYTHONPATH")))
        signing_key, trusted_keys = keys / SIGNING_FILE, keys / TRUSTED_FOLDER
        if not signing_key.exists():
            make_keys(keys)
        ours = {"RIVERRUN_SIGNING_KEY": str(signing_key), "RIVERRUN_TRUSTED_KEYS": str(trusted_keys)}
        ours["RIVERRUN_COMMANDS"] = "open"  # whoever tries the demo may also try the commands
        ours["RIVERRUN_METRICS_HOST"] = "127.0.0.1"  # only this machine has to see it
        with log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={"PYTHONHASHSEED": "0", **inherited, **ours, "PYTHONPATH": os.pathsep.join(paths)},
            )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def run(self, example: Path, bootstrap: str, metrics_port: int) -> None:
        """Let it begin.

        Parameters
        ----------
        example
            The file that declares ``pipeline``.
        bootstrap
            Bootstrap servers.
        metrics_port
            Of its Prometheus endpoint.
        """
        self.check()
        assert self._process.stdin is not None
        command = ["run", f"{example}:pipeline", "--bootstrap-servers", bootstrap, "--metrics-port", str(metrics_port)]
        with suppress(BrokenPipeError):  # then `check` has something to say
            self._process.stdin.write("".join(f"{word}\0" for word in command).encode() + b"\0")
            self._process.stdin.flush()

    def check(self) -> None:
        """Raise `WorkerFailed` with its last words when it has ended."""
        if (code := self._process.poll()) is not None:
            lines = self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
            said = [line for line in lines if line.isprintable() and line.strip()]
            words = "\n".join(f"  {line}" for line in said[-TAIL_LINES:]) or "  (nothing)"
            raise WorkerFailed(f"the worker ended with exit status {code}; {self.log_path} ends with:\n{words}")

    def stop(self, grace_seconds: float = STOP_GRACE_SECONDS) -> None:
        """End it: ask, wait for its last commit, then kill."""
        process = self._process
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(grace_seconds)
            except subprocess.TimeoutExpired:
                process.kill()
        process.communicate()
