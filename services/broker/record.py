"""What is known of a broker that was started: its processes, and where they serve."""

from dataclasses import dataclass
from typing import Any, Literal

import psutil

from services.broker.ports import HOST


@dataclass(frozen=True, slots=True)
class Node:
    """One process of a broker.

    Parameters
    ----------
    number
        From one.
    port
        Where it serves Kafka's clients, on the loopback interface.
    command
        Program and arguments; it is started with the data directory as working directory.
    log
        File in the data directory that takes what it says.
    pid
        Its process; ``None`` while it was not started, and after it was stopped on purpose.
    """

    number: int
    port: int
    command: list[str]
    log: str = "broker.log"
    pid: int | None = None

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{HOST}:{self.port}"

    @property
    def is_alive(self) -> bool:
        """Whether the process runs and still is the one that was started."""
        if self.pid is None:
            return False
        try:
            command: list[str] = psutil.Process(self.pid).cmdline()
        except psutil.Error:
            return False
        return command == self.command


@dataclass(frozen=True, slots=True)
class BrokerRecord:
    """What ``broker.json`` says: the processes that serve a data directory, and where.

    Parameters
    ----------
    engine
        Name of the engine.
    start_id
        Another one at each start of the whole, the same when a single node starts again.
    started
        When, ISO 8601.
    nodes
        Its processes.
    """

    engine: str
    start_id: str
    started: str
    nodes: list[Node]

    @property
    def bootstrap(self) -> str:
        """Bootstrap servers, such as ``127.0.0.1:9092``."""
        return ",".join(node.address for node in self.nodes)

    @property
    def pids(self) -> list[int]:
        """Process ids of the nodes that were started."""
        return [node.pid for node in self.nodes if node.pid is not None]

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> "BrokerRecord":
        """Return the record that was written as a JSON object."""
        return cls(**{**fields, "nodes": [Node(**node) for node in fields["nodes"]]})


@dataclass(frozen=True, slots=True)
class BrokerStatus:
    """How a broker is.

    Parameters
    ----------
    state
        ``running``; ``degraded``: some of its nodes run; ``stopped``: nothing was started; ``stale``: ``broker.json``
        names processes that are gone.
    record
        What ``broker.json`` says; ``None`` when stopped, and when the file cannot be read.
    """

    state: Literal["running", "degraded", "stopped", "stale"]
    record: BrokerRecord | None = None

    @property
    def is_up(self) -> bool:
        """Whether anything of it runs."""
        return self.state in ("running", "degraded")
