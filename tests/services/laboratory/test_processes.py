"""Processes of their own: the same outcomes, one that dies alone, and none that is left behind."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace

from services.laboratory import child
from services.laboratory.combination import Combination
from services.laboratory.outcome import Job, Outcome
from services.laboratory.playing import play
from services.laboratory.processes import Processes
from services.laboratory.source import FileSource
from tests.services.laboratory.conftest import named
from tests.streams.worker.kafka import until

ROOT = Path(__file__).resolve().parents[3]
#: In the process that plays it, each dies, or hangs, in its own way; nowhere else.
DEADLY = """
import os, signal, sys, time
if sys.orig_argv[-1] == "services.laboratory.child":
    print("on its way")
    {what}
from tests.services.laboratory.laboratory_pipelines import pipeline
"""


def timeless(outcome: Outcome) -> Outcome:
    """Return an outcome without what depends on the machine."""
    return replace(outcome, cpu_seconds=0.0, seconds=0.0, load=0.0)


def deadly(folder: Path, name: str, what: str) -> Combination:
    """Return a combination whose file does something when it is imported to be played."""
    path = folder / f"{name}.py"
    path.write_text(DEADLY.format(what=what))
    return Combination(f"{path}:pipeline")


def children(pid: int) -> list[psutil.Process]:
    """Return the processes that play something for a process; one that ends while we look plays no more."""
    playing = []
    for one in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # a zombie is a kind of it
            if "services.laboratory.child" in " ".join(one.cmdline()):
                playing.append(one)
    return playing


def is_playing(one: psutil.Process) -> bool:
    """Tell whether a process has not ended; a zombie has."""
    try:
        return one.is_running() and one.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the processes import the tests' modules."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def test_processes_give_what_one_process_gives_one_after_the_other_and_failures_stay_alone(
    source: FileSource, tmp_path: Path
) -> None:
    """Those that work are equal in all but time; the one that is killed tells so."""
    good = [Combination(named("pipeline")), Combination(named("pipeline"), named("grove"), "pool")]
    killed = deadly(tmp_path, "killed", "os.kill(os.getpid(), signal.SIGKILL)")
    jobs = [Job(one, source, features=one is good[0]) for one in (killed, *good)]
    told: set[int] = set()
    outcomes = dict(Processes(2).run(jobs, lambda place, share: told.add(place)))
    for place in (1, 2):
        assert timeless(outcomes[place]) == timeless(play(jobs[place], lambda share: None))
    assert told >= {1, 2}
    assert outcomes[0].error == "the process was killed by SIGKILL: on its way"


def test_process_tells_what_was_raised_as_an_outcome(
    source: FileSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken model, and a declaration that cannot be imported, with its line."""
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    monkeypatch.setattr(sys, "orig_argv", ["services.laboratory.child"])
    raising = deadly(tmp_path, "raising", "{}['key']")
    told = [
        child.outcome(Job(one, source), lambda share: None).error for one in (Combination(named("broken")), raising)
    ]
    assert "10 model errors in a row" in told[0]
    assert told[1].endswith("raising.py:5: KeyError: 'key'")


@pytest.mark.slow
def test_processes_end_when_nobody_listens_any_more(source: FileSource, tmp_path: Path) -> None:
    """Whoever closes the outcomes ends what is running, and nothing else is started."""
    slow = deadly(tmp_path, "slow", "time.sleep(600)")
    jobs = [Job(Combination(named("nothing")), source), *[Job(slow, source)] * 2]
    outcomes = Processes(2).run(jobs, lambda place, share: None)
    place, outcome = next(outcomes)
    assert (place, "expected a Pipeline" in outcome.error) == (0, True)
    until(lambda: children(os.getpid()), what="a process")
    outcomes.close()  # type: ignore[attr-defined]
    assert children(os.getpid()) == []


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGKILL, -9, marks=pytest.mark.slow)]
)
def test_interrupted_or_killed_command_leaves_nothing_running(
    tmp_path: Path, log_file: Path, sent: signal.Signals, code: int
) -> None:
    """Neither ^C nor the command's death leaves a process behind."""
    slow = deadly(tmp_path, "slow", "time.sleep(600)").pipeline
    command = [sys.executable, "-m", "services.cli", "backtest", str(log_file), slow]
    arguments = [*command, "--policy", "declared,pool", "--workers", "1"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(arguments, cwd=ROOT, stdout=pipe, stderr=pipe, start_new_session=True)
    try:
        playing = until(lambda: children(process.pid), what="a process that plays")
        os.killpg(process.pid, sent)  # as a terminal does
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == code, err
    assert b"Traceback" not in err
    until(lambda: not any(is_playing(one) for one in playing), what="the end")


def test_interrupted_command_shows_what_has_ended(tmp_path: Path, log_file: Path) -> None:
    """The table of the first combination, while the second one would take for ever; no process is left."""
    begun = tmp_path / "begun"
    slow = deadly(tmp_path, "slow", f"open({str(begun)!r}, 'w').close(); time.sleep(600)").pipeline
    command = [sys.executable, "-m", "services.cli", "backtest", str(log_file), named("pipeline"), slow]
    pipe = subprocess.PIPE
    process = subprocess.Popen([*command, "--workers", "1"], cwd=ROOT, stdout=pipe, stderr=pipe, start_new_session=True)
    try:
        until(begun.exists, what="the second one")
        playing = children(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, err) == (130, b"riverrun: interrupted: 1 of 2 combinations played\n")
    assert out.splitlines()[1].startswith(b"laboratory_pipelines.py:pipeline  0.")
    until(lambda: not any(is_playing(one) for one in playing), what="the end")


def test_interrupt_is_heard_while_nothing_ends(source: FileSource, tmp_path: Path) -> None:
    """A signal that does not wake the main thread, as one does not that comes just before it waits, is heard soon."""
    slow = deadly(tmp_path, "slow", "time.sleep(600)")
    outcomes = Processes(1).run([Job(slow, source)], lambda place, share: None)
    heard, given_up = threading.Event(), threading.Event()

    def interrupt() -> None:
        [playing] = until(lambda: children(os.getpid()), what="a process")
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)  # handled by the main thread, once awake
        if not heard.wait(15):
            given_up.set()
            playing.kill()

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        next(outcomes)
    heard.set()
    thread.join()
    assert not given_up.is_set()
    assert children(os.getpid()) == []


def test_process_with_another_hash_seed_refuses(source: FileSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some models would answer differently: what was asked for has to be what is there."""
    monkeypatch.setenv("PYTHONHASHSEED", "3")
    outcome = child.outcome(Job(Combination(named("pipeline")), source), lambda share: None)
    assert outcome.error == "PYTHONHASHSEED: got 3, expected 0"
