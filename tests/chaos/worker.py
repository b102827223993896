"""A worker that chaos is done to: it ends with who started it, and knows a few more ways to die."""

import ctypes
import itertools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.chaos import models
from tests.streams.worker import declarations, runner

_PR_SET_PDEATHSIG = 1


def die_after_rename(count: int) -> Callable[[], None]:
    """Return a fault: kill -9 when a file of a snapshot has its name, and the folder is not on the disk yet."""

    def plant() -> None:
        rename: Any = os.replace
        taken = itertools.count(1)

        def deadly(source: Any, target: Any, **further: Any) -> None:
            rename(source, target, **further)
            if Path(target).parent.name in ("parts", "manifests") and next(taken) == count:
                os.kill(os.getpid(), signal.SIGKILL)

        os.replace = deadly

    return plant


#: Where a worker may die besides `runner.DEATHS` and `runner.SNAPSHOT_DEATHS`: in a store that is a folder.
FOLDER_DEATHS: dict[str, Callable[[int], Callable[[], None]]] = {"after rename": die_after_rename}


def run(recipe: str, name: str, further: dict[str, Any], env: dict[str, str], log: str, fault: str | None) -> None:
    """Run a worker to its end, as `runner.run` does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the trial, which ends its workers itself
    declarations.RECIPES |= models.RECIPES
    death, _, count = (fault or "").partition(":")
    if death in FOLDER_DEATHS:
        FOLDER_DEATHS[death](int(count))()
        fault = None
    runner.run(recipe, name, further, env, log, fault)


class ChaosWorker(runner.Worker):
    """A running worker of a trial; parameters as `runner.Worker`."""

    program = staticmethod(run)

    @property
    def exit_code(self) -> int | None:
        """Its exit code, None while it runs."""
        return self._process.exitcode
