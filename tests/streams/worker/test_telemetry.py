"""What Prometheus is told, and what the documentation says of it."""

import re
import socket
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP
from prometheus_client import Metric
from river import metrics, naive_bayes

from riverrun import Label, Pipeline
from schemas.events import LIFECYCLE_EVENTS, DriftCleared
from schemas.outgoing import OutgoingEncoder
from schemas.record import Record
from streams.accounting import OUTCOMES, REMARKS
from streams.worker.tally import Tally
from streams.worker.telemetry import Telemetry
from streams.worker.timing import Timing
from tests.streams.logs import Fold, Log

DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"
SUFFIX = {"counter": "_total", "info": "_info"}


def idle_app(**further: Any) -> Any:
    """Return what is read of the app of a worker without partitions."""
    of_the_worker = {
        "settings": SimpleNamespace(
            client=lambda **config: {"bootstrap.servers": "127.0.0.1:1"} | config, processing_guarantee="exactly_once"
        ),
        "pipeline": SimpleNamespace(name="p", declaration="0123456789abcdef", source_topic="p.raw"),
        "group_id": "p",
        "assignment": SimpleNamespace(
            shards={}, waiting={}, aborted=0, rebalances=1, last_commit=0.0, timing=Timing(), tally=Tally()
        ),
        "emitter": SimpleNamespace(emitted={}),
        "encoder": OutgoingEncoder("p"),
        "snapshots": SimpleNamespace(taken=0, failed=0, last_seconds=0.0, last_bytes=0),
        "recovery": SimpleNamespace(restored=0, refused=0, last_seconds=0.0),
    }
    return SimpleNamespace(**of_the_worker | further)


@pytest.fixture
def told_of() -> list[Metric]:
    """All that a worker without partitions has to say."""
    return list(Telemetry(idle_app()).collect())


def test_partition_without_a_snapshot_is_behind_all_that_it_has_read() -> None:
    """Where no snapshot can be taken a crash costs the most: that has to be seen, too."""
    taken, none = SimpleNamespace(next=900, time=0), None
    shards = {
        TP("p.raw", n): SimpleNamespace(start=100, position=1000, snapshot=s) for n, s in enumerate((taken, none))
    }
    app = idle_app(snapshots=SimpleNamespace(taken=0, failed=9, last_seconds=0.0, last_bytes=0))
    _, behind, *_ = Telemetry(app)._snapshot_metrics(shards)  # type: ignore[arg-type]
    assert {s.labels["partition"]: s.value for s in behind.samples} == {"0": 100, "1": 900}


def test_metric_that_raises_when_it_is_asked_is_left_out_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """All else is still told."""
    log = Log()
    for y in ("sky", "path"):
        log.event({"a": 1.0}, y=y)
        log.event({"a": 1.0}, y=y)
    betas = metrics.MultiFBeta(betas={"sky": 1}, weights=None)
    label = Label("y", type=str)
    model = naive_bayes.GaussianNB()
    fold = Fold(
        Pipeline("p", features={"a": float}, label=label, model=model, metrics=[betas, metrics.Accuracy()]), log.records
    )
    app = idle_app()
    app.assignment.shards[TP("p.raw", 0)] = SimpleNamespace(task=fold.task, position=4, start=0, snapshot=None)
    telemetry = Telemetry(app)
    for _ in range(2):
        [told] = [metric for metric in telemetry.collect() if metric.name == "riverrun_metric"]
        assert [sample.labels["metric"] for sample in told.samples] == ["accuracy"]
    [said] = [record.getMessage() for record in caplog.records if "multi_fbeta" in record.getMessage()]
    assert said == "p.raw[0]: metric multi_fbeta has no value: it raised KeyError('path')"


def test_outcomes_and_remarks_are_documented_as_the_code_has_them() -> None:
    text = DOCS.read_text()
    lines = [f"| `{name}` | {meaning} |" for name, meaning in (OUTCOMES | REMARKS).items()]
    at = [text.find(line) for line in lines]
    assert min(at) > 0, lines[at.index(-1)]
    assert at == sorted(at)


def test_scrape_is_over_before_prometheus_gives_up_though_no_broker_answers() -> None:
    """It would take a worker for dead that waits for Kafka. The broker here takes connections and says nothing."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        servers = f"127.0.0.1:{silent.getsockname()[1]}"
        client = SimpleNamespace(
            client=lambda **config: {"bootstrap.servers": servers} | config, processing_guarantee="exactly_once"
        )
        fold = Fold(Pipeline("p", {"a": float}, Label("y"), naive_bayes.GaussianNB()), Log().records)
        for shards in ({}, {TP("p.raw", 0): SimpleNamespace(task=fold.task, position=4, start=0, snapshot=None)}):
            app = idle_app(settings=client)
            app.assignment.shards |= shards
            began = time.monotonic()
            told = {metric.name: metric.samples for metric in Telemetry(app).collect()}
            assert time.monotonic() - began < 4, shards
            assert (told["riverrun_input_partitions"], told["riverrun_lag_records"]) == ([], [])
            assert len(told["riverrun_labels_pending"]) == len(shards)


def test_each_type_of_lifecycle_event_is_counted_from_the_beginning() -> None:
    """Prometheus sees no increase in a series that begins with its first event."""
    encoder = OutgoingEncoder("p")
    app = idle_app(encoder=encoder)
    before = {sample.labels["type"]: sample.value for sample in lifecycle_events(app)}
    assert before == {event.type.removeprefix("riverrun."): 0 for event in LIFECYCLE_EVENTS}
    cleared = DriftCleared(id="1", pipeline="p", partition=0, offset=7, time=0, version="v1", warning="w")
    encoder.encode(cleared, Record("p.raw", 0, 7, 0, None, b"{}"))
    after = {sample.labels["type"]: sample.value for sample in lifecycle_events(app)}
    assert after == before | {"drift.cleared": 1}


def lifecycle_events(app: Any) -> list[Any]:
    """Return the samples of what was said of the models."""
    [family] = [m for m in Telemetry(app)._worker_metrics(asks=False) if m.name == "riverrun_lifecycle_events"]
    return family.samples


def test_each_metric_is_documented_and_each_that_is_documented_is_there(told_of: list[Metric]) -> None:
    """By the name and with the labels under which Prometheus shows it."""
    rows = [line.strip("|").split("|") for line in DOCS.read_text().splitlines() if line.startswith("| `riverrun_")]
    documented = {
        name: set(re.findall(r"`(\w+)`", labels)) for names, labels, _ in rows for name in re.findall(r"`(\w+)`", names)
    }
    assert {f"{metric.name}{SUFFIX.get(metric.type, '')}" for metric in told_of} == set(documented)
    for metric in told_of:
        told = {label for sample in metric.samples for label in sample.labels} - {"le"}
        labels = set(getattr(metric, "_labelnames", ())) or told
        assert labels == documented[f"{metric.name}{SUFFIX.get(metric.type, '')}"], metric.name
