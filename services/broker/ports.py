"""TCP ports on the loopback interface."""

import random
import socket
from contextlib import ExitStack, suppress

from schemas.errors import BrokerError

HOST = "127.0.0.1"
# Below the ports that Linux and macOS give to outgoing connections: a node that is down must find its port free again.
_LASTING = range(15_000, 32_000)


def free_port() -> int:
    """Return a TCP port that nothing listens on right now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def lasting_ports(count: int) -> list[int]:
    """Return different ports that nothing listens on, and that no outgoing connection takes later."""
    ports: list[int] = []
    with ExitStack() as held:
        for port in random.sample(_LASTING, len(_LASTING)):
            if len(ports) == count:
                break
            probe = held.enter_context(socket.socket())
            with suppress(OSError):
                probe.bind((HOST, port))
                ports.append(port)
    return ports


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
