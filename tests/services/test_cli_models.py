"""``riverrun drift show`` and ``models show | diff | export`` beside a real worker that saw a drift and acted on it."""

import pickle
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from typer.testing import CliRunner, Result

from schemas.events import DataDrifted
from schemas.record import Record
from services import kept_models
from services.cli import app, ordering
from services.cli.drift import _account
from services.drift_story import Story
from streams import pickling
from streams.policy import BackgroundChallenger, Pool
from streams.worker.settings import Settings
from streams.worker.stores.store import SnapshotStore
from tests.schemas.instances import INSTANCES
from tests.streams.worker.conftest import Deployment
from tests.streams.worker.declarations import small
from tests.streams.worker.events import inline
from tests.streams.worker.kafka import Kafka, header, until
from tests.streams.worker.test_worker_backtest import turned
from tests.streams.worker.test_worker_deploy import TopicSnapshots

COUNT = 3_000
DECLARATION = """
from streams.policy import BackgroundChallenger, Pool
from tests.streams.worker.declarations import small
pipeline = small("shown", policy=Pool(milestone=100))
drifting = small("shown-drifting", policy=BackgroundChallenger())
two = small("shown-two", partitions=2)
"""


class Desk:
    """Two pipelines whose labels turned round half way, and the command line at them.

    A pool acts before any alarm; of it there is a snapshot behind all records. The other waits for its alarm.
    """

    def __init__(self, kafka: Kafka, keys: dict[str, Path], folder: Path) -> None:
        self.kafka = kafka
        pipeline = small("shown", policy=Pool(milestone=100))
        kafka.create(pipeline)
        kafka.create(small("shown-two", partitions=2))
        self.declared = folder / "shown_pipelines.py"
        self.declared.write_text(DECLARATION)
        self.deployment = Deployment(kafka, pipeline, "small", {"policy": pipeline.policy}, folder, keys)
        drifting = small("shown-drifting", policy=BackgroundChallenger())
        kafka.create(drifting)
        self.drifting = Deployment(kafka, drifting, "small", {"policy": drifting.policy}, folder, keys)
        self.begin(self.drifting, snapshot_interval=0)
        self.begin(self.deployment, snapshot_interval=0.3)
        self.drifting.finish()
        self.deployment.finish()
        snapshots = TopicSnapshots(kafka, self.deployment)
        until(lambda: snapshots.newest(0) >= COUNT, 60, "a snapshot behind all of it")

    def begin(self, deployment: Deployment, **settings: Any) -> None:
        """Write the input of a pipeline and start its worker."""
        self.kafka.produce(deployment.raw, turned(list(inline(COUNT))))
        deployment.start(**settings)

    def run(self, *arguments: str, code: int = 0) -> Result:
        """Run a command and hold its exit code; an error is one line."""
        result = CliRunner().invoke(app, list(arguments))
        assert result.exit_code == code, result.output
        if code:
            assert result.stderr.startswith("riverrun: ")
            assert result.stderr.count("\n") == 1
        return result

    def json(self, *arguments: str) -> Any:
        """Run a command for its JSON."""
        return orjson.loads(self.run(*arguments, "--output", "json").stdout)

    @property
    def path(self) -> str:
        """The declaration of the pool."""
        return f"{self.declared}:pipeline"

    @property
    def drifting_path(self) -> str:
        """The declaration of the other one."""
        return f"{self.declared}:drifting"

    def lifecycle(self, kind: str, deployment: Deployment | None = None) -> list[dict[str, Any]]:
        """Return the lifecycle events of a kind, of the pool where nobody else is named."""
        messages = [m for log in self.kafka.read((deployment or self.deployment).lifecycle).values() for m in log]
        wanted = f"riverrun.{kind}".encode()
        return [orjson.loads(m.value()) for m in messages if header(m, "ce_type") == wanted]


