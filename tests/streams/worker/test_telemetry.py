"""What Prometheus is told, and what the documentation says of it."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from faust.types import TP
from prometheus_client import Metric

from streams.accounting import OUTCOMES, REMARKS
from streams.worker.telemetry import Telemetry
from streams.worker.timing import Timing

DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"
SUFFIX = {"counter": "_total"}


def metrics_of_an_idle_worker() -> list[Metric]:
    """Return all that a worker without partitions has to say."""
    app: Any = SimpleNamespace(
        settings=SimpleNamespace(client=lambda: {"bootstrap.servers": "127.0.0.1:1"}),
        assignment=SimpleNamespace(shards={}, waiting={}, aborted=0, last_commit=0.0, timing=Timing()),
        emitter=SimpleNamespace(emitted={}),
        snapshots=SimpleNamespace(taken=0, failed=0, last_seconds=0.0, last_bytes=0),
        recovery=SimpleNamespace(restored=0, refused=0, last_seconds=0.0),
    )
    return list(Telemetry(app).collect())


def test_partition_without_a_snapshot_is_behind_all_that_it_has_read() -> None:
    """Where no snapshot can be taken a crash costs the most: that has to be seen, too."""
    taken, none = SimpleNamespace(next=900, time=0), None
    shards = {
        TP("p.raw", n): SimpleNamespace(start=100, position=1000, snapshot=s) for n, s in enumerate((taken, none))
    }
    app: Any = SimpleNamespace(
        settings=SimpleNamespace(client=lambda: {"bootstrap.servers": "127.0.0.1:1"}),
        snapshots=SimpleNamespace(taken=0, failed=9, last_seconds=0.0, last_bytes=0),
        recovery=SimpleNamespace(restored=0, refused=0, last_seconds=0.0),
    )
    _, behind, *_ = Telemetry(app)._snapshot_metrics(shards)  # type: ignore[arg-type]
    assert {s.labels["partition"]: s.value for s in behind.samples} == {"0": 100, "1": 900}


def test_outcomes_and_remarks_are_documented_as_the_code_has_them() -> None:
    text = DOCS.read_text()
    lines = [f"| `{name}` | {meaning} |" for name, meaning in (OUTCOMES | REMARKS).items()]
    at = [text.find(line) for line in lines]
    assert min(at) > 0, lines[at.index(-1)]
    assert at == sorted(at)


def test_each_metric_is_documented_and_each_that_is_documented_is_there() -> None:
    """By the name and with the labels under which Prometheus shows it."""
    rows = [line.strip("|").split("|") for line in DOCS.read_text().splitlines() if line.startswith("| `riverrun_")]
    documented = {
        name: set(re.findall(r"`(\w+)`", labels)) for names, labels, _ in rows for name in re.findall(r"`(\w+)`", names)
    }
    metrics = metrics_of_an_idle_worker()
    assert {f"{metric.name}{SUFFIX.get(metric.type, '')}" for metric in metrics} == set(documented)
    for metric in metrics:
        told = {label for sample in metric.samples for label in sample.labels} - {"le"}
        labels = set(getattr(metric, "_labelnames", ())) or told
        assert labels == documented[f"{metric.name}{SUFFIX.get(metric.type, '')}"], metric.name
