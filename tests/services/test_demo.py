"""The demo, as a user runs it: a process with a broker and a worker of its own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from schemas.errors import ConfigurationError
from services.broker.ports import free_port
from services.demo import session as module
from services.demo.child import Worker, WorkerFailed
from services.demo.scenario import ROOT, SCENARIOS
from services.demo.screen import View, log_line, sparkline
from services.demo.session import Session
from services.demo.summary import _activation
from services.demo.watch import parse
from streams.worker.endpoint import serve
from tests.services.broker.processes import is_gone

MAIN = "from services.cli import main; main()"
METRICS = """\
# TYPE riverrun_records_read counter
riverrun_records_read_total{partition="0"} 12.0
# TYPE riverrun_outcomes counter
riverrun_outcomes_total{outcome="scored",partition="0"} 7.0
riverrun_outcomes_total{outcome="dead_letter",partition="0"} 1.0
# TYPE riverrun_labels_pending gauge
riverrun_labels_pending{partition="0"} 3.0
# TYPE riverrun_model_learned gauge
riverrun_model_learned{partition="0",version="v2"} 4.0
# TYPE riverrun_metric gauge
riverrun_metric{metric="accuracy_1000",partition="0"} 0.75
riverrun_metric{metric="accuracy",partition="0"} 0.5
# TYPE riverrun_emitted counter
riverrun_emitted_total{topic="flights.lifecycle"} 2.0
"""


def start_demo(data_dir: Path, *args: str) -> subprocess.Popen[str]:
    """Start a demo in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, "demo", "--data-dir", str(data_dir), *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=data_dir.parent,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )


def left_running(data_dir: Path) -> list[str]:
    """Return the command lines of what still works in a data directory."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        command = " ".join(process.info["cmdline"] or [])
        if str(data_dir) in command and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(command)
    return found


def wait_for_line(process: subprocess.Popen[str], words: str) -> None:
    """Read what a demo says until it has said these words."""
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return
    raise AssertionError(f"ended without saying {words!r}: {process.communicate()}")


def check_for_a_minute(worker: Worker) -> None:
    """Check a worker again and again."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        worker.check()
        time.sleep(0.05)


def still_running(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Return those that are alive, after some seconds; a zombie has ended."""
    _, alive = psutil.wait_procs(processes, timeout=20)
    return [process for process in alive if not is_gone(process.pid, within_seconds=0)]


@pytest.mark.parametrize(
    ("scenario", "rows"), [("flights", 3000), pytest.param("recurring", 2000, marks=pytest.mark.slow)]
)
def test_demo_ends_by_itself_with_a_summary(tmp_path: Path, scenario: str, rows: int) -> None:
    """Broker, worker, replay and summary, without a terminal; nothing is left running."""
    data_dir = tmp_path / "demo"
    demo = start_demo(data_dir, "--rows", str(rows), "--scenario", scenario)
    out, err = demo.communicate(timeout=120)
    assert demo.returncode == 0, err
    assert f"predictions   {rows:,}\n" in out
    assert "dead letters  0\n" in out
    assert "majority class" in out
    assert {path.name for path in data_dir.iterdir()} == {"riverrun-demo", "broker.log", "keys", "worker.log"}
    assert left_running(data_dir) == []


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["loading", "starting a worker", "New York"])
def test_demo_interrupted_leaves_nothing_running(tmp_path: Path, moment: str) -> None:
    """Ctrl-C, which the terminal sends to the whole process group, ends broker and worker too."""
    data_dir = tmp_path / "demo"
    demo = start_demo(data_dir, "--rows", "30000")
    wait_for_line(demo, moment)
    time.sleep(0.5)
    children = psutil.Process(demo.pid).children(recursive=True)
    os.killpg(demo.pid, signal.SIGINT)
    _, err = demo.communicate(timeout=60)
    assert demo.returncode == 130
    assert err == "stopped; nothing is left running\n"
    assert still_running(children) == []
    assert left_running(data_dir) == []


@pytest.mark.slow
def test_demo_killed_leaves_nothing_running(tmp_path: Path) -> None:
    """Even kill -9 of the demo ends broker and worker."""
    data_dir = tmp_path / "demo"
    demo = start_demo(data_dir, "--rows", "30000")
    wait_for_line(demo, "New York")
    children = psutil.Process(demo.pid).children(recursive=True)
    assert len(children) >= 2
    demo.kill()
    demo.wait()
    assert still_running(children) == []


@pytest.mark.slow
def test_worker_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    """The error of a worker is the demo's error."""
    worker = Worker(tmp_path / "worker.log", tmp_path / "keys")
    try:
        worker.run(tmp_path / "absent.py", "127.0.0.1:1", 0)
        with pytest.raises(WorkerFailed, match=r"exit status 2(.|\n)*absent\.py: got no such file"):
            check_for_a_minute(worker)
    finally:
        worker.stop()


def test_demo_removes_no_directory_it_has_not_made(tmp_path: Path) -> None:
    """A directory with something in it is left alone."""
    (tmp_path / "precious").touch()
    session = Session(SCENARIOS["recurring"], data_dir=tmp_path)
    with pytest.raises(ConfigurationError, match="--data-dir"), session:
        session.set_up(lambda words: None)
    assert (tmp_path / "precious").exists()


def test_demo_without_the_extra_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker comes with the extra."""

    def refuse() -> None:
        raise ConfigurationError("pip install riverrun[demo]")

    monkeypatch.setattr(module, "check_extra", refuse)
    with pytest.raises(ConfigurationError, match="pip install"):
        Session(SCENARIOS["recurring"], data_dir=tmp_path)


def test_reading_is_what_the_metrics_say() -> None:
    """A page of metrics becomes the numbers on the screen."""
    reading = parse(METRICS)
    assert reading is not None
    assert (reading.read, reading.pending, reading.version, reading.learned) == (12, 3, "v2", 4)
    assert reading.counts == {"scored": 7, "dead_letter": 1}
    assert reading.lag is None
    assert reading.rolling("accuracy") == 0.75
    assert reading.emitted == {"flights.lifecycle": 2}


def test_worker_is_asked_without_a_proxy() -> None:
    """Whatever the environment names does not reach this machine's own addresses."""
    port = free_port()
    serve(port, lambda: {"status": "ok"}, "127.0.0.1")
    script = f"from services.demo import watch; watch.parse = len; print(watch.scrape({port}))"
    proxies = {"http_proxy": "http://127.0.0.1:9", "no_proxy": ""}
    ran = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | proxies, cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert int(ran.stdout) > 0


def test_log_line_without_lag_shows_that_it_is_unknown() -> None:
    """A broker that does not tell leaves a question mark."""
    view = View(SCENARIOS["flights"], 10, reading=parse(METRICS))
    assert "lag ?" in log_line(view)
    assert "accuracy .750" in log_line(view)


def test_sparkline_of_a_steady_value_is_flat() -> None:
    """Noise of a hundredth is no mountain range."""
    assert sparkline([0.70, 0.71, 0.70]) == "▁▁▁"


def test_shell_is_told_where_riverrun_is_unless_it_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script of the environment that runs the demo."""
    (binaries := tmp_path / "bin").mkdir()
    (binaries / "activate").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    assert list(_activation()) == ["  . bin/activate".ljust(40) + "lets the shell find riverrun"]
    (binaries / "riverrun").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(binaries))
    assert list(_activation()) == []
