"""``riverrun verify`` beside a real worker: what it answered is made again, or it is told why not."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import TopicPartition
from typer.testing import CliRunner, Result

from services.cli import app
from services.cli.verify import INCOMPARABLE, OLDER
from tests.streams.worker.conftest import Deployment
from tests.streams.worker.declarations import small
from tests.streams.worker.events import inline
from tests.streams.worker.kafka import Event, Kafka, until
from tests.streams.worker.runner import Worker

COUNT = 1_500
PARTITIONS = 2
DECLARATION = """
from tests.streams.worker.declarations import small
pipeline = small({name!r}, partitions={partitions})
other = small({name!r}, "nb", partitions={partitions})
"""


class Desk:
    """A pipeline that a worker has worked on, snapshots in between, and the command line at it."""

    def __init__(self, kafka: Kafka, keys: dict[str, Path], folder: Path, name: str, partitions: int) -> None:
        self.kafka = kafka
        self.keys = keys
        self.folder = folder
        pipeline = small(name, partitions=partitions)
        kafka.create(pipeline)
        self.deployment = Deployment(kafka, pipeline, "small", {"partitions": partitions}, folder, keys)
        (folder / "verified_pipelines.py").write_text(DECLARATION.format(name=name, partitions=partitions))
        kafka.produce(self.deployment.raw, inline(COUNT))
        worker = self.deployment.start(snapshot_interval=0.2)
        self.deployment.finish()
        until(lambda: all(self.kept(worker, partition) > 100 for partition in range(partitions)), 60, "snapshots")
        kafka.produce(self.deployment.raw, inline(COUNT // 3, start=COUNT))
        self.deployment.finish()

    def kept(self, worker: Worker, partition: int) -> float:
        """Return the position of the newest snapshot of a partition, 0 without one."""
        behind = worker.metrics("riverrun_snapshot_behind_records", "partition").get(str(partition))
        return 0.0 if behind is None else self.kafka.extents(self.deployment.raw)[partition][1] - behind

    def run(self, *arguments: str, code: int = 0, pipeline: str = "pipeline") -> Result:
        """Run the command and hold its exit code."""
        result = CliRunner().invoke(app, ["verify", f"{self.folder / 'verified_pipelines.py'}:{pipeline}", *arguments])
        assert result.exit_code == code, result.output
        return result

    def read(self, *arguments: str, code: int = 0, **further: Any) -> Any:
        """Run the command for its JSON."""
        return json.loads(self.run(*arguments, "--output", "json", code=code, **further).stdout)


@pytest.fixture(scope="module")
def make_desk(
    kafka: Kafka, keys: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str, int], Desk]]:
    """Make desks; their workers are killed in the end."""
    made: list[Desk] = []

    def make(name: str, partitions: int) -> Desk:
        made.append(Desk(kafka, keys, tmp_path_factory.mktemp(name), name, partitions))
        return made[-1]

    yield make
    for desk in made:
        for worker in desk.deployment.workers:
            worker.kill()


@pytest.fixture(scope="module")
def desk(make_desk: Callable[[str, int], Desk]) -> Desk:
    """Return a pipeline of two partitions whose log is whole."""
    return make_desk("verified", PARTITIONS)


@pytest.fixture(autouse=True)
def settings(kafka: Kafka, keys: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Name the broker and the keys in the environment."""
    monkeypatch.setenv("RIVERRUN_BOOTSTRAP_SERVERS", kafka.bootstrap)
    monkeypatch.setenv("RIVERRUN_TRUSTED_KEYS", str(keys["trusted_keys"]))


def test_same_after_a_snapshot_and_from_the_beginning(desk: Desk) -> None:
    """Found by the event's id; the snapshot spares most of the replay, and changes nothing."""
    report = desk.read(f"e{COUNT + 300}")
    assert (report["outcome"], report["differences"], report["remarks"]) == ("same", [], [])
    assert report["found"]["score"] == report["rebuilt"]["score"]
    assert report["snapshot"]["position"] > 0
    whole = desk.read(f"e{COUNT + 300}", "--no-snapshots")
    assert (whole["outcome"], whole["snapshot"]) == ("same", None)
    assert whole["replayed"] == report["snapshot"]["position"] + report["replayed"]


