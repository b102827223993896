"""Dask: the same outcomes as from processes, and nothing left on a scheduler that is not ours."""

import os
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from schemas.errors import ConfigurationError
from services.laboratory.cluster import Cluster
from services.laboratory.combination import Combination
from services.laboratory.outcome import Job, Outcome
from services.laboratory.playing import play
from services.laboratory.source import FileSource
from tests.services.laboratory.conftest import named
from tests.services.laboratory.test_processes import children, deadly
from tests.streams.worker.kafka import until

distributed = pytest.importorskip("distributed", reason="the extra laboratory is not installed")
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the processes import the tests' modules."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture
def cluster() -> Any:
    """Run a scheduler, and a worker with two threads in a process of its own."""
    with distributed.LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as made:
        yield made


def timeless(outcome: Outcome) -> Outcome:
    """Return an outcome without what depends on the machine."""
    return replace(outcome, cpu_seconds=0.0, seconds=0.0, load=0.0)


def test_cluster_gives_what_one_process_gives(source: FileSource, cluster: Any) -> None:
    """Whatever the worker's own hash seed; a failure is an outcome there, too."""
    jobs = [Job(Combination(named("pipeline"), policy=policy), source) for policy in ("declared", "pool")]
    jobs.append(Job(Combination(named("broken")), source))
    outcomes = dict(Cluster(cluster.scheduler_address, 1).run(jobs, lambda place, share: None))
    for place in (0, 1):
        assert timeless(outcomes[place]) == timeless(play(jobs[place], lambda share: None))
    assert "10 model errors in a row" in outcomes[2].error


def test_cluster_of_ones_own_ends_with_the_outcomes(source: FileSource) -> None:
    """Without a scheduler, worker processes of this machine; they are gone afterwards."""
    job = Job(Combination(named("pipeline")), source)
    [(place, outcome)] = Cluster(None, 1).run([job], lambda place, share: None)
    assert (place, outcome.error) == (0, "")
    assert not children(os.getpid())


@pytest.mark.slow
def test_cluster_whose_outcomes_nobody_wants_stops_playing(source: FileSource, cluster: Any, tmp_path: Path) -> None:
    """The scheduler lives on; what it plays for us does not."""
    slow = deadly(tmp_path, "slow", "time.sleep(600)")
    jobs = [Job(Combination(named("nothing")), source), Job(slow, source)]
    outcomes = Cluster(cluster.scheduler_address, 1).run(jobs, lambda place, share: None)
    place, outcome = next(outcomes)
    assert (place, "expected a Pipeline" in outcome.error) == (0, True)
    until(lambda: children(os.getpid()), what="a process")
    outcomes.close()  # type: ignore[attr-defined]
    until(lambda: not children(os.getpid()), what="the end of what is played")


def test_cluster_that_does_not_answer_is_told(source: FileSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the address that was given."""
    job = Job(Combination(named("pipeline")), source)
    with pytest.raises(ConfigurationError, match="--scheduler: got 'nix://x', expected the address"):
        next(Cluster("nix://x", 1).run([job], lambda place, share: None))
