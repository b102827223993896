"""A fresh Kafka broker for one race: riverrun's own when it is there, else noida-db as a child process."""

from __future__ import annotations

import shutil
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.child import Child

try:
    from services.broker import EmbeddedBroker
except ImportError:  # the peers can be measured without the project's own dependencies
    EmbeddedBroker = None

START_TIMEOUT_SECONDS = 20.0


@contextmanager
def fresh_broker() -> Iterator[str]:
    """Run an empty broker on a free port and yield its bootstrap address.

    A broker of its own keeps one contestant's topics, groups and the broker's memory out of the next one's measure.
    """
    with TemporaryDirectory(prefix="riverrun-bench-", ignore_cleanup_errors=True) as folder:
        if EmbeddedBroker is not None:
            with EmbeddedBroker(Path(folder), dies_with_parent=True) as bootstrap:
                yield bootstrap
            return
        broker, bootstrap = _start(Path(folder))
        try:
            yield bootstrap
        finally:
            broker.kill()


def _start(folder: Path) -> tuple[Child, str]:
    """Start noida-db and wait until it listens."""
    port = _free_port()
    argv = [_executable(), "start", "--only", "kafka", "--kafka-port", str(port), "--data-dir", str(folder / "data")]
    broker = Child(argv, folder / "broker.log")
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not _listens(port):
        if not broker.running or time.monotonic() > deadline:
            broker.kill()
            raise RuntimeError(f"broker did not start on port {port}: {broker.last_words()}")
        time.sleep(0.05)
    return broker, f"127.0.0.1:{port}"


def _executable() -> str:
    """Find noida-db next to the interpreter, then on the path."""
    beside = Path(sys.executable).parent / "noida-db"
    found = str(beside) if beside.exists() else shutil.which("noida-db")
    if found is None:
        raise RuntimeError("noida-db not found: install the bench extra (`pip install noida-db`)")
    return found


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
