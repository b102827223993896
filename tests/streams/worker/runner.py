"""A worker in a process of its own: what a test starts, signals and kills."""

import contextlib
import ctypes
import inspect
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import orjson
import psutil
from prometheus_client.parser import text_string_to_metric_families

from schemas.errors import RiverrunError
from tests.streams.worker import declarations

ROOT = Path(__file__).resolve().parents[3]


def run(recipe: str, name: str, further: dict[str, Any], env: dict[str, str], log: str, fault: str | None) -> None:
    """Run a worker to its end, in the process that was made for it; its exit code is the worker's."""
    from streams.worker.main import run_worker
    from streams.worker.settings import load_settings

    os.environ.update(env)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 2)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    if fault is not None:
        plant(fault)
    try:
        code = run_worker(declarations.RECIPES[recipe](name, **further), load_settings())
    except RiverrunError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 1
    sys.exit(code)


def lose_a_batch() -> None:
    """Let the poller forget the first batch that ends behind offset 100."""
    from streams.worker.poller import Poller

    add: Any = Poller._add
    lost = []

    def forgetful(poller: Any, messages: list[Any]) -> None:
        if not lost and messages[-1].offset() >= 100:
            lost.append(messages)
            positions = poller._buffer._positions
            positions.update(dict.fromkeys(positions, messages[-1].offset() + 1))
            return
        add(poller, messages)

    Poller._add = forgetful  # type: ignore[method-assign]


def have_little_patience() -> None:
    """Wait two seconds for a broker that does not answer, not fifteen."""
    from streams.worker import app

    app._ADMIN_SECONDS = 2


def die_at(method: str, when: str, count: int) -> Callable[[], None]:
    """Return a fault: kill -9 before or after a step of a transaction, the so-manieth time it is taken."""

    def plant() -> None:
        from streams.worker.transactions import ExactlyOnce

        step: Any = getattr(ExactlyOnce, method)
        taken = itertools.count(1)

        def deadly(*arguments: Any, **named: Any) -> None:
            last = next(taken) == count
            if last and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            step(*arguments, **named)
            if last:
                os.kill(os.getpid(), signal.SIGKILL)

        setattr(ExactlyOnce, method, deadly)

    return plant


def die_in_commit(count: int) -> Callable[[], None]:
    """Return a fault: kill -9 from another thread while the commit is on its way to the broker."""

    def plant() -> None:
        from streams.worker.transactions import ExactlyOnce

        step: Any = ExactlyOnce._end
        taken = itertools.count(1)

        def deadly(delivery: Any) -> None:
            if next(taken) == count:
                threading.Timer(0.0005, os.kill, (os.getpid(), signal.SIGKILL)).start()
            step(delivery)

        ExactlyOnce._end = deadly  # type: ignore[method-assign]

    return plant


#: Where a worker may die within a transaction, the so-manieth time it comes there.
DEATHS: dict[str, Callable[[int], Callable[[], None]]] = {
    "after begin": lambda count: die_at("_begin", "after", count),
    "after produce": lambda count: die_at("emit", "after", count),
    "before sending positions": lambda count: die_at("_send_positions", "before", count),
    "after sending positions": lambda count: die_at("_send_positions", "after", count),
    "during commit": die_in_commit,
    "after commit": lambda count: die_at("_end", "after", count),
}


def die_after(method: str, count: int) -> Callable[[], None]:
    """Return a fault: kill -9 when a piece of a snapshot has been handed to the producer."""

    def plant() -> None:
        from streams.worker.stores.kafka import KafkaStore

        step: Any = getattr(KafkaStore, method)
        taken = itertools.count(1)

        def deadly(*arguments: Any) -> Any:
            answer = step(*arguments)
            if next(taken) == count:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        setattr(KafkaStore, method, deadly)

    return plant


#: Where a worker may die within a snapshot.
SNAPSHOT_DEATHS: dict[str, Callable[[int], Callable[[], None]]] = {
    "mid snapshot write": lambda count: die_after("put", count),
    "after the manifest": lambda count: die_after("seal", count),
}


def know_no_transactions() -> None:
    """Have the broker say that it knows no transactions."""
    from confluent_kafka import KafkaError, KafkaException

    from streams.worker.transactions import ExactlyOnce

    class Producer:
        def init_transactions(self, seconds: float) -> None:
            raise KafkaException(KafkaError(KafkaError._UNSUPPORTED_FEATURE))

    start: Any = ExactlyOnce.start
    ExactlyOnce.start = lambda delivery, _: start(delivery, Producer())  # type: ignore[method-assign]


def stop_fetching() -> None:
    """Let the poller poll no more once it has seen offset 300, and do everything else as ever."""
    from streams.worker.poller import Poller

    add: Any = Poller._add

    def deaf(poller: Any, messages: list[Any]) -> None:
        add(poller, messages)
        while messages[-1].offset() >= 300 and not poller._stopping:
            poller._commits.finish(poller.consumer, 0.1)

    Poller._add = deaf  # type: ignore[method-assign]


