"""The settings that a node of a local Apache Kafka runs with: pure."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from services.broker.ports import HOST

_FIXED = {
    "process.roles": "broker,controller",
    "listener.security.protocol.map": "CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "CLIENTS",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    # A group of tests and demos does not wait for members that might come.
    "group.initial.rebalance.delay.ms": "0",
    # Transactions, sessions and brokers that are gone are noticed in seconds.
    "group.min.session.timeout.ms": "1000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "broker.heartbeat.interval.ms": "1000",
    "broker.session.timeout.ms": "6000",
    # Fewer and smaller than a cluster's: each partition is files to open at start, each buffer is heap.
    "offsets.topic.num.partitions": "5",
    "transaction.state.log.num.partitions": "5",
    "share.coordinator.state.topic.num.partitions": "5",
    "log.cleaner.dedupe.buffer.size": "8388608",
    "num.network.threads": "2",
    "num.io.threads": "4",
}
_LISTENERS = ("listeners", "advertised.listeners", "listener.security.protocol.map")
_TOPICS_OF_ITS_OWN = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")


def server_properties(
    number: int,
    ports: Sequence[int],
    controller_ports: Sequence[int],
    folder: Path,
    further: Mapping[str, str] | None = None,
) -> str:
    """Return the text of a node's ``server.properties``.

    Parameters
    ----------
    number
        Of the node, from one.
    ports, controller_ports
        Where each of the nodes serves clients, and where the others' controllers.
    folder
        Where this node keeps its data.
    further
        Further settings, such as an authorizer; those of listeners are added to ours, others win over ours.

    Examples
    --------
    >>> text = server_properties(1, [9092], [9093], Path("data"))
    >>> print(next(line for line in text.splitlines() if "voters" in line))
    controller.quorum.voters=1@127.0.0.1:9093
    """
    voters = [f"{voter}@{HOST}:{port}" for voter, port in enumerate(controller_ports, 1)]
    copies, needed = (1, 1) if len(ports) == 1 else (3, 2)
    clients = f"CLIENTS://{HOST}:{ports[number - 1]}"
    settings = {
        "node.id": str(number),
        "listeners": f"{clients},CONTROLLER://{HOST}:{controller_ports[number - 1]}",
        "advertised.listeners": clients,
        "controller.quorum.voters": ",".join(voters),
        "log.dirs": str(folder),
        "default.replication.factor": str(copies),
        "min.insync.replicas": str(needed),
    }
    for topic in _TOPICS_OF_ITS_OWN:
        settings[f"{topic}.replication.factor"] = str(copies)
    for topic in _TOPICS_OF_ITS_OWN[1:]:
        settings[f"{topic}.min.isr"] = str(needed)
    settings |= _FIXED
    for name, value in (further or {}).items():
        settings[name] = f"{settings[name]},{value}" if name in _LISTENERS else value
    return "".join(f"{name}={_escaped(value)}\n" for name, value in settings.items())


def _escaped(value: str) -> str:
    """Return a value as a properties file takes it."""
    return value.replace("\\", "\\\\")
