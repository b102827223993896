"""The course of a broker's life, the same for every engine: start, stop, and the death of single nodes."""

import secrets
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import psutil
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from schemas.errors import BrokerError
from services.broker.home import BrokerHome, end
from services.broker.leash import Leash
from services.broker.ports import listens, refuse_taken_port
from services.broker.record import BrokerRecord, BrokerStatus, Node

LOG_TAIL_LINES = 8


class Engine(Protocol):
    """A program that speaks Kafka's protocol: the seam where another one takes its place."""

    @property
    def name(self) -> str:
        """Its name, as ``broker.json`` has it."""
        ...

    @property
    def start_timeout_seconds(self) -> float:
        """How long it may take until it answers."""
        ...

    def prepare(self, data_dir: Path) -> list[Node]:
        """Make ready what it needs in a data directory, and return the processes to start."""
        ...


class Broker:
    """Run an engine in the background, one per data directory.

    The broker outlives the process that started it, until somebody calls `stop`. In a ``with`` statement it lives as
    long as the block.

    Parameters
    ----------
    engine
        What runs.
    data_dir
        Where the engine keeps its data; made when it is not there. Two objects on one directory mean one broker.
    dies_with_parent
        Stop the broker when this process ends, in whatever way, ``kill -9`` included. Holds only for a broker that this
        object started, never for one it found running.
    """

    def __init__(self, engine: Engine, data_dir: Path, *, dies_with_parent: bool = False) -> None:
        self.data_dir = data_dir.resolve()
        self._engine = engine
        self._home = BrokerHome(data_dir)
        self._dies_with_parent = dies_with_parent
        self._leash: Leash | None = None

    def __enter__(self) -> str:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> str:
        """Start the broker unless it runs, and return its bootstrap servers once Kafka answers.

        Nodes of a running broker that are down are left alone: `start_node` starts them.

        Returns
        -------
        str
            Bootstrap servers, such as ``127.0.0.1:9092``.

        Raises
        ------
        BrokerError
            The engine is not installed, another one serves the directory, a port is taken, or Kafka did not answer in
            time.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with self._home.lock():
            status = self.status()
            if status.is_up and status.record is not None:
                self._refuse_another(status.record.engine)
                return status.record.bootstrap
            nodes = self._engine.prepare(self.data_dir)
            for node in nodes:
                refuse_taken_port(node.port)
            return self._launch(nodes)

    def stop(self) -> None:
        """Stop the broker, which saves its data first; does nothing when none runs."""
        self._home.stop()
        self._drop_leash()

    def status(self) -> BrokerStatus:
        """Tell whether the broker runs, and where; a process id that another program has now counts as gone."""
        return self._home.status()

    # ------------------------------------------------------------------ single nodes

    def kill(self, number: int) -> None:
        """Kill a node, as the kernel would that is out of memory: it saves nothing."""
        with self._home.lock():
            record, node = self._node(number)
            if node.is_alive and node.pid is not None:
                with suppress(psutil.NoSuchProcess):
                    process = psutil.Process(node.pid)
                    process.kill()
                    process.wait()
            self._note(record, replace(node, pid=None))

    def stop_node(self, number: int) -> None:
        """Stop a node cleanly: it hands over what it leads and saves its data."""
        with self._home.lock():
            record, node = self._node(number)
            if node.is_alive and node.pid is not None:
                end([node.pid])
            self._note(record, replace(node, pid=None))

    def start_node(self, number: int) -> None:
        """Start a node again on its own data, unless it runs; returns when the others know of it.

        Raises
        ------
        BrokerError
            Its port is taken, or it did not answer in time.
        """
        with self._home.lock():
            record, node = self._node(number)
            if node.is_alive:
                return
            refuse_taken_port(node.port)
            process = self._spawn(node)
            started = replace(node, pid=process.pid)
            record = self._note(record, started)
            up = [other for other in record.nodes if other.is_alive]
            try:
                self._wait_until_answers([started], [process], len(up))
            except BaseException:
                end([process.pid])
                self._note(record, node)
                raise

    def _node(self, number: int) -> tuple[BrokerRecord, Node]:
        """Return the record and one of its nodes."""
        record = self.status().record
        for node in record.nodes if record else ():
            if record is not None and node.number == number:
                return record, node
        known = [node.number for node in record.nodes] if record else "no broker"
        raise BrokerError(f"{self.data_dir}: got node {number}, expected one of those that were started: {known}")

    def _note(self, record: BrokerRecord, changed: Node) -> BrokerRecord:
        """Write down a node that has changed."""
        nodes = [changed if node.number == changed.number else node for node in record.nodes]
        record = replace(record, nodes=nodes)
        self._home.write(record)
        return record

    # ------------------------------------------------------------------ how it starts

    def _refuse_another(self, running: str) -> None:
        if running != self._engine.name:
            raise BrokerError(
                f"{self.data_dir}: got a running {running}, expected {self._engine.name} or nothing; "
                "stop it (riverrun broker stop), or use another --data-dir"
            )

    def _launch(self, nodes: list[Node]) -> str:
        started = datetime.now(UTC).isoformat(timespec="seconds")
        record = BrokerRecord(self._engine.name, secrets.token_hex(4), started, nodes)
        processes: list[subprocess.Popen[bytes]] = []
        try:
            self._home.write(record)
            if self._dies_with_parent:
                self._leash = Leash(self.data_dir, record.start_id)
            for node in nodes:
                processes.append(self._spawn(node))
                record = self._note(record, replace(node, pid=processes[-1].pid))
            self._wait_until_answers(record.nodes, processes, len(nodes))
        except BaseException:
            end([process.pid for process in processes])
            self._home.forget()
            self._drop_leash()
            raise
        return record.bootstrap

    def _spawn(self, node: Node) -> subprocess.Popen[bytes]:
        with (self.data_dir / node.log).open("wb") as log:
            return subprocess.Popen(
                node.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.data_dir,
                start_new_session=True,
            )  # fmt: skip

    def _wait_until_answers(
        self, nodes: Sequence[Node], processes: Sequence[subprocess.Popen[bytes]], brokers: int
    ) -> None:
        """Wait until each of the nodes knows of so many brokers."""
        patience = self._engine.start_timeout_seconds
        deadline = time.monotonic() + patience
        waiting = list(nodes)
        while waiting:
            if listens(waiting[0].port) and brokers_known(waiting[0]) >= brokers:
                del waiting[0]
                continue
            for node, process in zip(nodes, processes, strict=True):
                if process.poll() is not None:
                    raise self._failure(f"ended with exit status {process.returncode} before Kafka answered", node)
            if time.monotonic() > deadline:
                raise self._failure(f"did not answer as Kafka within {patience:g} s", waiting[0])
            time.sleep(0.02)

    def _failure(self, what: str, node: Node) -> BrokerError:
        path = self.data_dir / node.log
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        words = [line for line in lines if "weak version `GLIBC" not in line][-LOG_TAIL_LINES:]
        said = "\n  ".join(words) or "(nothing)"
        return BrokerError(f"{self._engine.name} at {node.address} {what}; {path} ends with:\n  {said}")

    def _drop_leash(self) -> None:
        if self._leash is not None:
            self._leash.drop()
            self._leash = None


def brokers_known(node: Node) -> int:
    """Return how many brokers a node names when asked for metadata; 0 when it does not answer within a second."""
    try:
        metadata = AdminClient({"bootstrap.servers": node.address, "log_level": 0}).list_topics(timeout=1)
    except KafkaException:
        return 0
    return len(metadata.brokers)