def test_every_way_to_name_a_prediction_finds_it(desk: Desk) -> None:
    """Its own id, the position of its event in two forms, its own position, the event's id."""
    report = desk.read("1@100")
    event = report["found"]["id"]
    for name in (f"{desk.deployment.raw}-1-100", f"{desk.deployment.raw}[1]@100", report["position"], event):
        assert desk.read(name)["position"] == report["position"]


def test_text_is_an_account(desk: Desk) -> None:
    """For people: what was found, what it was made again from, and the outcome."""
    told = desk.run("0@400").stdout
    assert told.splitlines()[-1] == "same"
    for words in (
        "prediction    verified.predictions[0]@",
        "event         verified.raw[0]@400, id e",
        "replayed      ",
    ):
        assert words in told
    assert "the beginning of the log" in desk.run("0@0").stdout


def test_tampered_prediction_differs(desk: Desk) -> None:
    """Exit code 1, and both values."""
    [message, *_] = [
        m for m in desk.kafka.read(desk.deployment.predictions)[0] if orjson.loads(m.value())["learned"] > 90
    ]
    fields = orjson.loads(message.value())
    forged = Event(orjson.dumps({**fields, "score": 0.125}), message.key(), message.headers(), partition=0)
    desk.kafka.produce(desk.deployment.predictions, [forged])
    offset = desk.kafka.extents(desk.deployment.predictions)[0][1] - 1
    name = f"{desk.deployment.predictions}[0]@{offset}"
    report = desk.read(name, code=1)
    assert report["outcome"] == "differs"
    assert report["differences"] == [{"field": "score", "found": 0.125, "rebuilt": fields["score"]}]
    assert f"score         0.125, made again: {fields['score']}" in desk.run(name, code=1).stdout


def test_another_declaration_is_named(desk: Desk) -> None:
    """An exit code of its own, and both digests."""
    report = desk.read("0@400", code=INCOMPARABLE, pipeline="other")
    assert (report["outcome"], report["rebuilt"]) == ("another declaration", None)
    assert report["found"]["declaration"] in report["reason"]
    assert report["declaration"] in report["reason"]


@pytest.mark.parametrize("name", ["nobody", "0@999999", "9@0", "verified.predictions[0]@999999"])
def test_unknown_prediction_is_wrong_usage(desk: Desk, name: str) -> None:
    """Exit code 2, on one line."""
    result = desk.run(name, code=2)
    assert f"{name}: no such prediction" in result.stderr
    assert result.stderr.count("\n") == 1
    assert desk.read(name, code=2)["outcome"] == "no such prediction"


def test_without_trusted_keys_the_log_is_read_from_its_beginning(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And it is said why."""
    monkeypatch.setenv("RIVERRUN_TRUSTED_KEYS", str(tmp_path))
    report = desk.read("0@400")
    assert (report["outcome"], report["snapshot"]) == ("same", None)
    assert "RIVERRUN_TRUSTED_KEYS" in report["remarks"][0]


def test_without_topics_of_snapshots_the_log_is_read_from_its_beginning(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """So it is where they are kept in a folder, and this is not the one."""
    monkeypatch.setenv("RIVERRUN_SNAPSHOT_STORE", f"file://{tmp_path}/store")
    report = desk.read("0@400")
    assert report["snapshot"] is None
    assert any("no such folder here" in remark for remark in report["remarks"])


def test_cut_log_is_no_difference(make_desk: Callable[[str, int], Desk]) -> None:
    """Behind the snapshot all is the same; before it, or without it, the prediction is older than the log."""
    desk = make_desk("cut", 1)
    at = desk.read(f"0@{COUNT + 100}")["snapshot"]["position"]
    [cut] = desk.kafka.admin.delete_records([TopicPartition(desk.deployment.raw, 0, at - 5)]).values()
    cut.result(10)
    report = desk.read(f"0@{COUNT + 100}")
    assert (report["outcome"], report["snapshot"]["position"]) == ("same", at)
    for arguments in ([f"0@{at - 2}"], ["0@10"], [f"0@{COUNT + 100}", "--no-snapshots"]):
        told = desk.run(*arguments, code=OLDER).stdout.splitlines()[-1]
        assert told.startswith("older than the log: cut.raw[0] begins at")
        assert desk.read(*arguments, code=OLDER)["differences"] == []
