"""Who takes part: programs that read one topic and write predictions to another."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from streams.worker.keys import make_keys

PIPELINES_FILE = "benchmarks/pipelines.py"


@dataclass(frozen=True)
class Job:
    """What a contestant is asked to do in one race."""

    bootstrap: str
    model: str
    group: str = "bench"

    @property
    def pipeline(self) -> str:
        """The pipeline's name, and with it the names of its topics."""
        return f"bench-{self.model.replace('_', '-')}"

    @property
    def in_topic(self) -> str:
        """Where the records are."""
        return f"{self.pipeline}.raw"

    @property
    def out_topic(self) -> str:
        """Where the predictions go."""
        return f"{self.pipeline}.predictions"

    @property
    def topics(self) -> list[str]:
        """All topics a contestant may want."""
        ends = ("lifecycle", "dead-letters", "manifests", "snapshots")
        return [self.in_topic, self.out_topic, *(f"{self.pipeline}.{end}" for end in ends)]


@dataclass(frozen=True)
class Contestant:
    """A program under measure.

    Parameters
    ----------
    name
        The row's name, and the word for `--only`.
    argv
        Program and arguments; `{bootstrap}`, `{in_topic}`, `{out_topic}`, `{group}`, `{model}` and `{keys}`, a folder
        of keys for snapshots, are filled in.
    env
        Environment variables, filled in likewise.
    imports
        Modules whose import time `benchmarks.startup` measures in a process of its own.
    missing
        Says why the contestant cannot take part, or returns nothing.
    tells_legs
        Whether its metrics tell where a record spends its time, see `benchmarks.legs`.
    """

    name: str
    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    imports: tuple[str, ...] = ()
    missing: Callable[[], str | None] = lambda: None
    tells_legs: bool = False

    def command(self, job: Job) -> list[str]:
        """Return the command line for a job."""
        return [_fill(word, job) for word in self.argv]

    def environment(self, job: Job) -> dict[str, str]:
        """Return the environment for a job."""
        return {name: _fill(value, job) for name, value in self.env.items()}


def _fill(template: str, job: Job) -> str:
    return template.format(
        bootstrap=job.bootstrap,
        in_topic=job.in_topic,
        out_topic=job.out_topic,
        group=job.group,
        model=job.model,
        keys=_keys().name,
    )


@cache
def _keys() -> TemporaryDirectory[str]:
    """Return a folder with a pair of keys, gone when the driver ends."""
    folder = TemporaryDirectory(prefix="riverrun-bench-")
    make_keys(Path(folder.name))
    return folder


def _peer(name: str, module: str, package: str, *extra: str) -> Contestant:
    """Declare a peer of `benchmarks.peers`; `RIVERRUN_BENCH_PYTHON_<PACKAGE>` names another interpreter for it."""
    python = os.environ.get(f"RIVERRUN_BENCH_PYTHON_{package.upper()}", sys.executable)
    where = ("--bootstrap", "{bootstrap}", "--in-topic", "{in_topic}", "--out-topic", "{out_topic}")
    return Contestant(
        name,
        (python, "-m", f"benchmarks.peers.{module}", *where, "--group", "{group}", "--model", "{model}", *extra),
        imports=(f"benchmarks.peers.{module}", "river.linear_model", "river.preprocessing"),
        missing=lambda: None if python != sys.executable or importlib.util.find_spec(package) else f"no {package}",
    )


def _riverrun_command() -> str | None:
    beside = Path(sys.executable).parent / "riverrun"
    return str(beside) if beside.exists() else shutil.which("riverrun")


def _riverrun_missing() -> str | None:
    if _riverrun_command() is None:
        return "no command `riverrun`: install the project first"
    return None if Path(PIPELINES_FILE).exists() else f"no {PIPELINES_FILE}"


def _riverrun(name: str, guarantee: str) -> Contestant:
    return Contestant(
        name,
        (_riverrun_command() or "riverrun", "run", f"{PIPELINES_FILE}:{{model}}"),
        {
            "RIVERRUN_BOOTSTRAP_SERVERS": "{bootstrap}",
            "RIVERRUN_PROCESSING_GUARANTEE": guarantee,
            "RIVERRUN_SIGNING_KEY": "{keys}/signing.pem",
            "RIVERRUN_TRUSTED_KEYS": "{keys}/trusted",
            "PYTHONPATH": ".",
        },
        imports=("services.cli", "river.linear_model", "river.preprocessing"),
        missing=_riverrun_missing,
        tells_legs=True,
    )


CONTESTANTS = (
    _riverrun("riverrun", "at_least_once"),
    _riverrun("riverrun-eos", "exactly_once"),
    _peer("confluent", "confluent_loop", "confluent_kafka"),
    _peer("bytewax", "bytewax_flow", "bytewax"),
    _peer("quix", "quix_app", "quixstreams"),
    _peer("quix-eos", "quix_app", "quixstreams", "--exactly-once"),
    _peer("faust", "faust_app", "faust"),
)


def with_interval(contestant: Contestant, milliseconds: int) -> Contestant:
    """Return riverrun with another commit interval, such as `riverrun-eos@250`."""
    interval = {"RIVERRUN_COMMIT_INTERVAL": f"{milliseconds / 1000:g}"}
    return replace(contestant, name=f"{contestant.name}@{milliseconds}", env=contestant.env | interval)


def select(only: list[str] | None) -> list[Contestant]:
    """Return the named contestants in the table's order, or all.

    Raises
    ------
    ValueError
        If a name is not a contestant's (`reference` is the driver's own and passed over).
    """
    names = {contestant.name for contestant in CONTESTANTS} | {"reference"}
    if unknown := sorted(set(only or ()) - names):
        raise ValueError(f"--only: got {', '.join(unknown)}, expected some of {', '.join(sorted(names))}")
    return [contestant for contestant in CONTESTANTS if not only or contestant.name in only]
