"""What a worker tells over HTTP: its metrics, and its health."""

import errno
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import orjson
from prometheus_client import make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer


class _Handler(WSGIRequestHandler):
    #: Seconds that whoever has connected may take to ask, and to take the answer: each holds a thread.
    timeout = 10

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: who asks is not worth a line."""

    def handle(self) -> None:
        """Answer, unless whoever has connected falls silent or leaves."""
        with suppress(TimeoutError, ConnectionError):
            super().handle()


class _Server(ThreadingWSGIServer):
    address_family = socket.AF_INET


class _ServerV6(ThreadingWSGIServer):
    address_family = socket.AF_INET6


class _ServerOfBoth(_ServerV6):
    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def serve(port: int, report: Callable[[], dict[str, Any]], host: str = "") -> None:
    """Answer ``/metrics`` (and ``/``) as prometheus_client does, and ``/health``, in threads of their own.

    Parameters
    ----------
    port
        Where to listen.
    report
        Returns how the worker is: 200 while its ``status`` is ``ok``, else 503.
    host
        Address or name of this machine; empty for all addresses, of IPv4 and IPv6.

    Raises
    ------
    OSError
        When the port is not to be had, or the address is none of this machine.
    """
    server = _server(host, port, routed(make_wsgi_app(), report))
    threading.Thread(target=server.serve_forever, name="riverrun-endpoint", daemon=True).start()


def _server(host: str, port: int, application: WSGIApplication) -> ThreadingWSGIServer:
    if host:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        kind = _ServerV6 if family == socket.AF_INET6 else _Server
        return make_server(str(address[0]), port, application, kind, handler_class=_Handler)
    if socket.has_dualstack_ipv6():
        try:
            return make_server("::", port, application, _ServerOfBoth, handler_class=_Handler)
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:  # which it is where IPv6 is switched off
                raise
    return make_server("0.0.0.0", port, application, _Server, handler_class=_Handler)


def routed(metrics: WSGIApplication, report: Callable[[], dict[str, Any]]) -> WSGIApplication:
    """Return an application that knows three paths.

    Examples
    --------
    >>> application = routed(lambda environ, start: [b"metrics"], lambda: {"status": "stalled", "reason": "p.raw[0]"})
    >>> application({"PATH_INFO": "/health"}, print)
    503 Service Unavailable [('Content-Type', 'application/json')]
    [b'{"status":"stalled","reason":"p.raw[0]"}\\n']
    >>> application({"PATH_INFO": "/metrics"}, print)
    [b'metrics']
    >>> application({"PATH_INFO": "/favicon.ico"}, print)
    404 Not Found [('Content-Type', 'text/plain; charset=utf-8')]
    [b'/favicon.ico: no such path, expected /metrics or /health\\n']
    """

    def application(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path in ("/", "/metrics"):
            return metrics(environ, start)
        if path == "/health":
            said = report()
            status = "200 OK" if said["status"] == "ok" else "503 Service Unavailable"
            start(status, [("Content-Type", "application/json")])
            return [orjson.dumps(said, option=orjson.OPT_APPEND_NEWLINE)]
        start("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{path}: no such path, expected /metrics or /health\n".encode(errors="replace")]

    return application
