"""The workers of a trial, and the supervisor that starts each one again when it ends."""

import os
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from services.broker import free_port
from tests.chaos.worker import ChaosWorker

_LOOK_SECONDS = 0.02
# A worker that dies young is started again a little later, as supervisors do.
_YOUNG_SECONDS = 2.0
_PAUSE_SECONDS = 1.0


class Post:
    """A place that is to be staffed by one worker at a time.

    Attributes
    ----------
    ends
        Exit code of each worker that has ended, and when.
    """

    def __init__(self, name: str, settings: dict[str, Any], faults: Sequence[str]) -> None:
        self.name = name
        self.settings = settings
        self.faults = list(faults)
        self.worker: ChaosWorker | None = None
        self.started = 0.0
        self.start_at = 0.0
        self.ends: list[tuple[int, float]] = []
        self.vacant = False


class Crew:
    """Keeps posts staffed until it is closed.

    Parameters
    ----------
    recipe, name, further
        Which pipeline.
    folder
        Where the workers' logs go.
    settings
        Of all workers.
    """

    def __init__(self, recipe: str, name: str, further: dict[str, Any], folder: Path, settings: dict[str, Any]) -> None:
        self.posts: dict[str, Post] = {}
        self._pipeline = (recipe, name, further)
        self._folder = folder
        self._settings = settings
        self._lock = threading.RLock()
        self._closed = threading.Event()
        # Processes are started, looked at and buried in this thread only.
        self._thread = threading.Thread(target=self._supervise, name=f"crew of {name}", daemon=True)
        self._thread.start()

    def post(self, name: str, faults: Sequence[str] = (), **settings: Any) -> Post:
        """Have a worker at work; `faults` are those of its first starts, one each."""
        made = Post(name, {**self._settings, "worker_id": name, **settings}, faults)
        with self._lock:
            self.posts[name] = made
        return made

    def kill(self, name: str) -> float:
        """Kill -9 a worker; the supervisor starts another one. Return when."""
        self.signal(name, signal.SIGKILL)
        return time.monotonic()

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a worker, if there is one."""
        with self._lock:
            worker = self.posts[name].worker
            if worker is not None and worker.pid:
                with suppress(ProcessLookupError):
                    os.kill(worker.pid, number)

    def dismiss(self, name: str, seconds: float = 60.0) -> int:
        """Have a worker leave by SIGTERM, and its post remain vacant; return its exit code."""
        with self._lock:
            post = self.posts[name]
            post.vacant = True
            self.signal(name, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while post.worker is not None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"worker {name} has not left within {seconds:g} s of SIGTERM")
            time.sleep(_LOOK_SECONDS)
        return post.ends[-1][0] if post.ends else 0

    def partitions(self, name: str) -> set[int]:
        """Return the partitions a worker says are its own."""
        worker = self.posts[name].worker
        return set(worker.health()[1].get("partitions", ())) if worker is not None else set()

    def ends(self) -> list[int]:
        """Return the exit codes of all workers that have ended."""
        return [code for post in self.posts.values() for code, _ in post.ends]

    def close(self) -> None:
        """Kill all workers."""
        self._closed.set()
        self._thread.join(30)
        for post in self.posts.values():
            if post.worker is not None:
                post.worker.kill()

    def _supervise(self) -> None:
        while not self._closed.wait(_LOOK_SECONDS):
            with self._lock:
                for post in list(self.posts.values()):
                    self._look(post)

    def _look(self, post: Post) -> None:
        now = time.monotonic()
        if post.worker is not None:
            code = post.worker.exit_code
            if code is None:
                return
            post.worker = None
            post.ends.append((code, now))
            killed = code == -signal.SIGKILL
            post.start_at = now + (0.0 if killed or now - post.started > _YOUNG_SECONDS else _PAUSE_SECONDS)
        if not post.vacant and now >= post.start_at:
            post.worker = self._start(post)
            post.started = now

    def _start(self, post: Post) -> ChaosWorker:
        settings = {**post.settings, "metrics_port": free_port()}
        env = {f"RIVERRUN_{name.upper()}": str(value) for name, value in settings.items() if value is not None}
        fault = post.faults.pop(0) if post.faults else None
        log = self._folder / f"{post.name}-{len(post.ends)}.log"
        return ChaosWorker(*self._pipeline, env, log, fault)
