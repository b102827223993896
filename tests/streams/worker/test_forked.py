"""Checkpoints by a forked child: of the moment, in the background, and no harm when the child dies."""

import os
import signal
import threading
from typing import Any

import pytest
from river import tree

from streams.undo_log import Pickled
from streams.worker import forked
from streams.worker.forked import ForkedCheckpoint, checkpoint
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
