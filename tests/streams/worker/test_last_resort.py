"""The end of a process in which something hangs: each in a process of its own."""

import subprocess
import sys
import time

import pytest

from tests.streams.worker.runner import ROOT

_BEGIN = """
import asyncio, faulthandler, logging, os, signal, sys, threading, time
from streams.worker.last_resort import LastResort
from streams.worker.signals import listen_to_signals
logging.basicConfig(level="INFO")
last_resort = LastResort()
"""


def ended(program: str, seconds: float = 30.0) -> tuple[int, str, float]:
    """Run a program; return its exit code, what it said, and how long it took from its word ``ready`` on."""
    process = subprocess.Popen(
        [sys.executable, "-c", _BEGIN + program],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        began = time.monotonic()
        return process.wait(seconds), process.communicate()[1], time.monotonic() - began
    finally:
        process.kill()


def test_end_that_takes_too_long_is_made_in_one_line() -> None:
    """With exit code 1, after a last act; no stacks, for nothing is wrong with the process."""
    code, said, seconds = ended("""
last_resort.end_within(0.5, "too late", lambda: print("acted", file=sys.stderr, flush=True))
print("ready", flush=True)
time.sleep(60)
""")
    assert (code, seconds < 5) == (1, True)
    assert said.splitlines() == ["CRITICAL:riverrun.worker:too late", "acted"]


def test_end_in_time_is_no_hard_one() -> None:
    """A process that goes on after a worker has ended goes on."""
    code, said, _ = ended("""
last_resort.end_within(0.3, "too late")
last_resort.disarm()
print("ready", flush=True)
time.sleep(1)
""")
    assert (code, said) == (0, "")


@pytest.mark.parametrize("end", ["end_within(0.1, 'too late')", "end('stalled')"])
def test_process_ends_although_somebody_holds_the_lock_of_the_log(end: str) -> None:
    """Where standard error is a pipe that nobody reads, who writes to it hangs, and holds the lock."""
    code, _, seconds = ended(f"""
held = threading.Event()
def hold():
    with logging.getLogger().handlers[0].lock:
        held.set()
        time.sleep(60)
threading.Thread(target=hold, daemon=True).start()
held.wait()
print("ready", flush=True)
last_resort.{end}
time.sleep(60)
""")
    assert (code, seconds < 15) == (1, True)


@pytest.mark.parametrize("busy", ["time.sleep(60)", "threading.Lock().acquire() and time.sleep(60)"])
def test_signal_is_heard_while_the_loop_is_held_up(busy: str) -> None:
    """As by a store that does not answer: the loop's own handler cannot run, and the time to end begins."""
    code, said, seconds = ended(f"""
async def main():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, lambda: os._exit(7))
    listen_to_signals(lambda: last_resort.end_within(0.5, "too late"))
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
    print("ready", flush=True)
    {busy}
asyncio.run(main())
""")
    assert (code, seconds < 10) == (1, True)
    assert "too late" in said


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_signal_is_passed_on_to_the_loop(name: str) -> None:
    """Which ends in order where it can."""
    code, said, _ = ended(f"""
async def main():
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.{name}, told.set)
    listen_to_signals(lambda: print("heard", file=sys.stderr, flush=True))
    threading.Timer(0.3, os.kill, (os.getpid(), signal.{name})).start()
    print("ready", flush=True)
    await told.wait()
asyncio.run(main())
""")
    assert (code, said) == (0, "heard\n")
