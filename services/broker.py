"""A Kafka broker for one machine: for the demo, the tests and a developer's desk.

The seam is `Broker`: start it, stop it, ask how it is. `EmbeddedBroker` stands behind it with noida-db, a 12 MB binary
that comes as a Python wheel, speaks Kafka's protocol on the loopback interface and answers in under a second.

What the data directory holds beside the engine's own files:

- ``broker.json``: the process that serves this directory, and where it does; there while it runs.
- ``broker.log``: what the engine said since its last start.
- ``broker.lock``: held while a start or a stop is under way, so that two of them never meet.

The engine keeps all records in memory and saves them some 20 seconds after the last write and when it is stopped: one
that is killed loses its last seconds. It answers empty fetches at once instead of waiting, so that every idle consumer
keeps half a core busy, and half a core of the broker's. A single node for development, nothing to run in production.
"""

import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol

import psutil
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from schemas.errors import BrokerError

HOST = "127.0.0.1"
START_TIMEOUT_SECONDS = 20.0
STOP_GRACE_SECONDS = 30.0
LOG_TAIL_LINES = 8

# The kernel closes the owner's end of the pipe however the owner ends; only then does this import anything.
_LEASH = """
import sys
sys.stdin.buffer.read()
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from services.broker import EmbeddedBroker
EmbeddedBroker(Path(sys.argv[2])).stop(only_pid=int(sys.argv[3]))
"""


@dataclass(frozen=True, slots=True)
class BrokerRecord:
    """What ``broker.json`` says: the process that serves a data directory, and where."""

    engine: str
    pid: int
    port: int
    bootstrap: str
    started: str
    command: list[str]


@dataclass(frozen=True, slots=True)
class BrokerStatus:
    """How a broker is.

    Parameters
    ----------
    state
        ``running``; ``stopped``: nothing was started; ``stale``: ``broker.json`` names a process that is gone.
    record
        What ``broker.json`` says; ``None`` when stopped, and when the file cannot be read.
    """

    state: Literal["running", "stopped", "stale"]
    record: BrokerRecord | None = None


class Broker(Protocol):
    """A Kafka broker that can be started: the seam where another engine takes noida-db's place."""

    def start(self) -> str:
        """Start it unless it runs, and return its bootstrap servers once it answers."""
        ...

    def stop(self) -> None:
        """Stop it if it runs."""
        ...

    def status(self) -> BrokerStatus:
        """Tell whether it runs, and where."""
        ...


