"""The endpoint as it listens: where, and how long who says nothing is borne."""

import socket
import threading
import time
from contextlib import ExitStack
from urllib.request import ProxyHandler, build_opener

import pytest

from services.broker.ports import free_port
from streams.worker import endpoint

OPENER = build_opener(ProxyHandler({}))


def has_ipv6() -> bool:
    """Tell whether this machine has a loopback address of IPv6."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def reaches(host: str, port: int) -> bool:
    """Tell whether ``/health`` is answered there."""
    try:
        with OPENER.open(f"http://{host}:{port}/health", timeout=5) as answer:
            return answer.read() == b'{"status":"ok"}\n'
    except OSError:
        return False


def answering() -> int:
    """Return how many threads answer somebody."""
    return sum("process_request_thread" in thread.name for thread in threading.enumerate())


@pytest.mark.parametrize(
    ("host", "v4", "v6"),
    [("", True, True), ("127.0.0.1", True, False), ("::1", False, True), ("localhost", None, None)],
)
def test_endpoint_listens_where_it_is_told(host: str, v4: bool | None, v6: bool | None) -> None:
    """On all addresses unless one is named; whose family is its own."""
    if not has_ipv6():
        if host == "::1":
            pytest.skip("needs IPv6")
        v6 = False
    port = free_port()
    endpoint.serve(port, lambda: {"status": "ok"}, host)
    found = reaches("127.0.0.1", port), reaches("[::1]", port)
    assert found == (v4, v6) if v4 is not None else any(found)


def test_address_of_another_machine_is_refused() -> None:
    """By the system: the command line names the setting."""
    with pytest.raises(OSError, match=r"assign|address"):
        endpoint.serve(free_port(), lambda: {"status": "ok"}, "192.0.2.1")


def test_taken_port_is_refused() -> None:
    """Not listened on beside whoever has it, on one family of addresses."""
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        with pytest.raises(OSError, match="in use"):
            endpoint.serve(other.getsockname()[1], lambda: {"status": "ok"})


def test_connection_that_says_nothing_is_let_go(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each holds a thread; no word is lost on them."""
    monkeypatch.setattr(endpoint._Handler, "timeout", 1.0)
    port = free_port()
    endpoint.serve(port, lambda: {"status": "ok"})
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        deadline = time.monotonic() + 5
        while answering() < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        while answering() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert answering() == 0
        assert reaches("127.0.0.1", port)
    assert capfd.readouterr().err == ""