@pytest.fixture(scope="module")
def desk(kafka: Kafka, keys: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Make the desk; its worker is killed in the end."""
    made = Desk(kafka, keys, tmp_path_factory.mktemp("shown"))
    yield made
    for worker in (*made.deployment.workers, *made.drifting.workers):
        worker.kill()


@pytest.fixture(autouse=True)
def settings(kafka: Kafka, keys: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Name the broker and the keys in the environment."""
    monkeypatch.setenv("RIVERRUN_BOOTSTRAP_SERVERS", kafka.bootstrap)
    monkeypatch.setenv("RIVERRUN_TRUSTED_KEYS", str(keys["trusted_keys"]))


# ------------------------------------------------------------------ drift


def test_drift_is_told_with_its_losses_and_what_came_of_it(desk: Desk) -> None:
    """The event as it stands in the topic, the model that took over, a loss that rose at the change."""
    [detected, *_] = desk.lifecycle("drift.detected", desk.drifting)
    [retrained, *_] = desk.lifecycle("model.retrained", desk.drifting)
    report = desk.json("drift", "show", desk.drifting_path, detected["id"])
    assert {name: report["drift"][name] for name in detected} == detected
    assert report["consequences"][0]["id"] == retrained["id"]
    curve = report["curve"]
    assert (curve["loss"], curve["remark"]) == ("zero-one", "")
    assert curve["before"] < 0.3 < curve["after"]
    assert sum(one["labelled"] for one in curve["bins"]) > 500
    assert {v for one in curve["bins"] for v in one["versions"]} >= {retrained["replaced"], retrained["version"]}


def test_drifts_are_listed_with_what_came_of_them(desk: Desk) -> None:
    """Each by its position, from what to what, and the model that took over; JSON has the events as they are."""
    detected = desk.lifecycle("drift.detected", desk.drifting)
    [retrained, *_] = desk.lifecycle("model.retrained", desk.drifting)
    rows = desk.json("drift", "ls", desk.drifting_path)
    told = [row for row in rows if row["type"] == "riverrun.drift.detected"]
    assert [{name: row[name] for name in detected[0]} for row in told] == detected
    assert retrained["id"] in [event["id"] for event in told[0]["consequences"]]
    lines = desk.run("drift", "ls", "shown-drifting").stdout.splitlines()
    assert lines[0].split("  ")[0] == "at"
    assert len(lines) == len(rows) + 1
    [line] = [line for line in lines if line.startswith(f"0@{detected[0]['offset']}  ")]
    assert line.endswith("detected  loss 0.118 → 0.312  v1 → v2 at 1735")
    assert len(desk.json("drift", "ls", "shown-drifting", "--last", "1")) == 1
    assert desk.json("drift", "ls", "shown-drifting", "--partition", "7") == []
    assert desk.run("drift", "ls", "shown").stdout.startswith(
        "no drift was detected; 1 change of the champion by evidence"
    )


def test_drift_in_text_is_an_account(desk: Desk) -> None:
    """By position, with the change marked in the curve; without the declaration the curve is missed."""
    [detected, *_] = desk.lifecycle("drift.detected", desk.drifting)
    told = desk.run("drift", "show", desk.drifting_path, f"0@{detected['offset']}").stdout
    said = (
        "detected  " + detected["id"],
        "loss      0",
        "then      ",
        "model.retrained",
        "mean zero-one",
    )
    for words in (*said, "◀ change", "◀ seen"):
        assert words in told
    # As docs/lifecycle.md has it.
    assert "loss      0.1179 → 0.3125 over 128 labels behind offset 1376, delta 0.002" in told
    assert "1493         58      0.672  ██████████████████        v1        ◀ seen" in told
    named = desk.run("drift", "show", "shown-drifting", str(detected["id"])).stdout
    assert "remark    labels cannot be read: name the declaration as FILE.py:NAME" in named
    assert "◀" not in named


def test_unknown_drift_is_wrong_usage_and_names_those_there_are(desk: Desk) -> None:
    """One line, with their ids; likewise what is no drift, and a pipeline that saw none."""
    [detected, *_] = desk.lifecycle("drift.detected", desk.drifting)
    assert str(detected["id"]) in desk.run("drift", "show", "shown-drifting", "0@7", code=2).stderr
    [promoted, *_] = desk.lifecycle("model.promoted")
    told = desk.run("drift", "show", "shown", str(promoted["id"]), code=2).stderr
    assert "that is model.promoted, expected a drift" in told
    assert "no drift was seen yet" in desk.run("drift", "show", "shown", "0@7", code=2).stderr


def test_move_of_the_inputs_names_its_signals() -> None:
    """Each from what to what, how sure, and against which past."""
    moved = INSTANCES["data-drifted"]
    assert isinstance(moved, DataDrifted)
    fields = {"type": moved.type, **msgspec.to_builtins(moved)}
    told = list(_account(Story({**fields, "id": "p.raw-0-7/drift.data"}, None, [], [])))
    signals = [text for name, text in told if not name]
    assert len(signals) == len(moved.moved)
    for signal, text in zip(moved.moved, signals, strict=True):
        assert text.startswith(f"{signal.name}: ")
        assert f"against what came from {signal.reference_offset} on" in text
    assert ("then", "nothing, up to now") in told


# ------------------------------------------------------------------ models


def test_models_of_the_newest_snapshot_are_shown(desk: Desk) -> None:
    """The champion is who made the newest prediction, and archived versions are those of the lifecycle topic."""
    [report] = desk.json("models", "show", "shown")
    [serving] = desk.json("models", "ls", "shown")
    champion = report["models"][0]
    # The newest prediction was made before its own label taught one example more, and the heading says so.
    heading = desk.run("models", "ls", "shown").stdout.splitlines()[0].split("  ")
    assert [part.strip() for part in heading if part][3:5] == ["learned before", "offset"]
    assert (champion["name"], champion["learned"]) == (serving["version"], serving["learned"] + 1)
    archived = {
        model["name"]: (model["learned"], model["offset"]) for model in report["models"] if model["role"] == "archived"
    }
    told = {event["archived"]: (event["learned"], event["until"]) for event in desk.lifecycle("model.archived")}
    assert archived.items() <= told.items()
    assert archived
    text = desk.run("models", "show", desk.path, "--partition", "0").stdout
    assert f"[0]: snapshot at {report['snapshot']}, taken 20" in text


def test_store_is_opened_once_for_all_partitions(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A topic of a hundred partitions is asked for once, not a hundred times."""
    opened: list[str] = []
    real = kept_models.open_kept

    def open_kept(settings: Settings, pipeline: str) -> SnapshotStore:
        opened.append(pipeline)
        return real(settings, pipeline)

    monkeypatch.setattr(kept_models, "open_kept", open_kept)
    desk.run("models", "show", "shown-two", code=1)
    assert opened == ["shown-two"]


def test_models_differ_where_they_do(desk: Desk) -> None:
    """The weights of the champion and of an archived version; a model and itself are the same."""
    [report] = desk.json("models", "show", "shown")
    old = next(model["name"] for model in report["models"] if model["role"] == "archived")
    told = desk.json("models", "diff", desk.path, "champion", old)
    assert (told["a"], told["b"]["name"], told["same"]) == (report["models"][0], old, False)
    weights = {one["what"]: (one["a"], one["b"]) for one in told["differences"] if one["where"] == "LogisticRegression"}
    assert weights["weights[a]"][0] * weights["weights[a]"][1] < 0  # what spoke for it speaks against it
    text = desk.run("models", "diff", desk.path, "champion", old).stdout
    assert "LogisticRegression" in text
    assert "the same to the last byte" in desk.run("models", "diff", desk.path, old, old).stdout


def test_exported_model_is_that_of_the_snapshot(desk: Desk, tmp_path: Path) -> None:
    """It loads by the printed line and by plain pickle, answers, and only its owner may read the file."""
    file = tmp_path / "model.pickle"
    told = desk.run("models", "export", "shown", "champion", "--to", str(file)).stdout
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "from streams.pickling import loads" in told
    [report] = desk.json("models", "show", "shown")
    model = pickling.loads(file.read_bytes(), further=small("shown").classes)
    assert pickle.loads(file.read_bytes()).predict_proba_one({"a": 1.0}) == model.predict_proba_one({"a": 1.0})
    assert file.stat().st_size == report["models"][0]["size_bytes"]


def test_export_overwrites_nothing(desk: Desk, tmp_path: Path) -> None:
    """The file that is there stays as it is, a link to nowhere too."""
    file, link = tmp_path / "kept", tmp_path / "link"
    file.write_text("kept")
    link.symlink_to(tmp_path / "nowhere")
    assert "stays as it is" in desk.run("models", "export", "shown", "champion", "--to", str(file), code=2).stderr
    assert "File exists" in desk.run("models", "export", "shown", "champion", "--to", str(link), code=1).stderr
    assert file.read_text() == "kept"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["diff", "{path}", "v99", "champion"], 1, "got model 'v99', expected one of the snapshot at"),
        (["export", "shown", "v99", "--to", "never"], 1, "got model 'v99', expected one of the snapshot at"),
        (["show", "shown", "--partition", "7"], 2, "--partition: got 7, expected less than 1: shown.raw"),
        (["export", "shown-two", "v1", "--to", "never"], 2, "--partition: got none, expected one of 0 to 1"),
        (["show", "shown-two"], 1, "there is no snapshot yet"),
        (["show", "nobody"], 1, "nobody.raw"),
    ],
)
def test_what_cannot_be_is_one_line(desk: Desk, arguments: list[str], code: int, said: str) -> None:
    """What was got, what there is, and nothing is written."""
    told = desk.run("models", *(argument.format(path=desk.path) for argument in arguments), code=code).stderr
    assert said in told
    assert not Path("never").exists()


def test_history_of_a_partition_that_is_not_there_is_wrong_usage(desk: Desk) -> None:
    """It has no past; that nothing has changed in it would be another thing."""
    assert "--partition: got 7, expected less than 1" in desk.run("history", "shown", "--partition", "7", code=2).stderr


def test_nobody_trusted_shows_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without keys there is nothing to believe; the setting is named."""
    monkeypatch.setenv("RIVERRUN_TRUSTED_KEYS", str(tmp_path))
    assert "RIVERRUN_TRUSTED_KEYS" in desk.run("models", "show", "shown", code=2).stderr


def test_who_serves_after_a_command_is_known_before_the_next_event(
    desk: Desk, keys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No prediction says so yet; the next command is meant for the one who serves now."""
    monkeypatch.setenv("RIVERRUN_SIGNING_KEY", str(keys["signing_key"]))
    [before] = desk.json("models", "ls", "shown")
    [answer, *_] = desk.json("models", "rollback", "shown")["answers"]
    [after] = desk.json("models", "ls", "shown")
    assert (before["version"] != after["version"], after["offset"]) == (True, answer["offset"])
    assert [event["type"] for event in answer["followed"]] == ["riverrun.model.rolled-back"]
    assert answer["followed"][0]["version"] == after["version"]


def test_what_holds_the_models_is_shown_until_it_ends(
    desk: Desk, keys: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A freeze that is forgotten is a model that never learns again."""
    monkeypatch.setenv("RIVERRUN_SIGNING_KEY", str(keys["signing_key"]))
    for orders, held in ((("pin", "freeze"), ["frozen", "pinned"]), (("resume",), [])):
        for order in orders:
            assert desk.json("models", order, "shown", "--why", "a flood")["silent"] == []
        [serving] = desk.json("models", "ls", "shown")
        assert serving["held"] == held
        told = desk.run("models", "ls", "shown").stdout
        checks = orjson.loads(CliRunner().invoke(app, ["doctor", desk.path, "--output", "json"]).stdout)["checks"]
        [check] = [check for check in checks if check["name"] == "models"]
        assert (", ".join(held) in told, "a flood" in check["found"]) == (True, bool(held))


@pytest.mark.parametrize(
    ("kind", "said", "expected"),
    [
        ("model.promoted", {"offset": 9, "version": "v2", "learned": 7}, ("v2", None, 7, 9, "d1")),
        ("declaration.changed", {"offset": 12, "version": "v2", "declaration": "d2"}, ("v2", None, None, 12, "d2")),
        ("declaration.changed", {"offset": 12, "version": "v1", "declaration": "d2"}, ("v1", "LR", 40, 12, "d2")),
        ("model.promoted", {"offset": 8, "version": "v0", "learned": 7}, ("v1", "LR", 40, 9, "d1")),
        ("drift.detected", {"offset": 12, "version": "v2"}, ("v1", "LR", 40, 9, "d1")),
    ],
)
def test_champion_is_that_of_the_newest_prediction_or_change(
    monkeypatch: pytest.MonkeyPatch, kind: str, said: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    """What an event does not say is not known of another model; what is older than the prediction is over."""
    prediction = {"version": "v1", "model": "LR", "learned": 40, "offset": 9, "declaration": "d1"}
    record = Record("p.predictions", 3, 0, 0, None, orjson.dumps(prediction), [])
    events = [(f"riverrun.{kind}", {"partition": 3, **said})]
    monkeypatch.setattr(ordering, "read", lambda *_, **__: [record])
    monkeypatch.setattr(ordering, "lifecycle_events", lambda *_: events)
    assert tuple(ordering.champions(Settings(), "p")[3].values()) == expected
