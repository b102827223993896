"""Checkpoints by a forked child: of the moment, in the background, and no harm when the child dies."""

import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

import psutil
import pytest
from river import tree

from streams.undo_log import Pickled
from streams.worker import forked
from streams.worker.forked import Forked, ForkedCheckpoint, checkpoint
from tests.streams.worker.kafka import until


def test_checkpoint_is_of_its_moment_and_this_process_goes_on() -> None:
    """The child sees the numbers as they were; a lock that another thread holds does not hold it up."""
    lock, numbers = threading.Lock(), [1, 2]
    held = threading.Event()
    threading.Thread(target=lambda: (lock.acquire(), held.set()), daemon=True).start()
    held.wait()
    made = ForkedCheckpoint(numbers)
    numbers.append(3)
    until(lambda: made.size_bytes() is not None, what="the child has written")
    assert made.load() == [1, 2]
    assert made.load() == [1, 2]


def test_tree_too_deep_for_this_process_is_written_by_the_child() -> None:
    """The child may recurse deeper, and does not take this process with it when that is too deep."""
    model = tree.HoeffdingTreeRegressor(grace_period=10_000)
    for i in range(1_500):
        model.learn_one({"a": float(i)}, float(i % 7))
    assert Pickled(model).size_bytes() == 0
    assert ForkedCheckpoint(model).load().predict_one({"a": 3.0}) == model.predict_one({"a": 3.0})


def test_child_that_dies_is_a_checkpoint_that_failed() -> None:
    """Killed for its memory, say."""
    made = ForkedCheckpoint(Stuck())
    os.kill(made._written._child, signal.SIGKILL)
    until(lambda: made.size_bytes() is not None, what="the child is gone")
    assert made.size_bytes() == 0


def test_forgotten_checkpoint_leaves_no_child() -> None:
    """A partition that is taken away takes its checkpoints with it."""
    made = ForkedCheckpoint(Stuck())
    child = made._written._child
    del made
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


PARENT = """
import socket, time
from streams.worker import forked

{before}
port = socket.create_server(("127.0.0.1", 0))

def write(file):
    while {writes}:
        file.write(bytes(65_536))
        time.sleep(0.02)
    time.sleep(60)

child = forked.Forked(write)
print(port.getsockname()[1], child._child, flush=True)
time.sleep(60)
"""


@contextmanager
def killed(*, writes: bool = False, before: str = "") -> Iterator[tuple[int, int]]:
    """Kill a process whose child is at work; yield the port on which it listened, and the child."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    script = PARENT.format(writes=writes, before=before)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        port, child = (int(word) for word in parent.stdout.readline().split())
        parent.kill()
    try:
        yield port, child
    finally:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("is_listed", [True, False])
def test_port_of_a_killed_process_is_free_while_its_child_is_at_work(is_listed: bool) -> None:
    """A worker that starts in its place has it at once; also where the system does not list what is open."""

    def is_free(port: int) -> bool:
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return True
        return False

    with killed(before="" if is_listed else "forked._OPEN_FILES = '/nowhere'") as (port, child):
        until(lambda: is_free(port), 5, "the port is free")
        os.kill(child, 0)


def test_child_of_a_killed_process_ends_when_it_writes() -> None:
    """Nobody reads what it writes; it would be at it for two minutes, and hold the memory."""

    def is_gone(child: int) -> bool:
        return not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE

    with killed(writes=True) as (_, child):
        until(lambda: is_gone(child), 5, "the child is gone")


@pytest.mark.parametrize("size", [3_000, 300_000], ids=["in the last bytes", "half way"])
def test_child_that_has_no_room_says_so(size: int) -> None:
    """In words, and nothing of what it could not write."""

    def write(file: BinaryIO) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, resource.RLIM_INFINITY))
        for _ in range(size // 1_000):
            file.write(b"\xff" * 1_000)

    made = Forked(write)
    until(lambda: made.size_bytes() is not None, what="the child is gone")
    assert (made.size_bytes(), made.failure) == (0, "OSError: [Errno 27] File too large")


def test_without_room_for_a_child_the_checkpoint_is_written_on_the_spot(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a system that cannot fork."""

    def full() -> int:
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(forked.os, "fork", full)
    assert checkpoint([1]).load() == [1]
    monkeypatch.delattr(forked.os, "fork")
    assert checkpoint([1]).load() == [1]


class Stuck:
    """Takes for ever to pickle."""

    def __reduce__(self) -> Any:
        """Wait."""
        threading.Event().wait()
