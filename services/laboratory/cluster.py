"""The engine for many machines: dask hands the jobs out, and each is played in a process of its own there."""

import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from threading import Event as ThreadEvent
from threading import Thread
from typing import Any

from schemas.errors import ConfigurationError
from services.laboratory.apart import Apart
from services.laboratory.outcome import Job, Outcome, decode_job, decode_outcome, encode

_LOOK_SECONDS = 1.0


class Cluster:
    """Plays jobs on the workers of a dask cluster; each thread of a worker plays one at a time.

    Workers need riverrun, the pipelines' files and the records at the same paths, or a topic that they can read.

    Parameters
    ----------
    scheduler
        Address of a dask scheduler, such as ``tcp://head:8786``; None starts a cluster on this machine.
    workers
        Jobs at a time on that one.

    Raises
    ------
    ConfigurationError
        When dask is not installed.
    """

    def __init__(self, scheduler: str | None, workers: int) -> None:
        try:
            import distributed
        except ImportError:
            raise ConfigurationError(
                "--engine dask: dask is not installed: pip install 'riverrun[laboratory]', or use --engine processes"
            ) from None
        self._distributed: Any = distributed
        self._scheduler, self._workers = scheduler, workers

    def run(self, jobs: Sequence[Job], tell: Callable[[int, float], None]) -> Iterator[tuple[int, Outcome]]:
        """Yield place and outcome of each job as it ends."""
        dask, name = self._distributed, f"riverrun-{uuid.uuid4()}"
        with self._client() as client:
            stopped = dask.Event(name, client=client)
            tasks = [client.submit(play, encode(job), name, pure=False, retries=0) for job in jobs]
            places = {task.key: place for place, task in enumerate(tasks)}
            try:
                for task in dask.as_completed(tasks):
                    place = places[task.key]
                    yield place, _outcome(task, jobs[place])
            finally:
                stopped.set()
                client.cancel(tasks)

    def _client(self) -> Any:
        if self._scheduler is None:
            # Threads of this process: what they play has processes of its own, and ^C reaches nobody else.
            return self._distributed.Client(
                processes=False,
                threads_per_worker=self._workers,
                dashboard_address=None,
                silence_logs=logging.CRITICAL,
            )
        try:
            return self._distributed.Client(self._scheduler, timeout="10s")
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"--scheduler: got {self._scheduler!r}, expected the address of a dask scheduler ({error})"
            ) from None


def play(job: bytes, stop: str) -> bytes:
    """Play a job in a process of its own, on a worker, until somebody sets the event that `stop` names."""
    import distributed

    apart, done = Apart(), ThreadEvent()
    stopped = distributed.Event(stop, client=distributed.get_client())

    def look() -> None:
        with suppress(Exception):  # a scheduler that cannot be asked has nobody who waits for us
            while not stopped.is_set():
                if done.wait(_LOOK_SECONDS):
                    return
        apart.stop()

    looker = Thread(target=look, daemon=True)
    looker.start()
    try:
        return encode(apart.play(decode_job(job)))
    finally:
        done.set()


def _outcome(task: Any, job: Job) -> Outcome:
    """Return the outcome of a task; that of one whose worker died tells so."""
    if task.status == "finished":
        return decode_outcome(task.result())
    return Outcome(job.combination, error=f"dask: {task.status}: {task.exception()}")
