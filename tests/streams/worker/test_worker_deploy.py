"""A new declaration on a running log: nothing is mixed, nothing is lost, and no worker reads what is not its own."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from schemas.events import PredictionMade
from schemas.record import Record
from services.backtest import PredictionDigest
from services.cli import app
from services.deployment import declare, handovers
from streams.drift import Drift
from streams.pipeline import Pipeline
from streams.snapshot import read_index, restore, write
from streams.takeover import Takeover
from streams.task import Task
from streams.worker.keys import load_trusted
from streams.worker.settings import Settings
from streams.worker.stores.authentic import newest_of
from streams.worker.stores.opening import open_snapshots
from tests.streams.worker import declarations
from tests.streams.worker.engines import ON_BOTH
from tests.streams.worker.events import inline
from tests.streams.worker.kafka import Kafka, header, until
from tests.streams.worker.test_worker_snapshots import snapshots

pytestmark = ON_BOTH

COUNT = 1_000


def expected(records: list[Record], old: Pipeline, new: Pipeline, position: int, partition: int) -> tuple[str, int]:
    """Return digest and number of the predictions of a log that is folded under one declaration, then another."""
    digest, task = PredictionDigest(), Task(old, partition, old.partitions)
    for record in records:
        if record.offset == position:
            task = handed_over(task, new)
        for event in task.step(record):
            if isinstance(event, PredictionMade):
                digest.add(event)
    return digest.hexdigest(), digest.count


def handed_over(task: Task, new: Pipeline) -> Task:
    """Return a task of the new declaration with the state of the old one, by way of a snapshot."""
    file = io.BytesIO()
    write(task, (), file)
    dump, data = read_index(file), file.getvalue()
    parts = {p.name: data[dump.starts[p.digest] : dump.starts[p.digest] + p.size_bytes] for p in dump.parts}
    other = Task(new, task.partition, task.partitions)
    old = task.pipeline
    restore(other, parts, Takeover.between(old.declaration, old.declared, new.declared))
    return other


class TopicSnapshots:
    """The newest snapshots of a deployment, as `riverrun deploy` reads them."""

    def __init__(self, kafka: Kafka, deployment: Any) -> None:
        settings = Settings(bootstrap_servers=kafka.bootstrap, **deployment.keys)
        self._store = open_snapshots(settings, deployment.pipeline.name)
        self._trusted = load_trusted(settings.trusted_keys)
        self._log = deployment.pipeline.name, deployment.pipeline.source_topic

    def newest(self, partition: int) -> int:
        """Return the position of a partition's newest, -1 when there is none."""
        manifest, _ = newest_of(self._store, self._trusted, (*self._log, partition))
        return -1 if manifest is None else manifest.next


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"drift": Drift(delta=0.001, warning_delta=0.2)}, id="drift", marks=pytest.mark.slow),
        pytest.param({"model": "nb"}, id="model", marks=pytest.mark.slow),
        pytest.param({"wider": True}, id="feature", marks=pytest.mark.always),
    ],
)
def test_rolling_deploy_with_two_workers_mixes_nothing_and_loses_nothing(
    kafka: Kafka, deploy: Callable[..., Any], change: dict[str, Any]
) -> None:
    """Old workers hand over at one place of each partition, new ones go on from there, one worker after the other."""
    before = {"partitions": 2}
    deployment = deploy(**before)
    after = {**before, **change}
    new = declarations.RECIPES["small"](deployment.pipeline.name, **after)
    workers = [deployment.start(worker_id=f"w{i}", snapshot_interval=0.5) for i in range(2)]
    kafka.produce(deployment.raw, inline(COUNT))
    deployment.finish()
    settings = Settings(bootstrap_servers=kafka.bootstrap, **deployment.keys)
    positions = declare(new, settings, fresh=False, who="test", why="").offsets
    kafka.produce(deployment.raw, inline(COUNT, start=COUNT))
    store = TopicSnapshots(kafka, deployment)
    for found in handovers(new, settings, positions, store.newest):
        assert len(found) == 2
    for i, worker in enumerate(workers):
        assert worker.terminate()[0] == 0, worker.log
        workers[i] = deployment.start(worker_id=f"w{i}", declared=after, snapshot_interval=0.5)
    deployment.finish()

    records = kafka.records(deployment.raw)
    assert kafka.digests(deployment.pipeline) == {
        partition: expected(records[partition], deployment.pipeline, new, positions[partition], partition)
        for partition in records
    }
    for partition, messages in kafka.read(deployment.predictions).items():
        offsets = [int((header(m, "ce_id") or b"").rpartition(b"-")[2]) for m in messages]
        assert offsets == [r.offset for r in records[partition] if r.offset != positions[partition]]
        for offset, message in zip(offsets, messages, strict=True):
            declared = deployment.pipeline if offset < positions[partition] else new
            assert f'"declaration":"{declared.declaration}"'.encode() in message.value()


