"""``riverrun models import`` beside a real worker: what one partition has learned serves in another."""

import os
import pickle
import random
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from river import linear_model
from typer.testing import CliRunner, Result

from riverrun import export_model
from schemas.commands import Import
from services.cli import app
from services.commanding import send
from services.model_files import account_path
from streams import pickling
from streams.foreign import pack
from streams.policy import Pool
from streams.worker.settings import Settings
from tests.streams.attacks import COMMANDS, Call
from tests.streams.worker.conftest import Deployment
from tests.streams.worker.declarations import MODELS, small
from tests.streams.worker.events import envelope, inline
from tests.streams.worker.kafka import Event, Kafka, until
from tests.streams.worker.test_worker_backtest import turned
from tests.streams.worker.test_worker_deploy import TopicSnapshots

COUNT, RIVER = 600, version("river")
DECLARATION = """
from streams.policy import BackgroundChallenger, Pool
from tests.streams.worker.declarations import MODELS, small
pipeline = small("brought", policy=Pool(milestone=100), partitions=2)
wider = small("brought", policy=Pool(milestone=100), partitions=2, wider=True)
tiny = small("brought-tiny", policy=Pool(), max_record_bytes=2500)
observed = small("brought-observed", policy=BackgroundChallenger())
"""


class Desk:
    """A pool with two partitions in which opposite worlds were learned, and the command line at it."""

    def __init__(self, kafka: Kafka, keys: dict[str, Path], folder: Path) -> None:
        self.kafka = kafka
        self.pipeline = small("brought", policy=Pool(milestone=100), partitions=2)
        kafka.create(self.pipeline)
        kafka.create(small("brought-tiny", policy=Pool(), max_record_bytes=2500))
        self.declared = folder / "brought_pipelines.py"
        self.declared.write_text(DECLARATION)
        further = {"policy": self.pipeline.policy, "partitions": 2}
        self.deployment = Deployment(kafka, self.pipeline, "small", further, folder, keys)
        self.settings = Settings(bootstrap_servers=kafka.bootstrap, **keys)
        for partition in range(2):
            events = list(inline(COUNT))
            if partition:
                events = turned([*events, *events])[COUNT:]
            kafka.produce(self.deployment.raw, [msgspec.structs.replace(one, partition=partition) for one in events])
        self.deployment.start(snapshot_interval=0.3)
        snapshots = TopicSnapshots(kafka, self.deployment)
        until(lambda: min(map(snapshots.newest, range(2))) >= COUNT, 60, "snapshots behind all of it")

    def run(self, *arguments: str, code: int = 0) -> Result:
        """Run a command and hold its exit code; an error is one line."""
        result = CliRunner().invoke(app, list(arguments))
        assert result.exit_code == code, result.output
        if code and result.stderr:
            assert result.stderr.startswith("riverrun: ")
            assert result.stderr.count("\n") == 1
        return result

    def path(self, name: str = "pipeline") -> str:
        """Return where a pipeline is declared."""
        return f"{self.declared}:{name}"

    def bring(self, file: Path, *arguments: str, name: str = "pipeline", code: int = 0) -> Result:
        """Import a file."""
        return self.run("models", "import", str(file), self.path(name), *arguments, code=code)

    def answers(self, partition: int, xs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return what is predicted for some events without labels."""
        ids = [f"asked-{os.urandom(6).hex()}" for _ in xs]
        events = [Event(orjson.dumps(x), None, envelope(id), partition) for id, x in zip(ids, xs, strict=True)]
        self.kafka.produce(self.deployment.raw, events)
        found: dict[str, Any] = {}

        def all_there() -> bool:
            for messages in self.kafka.read(self.deployment.predictions).values():
                found.update({body["id"]: body for body in map(orjson.loads, (m.value() for m in messages))})
            return set(ids) <= set(found)

        until(all_there, 40, "predictions")
        return [found[id] for id in ids]

    @property
    def end(self) -> int:
        """How far the input reaches."""
        return self.kafka.reach(self.deployment.raw)


@pytest.fixture(scope="module")
def desk(kafka: Kafka, keys: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Make the desk; its worker is killed in the end."""
    made = Desk(kafka, keys, tmp_path_factory.mktemp("brought"))
    yield made
    for worker in made.deployment.workers:
        worker.kill()


@pytest.fixture(autouse=True)
def settings(kafka: Kafka, keys: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Name the broker and the keys in the environment."""
    monkeypatch.setenv("RIVERRUN_BOOTSTRAP_SERVERS", kafka.bootstrap)
    for name, path in keys.items():
        monkeypatch.setenv(f"RIVERRUN_{name.upper()}", str(path))


def written(folder: Path, model: Any = None, **further: Any) -> Path:
    """Return a file as a data scientist writes it."""
    fields: dict[str, Any] = {"features": ["a", "b", "c"], "learned": 7, "further": small("p").classes, **further}
    model = model or MODELS["lr"]()
    export_model(model, folder / "model.pickle", **fields)
    return folder / "model.pickle"


# ------------------------------------------------------------------ there and back


def test_champion_of_one_partition_serves_in_the_other_as_it_did_there(desk: Desk, tmp_path: Path) -> None:
    """Exported, imported, promoted: its answers are those of the exported model, to the last bit."""
    file = tmp_path / "v.pickle"
    desk.run("models", "export", desk.path(), "champion", "--to", str(file), "--partition", "0")
    model = pickling.loads(file.read_bytes(), further=desk.pipeline.classes)
    told = orjson.loads(desk.bring(file, "--partition", "1", "--why", "as there", "--output", "json").stdout)
    [obeyed] = told["answers"]
    assert (obeyed["type"], obeyed["order"], obeyed["why"]) == ("riverrun.command.obeyed", "import", "as there")
    assert (told["silent"], told["learned"], told["assumed"]) == ([], COUNT, [])
    name = told["models"]["1"]
    assert name == f"i{obeyed['offset']}@{COUNT}"
    desk.run("models", "promote", desk.path(), name, "--partition", "1", "--expect", "any")
    xs = [{"a": a / 2, "b": b, "c": c} for a in range(-4, 5) for b in (0, 3) for c in ("x", "y")]
    answers = desk.answers(1, xs)
    assert [one["score"] for one in answers] == [model.predict_proba_one(x)[True] for x in xs]
    assert {one["learned"] for one in answers} == {COUNT}
    there = desk.answers(0, xs)
    assert [one["score"] for one in answers] == [one["score"] for one in there]


def test_import_in_text_says_what_is_known_what_became_of_it_and_what_to_do_next(desk: Desk, tmp_path: Path) -> None:
    """And the archive says where it is from; the line that lets it serve works as it is."""
    file = written(tmp_path, origin="Nell's laptop")
    lines = desk.bring(file, "--partition", "0").stdout.splitlines()
    assert lines[0].startswith(f"{file}: 7 learned, ")
    assert "from Nell's laptop, sha256 " in lines[0]
    assert lines[0].endswith("features a, b, c")
    assert lines[1].startswith("written to brought.raw[0]@")
    assert "command.obeyed" in lines[2]
    next_step = lines[-1].removeprefix("to let it serve: riverrun ").split(" ")
    desk.run(*next_step, "--expect", "any")
    [archived] = [
        body
        for messages in desk.kafka.read(desk.deployment.lifecycle).values()
        for body in map(orjson.loads, (m.value() for m in messages))
        if str(body.get("origin")).startswith("Nell")
    ]
    assert archived["archived"] == next_step[3]


def test_plain_pickle_is_taken_with_what_is_assumed_told(desk: Desk, tmp_path: Path) -> None:
    """Nothing beside it says what it was trained with."""
    file = tmp_path / "plain.pickle"
    file.write_bytes(pickle.dumps(MODELS["lr"]()))
    told = desk.bring(file, "--dry-run").stdout
    assert "assumed, because there is no plain.pickle.json: " in told
    assert f"River {RIVER}, 0 examples learned, the declared features\n" in told
    assert told.endswith("it would be taken; nothing was written\n")
    said = orjson.loads(
        desk.bring(file, "--dry-run", "--features", "c, b,a", "--learned", "9", "--output", "json").stdout
    )
    assert (said["taken"], said["features"], said["learned"]) == (True, ["c", "b", "a"], 9)
    assert said["assumed"] == [f"River {RIVER}"]


def test_export_by_name_does_not_know_the_features(desk: Desk, tmp_path: Path) -> None:
    """Only the declaration says which they are: with another one they are not known either."""
    for number, name in enumerate(("brought", desk.path("wider"))):
        file = tmp_path / f"{number}.pickle"
        told = desk.run("models", "export", name, "champion", "--to", str(file), "--partition", "0").stdout
        assert "not known which features" in told
        assert orjson.loads(account_path(file).read_bytes())["features"] is None
        assert "the declared features" in desk.bring(file, "--dry-run").stdout


# ------------------------------------------------------------------ refused


def test_version_with_another_feature_set_is_refused_before_anything_is_written(desk: Desk, tmp_path: Path) -> None:
    """What is missing, what is too many; exit code 1."""
    file, end = written(tmp_path, features=["a", "b", "d"]), desk.end
    said = desk.bring(file, code=1).stderr
    assert said == f"riverrun: {file}: features: got another set than the declared one: c missing, d too many\n"
    assert desk.end == end


def test_exported_version_is_refused_by_a_pipeline_with_one_feature_more(desk: Desk, tmp_path: Path) -> None:
    """Exported where there were three."""
    file = tmp_path / "v.pickle"
    desk.run("models", "export", desk.path(), "champion", "--to", str(file), "--partition", "0")
    assert "features: got another set than the declared one: d missing" in desk.bring(file, name="wider", code=1).stderr


def test_hostile_file_is_refused_and_runs_nothing(desk: Desk, tmp_path: Path) -> None:
    """Neither at the command line nor, where somebody writes it into the log all the same, in the worker."""
    victim = tmp_path / "ran"
    attacks = {
        "reduce": pickle.dumps(Call(os.system, f"touch {victim}")),
        "eval": COMMANDS["builtins.eval"](f"touch {victim}"),
    }
    for name, data in attacks.items():
        file = tmp_path / name
        file.write_bytes(data)
        assert "which is not on the list: nothing of it was used" in desk.bring(file, code=1).stderr
        order = Import(pipeline="brought", model=pack(data), learned=1, features=("a", "b", "c"), river=RIVER)
        sent = send(desk.settings, desk.deployment.raw, {0: order}, "models")
        [refused] = until_answered(desk, sent.id)
        assert "the pickle names" in refused["reason"]
    assert not victim.exists()


def until_answered(desk: Desk, command: str) -> list[dict[str, Any]]:
    """Wait for the answers to a command."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        messages = [m for log in desk.kafka.read(desk.deployment.lifecycle).values() for m in log]
        found[:] = [body for body in map(orjson.loads, (m.value() for m in messages)) if body.get("command") == command]
        return bool(found)

    until(there, 40, "an answer")
    return found


def test_model_that_fits_into_no_record_is_refused_with_what_to_raise(desk: Desk, tmp_path: Path) -> None:
    """The field of the declaration, the setting of the topic, and how much."""
    model = MODELS["lr"]()
    for number in range(400):
        model.learn_one({f"f{number * number}": float(number)}, number % 3 == 0)
    file = written(tmp_path, model)
    said = desk.bring(file, name="tiny", code=1).stderr
    assert "brought-tiny.raw: a record of " in said
    assert "max_record_bytes of brought-tiny is 2500, max.message.bytes of the topic 2500" in said
    needed = int(said.split("a record of ")[1].split(" ")[0])
    assert 2500 < needed < 20_000
    assert desk.kafka.reach("brought-tiny.raw") == 0


def test_model_that_nearly_fills_a_record_arrives(desk: Desk, tmp_path: Path) -> None:
    """More than the megabyte that a Kafka client sends unless told otherwise, and less than the topic takes."""
    model, rng = MODELS["lr"](), random.Random(3)
    for number in range(76_600):
        model["LogisticRegression"]._weights[f"w{number}"] = rng.random()
    file = written(tmp_path, model)
    told = orjson.loads(desk.bring(file, "--partition", "0", "--output", "json").stdout)
    assert told["silent"] == []
    [record] = [m for m in desk.kafka.read(desk.deployment.raw)[0] if m.offset() == told["answers"][0]["offset"]]
    assert 1_000_000 < len(record.value()) < 1024 * 1024


@pytest.mark.parametrize(
    ("change", "arguments", "code", "said"),
    [
        ({}, ["--features", "a,b"], 2, "--features: got ('a', 'b'), but"),
        ({}, ["--learned", "8"], 2, "--learned: got 8, but"),
        ({}, ["--partition", "7"], 2, "--partition: got 7, expected less than 2: brought.raw"),
        (
            {"model": linear_model.LogisticRegression()},
            [],
            1,
            "asked about zeros, LogisticRegression (imported) raised",
        ),
        ({"model": linear_model.LinearRegression()}, [], 1, "model: got 'LinearRegression', expected a River class"),
    ],
)
def test_what_cannot_be_is_one_line(
    desk: Desk, tmp_path: Path, change: dict[str, Any], arguments: list[str], code: int, said: str
) -> None:
    """What was got, what there is, and nothing is written."""
    end = desk.end
    assert said in desk.bring(written(tmp_path, **change), *arguments, code=code).stderr
    assert desk.end == end


def test_policy_without_versions_is_refused(desk: Desk, tmp_path: Path) -> None:
    """And those with are named."""
    said = desk.bring(written(tmp_path), name="observed", code=1).stderr
    assert "BackgroundChallenger keeps no other models; ChampionVersions and Pool do" in said


def test_file_that_is_not_the_one_its_account_tells_of_is_refused(desk: Desk, tmp_path: Path) -> None:
    """Changed, without an account that can be read, or not there at all."""
    file = written(tmp_path)
    file.write_bytes(file.read_bytes() + b"x")
    assert "it is of a file with sha256" in desk.bring(file, code=1).stderr
    account_path(file).write_text("{")
    assert "expected what models export has written, or no such file" in desk.bring(file, code=1).stderr
    assert "No such file" in desk.bring(tmp_path / "nowhere", code=1).stderr


def test_champion_that_was_not_expected_is_answered_with_no(desk: Desk, tmp_path: Path) -> None:
    """Exit code 1, the reason on standard output as with other commands."""
    told = desk.bring(written(tmp_path), "--partition", "0", "--expect", "v99", code=1).stdout
    assert "command.refused" in told
    assert "'v99'" in told
    said = orjson.loads(desk.bring(tmp_path / "model.pickle", "--expect", "v99", "--output", "json", code=1).stdout)
    assert ([one["partition"] for one in said["answers"]], said["models"]) == ([0, 1], {})
