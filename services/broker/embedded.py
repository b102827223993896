"""The embedded broker: noida-db, which comes as a Python wheel and answers in under a second.

The engine keeps all records in memory and saves them some 20 seconds after the last write and when it is stopped: one
that is killed loses its last seconds. It answers empty fetches at once instead of waiting, so that every idle consumer
keeps half a core busy, and half a core of the broker's. A single node for development, nothing to run in production.
"""

import os
from importlib.util import find_spec
from pathlib import Path

from schemas.errors import BrokerError
from services.broker.broker import Broker
from services.broker.ports import HOST, free_port
from services.broker.record import Node

START_TIMEOUT_SECONDS = 20.0


class NoidaDb:
    """Start noida-db's Kafka.

    Parameters
    ----------
    port
        TCP port on the loopback interface; ``None`` takes a free one.
    """

    name = "noida-db"

    def __init__(self, port: int | None = None) -> None:
        self.start_timeout_seconds = START_TIMEOUT_SECONDS
        self._port = port

    def prepare(self, data_dir: Path) -> list[Node]:
        """Return its one process."""
        port = free_port() if self._port is None else self._port
        command = [str(engine_path()), "start", "--only", "kafka", "--host", HOST]
        command += ["--kafka-port", str(port), "--data-dir", str(data_dir)]
        return [Node(1, port, command)]


class EmbeddedBroker(Broker):
    """Run noida-db's Kafka in the background.

    Parameters
    ----------
    data_dir
        Where it keeps its data; made when it is not there.
    port
        TCP port on the loopback interface; ``None`` takes a free one. A broker that runs already keeps its own.
    dies_with_parent
        Stop it when this process ends, in whatever way.

    Examples
    --------
    >>> with EmbeddedBroker(Path("data"), dies_with_parent=True) as bootstrap:  # doctest: +SKIP
    ...     print(bootstrap)
    127.0.0.1:40123
    """

    def __init__(self, data_dir: Path, *, port: int | None = None, dies_with_parent: bool = False) -> None:
        super().__init__(NoidaDb(port), data_dir, dies_with_parent=dies_with_parent)


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
