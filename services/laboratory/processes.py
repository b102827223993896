"""The engine for one machine: as many processes at a time as there are workers."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Protocol

from services.laboratory.apart import Apart
from services.laboratory.outcome import Job, Outcome


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

        def play(place: int) -> tuple[int, Outcome]:
            return place, apart.play(jobs[place], lambda share: tell(place, share))

        try:
            for done in as_completed([pool.submit(play, place) for place in range(len(jobs))]):
                yield done.result()
        finally:
            apart.stop()
            pool.shutdown(cancel_futures=True)
