"""What of the modules under test is exchanged for the time of a simulation: clocks, clients, threads, and sizes."""

import asyncio
import logging
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from functools import cache
from types import SimpleNamespace
from typing import Any
from unittest import mock

from streams import (
    contest,
    label_join,
    lifecycle,
    milestones,
    pickling,
    recent,
    reconstruction,
    reference,
    snapshot,
    task,
    undo_log,
)
from streams.pipeline import Pipeline
from streams.worker import (
    assignment,
    delivery,
    poller,
    range_reader,
    recovery,
    restoration,
    snapshots,
    transactions,
)
from streams.worker.stores import kafka
from tests.simulation.clock import CLOCK
from tests.simulation.consumer import Consumer
from tests.simulation.dump import Dump
from tests.simulation.plan import Plan

#: Small enough that a task of some dozen records has several; a multiple of eight.
_SEGMENT = 8


async def _to_thread(call: Callable[..., Any], *arguments: Any) -> Any:
    """Call it here and now: what others do meanwhile, the simulated clients let them do."""
    return call(*arguments)


async def _wrap_future(future: "Future[Any]") -> Any:
    while not future.done():
        await _Later()
    return future.result()


class _Later:
    def __await__(self) -> Iterator[None]:
        yield


async def _sleep(seconds: float) -> None:
    CLOCK.sleep(seconds)


class _Inline:
    """A pool of no threads."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def submit(self, call: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        """Call it."""
        done: Future[Any] = Future()
        try:
            done.set_result(call(*arguments))
        except Exception as error:
            done.set_exception(error)
        return done


class _InlineThread:
    """A thread that is over when it has started."""

    def __init__(self, *, target: Callable[[], object], **_: Any) -> None:
        self.start = target

    def join(self, seconds: float) -> None:
        """It is over."""


@cache
def _declared_model(pipeline: Pipeline, version: str) -> bytes:
    return pickle.dumps(_seeded(pipeline, version))


def _fresh_model(pipeline: Pipeline, version: str) -> Any:
    """Return a copy of what was seeded once."""
    return pickle.loads(_declared_model(pipeline, version))


_seeded = Pipeline.fresh_model
_ASYNCIO = SimpleNamespace(Lock=asyncio.Lock, sleep=_sleep, to_thread=_to_thread, wrap_future=_wrap_future)


@contextmanager
def simulated(*, aloud: bool = False) -> Iterator[None]:
    """Have the modules under test look at simulated things, and log nothing unless told to."""
    exchanged: list[tuple[Any, str, Any]] = [
        (module, "time", CLOCK) for module in (assignment, transactions, poller, range_reader, snapshots, recovery)
    ]
    exchanged += [
        (transactions, "asyncio", _ASYNCIO),
        (delivery, "asyncio", _ASYNCIO),
        (assignment, "asyncio", _ASYNCIO),
        (poller, "Consumer", Consumer),
        (range_reader, "Consumer", Consumer),
        (snapshots, "ThreadPoolExecutor", _Inline),
        (snapshots, "new_writing", CLOCK.new_name),
        (assignment, "threading", SimpleNamespace(Thread=_InlineThread)),
        (restoration, "checkpoint", undo_log.Pickled),
        (assignment, "_MIN_RECORDS", 1),
        (label_join, "SEGMENT", _SEGMENT),
        (snapshot, "SEGMENT", _SEGMENT),
        # Small enough that models take over within some dozen records.
        (lifecycle, "_RENEWAL_LEARNED", 4),
        (contest, "_AWAKE", 12),
        (milestones, "_BASELINE", 4),
        (milestones, "_LEAST_BASELINE", 2),
        (milestones, "_OLD", 8),
        (reference, "_AT_ONCE", 2),
        (reconstruction, "_AT_ONCE", 2),
        (recent, "_KEPT", 20),
        # The same for every world, and they cost more than all the rest.
        (snapshots, "version", cache(snapshots.version)),
        (snapshot, "version", cache(snapshot.version)),
        (pickling, "_descriptors", cache(pickling._descriptors)),
        (task, "Decoder", cache(task.Decoder)),
        (Pipeline, "fresh_model", _fresh_model),
    ]
    sizes = [
        (kafka, "_CHUNK_BYTES"),
        (snapshots, "_BYTES_A_CYCLE"),
        (snapshots, "_SWEEP_EVERY"),
        (undo_log, "_MAX_BYTES"),
    ]
    exchanged += [(module, name, getattr(module, name)) for module, name in sizes]
    with ExitStack() as stack:
        for module, name, double in exchanged:
            stack.enter_context(mock.patch.object(module, name, double))
        stack.enter_context(mock.patch.object(logging.getLogger("riverrun.worker"), "disabled", not aloud))
        yield


def begin(plan: Plan) -> None:
    """Set the clock back, and the sizes to those of a plan."""
    CLOCK.begin()
    kafka._CHUNK_BYTES = plan.chunk_bytes
    snapshots._BYTES_A_CYCLE = plan.bytes_a_cycle
    snapshots._SWEEP_EVERY = plan.sweep_every
    undo_log._MAX_BYTES = plan.undo_bytes
    Dump.cycles = plan.dump_cycles
