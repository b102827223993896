"""The process in which one combination is played: a job on standard input, lines of JSON on what was standard output.

What a declaration prints goes to standard error, line by line: the last one tells of a death. Standard input stays open
for as long as somebody waits for the answer: at its end the process leaves, so that nobody's death leaves it running.
"""

import io
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from services.laboratory.outcome import Job, Outcome, decode_job, encode

_BETWEEN_REPORTS_SECONDS = 0.25


def main() -> None:
    """Play the job that stands on standard input."""
    said = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    assert isinstance(sys.stdout, io.TextIOWrapper), "this is a process of its own"
    sys.stdout.reconfigure(line_buffering=True)
    job = decode_job(sys.stdin.buffer.readline())
    threading.Thread(target=_leave_with_the_owner, daemon=True).start()
    told = 0.0

    def tell(share: float) -> None:
        nonlocal told
        if time.monotonic() - told > _BETWEEN_REPORTS_SECONDS:
            told = time.monotonic()
            said.write(b"%.4f\n" % share)
            said.flush()

    said.write(encode(outcome(job, tell)) + b"\n")
    said.close()


def outcome(job: Job, tell: Callable[[float], None]) -> Outcome:
    """Return what comes of a job; what goes wrong is an outcome, too."""
    got = os.environ.get("PYTHONHASHSEED", "random")
    if got != job.hash_seed:
        return Outcome(job.combination, error=f"PYTHONHASHSEED: got {got}, expected {job.hash_seed}")
    try:
        from services.laboratory.playing import play

        return play(job, tell)
    except Exception as error:
        return Outcome(job.combination, error=_told(error))


def _told(error: Exception) -> str:
    """Return an error in one line: as the command line tells it, or with the place where it was raised."""
    from services.telling import one_line, told

    message = told(error)
    if message is not None:
        return one_line(message)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return one_line(f"{type(error).__name__}: {error} ({Path(frame.filename).name}:{frame.lineno})")


def _leave_with_the_owner() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