def hang_in_agent(hang: Callable[[], object]) -> Callable[[], None]:
    """Return a fault: the agent never comes back from the first batch that ends behind offset 300."""

    def plant() -> None:
        from streams.worker.assignment import Assignment

        process: Any = Assignment._process

        def hanging(assignment: Any, batch: Any) -> None:
            if batch.next_position > 300:
                hang()
            process(assignment, batch)

        Assignment._process = hanging  # type: ignore[method-assign]

    return plant


def commit_nothing() -> None:
    """Put every commit off to the next time."""
    from streams.worker.transactions import ExactlyOnce

    async def refused() -> bool:
        return False

    async def commit(*_: Any) -> Awaitable[bool]:
        return refused()

    ExactlyOnce.commit = commit  # type: ignore[method-assign]


def tell_often() -> None:
    """Tell of progress every fifth of a second."""
    from streams.worker import transport

    transport._FIRST_TOLD_SECONDS = transport._TELL_SECONDS = 0.2


FAULTS: dict[str, Callable[[], None]] = {
    "lose_a_batch": lose_a_batch,
    "have_little_patience": have_little_patience,
    "know_no_transactions": know_no_transactions,
    "stop_fetching": stop_fetching,
    "block_loop": hang_in_agent(threading.Event().wait),
    "hold_gil": hang_in_agent(lambda: ctypes.PyDLL(None).sleep(600)),
    "commit_nothing": commit_nothing,
    "tell_often": tell_often,
}


def plant(fault: str) -> None:
    """Plant a fault, or a death such as ``during commit:3``."""
    if fault in FAULTS:
        FAULTS[fault]()
        return
    death, _, count = fault.partition(":")
    (DEATHS | SNAPSHOT_DEATHS)[death](int(count))()


class Worker:
    """A running worker.

    It is forked from a server that has imported what a worker imports, which saves three seconds each time.

    Parameters
    ----------
    recipe, name, further
        Which pipeline, as in `declarations`.
    env
        ``RIVERRUN_…`` settings.
    log_path
        Where its standard error goes.
    fault
        Name of what is to be broken in it, as `plant` takes it.
    """

    #: What its process runs.
    program = staticmethod(run)

    def __init__(
        self,
        recipe: str,
        name: str,
        further: dict[str, Any],
        env: dict[str, str],
        log_path: Path,
        fault: str | None = None,
    ) -> None:
        self.log_path = log_path
        self._metrics_port = env.get("RIVERRUN_METRICS_PORT")
        log_path.touch()
        arguments = (recipe, name, further, env, str(log_path), fault)
        self._process: ForkServerProcess = fork_server().Process(target=self.program, args=arguments, daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        pid = self._process.pid
        assert pid is not None
        return pid

    @property
    def log(self) -> str:
        """What it has said."""
        return self.log_path.read_text()

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.exitcode is None

    @property
    def rss_bytes(self) -> int:
        """Memory it has resident."""
        return int(psutil.Process(self.pid).memory_info().rss)

    def metrics(self, name: str, label: str) -> dict[str, float]:
        """Return a metric from its Prometheus endpoint, summed by one of its labels; empty before it listens."""
        url = f"http://127.0.0.1:{self._metrics_port}/metrics"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                text = answer.read().decode()
        except OSError:
            return {}
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name:
                    found[sample.labels[label]] = found.get(sample.labels[label], 0.0) + sample.value
        return found

    def health(self) -> tuple[int, dict[str, Any]]:
        """Return status and body of its health; 0 and nothing before it listens, or when it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._metrics_port}/health", timeout=2) as answer:
                return answer.status, orjson.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, orjson.loads(error.read())
        except OSError:
            return 0, {}

    def partitions(self) -> set[int]:
        """Return the partitions it works on."""
        return {int(partition) for partition in self.metrics("riverrun_labels_pending", "partition")}

    def wait(self, seconds: float = 30.0) -> int:
        """Return its exit code once it has ended.

        Raises
        ------
        TimeoutError
            When it does not end in time, with what it said.
        """
        self._process.join(seconds)
        if self._process.exitcode is None:
            raise TimeoutError(f"the worker has not ended within {seconds} s; it said:\n{self.log[-3000:]}")
        return self._process.exitcode

    def terminate(self, seconds: float = 20.0) -> tuple[int, float]:
        """Send SIGTERM; return the exit code and the seconds it took."""
        began = time.monotonic()
        os.kill(self.pid, signal.SIGTERM)
        return self.wait(seconds), time.monotonic() - began

    def kill(self) -> None:
        """Kill it, as the kernel would that is out of memory."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.join(10)


def fork_server() -> ForkServerContext:
    """Return the context whose server has the heavy modules loaded, and no thread and no socket."""
    context = multiprocessing.get_context("forkserver")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    context.set_forkserver_preload(["streams.worker.main", "streams.worker.transport", "faust.worker", __name__])
    return context


# Faust asks where an agent was defined, for which inspect looks at the files of all modules: once, not in each worker.
inspect.getmodule(run.__code__)
