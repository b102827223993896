"""The command line on the embedded broker: from topics to predictions, and back by a backtest."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic
from typer.testing import CliRunner, Result

from schemas.errors import BrokerError, ConfigurationError
from schemas.events import DeadLetter
from schemas.murmur2 import home_partition
from schemas.outgoing import OutgoingEncoder
from schemas.record import Record
from services.backtest import PredictionDigest
from services.bridge import Bridge
from services.broker import EmbeddedBroker
from services.cli import app
from services.cli.partitioners import crc32_partition, fnv1a_partition
from services.cli.reading import read
from services.groups import commit_offsets
from services.topics import apply_topics, has_had_records, plan_topics
from streams.worker.keys import make_keys
from streams.worker.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
EVENTS = 400
DECLARATION = """
from datetime import timedelta
from river import linear_model, preprocessing
from riverrun import Label, Pipeline

def declare(name, partitions):
    return Pipeline(
        name,
        features={"a": float},
        label=Label("y", type=bool, ttl=timedelta(days=1)),
        model=preprocessing.StandardScaler() | linear_model.LogisticRegression(),
        id_field="id",
        partitions=partitions,
        output_format="avro" if name == "spring" else "json",
    )

single = declare("single", 1)
spring = declare("spring", 1)
many = declare("many", 4)
grown = declare("grown", 4)
bridged = declare("bridged", 4)
wanted = declare("wanted", 1)
untold = declare("untold", 1)
crossed = declare("crossed", 1)
mended = declare("mended", 2)
placed = declare("placed", 3)
lettered = declare("lettered", 1)
doubted = declare("doubted", 1)
growing = declare("growing", 2)
"""


@dataclass(frozen=True)
class Desk:
    """A broker, a declaration and a command line at it."""

    bootstrap: str
    folder: Path

    @property
    def settings(self) -> Settings:
        """Of this broker."""
        return Settings(bootstrap_servers=self.bootstrap)

    def pipeline(self, name: str) -> str:
        """Return the import path of a pipeline."""
        return f"{self.folder / 'declared.py'}:{name}"

    def make(self, topic: str, partitions: int) -> None:
        """Create a topic."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(10)

    def run(self, *arguments: str, code: int = 0) -> Result:
        """Run a command in this process and hold its exit code."""
        result = CliRunner().invoke(app, list(arguments))
        assert result.exit_code == code, result.output
        return result

    def read(self, *arguments: str, code: int = 0) -> Any:
        """Run a command that prints one JSON value."""
        return json.loads(self.run(*arguments, "--output", "json", code=code).stdout)

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start a command in a process of its own."""
        command = [sys.executable, "-c", "from services.cli import main; main()", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A broker for all tests here; each uses pipelines of its own."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "declared.py").write_text(DECLARATION)
    with EmbeddedBroker(folder / "broker", dies_with_parent=True) as bootstrap, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RIVERRUN_BOOTSTRAP_SERVERS", bootstrap)
        private, public = make_keys(folder / "keys")
        patch.setenv("RIVERRUN_SIGNING_KEY", str(private))
        patch.setenv("RIVERRUN_TRUSTED_KEYS", str(public.parent))
        yield Desk(bootstrap, folder)


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """A file of bare events with inline labels."""
    lines = (
        json.dumps({"id": f"e{i}", "k": f"k{i % 37}", "a": float(i % 7 - 3), "y": i % 7 > 3}) for i in range(EVENTS)
    )
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def produce(desk: Desk, topic: str, records: list[tuple[str, bytes, str | None]], **config: str) -> None:
    """Produce records of key, value and ce_type as a foreign producer."""
    producer = Producer({"bootstrap.servers": desk.bootstrap, **config})
    for key, value, kind in records:
        producer.produce(topic, value, key, headers=[("ce_type", kind.encode())] if kind else None)
    assert producer.flush(10) == 0


def end(process: "subprocess.Popen[bytes]") -> tuple[int, str, str]:
    """Ask a process to stop, and return its exit code and what it said."""
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    return process.returncode, out.decode(), err.decode()


def eventually(is_so: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "did not come about in time"
        time.sleep(0.1)


@pytest.mark.parametrize("name", ["single", pytest.param("spring", marks=pytest.mark.slow)])
def test_worker_and_backtest_give_the_same_predictions(
    desk: Desk, events: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sent, scored by a worker and read back equals what a backtest of the file answers, in JSON and Avro.

    The worker leaves no file behind.
    """
    (temporary := tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.chdir(temporary)
    desk.run("topics", "apply", desk.pipeline(name))
    sent = desk.read("send", str(events), desk.pipeline(name), "--key-field", "k")
    assert (sent["sent"], sent["acknowledged"], sent["refused"]) == (EVENTS, EVENTS, 0)
    worker = desk.start("run", desk.pipeline(name), "--log-level", "WARNING")
    tail = desk.start("tail", "predictions", name, "--from", "beginning", "-n", str(EVENTS), "--output", "json")
    try:
        told = tail.communicate(timeout=90)[0]
    finally:
        for process in (tail, worker):
            process.terminate()
        said = worker.communicate(timeout=20)[1]
    assert (said.count(b"\n"), b"riverrun doctor --probe" in said, worker.returncode) == (1, True, 0), said
    assert list(temporary.iterdir()) == []
    report = desk.read("backtest", str(events), desk.pipeline(name))
    assert report["balanced"]
    assert digest_of(told) == (report["predictions"], report["digest"])
    doctor = desk.read("doctor", desk.pipeline(name))
    assert (doctor["ok"], f"committed {EVENTS}, lag 0" in str(doctor["checks"])) == (True, True)


def digest_of(lines: bytes) -> tuple[int, str]:
    """Return number and digest of the predictions that ``tail --output json`` told."""
    digest = PredictionDigest()
    for line in lines.splitlines():
        made = json.loads(line)["value"]
        digest.add_fields(made["id"], made["prediction"], made["score"], made["version"], made["learned"])
    return digest.count, digest.hexdigest()


def test_send_bad_line_is_named_and_the_others_are_sent(desk: Desk, tmp_path: Path) -> None:
    """Exit code 1, the line's place, and every other line acknowledged; --strict stops there."""
    apply_topics(load(desk, "wanted"), desk.settings)
    path = tmp_path / "lines.jsonl"
    path.write_text('{"id": "a"}\n[1]\n{"id": "b"}\n')
    result = desk.run("send", str(path), "--topic", "wanted.raw", code=1)
    assert f"{path}:2: got a list, expected a JSON object" in result.stderr
    assert "sent 2, acknowledged 2" in result.stdout
    strict = desk.run("send", str(path), "--topic", "wanted.raw", "--strict", code=1)
    assert "sent 1, acknowledged 1" in strict.stdout
    path.write_text('{"id": "a"}\n' + "no,json\n" * 500)
    table = desk.run("send", str(path), "--topic", "wanted.raw", code=1)
    assert (table.stderr.count("\n"), "480 lines more cannot be sent" in table.stderr) == (21, True)


@pytest.mark.parametrize("lines", [1, 3, 500])
def test_send_with_a_key_field_that_no_line_has_sends_nothing(desk: Desk, tmp_path: Path, lines: int) -> None:
    """A field that is misspelled would scatter the records over the partitions, past their labels."""
    desk.make(f"misspelled-{lines}.raw", 1)
    path = tmp_path / "lines.jsonl"
    path.write_text("nonsense\n" + '{"customer": "c1", "a": 1}\n' * lines)
    told = desk.run("send", str(path), f"misspelled-{lines}", "--key-field", "custmer", code=2)
    assert f"--key-field: got 'custmer', which has no value in the first {min(100, lines)} line" in told.stderr
    assert "expected a field of theirs: customer, a. Nothing was sent." in told.stderr
    assert (told.stdout, told.stderr.count("\n")) == ("", 1)
    assert sent_to(desk, f"misspelled-{lines}") == []


def test_send_with_a_key_field_that_some_lines_lack_says_how_many(desk: Desk, tmp_path: Path) -> None:
    """They are sent without a key; what brings its own is none of them, and none of the first alone is no reason."""
    desk.make("lacking.raw", 1)
    path = tmp_path / "lines.jsonl"
    path.write_text('{"a": 0}\n' * 3 + '{"k": "k1", "a": 1}\n')
    told = desk.run("send", str(path), "lacking", "--key-field", "k")
    assert "riverrun: 3 lines without field 'k': sent without a key" in told.stderr
    assert [record.key for record in sent_to(desk, "lacking")] == [None, None, None, b"k1"]
    path.write_text('{"a": 0}\n{"specversion": "1.0", "partitionkey": "k2", "data": {"a": 1}}\n')
    desk.run("send", str(path), "lacking", "--key-field", "k")
    assert [record.key for record in sent_to(desk, "lacking")][4:] == [None, b"k2"]


def test_send_unknown_topic_names_the_way_to_make_it(desk: Desk, events: Path) -> None:
    """A topic that is not there is not made by accident."""
    result = desk.run("send", str(events), "--topic", "nowhere", code=2)
    assert "nowhere: no such topic" in result.stderr
    assert "riverrun topics apply" in result.stderr
    assert "nowhere" not in AdminClient({"bootstrap.servers": desk.bootstrap}).list_topics(timeout=5).topics


def test_send_label_sets_type_and_tail_raw_shows_it(desk: Desk, tmp_path: Path) -> None:
    """A bare label is told from an event by its header; tail reads it back."""
    apply_topics(load(desk, "wanted"), desk.settings)
    path = tmp_path / "labels.jsonl"
    path.write_text('{"id": "a", "y": true}\n')
    desk.run("send", str(path), "--topic", "wanted.raw", "--type", "label", "--key-field", "id")
    result = desk.run("tail", "raw", "wanted", "--from", "-1", "-n", "1")
    assert 'label  key=a  {"id": "a", "y": true}' in result.stdout


@pytest.mark.parametrize("count", [1, 2, 5])
def test_tail_of_the_newest_passes_over_the_markers_of_transactions(desk: Desk, count: int) -> None:
    """Each record has a transaction of its own here, and an aborted one lies on top: they count for nothing."""
    topic = f"spread-{count}.predictions"
    desk.make(topic, 1)
    producer = Producer({"bootstrap.servers": desk.bootstrap, "transactional.id": topic})
    producer.init_transactions(10)
    for i in range(6):
        producer.begin_transaction()
        producer.produce(topic, b'{"id": "e%d"}' % (i if i < 5 else 99), b"k", 0)
        producer.flush(10)
        producer.commit_transaction() if i < 5 else producer.abort_transaction()
    told = desk.run("tail", "predictions", f"spread-{count}", "-n", str(count), "--output", "json").stdout
    assert [json.loads(line)["value"]["id"] for line in told.splitlines()] == [f"e{i}" for i in range(5 - count, 5)]


def test_tail_without_following_stops_at_the_end(desk: Desk) -> None:
    """Fewer than were asked for are there, or none; a program reads each as one line."""
    desk.make("ended.predictions", 2)
    without = ("tail", "predictions", "ended", "--no-follow", "-n", "100", "--output", "json")
    assert desk.run(*without).stdout == ""
    produce(desk, "ended.predictions", [(f"k{i}", b'{"i": %d}' % i, None) for i in range(7)])
    told = [json.loads(line)["value"]["i"] for line in desk.run(*without).stdout.splitlines()]
    assert sorted(told) == list(range(7))
    assert len(desk.run("tail", "predictions", "ended", "--no-follow", "-n", "3").stdout.splitlines()) == 3


LETTERS = [
    ("validate", Record("mended.raw", 0, 5, 1000, b"k", b'{"a": "1"}', [("ce_id", b"1"), ("x", b"\xff")])),
    ("decode", Record("mended.raw", 0, 6, 2000, None, b"\x00\xff", [("riverrun_attempt", b"4")])),
    ("quarantine", Record("mended.raw", 0, 7, 3000, b"k", b"{}")),
    ("decode", Record("mended.raw", 0, 8, 4000, b"k", b"x" * 4000)),
    ("envelope", Record("mended.raw", 0, 9, 5000, None, b"{}", [("ce_time", b"yesterday")])),
]


def bury(desk: Desk, *letters: tuple[str, Record], name: str = "mended") -> None:
    """Write dead letters as a worker does."""
    encoder = OutgoingEncoder(name, limits={f"{name}.dead-letters": 4000})
    producer = Producer({"bootstrap.servers": desk.bootstrap})
    for stage, record in letters:
        message = encoder.encode(DeadLetter(record, stage, f"no {stage}"), record)
        producer.produce(message.topic, message.value, message.key, message.partition, headers=message.headers)
    assert producer.flush(10) == 0


def sent_to(desk: Desk, name: str) -> list[Record]:
    """Return all records of an input topic."""
    return list(read(desk.settings, f"{name}.raw", "beginning", follow=False))


def test_resend_sends_what_was_refused_once_more_and_tells_what_is_left(desk: Desk) -> None:
    """With key, headers, time and the number of the attempt; the next run goes on behind it."""
    pipeline = desk.pipeline("mended")
    apply_topics(load(desk, "mended"), desk.settings)
    bury(desk, *LETTERS[:4])
    digest = "got a digest, expected the record: its bytes were too large for a dead letter"
    command = "riverrun resend --stage quarantine --from beginning"
    held = f"stage quarantine: workers have died of it; {command} sends it all the same"
    expected = {"topic": "mended.raw", "sent": {"validate": 1, "decode": 1}, "left": {held: 1, digest: 1}}
    assert desk.read("resend", pipeline, "--dry-run") == {**expected, "dry_run": True}
    assert sent_to(desk, "mended") == []
    assert desk.read("resend", pipeline) == {**expected, "dry_run": False}
    first, second = sorted(sent_to(desk, "mended"), key=lambda record: record.key is None)
    assert (first.key, first.value) == (b"k", b'{"a": "1"}')
    assert dict(first.headers or ()) == {
        "ce_id": b"1",
        "x": b"\xff",
        "ce_time": b"1970-01-01T00:00:01.000Z",
        "riverrun_attempt": b"2",
    }
    assert (second.key, second.value) == (None, b"\x00\xff")
    assert second.headers == [("ce_time", b"1970-01-01T00:00:02.000Z"), ("riverrun_attempt", b"5")]

    assert desk.run("resend", pipeline).stdout == "sent 0 to mended.raw\n"
    assert desk.run("resend", pipeline, "--stage", "quarantine", "--from", "beginning").stdout.splitlines() == [
        "sent 1 to mended.raw: 1 quarantine",
        "left 1 stage validate: not asked for",
        "left 1 stage decode: not asked for",
        f"left 1 {digest}",
    ]
    bury(desk, LETTERS[0])
    assert desk.read("resend", pipeline, "-n", "1")["sent"] == {"validate": 1}
    assert len(sent_to(desk, "mended")) == 4


def test_resend_goes_to_the_same_partition_and_leaves_what_has_become_too_large(desk: Desk) -> None:
    """A label without a key, or placed by another partitioner, meets its event there; a large one holds up nobody."""
    apply_topics(load(desk, "placed"), desk.settings)
    letters = [Record("placed.raw", n % 3, n, 1000, None if n < 6 else b"k", b"{}") for n in range(9)]
    headers, value = [("ce_id", b"9")], b"x" * (2**20 - 170)
    large = OutgoingEncoder("placed", limits={"placed.dead-letters": 2**22}).encode(
        DeadLetter(Record("placed.raw", 0, 9, 1000, None, value, headers), "validate", "no"), letters[0]
    )
    producer = Producer({"bootstrap.servers": desk.bootstrap, "message.max.bytes": 2**21})
    producer.produce(large.topic, large.value, large.key, large.partition, headers=large.headers)
    assert producer.flush(10) == 0
    bury(desk, *(("validate", letter) for letter in letters), name="placed")
    said = desk.read("resend", desk.pipeline("placed"))
    assert said["sent"] == {"validate": 9}
    assert said["left"] == {"stage validate: larger than placed.raw takes, 1048576 bytes": 1}
    assert sorted(record.partition for record in sent_to(desk, "placed")) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert desk.read("resend", desk.pipeline("placed"))["sent"] == {}


def test_send_takes_the_dead_letters_that_tail_shows(desk: Desk, tmp_path: Path) -> None:
    """Mended or as they are, with their time and the number of the attempt; other lines of tail are no events."""
    apply_topics(load(desk, "lettered"), desk.settings)
    bury(desk, *LETTERS, name="lettered")
    shown = desk.run("tail", "dead-letters", "lettered", "--no-follow", "-o", "json").stdout.splitlines()
    letters = {letter["headers"]["riverrun_offset"]: letter for letter in map(json.loads, shown)}
    letters["5"]["value"] = {"id": "1", "a": 1}
    letters["9"]["headers"]["ce_time"] = "1970-01-01T00:00:07Z"
    path = tmp_path / "letters.jsonl"
    path.write_text("".join(json.dumps(letters[offset]) + "\n" for offset in "56789"))
    told = desk.run("send", str(path), "lettered", code=1)
    assert "sent 3, acknowledged 3 in lettered.raw, 2 lines refused" in told.stdout
    assert f"{path}:3: stage quarantine: workers have died of it; riverrun resend --stage quarantine" in told.stderr
    assert f"{path}:4: got a digest" in told.stderr
    mended, as_it_was, in_time = sent_to(desk, "lettered")
    assert (mended.key, mended.value) == (b"k", b'{"id":"1","a":1}')
    assert dict(mended.headers or ())["ce_time"] == b"1970-01-01T00:00:01.000Z"
    assert dict(mended.headers or ())["riverrun_attempt"] == b"2"
    assert (as_it_was.key, as_it_was.value) == (None, b"\x00\xff")
    assert in_time.headers == [("ce_time", b"1970-01-01T00:00:07Z"), ("riverrun_attempt", b"2")]
    raw = desk.run("tail", "raw", "lettered", "--no-follow", "-n", "1", "-o", "json").stdout
    path.write_text(raw)
    assert "no dead letter, expected an event" in desk.run("send", str(path), "lettered", code=1).stderr


def test_resend_of_an_unknown_stage_is_usage(desk: Desk) -> None:
    """The stages are named."""
    told = desk.run("resend", desk.pipeline("mended"), "--stage", "nix", code=2).stderr
    assert "--stage: got 'nix', expected one of envelope, decode" in told


def test_topics_apply_is_idempotent_and_never_grows_raw(desk: Desk) -> None:
    """Outputs grow, the input topic does not, and says why; a second run has nothing to do."""
    desk.make("grown.raw", 2)
    desk.make("grown.predictions", 1)
    pipeline = desk.pipeline("grown")
    assert desk.read("topics", "plan", pipeline, code=1)["topics"][1]["action"] == "grow"
    for command in ("plan", "apply"):
        result = desk.run("topics", command, pipeline, code=1)
        assert "grown.raw: got 2 partitions, expected 4: not grown" in result.stderr
    desk.run("topics", "plan", pipeline, "--partitions", "2")
    plans = plan_topics(load(desk, "grown"), desk.settings)
    assert [plan.action for plan in plans] == ["refuse"] + ["none"] * 5
    assert [plan.existing.partitions for plan in plans if plan.existing] == [2, 4, 1, 4, 4, 4]


def test_replay_once_sends_nothing_to_a_topic_that_has_records(desk: Desk) -> None:
    """What was sent before is not sent again on top; a topic that is not there is an error as ever."""
    replay = ("replay", "recurring", "--rows", "20", "--once")
    missing = desk.start(*replay)
    _, err = missing.communicate(timeout=30)
    assert (missing.returncode, b"recurring.raw: no such topic" in err) == (1, True)
    desk.make("recurring.raw", 3)
    assert not has_had_records(desk.settings, "recurring.raw")
    said = []
    for _ in range(2):
        process = desk.start(*replay)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        said.append(out.decode())
    assert said == [
        "20 applications and 20 labels sent to recurring.raw\n",
        "recurring.raw has or had records already: nothing is sent, as --once says\n",
    ]
    assert kinds(desk, "recurring") == {"riverrun.event": 20, "riverrun.label": 20}


def test_doctor_names_missing_topics(desk: Desk) -> None:
    """Exit code 3, and the command that mends it."""
    result = desk.run("doctor", desk.pipeline("many"), code=3)
    assert "✗ topic many.raw: is missing" in result.stdout
    assert "riverrun topics apply" in result.stdout


def test_doctor_names_the_topics_that_lack_partitions_of_a_grown_input(desk: Desk) -> None:
    """Nothing else is wrong, the snapshots least of all; what is advised mends it."""
    pipeline = desk.pipeline("growing")
    desk.run("topics", "apply", pipeline)
    admin = AdminClient({"bootstrap.servers": desk.bootstrap})
    admin.create_partitions([NewPartitions("growing.raw", 4)])["growing.raw"].result(10)
    checks = {check["name"]: check for check in desk.read("doctor", pipeline, code=3)["checks"]}
    ends = ("predictions", "dead-letters", "manifests", "snapshots")
    assert [name for name, check in checks.items() if not check["ok"]] == [f"topic growing.{end}" for end in ends]
    told = checks["topic growing.manifests"]
    assert told["found"] == "has 2 partitions, expected 4"
    assert told["advice"] == "riverrun topics apply adds them; what the input has beyond these waits"
    desk.run("topics", "apply", pipeline)
    assert desk.read("doctor", pipeline)["ok"]


def test_doctor_tells_of_dead_letters_among_the_records_that_were_read(desk: Desk) -> None:
    """What waits is not counted; what is advised is there."""
    pipeline = desk.pipeline("doubted")
    apply_topics(load(desk, "doubted"), desk.settings)
    produce(desk, "doubted.raw", [("k", b"{}", None)] * 8)
    commit_offsets(desk.settings, "riverrun-doubted", "doubted.raw", {0: 5}, 15)
    bury(desk, ("validate", Record("doubted.raw", 0, 4, 0, b"k", b"{}")), name="doubted")
    checks = {check["name"]: check for check in desk.read("doctor", pipeline, code=3)["checks"]}
    told = checks["dead letters"]
    assert not told["ok"]
    assert told["found"] == "1 of the newest 5 records; most frequent: validate: no validate"
    assert f"riverrun tail dead-letters {pipeline} shows them" in told["advice"]


def test_doctor_goes_on_where_the_broker_does_not_tell_how_far_a_group_is(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is a problem like another: exit code 3, as JSON, too, and the checks that follow are made."""

    def refuse(*_: object) -> None:
        raise KafkaException(KafkaError(KafkaError.NOT_COORDINATOR, "Not coordinator"))

    monkeypatch.setattr("services.groups.committed", refuse)
    desk.run("topics", "apply", desk.pipeline("untold"))
    checks = {check["name"]: check for check in desk.read("doctor", desk.pipeline("untold"), code=3)["checks"]}
    assert [name for name, check in checks.items() if not check["ok"]] == ["progress"]
    assert checks["progress"]["found"] == "the broker does not tell how far group riverrun-untold is: Not coordinator"
    assert "partitioners" in checks
    assert "✗ progress: the broker" in desk.run("doctor", desk.pipeline("untold"), code=3).stdout


def test_doctor_names_the_partitioner_and_bridge_makes_labels_meet(desk: Desk) -> None:
    """Labels by CRC-32 are named; through a bridge, events and labels meet, and doctor misses nothing but a worker."""
    pipeline = desk.pipeline("bridged")
    desk.run("topics", "apply", pipeline)
    keys = [f"key-{i}" for i in range(50)]
    events = [(key, b'{"id": "%b", "a": 1.0}' % key.encode(), None) for key in keys]
    labels = [(key, b'{"id": "%b", "y": true}' % key.encode(), "riverrun.label") for key in keys]
    produce(desk, "bridged.raw", events, partitioner="murmur2_random")
    desk.make("landings", 3)
    produce(desk, "landings", labels)
    bridge = desk.start("bridge", pipeline, "--from", "landings")
    try:
        eventually(lambda: kinds(desk, "bridged")["riverrun.label"] == len(keys))
    finally:
        began = time.monotonic()
        code, out, _ = end(bridge)
    assert (code, out) == (0, "moved 50 records to bridged.raw\n")
    assert time.monotonic() - began < 8
    checks = desk.read("doctor", pipeline, code=3)["checks"]
    assert {check["name"]: check["found"] for check in checks if not check["ok"]} == {
        "workers": "group riverrun-bridged has no members, and 100 offsets are unread"
    }
    produce(desk, "bridged.raw", labels)
    checks = {check["name"]: check for check in desk.read("doctor", pipeline, code=3)["checks"]}
    assert checks["partitioner of events"]["ok"]
    assert "riverrun bridge" in checks["partitioner of labels"]["advice"]


def test_bridge_from_a_topic_that_is_not_there_says_that_it_has_to_exist(desk: Desk) -> None:
    """It is somebody else's, so there is no command of ours that makes it; for the pipeline's own there is one."""
    pipeline = load(desk, "crossed")
    with pytest.raises(BrokerError, match=r"^crossed\.raw: no such topic on .*\. riverrun topics apply PIPELINE makes"):
        Bridge(pipeline, desk.settings, ["nosuch.topic"])
    apply_topics(pipeline, desk.settings)
    told = r"^nosuch\.topic: no such topic on .*\. --from reads a topic that exists; riverrun makes none for other prod"
    with pytest.raises(ConfigurationError, match=told):
        Bridge(pipeline, desk.settings, ["nosuch.topic"])


def kinds(desk: Desk, name: str) -> dict[str, int]:
    """Count the records of an input topic by type."""
    count = {"riverrun.event": 0, "riverrun.label": 0}
    for record in read(desk.settings, f"{name}.raw", "beginning", follow=False):
        kind = dict(record.headers or ()).get("ce_type") or b"riverrun.event"
        count[kind.decode()] += 1
    return count


@pytest.mark.parametrize(
    ("partitioner", "partition_of"),
    [("murmur2_random", home_partition), ("consistent_random", crc32_partition), ("fnv1a_random", fnv1a_partition)],
)
def test_partitioners_are_librdkafkas(desk: Desk, partitioner: str, partition_of: Callable[[bytes, int], int]) -> None:
    """Ours and librdkafka's functions put the same keys into the same partitions."""
    name = f"hash.{partitioner}"
    desk.make(name, 7)
    places: dict[bytes, int] = {}
    producer = Producer({"bootstrap.servers": desk.bootstrap, "partitioner": partitioner})
    for i in range(100):
        producer.produce(name, b"", f"key {i}", on_delivery=lambda _, m: places.update({m.key(): m.partition()}))
    producer.flush(10)
    assert len(places) == 100
    assert places == {key: partition_of(key, 7) for key in places}


def test_broker_start_status_stop(tmp_path: Path, desk: Desk) -> None:
    """The broker of a data directory is started, found and stopped."""
    where = ("--data-dir", str(tmp_path / "b"))
    assert desk.read("broker", "status", *where, code=1)["state"] == "stopped"
    started = desk.read("broker", "start", *where, "--port", "0")
    try:
        assert desk.read("broker", "status", *where)["bootstrap"] == started["bootstrap"]
        assert desk.read("broker", "start", *where)["bootstrap"] == started["bootstrap"]
        elsewhere = desk.run("broker", "start", *where, "--port", "19093", code=1)
        assert f"--port: got 19093, but it runs already, at {started['bootstrap']}" in elsewhere.output
    finally:
        assert desk.read("broker", "stop", *where)["was_running"]


def load(desk: Desk, name: str) -> Any:
    """Return a pipeline of the declaration."""
    from services.loading import load_pipeline

    return load_pipeline(desk.pipeline(name))
