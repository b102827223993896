"""The engine for one machine: as many processes at a time as there are workers."""

import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Protocol

from services.laboratory.apart import Apart
from services.laboratory.outcome import Job, Outcome

_LISTEN_SECONDS = 0.25


class Engine(Protocol):
    """Plays jobs, in any order, each in a process of its own."""

    def run(self, jobs: Sequence[Job], tell: Callable[[int, float], None]) -> Iterator[tuple[int, Outcome]]:
        """Yield place and outcome of each job as it ends; `tell` hears which share of a job is done.

        Whoever stops listening ends all that is running.
        """


class Processes:
    """Plays jobs on this machine.

    Parameters
    ----------
    workers
        Jobs at a time. More than there are cores make each slower, and their processor times larger.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def run(self, jobs: Sequence[Job], tell: Callable[[int, float], None]) -> Iterator[tuple[int, Outcome]]:
        """Yield place and outcome of each job as it ends."""
        apart = Apart()
        pool = ThreadPoolExecutor(self._workers)
        ended: queue.SimpleQueue[Future[tuple[int, Outcome]]] = queue.SimpleQueue()

        def play(place: int) -> tuple[int, Outcome]:
            return place, apart.play(jobs[place], lambda share: tell(place, share))

        try:
            for place in range(len(jobs)):
                pool.submit(play, place).add_done_callback(ended.put)
            for _ in jobs:
                yield _next(ended).result()
        finally:
            apart.stop()
            pool.shutdown(cancel_futures=True)


def _next(ended: "queue.SimpleQueue[Future[tuple[int, Outcome]]]") -> "Future[tuple[int, Outcome]]":
    """Wait for what ends next. A ^C just before a wait without limit would only be heard after it: for hours."""
    while True:
        with suppress(queue.Empty):
            return ended.get(timeout=_LISTEN_SECONDS)