class EmbeddedBroker:
    """Run noida-db's Kafka in the background, one per data directory.

    The broker outlives the process that started it, until somebody calls `stop`. In a ``with`` statement it lives as
    long as the block.

    Parameters
    ----------
    data_dir
        Where the engine keeps its data; made when it is not there. Two objects on one directory mean one broker.
    port
        TCP port on the loopback interface; ``None`` takes a free one. A broker that runs already keeps its own.
    dies_with_parent
        Stop the broker when this process ends, in whatever way, ``kill -9`` included. Holds only for a broker that this
        object started, never for one it found running.

    Examples
    --------
    >>> with EmbeddedBroker(Path("data"), dies_with_parent=True) as bootstrap:  # doctest: +SKIP
    ...     print(bootstrap)
    127.0.0.1:40123
    """

    def __init__(self, data_dir: Path, *, port: int | None = None, dies_with_parent: bool = False) -> None:
        self.data_dir = data_dir.resolve()
        self.log_path = self.data_dir / "broker.log"
        self._record_path = self.data_dir / "broker.json"
        self._port = port
        self._dies_with_parent = dies_with_parent
        self._leash: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> str:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> str:
        """Start the broker unless it runs, and return its bootstrap servers once Kafka answers.

        Returns
        -------
        str
            Bootstrap servers, such as ``127.0.0.1:9092``.

        Raises
        ------
        BrokerError
            noida-db is not installed, the port is taken, or Kafka did not answer within 20 seconds.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with self._lock():
            status = self.status()
            if status.state == "running" and status.record is not None:
                return status.record.bootstrap
            port = free_port() if self._port is None else self._port
            command = [str(engine_path()), "start", "--only", "kafka", "--host", HOST]
            command += ["--kafka-port", str(port), "--data-dir", str(self.data_dir)]
            refuse_taken_port(port)
            return self._launch(command, port)

    def stop(self, *, only_pid: int | None = None) -> None:
        """Stop the broker, which saves its data first; does nothing when none runs.

        Parameters
        ----------
        only_pid
            Stop it only while it is still this process; ``None`` stops whichever serves the data directory.
        """
        if self.data_dir.is_dir():
            with self._lock():
                status = self.status()
                if status.record is not None and only_pid not in (None, status.record.pid):
                    return
                if status.state == "running" and status.record is not None:
                    end(status.record.pid)
                self._record_path.unlink(missing_ok=True)
        self._drop_leash()

    def status(self) -> BrokerStatus:
        """Tell whether the broker runs, and where; a process id that another program has now counts as gone."""
        try:
            text = self._record_path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return BrokerStatus("stopped")
        try:
            record = BrokerRecord(**json.loads(text))
        except (ValueError, TypeError):
            return BrokerStatus("stale")
        return BrokerStatus("running" if is_alive(record) else "stale", record)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with (self.data_dir / "broker.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _launch(self, command: list[str], port: int) -> str:
        with self.log_path.open("wb") as log:
            engine = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.data_dir, start_new_session=True
            )
        started = datetime.now(UTC).isoformat(timespec="seconds")
        record = BrokerRecord("noida-db", engine.pid, port, f"{HOST}:{port}", started, command)
        try:
            self._write(record)
            if self._dies_with_parent:
                self._leash = leash(self.data_dir, engine.pid)
            self._wait_until_answers(record, engine)
        except BaseException:
            end(engine.pid)
            self._record_path.unlink(missing_ok=True)
            self._drop_leash()
            raise
        return record.bootstrap

    def _write(self, record: BrokerRecord) -> None:
        draft = self._record_path.with_suffix(".json.new")
        draft.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")
        draft.replace(self._record_path)

    def _wait_until_answers(self, record: BrokerRecord, engine: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not (listens(record.port) and serves_kafka(record.bootstrap)):
            if engine.poll() is not None:
                raise self._failure(f"ended with exit status {engine.returncode} before Kafka answered", record)
            if time.monotonic() > deadline:
                raise self._failure(f"did not answer as Kafka within {START_TIMEOUT_SECONDS:g} s", record)
            time.sleep(0.02)

    def _failure(self, what: str, record: BrokerRecord) -> BrokerError:
        lines = self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        words = [line for line in lines if "weak version `GLIBC" not in line][-LOG_TAIL_LINES:]
        said = "\n  ".join(words) or "(nothing)"
        return BrokerError(f"noida-db at {record.bootstrap} {what}; {self.log_path} ends with:\n  {said}")

    def _drop_leash(self) -> None:
        if self._leash is not None:
            self._leash.kill()
            self._leash.communicate()
            self._leash = None


def engine_path() -> Path:
    """Return noida-db's binary, inside its package: the console script is a wrapper that keeps signals from it."""
    spec = find_spec("noida_db")
    if spec is None or spec.origin is None:
        raise BrokerError(
            "the local broker needs the package noida-db, which is not installed: pip install riverrun[demo]"
        )
    path = Path(spec.origin).with_name("noida-db")
    if not path.is_file():
        raise BrokerError(
            f"the package noida-db holds no binary for this system (looked for {path}): use a Kafka elsewhere"
        )
    if not os.access(path, os.X_OK):
        path.chmod(0o755)
    return path


def free_port() -> int:
    """Return a TCP port that nothing listens on right now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def refuse_taken_port(port: int) -> None:
    """Raise where another program listens, so that its answers are not taken for our broker's."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            reason = error.strerror or str(error)
            raise BrokerError(
                f"cannot start the local broker: port {port} on {HOST} is not free ({reason}); "
                "stop the program that has it, or choose another port"
            ) from error


def listens(port: int) -> bool:
    """Tell whether something accepts connections on a port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def serves_kafka(bootstrap: str) -> bool:
    """Tell whether a Kafka answers a metadata request within a second."""
    try:
        AdminClient({"bootstrap.servers": bootstrap, "log_level": 0}).list_topics(timeout=1)
    except KafkaException:
        return False
    return True


def is_alive(record: BrokerRecord) -> bool:
    """Tell whether a record's process runs and still is the one that was started."""
    try:
        command: list[str] = psutil.Process(record.pid).cmdline()
    except psutil.Error:
        return False
    return command == record.command


def end(pid: int) -> None:
    """End a process: ask, wait for it to save its data, then kill."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        process.terminate()
        try:
            process.wait(STOP_GRACE_SECONDS)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait()


def leash(data_dir: Path, pid: int) -> subprocess.Popen[bytes]:
    """Start a small process that stops the broker as soon as this process is gone."""
    root = Path(__file__).resolve().parents[1]
    return subprocess.Popen(
        [sys.executable, "-c", _LEASH, str(root), str(data_dir), str(pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
