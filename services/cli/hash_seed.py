"""One order of string sets for every process: some River models sum or break ties in that order."""

import os
import sys

_VARIABLE = "PYTHONHASHSEED"
_COMMANDS = ("run", "backtest", "verify")


def fix_hash_seed() -> None:
    """Start this program again with a fixed hash seed, if it runs models and the environment sets none.

    Without it, two workers could answer differently from the same log, and a backtest from the worker.
    """
    arguments = sys.argv[1:]
    if os.environ.get(_VARIABLE, "random") not in ("", "random") or not arguments or arguments[0] not in _COMMANDS:
        return
    if sys.orig_argv[-len(arguments) :] != arguments:
        return  # called by a program of another command line, which cannot be started again as it was
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, _VARIABLE: "0"})
