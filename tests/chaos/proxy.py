"""A network between worker and broker that can be cut: a TCP proxy, and a broker that sends its clients through it."""

import asyncio
import threading
from contextlib import suppress
from pathlib import Path

from services.broker.broker import Broker
from services.broker.kafka import ApacheKafka
from services.broker.ports import HOST, lasting_ports
from services.broker.record import Node

_CHUNK_BYTES = 64 * 1024


class Proxy:
    """Passes bytes on; while cut it passes none, and tells neither side, as a network does whose link is down.

    What either side sent meanwhile arrives when it is healed, as TCP would have it, also on connections that were
    given up since.

    Parameters
    ----------
    port
        Where it listens.
    target
        The broker's port.
    """

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._passes = asyncio.Event()
        self._passes.set()
        self._ready = threading.Event()
        self._pumps: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._serve()], daemon=True)

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError(f"the proxy does not listen on port {self.port}")

    def cut(self) -> None:
        """Let nothing pass."""
        self._loop.call_soon_threadsafe(self._passes.clear)

    def heal(self) -> None:
        """Let everything pass."""
        self._loop.call_soon_threadsafe(self._passes.set)

    def stop(self) -> None:
        """Close everything."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join(10)

    async def _serve(self) -> None:
        self._stopped = asyncio.Event()
        server = await asyncio.start_server(self._connect, HOST, self.port, backlog=512)
        self._ready.set()
        await self._stopped.wait()
        server.close()
        for pump in list(self._pumps):
            pump.cancel()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._passes.wait()
        try:
            from_broker, to_broker = await asyncio.open_connection(HOST, self._target)
        except OSError:
            writer.close()
            return
        for source, sink in ((reader, to_broker), (from_broker, writer)):
            pump = asyncio.ensure_future(self._pump(source, sink))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Pass on one direction to its end."""
        with suppress(OSError, asyncio.CancelledError):
            while data := await source.read(_CHUNK_BYTES):
                await self._passes.wait()
                sink.write(data)
                await sink.drain()
        if not self._passes.is_set() and not self._stopped.is_set():
            with suppress(asyncio.CancelledError):
                await self._passes.wait()
        sink.close()


class ProxiedKafka(ApacheKafka):
    """One node of Apache Kafka with a second listener: whoever comes by it is told to go on coming by the proxy."""

    def __init__(self) -> None:
        super().__init__(1)
        self.target, self.proxy = lasting_ports(2)

    def prepare(self, data_dir: Path) -> list[Node]:
        """Return the node, its settings extended."""
        nodes = super().prepare(data_dir)
        path = data_dir / "kafka" / "node-1.properties"
        lines = path.read_text(encoding="utf-8").splitlines()
        further = {
            "listeners": f",PROXIED://{HOST}:{self.target}",
            "advertised.listeners": f",PROXIED://{HOST}:{self.proxy}",
            "listener.security.protocol.map": ",PROXIED:PLAINTEXT",
        }
        lines = [line + further.get(line.partition("=")[0], "") for line in lines]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return nodes


class ProxiedBroker(Broker):
    """That broker, and its proxy.

    Parameters
    ----------
    data_dir
        Where it keeps its data.
    """

    def __init__(self, data_dir: Path) -> None:
        engine = ProxiedKafka()
        super().__init__(engine, data_dir, dies_with_parent=True)
        self.proxy = Proxy(engine.proxy, engine.target)
        self.proxied = f"{HOST}:{engine.proxy}"

    def start(self) -> str:
        """Start both; return the servers that lead past the proxy."""
        bootstrap = super().start()
        self.proxy.start()
        return bootstrap

    def stop(self) -> None:
        """Stop both."""
        super().stop()
        self.proxy.stop()
