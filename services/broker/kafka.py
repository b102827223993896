"""Apache Kafka itself: one node or three, each broker and controller in one, on this machine.

What a test against it says, holds for Kafka: empty fetches wait, transactions time out, replicas fall behind. It takes
seconds to start and some 300 MB a node.

Below ``kafka/`` in the data directory:

- ``cluster.json``: the cluster's id and its number of nodes, from the first start on.
- ``node-1/``, …: a node's data; ``node-1.properties``, …: its settings, written again at each start.
- ``java.args``: what every node's Java is started with.
"""

import base64
import json
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

from schemas.errors import BrokerError, ConfigurationError
from services.broker.broker import Broker
from services.broker.java import classpath, find_java
from services.broker.ports import lasting_ports
from services.broker.record import Node
from services.broker.server_properties import server_properties

START_TIMEOUT_SECONDS = 90.0
FORMAT_TIMEOUT_SECONDS = 60.0
SIZES = (1, 3)
_JAVA_OPTIONS = (
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
    # At each start it writes a page of settings a component.
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config=warn",
)


class ApacheKafka:
    """Start Apache Kafka in KRaft mode.

    Parameters
    ----------
    brokers
        One, or three: with three a topic has three copies unless told otherwise, and outlives any one node.
    port
        TCP port of the first node, the others have the next ones; ``None`` takes free ones.
    further
        Further settings of each node, as `server_properties` takes them.
    """

    name = "Apache Kafka"

    def __init__(self, brokers: int = 1, port: int | None = None, further: Mapping[str, str] | None = None) -> None:
        if brokers not in SIZES:
            raise ConfigurationError(f"brokers: got {brokers}, expected 1 or 3")
        self.start_timeout_seconds = START_TIMEOUT_SECONDS
        self._brokers = brokers
        self._port = port
        self._further = further

    def prepare(self, data_dir: Path) -> list[Node]:
        """Find Java and the jars, format the storage unless it is, and return the nodes.

        Raises
        ------
        BrokerError
            Java or Maven is missing, or the directory holds a cluster of another size.
        """
        java, jars = find_java(), classpath()
        folder = data_dir / "kafka"
        folder.mkdir(exist_ok=True)
        cluster_id = self._cluster_id(folder / "cluster.json")
        arguments = folder / "java.args"
        arguments.write_text("\n".join(map(_quoted, [*_JAVA_OPTIONS, "-cp", jars])) + "\n", encoding="utf-8")
        program = [str(java), f"@{arguments}"]
        free = lasting_ports(2 * self._brokers)
        controllers = free[self._brokers :]
        ports = free[: self._brokers] if self._port is None else [self._port + i for i in range(self._brokers)]
        nodes = []
        for number, port in enumerate(ports, 1):
            settings = folder / f"node-{number}.properties"
            settings.write_text(
                server_properties(number, ports, controllers, folder / f"node-{number}", self._further),
                encoding="utf-8",
            )
            log = "broker.log" if self._brokers == 1 else f"broker-{number}.log"
            nodes.append(Node(number, port, [*program, "kafka.Kafka", str(settings)], log))
        _format(program, cluster_id, folder, self._brokers)
        return nodes

    def _cluster_id(self, path: Path) -> str:
        """Return the cluster's id, a new one in a new directory."""
        if not path.exists():
            made = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            made = "r" + made[1:]  # a dash in front would be an option
            path.write_text(json.dumps({"cluster_id": made, "brokers": self._brokers}) + "\n", encoding="utf-8")
        known = json.loads(path.read_text(encoding="utf-8"))
        if known["brokers"] != self._brokers:
            raise BrokerError(
                f"{path.parent}: got --brokers {self._brokers}, expected {known['brokers']}, with which it was made; "
                "use another --data-dir, or remove this one"
            )
        return str(known["cluster_id"])


class KafkaBroker(Broker):
    """Run Apache Kafka in the background.

    Parameters
    ----------
    data_dir
        Where it keeps its data; made when it is not there.
    brokers
        One, or three.
    port
        TCP port of the first node, the others have the next ones; ``None`` takes free ones.
    dies_with_parent
        Stop it when this process ends, in whatever way.
    further
        Further settings of each node: an authorizer, or listeners with ports of their own, where there is one node.

    Examples
    --------
    >>> broker = KafkaBroker(Path("data"), brokers=3, dies_with_parent=True)
    >>> broker.start()  # doctest: +SKIP
    '127.0.0.1:20101,127.0.0.1:17344,127.0.0.1:29870'
    >>> broker.kill(2)  # doctest: +SKIP
    >>> broker.start_node(2)  # doctest: +SKIP
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        brokers: int = 1,
        port: int | None = None,
        dies_with_parent: bool = False,
        further: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(ApacheKafka(brokers, port, further), data_dir, dies_with_parent=dies_with_parent)


def _format(program: list[str], cluster_id: str, folder: Path, brokers: int) -> None:
    """Format the storage of the nodes that have none, all at once."""
    tool = [*program[:1], "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", *program[1:], "kafka.tools.StorageTool"]
    at_work = []
    for number in range(1, brokers + 1):
        if not (folder / f"node-{number}" / "meta.properties").exists():
            command = [*tool, "format", "-t", cluster_id, "-c", str(folder / f"node-{number}.properties")]
            at_work.append(
                subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            )
    for process in at_work:
        with process:
            try:
                said = process.communicate(timeout=FORMAT_TIMEOUT_SECONDS)[0]
            except subprocess.TimeoutExpired:
                process.kill()
                said = b"no end within %g s" % FORMAT_TIMEOUT_SECONDS
        if process.returncode:
            words = said.decode(errors="replace").strip()[-500:]
            raise BrokerError(f"Apache Kafka cannot format its storage in {folder}: {words}")


def _quoted(text: str) -> str:
    """Return a text as one argument in a file of Java's arguments."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