@pytest.mark.slow
def test_way_back_from_a_declaration_that_cannot_read_on(
    kafka: Kafka, deploy: Callable[..., Any], keys: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`deploy` knows what the log was handed over to, and names the way; nothing is lost on it, and models are kept."""
    for key, path in keys.items():
        monkeypatch.setenv(f"RIVERRUN_{key.upper()}", str(path))
    deployment = deploy()
    name = deployment.pipeline.name
    file = tmp_path / "declared.py"
    recipe = f"RECIPES['small']({name!r}"
    imported = f"from {declarations.__name__} import RECIPES\n"
    file.write_text(f"{imported}old = {recipe})\nnew = {recipe}, model='nb')\n")

    def said(which: str, *options: str) -> Any:
        arguments = ["deploy", f"{file}:{which}", *options, "--bootstrap-servers", kafka.bootstrap]
        return CliRunner().invoke(app, arguments)

    worker = deployment.start(snapshot_interval=0.3)
    kafka.produce(deployment.raw, inline(300))
    deployment.finish()
    handed_over = said("new")
    assert (handed_over.exit_code, "handed over" in handed_over.stdout) == (0, True), handed_over.output
    again = said("new", "--wait", "1")
    assert "is what the log has already: nothing changes" in again.stdout
    assert "it was handed over to this declaration at 300: start the workers with it" in again.stderr
    assert worker.metrics("riverrun_partition_waits", "partition") == {"0": 1.0}
    assert worker.health()[1]["waiting"] == [0]
    kafka.produce(deployment.raw, inline(100, seed=1, start=300))
    doctor = CliRunner().invoke(app, ["doctor", f"{file}:old", "--bootstrap-servers", kafka.bootstrap])
    assert (doctor.exit_code, "begins at 300, and nobody has read on under it" in doctor.stdout) == (3, True)
    back = said("old", "--wait", "1")
    new = declarations.RECIPES["small"](name, model="nb").declaration
    assert f"declaration {new} → {deployment.pipeline.declaration}: model" in back.stdout
    assert back.exit_code == 1
    assert f"nobody has read on under {new}, which begins at 300" in back.stderr
    assert "start those of this one with RIVERRUN_ON_NEW_DECLARATION=relearn" in back.stderr
    assert worker.terminate()[0] == 0
    kafka.produce(deployment.raw, inline(10, seed=2, start=400))
    worker = deployment.start(on_new_declaration="relearn")
    deployment.finish()
    assert worker.metrics("riverrun_partition_waits", "partition") == {"0": 0.0}
    assert worker.terminate()[0] == 0
    assert "refused" not in worker.log
    assert "300, 0 records to replay" in worker.log
    last = kafka.read(deployment.predictions)[0][-1]
    assert f'"declaration":"{deployment.pipeline.declaration}"'.encode() in last.value()
    assert kafka.count(deployment.predictions) == 410
    deployment.start()
    kafka.produce(deployment.raw, inline(10, seed=3, start=410))
    deployment.finish()


@pytest.mark.slow
def test_worker_whose_declaration_the_log_does_not_know_leaves_it_alone(
    kafka: Kafka, deploy: Callable[..., Any]
) -> None:
    """It says what to do; told to relearn, it reads all of the log again."""
    deployment = deploy()
    kafka.produce(deployment.raw, inline(500))
    worker = deployment.start(snapshot_interval=0.2)
    deployment.finish()
    until(lambda: snapshots(worker, "taken") >= 1, what="a snapshot")
    worker.kill()
    kafka.produce(deployment.raw, inline(100, start=500))
    worker = deployment.start(declared={"model": "nb"})
    until(lambda: "is left alone" in worker.log, what="a word")
    assert "riverrun deploy" in worker.log
    assert kafka.committed(deployment.pipeline) == {0: 500}
    assert worker.terminate()[0] == 0
    worker = deployment.start(declared={"model": "nb"}, on_new_declaration="relearn")
    deployment.finish()
    assert kafka.count(deployment.predictions) == 600
    last = kafka.read(deployment.predictions)[0][-1]
    new = declarations.RECIPES["small"](deployment.pipeline.name, model="nb")
    assert f'"declaration":"{new.declaration}"'.encode() in last.value()


def test_worker_knows_a_foreign_log_without_any_snapshot(kafka: Kafka, deploy: Callable[..., Any]) -> None:
    """The declaration stands beside the committed offset."""
    deployment = deploy()
    kafka.produce(deployment.raw, inline(300))
    worker = deployment.start(snapshot_interval=3600)
    deployment.finish()
    worker.kill()
    kafka.produce(deployment.raw, inline(100, start=300))
    worker = deployment.start(declared={"model": "nb"})
    until(lambda: "is left alone" in worker.log, what="a word")
    assert deployment.pipeline.declaration in worker.log
    assert kafka.committed(deployment.pipeline) == {0: 300}


def test_stopped_worker_leaves_a_snapshot_of_all_it_did(kafka: Kafka, deploy: Callable[..., Any]) -> None:
    """So that a declaration can follow at once, and the next start replays nothing."""
    deployment = deploy()
    kafka.produce(deployment.raw, inline(800))
    worker = deployment.start()
    deployment.finish()
    code, seconds = worker.terminate()
    assert (code, seconds < 5) == (0, True)
    new = declarations.RECIPES["small"](deployment.pipeline.name, model="nb")
    settings = Settings(bootstrap_servers=kafka.bootstrap, **deployment.keys)
    declare(new, settings, fresh=True, who="test", why="")
    kafka.produce(deployment.raw, inline(100, start=800))
    worker = deployment.start(declared={"model": "nb"})
    deployment.finish()
    assert snapshots(worker, "restored") == 1
    assert "0 records to replay" in worker.log
    assert kafka.count(deployment.predictions) == 900


def end_where_the_new_one_begins(worker: Any) -> None:
    """Stop a worker once it has come to the place of another declaration."""
    until(lambda: "commits what is before it" in worker.log, what="the place of the declaration")
    assert worker.terminate()[0] == 0, worker.log


@pytest.mark.slow
def test_worker_that_waits_for_its_successor_has_not_died(kafka: Kafka, deploy: Callable[..., Any]) -> None:
    """However often the old one is started meanwhile: the new one need not be careful with the first record."""
    deployment = deploy()
    worker = deployment.start()
    kafka.produce(deployment.raw, inline(100))
    deployment.finish()
    new = declarations.RECIPES["small"](deployment.pipeline.name, model="nb")
    declare(new, Settings(bootstrap_servers=kafka.bootstrap, **deployment.keys), fresh=False, who="test", why="")
    kafka.produce(deployment.raw, inline(100, start=100))
    end_where_the_new_one_begins(worker)
    for _ in range(2):
        end_where_the_new_one_begins(deployment.start())
    successor = deployment.start(declared={"model": "nb"})
    deployment.finish()
    assert "one by one" not in successor.log
