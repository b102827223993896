"""What a worker tells over HTTP: its metrics, and its health."""

import threading
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import orjson
from prometheus_client import make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: who asks is not worth a line."""


def serve(port: int, report: Callable[[], dict[str, Any]]) -> None:
    """Answer ``/metrics`` (and ``/``) as prometheus_client does, and ``/health``, in threads of their own.

    Parameters
    ----------
    port
        Where to listen, on all addresses.
    report
        Returns how the worker is: 200 while its ``status`` is ``ok``, else 503.

    Raises
    ------
    OSError
        When the port is not to be had.
    """
    application = routed(make_wsgi_app(), report)
    server = make_server("0.0.0.0", port, application, ThreadingWSGIServer, handler_class=_Silent)
    threading.Thread(target=server.serve_forever, name="riverrun-endpoint", daemon=True).start()


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
