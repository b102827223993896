"""The command line without a broker: help, usage, loading, plans and checks."""

import errno
import gzip
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import typer
from river import anomaly, linear_model
from typer.testing import CliRunner, Result

from riverrun import Label, Pipeline
from schemas.errors import BrokerError, ConfigurationError, StoreError
from schemas.events import DeadLetter
from schemas.outgoing import OutgoingEncoder
from schemas.record import Record
from services.bridge import Bridge, bridged_headers
from services.cli import app
from services.cli.checks import (
    Progress,
    check_dead_letters,
    check_declarations,
    check_label_memory,
    check_partitioners,
    check_progress,
    check_sizes,
    check_unread,
    check_workers,
)
from services.cli.doctor import snapshots_of
from services.cli.errors import Commands
from services.cli.partitioners import crc32_partition
from services.cli.showing import as_object
from services.loading import load_pipeline
from services.topic_plan import Existing, plan, replay_horizon
from streams.worker.settings import Settings
from streams.worker.stores.layout import manifest_name

ROOT = Path(__file__).resolve().parents[2]
NOTHING_LISTENS = "127.0.0.1:1"
GOOD = """
from river import compose, linear_model, preprocessing
from riverrun import Label, Pipeline
pipeline = Pipeline("p", features={"a": float}, label=Label("y"), id_field="id",
    model=linear_model.LogisticRegression())
other = 3
num = compose.SelectType(float, int) | preprocessing.StandardScaler()
"""
EVENTS = b'{"id": "1", "a": 1.0, "y": true}\n{"id": "2", "a": -1.0, "y": false}\nnonsense\n'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with a declaration and a file of events, and no settings in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RIVERRUN_BOOTSTRAP_SERVERS", raising=False)
    monkeypatch.delitem(sys.modules, "declared", raising=False)  # of another test
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "declared.py").write_text(GOOD)
    (tmp_path / "events.jsonl").write_bytes(EVENTS)
    modules = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def run(*arguments: str, code: int = 0) -> Result:
    """Run a command and hold its exit code; an error is one line on stderr."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    if code == 2:
        assert result.stderr.startswith("riverrun: ")
        assert result.stderr.count("\n") == 1
    return result


def commands(group: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of each command and group."""
    yield path
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


# ------------------------------------------------------------------ help and usage


@pytest.mark.parametrize("path", list(commands(typer.main.get_command(app))), ids=" ".join)
def test_help_has_an_example(path: tuple[str, ...]) -> None:
    """Each command shows how it is used."""
    assert "Example: riverrun" in run(*path, "--help").stdout


def test_no_command_shows_help() -> None:
    """``riverrun`` alone is no error."""
    assert "Usage: riverrun" in run().stdout


def test_package_is_run_as_the_command_line() -> None:
    """``python -m riverrun`` is the command, too; it printed nothing, and left with 0."""
    command = [sys.executable, "-m", "riverrun", "run", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "Usage: riverrun run" in done.stdout


def test_help_imports_nothing_heavy() -> None:
    """Help answers at once: neither River nor Faust nor librdkafka is loaded."""
    heavy = ("river", "faust", "confluent_kafka", "pandas", "numpy", "rich.progress")
    code = f"import sys, services.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "No such command 'nonsense'. See: riverrun --help"),
        (["schema"], "Missing argument"),
        (["send", "nowhere.jsonl", "p"], "nowhere.jsonl: got no such file"),
        (["send", "events.jsonl"], "expected a PIPELINE or --topic"),
        (["send", "events.jsonl", "p", "--topic", "t"], "expected a PIPELINE or --topic"),
        (["tail", "predictions", "p", "--from", "somewhere"], "or -N for the newest N. See: riverrun tail --help"),
        (["backtest", "events.jsonl", "declared.py:pipeline", "--partition", "1"], "expected less than --partitions 1"),
        (["schema", "declared.py:pipeline", "--kind", "nix"], "--kind: got 'nix', expected one of event, label"),
        (["run", "declared.py:pipeline", "--log-level", "LOUD"], "RIVERRUN_LOG_LEVEL: got 'LOUD'"),
        (["doctor", "declared.py:pipeline", "--bootstrap-servers", "nix"], "RIVERRUN_BOOTSTRAP_SERVERS: got 'nix'"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments: list[str], said: str) -> None:
    """What was got, and what was expected."""
    assert said in run(*arguments, code=2).stderr


def test_unforeseen_error_keeps_its_traceback() -> None:
    """A bug is not dressed up as a message."""
    broken = typer.Typer(cls=Commands, pretty_exceptions_enable=False)

    @broken.callback()
    def start() -> None: ...

    @broken.command()
    def work() -> None:
        raise KeyError("bug")

    assert isinstance(CliRunner().invoke(broken, ["work"]).exception, KeyError)


def test_broker_error_is_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Kafka there: one line that names the address and the way to a local one."""
    monkeypatch.setattr("services.topics._ADMIN_SECONDS", 0.2)
    result = run("topics", "plan", "declared.py:pipeline", "--bootstrap-servers", NOTHING_LISTENS, code=1)
    assert f"riverrun: {NOTHING_LISTENS}: no Kafka answers" in result.stderr
    result = run("doctor", "declared.py:pipeline", "--bootstrap-servers", NOTHING_LISTENS, code=3)
    assert "✗ broker: does not answer" in result.stdout


def test_run_metrics_port_in_use_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The port is named, and the way to another."""

    def refuse(*_: object) -> int:
        raise OSError(errno.EADDRINUSE, "Address already in use")

    monkeypatch.setattr("streams.worker.main.run_worker", refuse)
    result = run("run", "declared.py:pipeline", "--metrics-port", "9100", code=2)
    assert "RIVERRUN_METRICS_PORT: got 9100, expected a free port" in result.stderr


@pytest.mark.parametrize("error", [OSError(errno.EADDRNOTAVAIL, "not ours"), socket.gaierror(-2, "not known")])
def test_run_metrics_host_of_another_machine_is_told(error: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address is named, and what it takes."""

    def refuse(*_: object) -> int:
        raise error

    monkeypatch.setattr("streams.worker.main.run_worker", refuse)
    monkeypatch.setenv("RIVERRUN_METRICS_HOST", "192.0.2.1")
    result = run("run", "declared.py:pipeline", code=2)
    assert "RIVERRUN_METRICS_HOST: got 192.0.2.1, expected an address" in result.stderr


def test_run_leaves_with_the_workers_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the worker says is what the command says."""
    monkeypatch.setattr("streams.worker.main.run_worker", lambda pipeline, settings: 1)
    run("run", "declared.py:pipeline", code=1)


# ------------------------------------------------------------------ loading


@pytest.mark.parametrize("path", ["declared.py:pipeline", "declared:pipeline"])
def test_load_finds_a_pipeline_by_file_and_by_module(path: str) -> None:
    """Both forms of an import path work from the working directory."""
    assert load_pipeline(path).name == "p"


def test_load_file_imports_what_lies_beside_it(folder: Path) -> None:
    """A declaration in a folder may import its neighbours."""
    (folder / "deep").mkdir()
    (folder / "deep" / "neighbour.py").write_text(GOOD)
    (folder / "deep" / "top.py").write_text("from neighbour import pipeline")
    assert load_pipeline("deep/top.py:pipeline").name == "p"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("declared", "declared: got no name of a pipeline, expected FILE.py:NAME or MODULE:NAME"),
        ("declared.py", "expected declared.py:NAME. Pipelines there: pipeline."),
        ("declared.py:nope", "declared.py has no 'nope'. Pipelines there: pipeline."),
        ("declared.py:other", "declared.py:other: got 3, expected a Pipeline. Pipelines there: pipeline."),
        ("declared.py:num", "declared.py:num: got a river.compose.pipeline.Pipeline, expected a Pipeline."),
        ("missing.py:p", "missing.py: got no such file"),
        ("no.such.module:p", "no.such.module: no module 'no'"),
        (".:p", ".: got neither a file that ends in .py nor a module"),
        ("./declared:p", "./declared: got neither a file that ends in .py nor a module"),
    ],
)
def test_load_wrong_path_says_what_is_there(path: str, said: str) -> None:
    """The message says what was looked for, and what could have been meant."""
    with pytest.raises(ConfigurationError) as caught:
        load_pipeline(path)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import os\nimport not_there_at_all", "broken.py:2: ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("x = (", "broken.py:1: SyntaxError"),
        ("\n\nraise SystemExit(3)", "broken.py:3: SystemExit: 3"),
        (GOOD.replace("LogisticRegression", "LinearRegression"), "broken.py:4: p: model: got 'LinearRegression'"),
    ],
)
@pytest.mark.parametrize("form", ["broken.py:pipeline", "broken:pipeline"])
def test_load_broken_file_names_file_and_line(folder: Path, form: str, text: str, said: str) -> None:
    """The user's own line, not one of the import system."""
    (folder / "broken.py").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_pipeline(form)
    assert said in str(caught.value)


# ------------------------------------------------------------------ schema and backtest


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("event", "Event"),
        ("label", "Label"),
        ("prediction", "PredictionMade"),
        ("drift.detected", "DriftDetected"),
        ("drift.data", "DataDrifted"),
    ],
)
def test_schema_prints_avro(kind: str, name: str) -> None:
    """Each kind has its schema."""
    assert json.loads(run("schema", "declared.py:pipeline", "--kind", kind).stdout)["name"] == name


def test_schema_names_the_fields_that_avro_does_not_allow(folder: Path) -> None:
    """What is printed is fit for fastavro, and the others are warned."""
    assert run("schema", "declared.py:pipeline").stderr == ""
    named = run("schema", "declared.py:pipeline", "--name").stdout
    assert named.startswith("urn:riverrun:avro:")
    assert named != run("schema", "declared.py:pipeline", "--name", "--kind", "label").stdout
    (folder / "odd.py").write_text(GOOD.replace('{"a": float}', '{"a-b": float}'))
    assert "riverrun: a-b: got names that Avro does not allow" in run("schema", "odd.py:pipeline").stderr


def test_backtest_reports_and_writes_predictions(folder: Path) -> None:
    """Outcomes, digest and predictions; a line that is no JSON is a dead letter."""
    arguments = ("backtest", "events.jsonl", "declared.py:pipeline", "--predictions", "out.jsonl")
    report = json.loads(run(*arguments, "--output", "json").stdout)
    assert report["outcomes"] == {"scored": 2, "dead_letter": 1}
    assert (report["records"], report["predictions"], report["balanced"]) == (3, 2, True)
    assert [json.loads(line)["id"] for line in (folder / "out.jsonl").open()] == ["1", "2"]
    assert f"2 predictions, digest {report['digest']}" in run(*arguments).stdout


def test_backtest_of_a_watched_pipeline_tells_what_moved_and_how_right_it_may_be(folder: Path) -> None:
    """A line for what moved, a metric for the answers that have no label; an object for both in JSON."""
    declared = GOOD.replace("import Label, Pipeline", "import Label, Pipeline, Watch").replace(
        'label=Label("y")', 'label=Label("y", ttl=timedelta(days=1)), watch=Watch(window=40, every=1)'
    )
    (folder / "watched.py").write_text(f"from datetime import timedelta\n{declared}")
    rows = [{"id": str(i), "a": i % 7 + (100.0 if i >= 400 else 0.0)} for i in range(460)]
    lines = [json.dumps({**row, "y": row["a"] > 3} if i < 250 else row) for i, row in enumerate(rows)]
    (folder / "moving.jsonl").write_text("\n".join(lines))
    text = run("backtest", "moving.jsonl", "watched.py:pipeline").stdout
    assert "drift.data  version=v1 moved=a: location " in text
    assert "estimated_accuracy: " in text
    report = json.loads(run("backtest", "moving.jsonl", "watched.py:pipeline", "--output", "json").stdout)
    [event] = [event for event in report["lifecycle"] if event["type"] == "riverrun.drift.data"]
    assert [signal["name"] for signal in event["moved"]] == ["a"]
    assert 0.0 < report["metrics"]["estimated_accuracy"] <= 1.0


def test_backtest_key_field_takes_the_records_of_the_partition() -> None:
    """The partitions share the records; none is lost or taken twice."""
    arguments = (
        "backtest",
        "events.jsonl",
        "declared.py:pipeline",
        "--key-field",
        "id",
        "--partitions",
        "3",
        "-o",
        "json",
    )
    scored = [
        json.loads(run(*arguments, "--partition", str(partition)).stdout)["outcomes"].get("scored", 0)
        for partition in range(3)
    ]
    assert sum(scored) == 2


def test_backtest_of_a_model_per_key_says_when_no_record_has_a_key(folder: Path) -> None:
    """All would have been one entity; with the field that is the key there are two, and nothing is said."""
    (folder / "keyed.py").write_text(GOOD.replace('id_field="id"', 'id_field="id", model_per="key"'))
    assert "no record has a key" in run("backtest", "events.jsonl", "keyed.py:pipeline").stderr
    assert "no record has a key" not in run("backtest", "events.jsonl", "declared.py:pipeline").stderr
    assert "no record has a key" not in run("backtest", "events.jsonl", "keyed.py:pipeline", "--key-field", "id").stderr


def test_backtest_of_a_model_per_key_says_how_many_answers_are_an_entitys_own(folder: Path) -> None:
    """None of them are with the default: it is said, with what is in the way; with a smaller one nothing is."""
    (folder / "keyed.py").write_text(GOOD.replace('id_field="id"', 'id_field="id", model_per="key"'))
    young = GOOD.replace("import Label, Pipeline", "import Label, PerKey, Pipeline")
    (folder / "young.py").write_text(young.replace('id_field="id"', 'id_field="id", model_per=PerKey(min_learned=2)'))
    rows = [{"id": str(i), "k": i % 5, "a": float(i % 7), "y": i % 7 > 3} for i in range(60)]
    (folder / "keys.jsonl").write_text("\n".join(map(json.dumps, rows)))
    arguments = ("backtest", "keys.jsonl", "keyed.py:pipeline", "--key-field", "k")
    said = run(*arguments)
    assert "answered by the entities' own models: 0 of 60; entities: 5\n" in said.stdout
    assert "       60  shared_answered  " in said.stdout
    assert "no entity has learned min_learned=30 examples, the most is 12" in said.stderr
    report = json.loads(run(*arguments, "--output", "json").stdout)
    counted = {"count": 5, "answered": 60, "answered_by_own": 0, "most_learned": 12, "min_learned": 30}
    assert report["entities"] == counted
    said = run("backtest", "keys.jsonl", "young.py:pipeline", "--key-field", "k")
    assert "answered by the entities' own models: 50 of 60; entities: 5\n" in said.stdout
    assert "min_learned" not in said.stderr
    assert "entities" not in json.loads(run("backtest", "keys.jsonl", "declared.py:pipeline", "-o", "json").stdout)


RAISING_METRIC = """
from river import metrics, naive_bayes

from riverrun import Label, Pipeline

p = Pipeline(
    "p",
    features={"a": float},
    label=Label("y", type=str),
    model=naive_bayes.GaussianNB(),
    metrics=[metrics.Accuracy(), metrics.MultiFBeta(betas={"other": 1}, weights=None)],
)
"""


def test_backtest_tells_of_a_metric_that_raises_and_shows_the_rest(folder: Path) -> None:
    """The metric's own fault is no reason to lose the report."""
    (folder / "raising.py").write_text(RAISING_METRIC)
    (folder / "classes.jsonl").write_text("".join(f'{{"a": {n}, "y": "{"xy"[n % 2]}"}}\n' for n in range(40)))
    said = run("backtest", "classes.jsonl", "raising.py:p")
    assert "\nmulti_fbeta: no value, it raised KeyError('" in said.stdout
    assert "\naccuracy: " in said.stdout
    report = json.loads(run("backtest", "classes.jsonl", "raising.py:p", "-o", "json").stdout)
    assert (list(report["metrics"]), list(report["metrics_without_value"])) == (["accuracy"], ["multi_fbeta"])


def test_backtest_tells_of_categories_that_became_another(folder: Path) -> None:
    """How many values, and of which feature."""
    declared = GOOD.replace('{"a": float}', '{"a": float, "user": str}').replace(
        "=linear_model.L", '=compose.Select("a") | linear_model.L'
    )
    (folder / "words.py").write_text(declared)
    rows = [{"id": str(i), "a": 1.0, "user": f"u{i}", "y": i % 2 == 0} for i in range(1200)]
    (folder / "words.jsonl").write_text("\n".join(map(json.dumps, rows)))
    said = run("backtest", "words.jsonl", "words.py:pipeline")
    assert "      200  other_category   values beyond max_categories, learned as __other__\n" in said.stdout
    assert "feature user: max_categories=1,000 was reached, further values are __other__ to the model\n" in said.stdout
    report = json.loads(run("backtest", "words.jsonl", "words.py:pipeline", "-o", "json").stdout)
    assert (report["remarks"], report["categories_full"]) == ({"other_category": 200}, {"user": 1000})
    assert "max_categories" not in run("backtest", "events.jsonl", "declared.py:pipeline").stdout


def test_backtest_of_a_regression_says_what_its_drift_is_measured_in_and_where_it_was(folder: Path) -> None:
    """The unit of before and after, and no year 1970 where the file has no times; with times there they are."""
    (folder / "number.py").write_text(
        GOOD.replace('Label("y")', 'Label("y", type=float)').replace("Logistic", "Linear")
    )
    rows = [{"id": str(i), "a": i % 7 / 7, "y": i % 7 + (i > 2000) * (50 * (i % 2))} for i in range(2500)]
    (folder / "jump.jsonl").write_text("\n".join(map(json.dumps, rows)))
    said = run("backtest", "jump.jsonl", "number.py:pipeline").stdout
    assert "before and after: absolute residual over a unit, at most 1 (docs/backtest.md), in other units than" in said
    told = [line for line in said.splitlines() if "  drift.detected  " in line]
    assert told
    assert all(line.startswith("[0]@") for line in told)
    events = [{"specversion": "1.0", "time": "2026-01-01T00:00:00Z", "id": row["id"], "data": row} for row in rows]
    (folder / "jump.jsonl").write_text("\n".join(map(json.dumps, events)))
    timed = run("backtest", "jump.jsonl", "number.py:pipeline").stdout
    assert [line.split("  ", 1)[1] for line in timed.splitlines() if "  drift.detected  " in line] == told
    assert "2026-01-01T00:00:00.000Z  [0]@" in timed
    assert "in other units" not in run("backtest", "events.jsonl", "declared.py:pipeline").stdout


def test_backtest_of_a_compressed_file_is_that_of_the_file(folder: Path) -> None:
    """Recognised by its first bytes, whatever its name."""
    plain = run("backtest", "events.jsonl", "declared.py:pipeline").stdout
    (folder / "packed").write_bytes(gzip.compress((folder / "events.jsonl").read_bytes()))
    assert run("backtest", "packed", "declared.py:pipeline").stdout.splitlines()[1:] == plain.splitlines()[1:]


def test_compressed_file_that_is_cut_off_is_an_error(folder: Path) -> None:
    """One line, and no silence, however much of it could be read."""
    (folder / "part.gz").write_bytes(gzip.compress((folder / "events.jsonl").read_bytes())[:-9])
    result = run("backtest", "part.gz", "declared.py:pipeline", code=2)
    assert result.stderr.startswith("riverrun: part.gz: got a damaged file, or a part of it")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_lines_of_a_pipe_are_all_read(folder: Path) -> None:
    """It can be opened once: what a look at its first bytes has taken is not there the second time."""
    plain = run("backtest", "events.jsonl", "declared.py:pipeline").stdout
    os.mkfifo(folder / "pipe")
    events = (folder / "events.jsonl").read_bytes()
    writing = threading.Thread(target=(folder / "pipe").write_bytes, args=(events,), daemon=True)
    writing.start()
    assert run("backtest", "pipe", "declared.py:pipeline").stdout.splitlines()[1:] == plain.splitlines()[1:]
    writing.join(5)


def test_backtest_without_labels_says_which_field_it_misses(folder: Path) -> None:
    """A name that is mistyped is no error of any event: labels may come with some events and not with others."""
    events = [json.dumps({"id": str(i), "a": i / 7, "label": True}) for i in range(20)]
    (folder / "mistyped.jsonl").write_text("\n".join(events))
    said = run("backtest", "mistyped.jsonl", "declared.py:pipeline").stdout
    assert ": no answer has got its label: no event has a value in 'y'; labels that come later need a ttl\n" in said


def test_module_that_a_package_of_riverruns_own_hides_is_told_so(folder: Path) -> None:
    """With the way out: another name, or the file."""
    result = run("backtest", "events.jsonl", "services.mine:pipeline", code=2)
    assert "got 'services', which is a package of riverrun's own; expected another name of yours, or" in result.stderr


def test_backtest_in_which_nothing_can_be_scored_says_why(folder: Path) -> None:
    """The first reasons, no metric, and exit code 1; there is a report to open all the same."""
    (folder / "table.jsonl").write_text("id,a,y\n1,1.0,true\n2,2.0,false\n3,1.0,true\n")
    result = run("backtest", "table.jsonl", "declared.py:pipeline", code=1)
    assert "table.jsonl: got 4 records and no event among them that could be scored: it looks like CSV" in result.stderr
    assert "accuracy_1000: no answer has got its label\n" in result.stdout
    reasons = [line for line in result.stdout.splitlines() if line.startswith("    offset ")]
    assert [line.split(":")[0].strip() for line in reasons] == ["offset 0", "offset 1", "offset 2"]
    assert "Invalid JSON" in reasons[0]
    run("backtest", "table.jsonl", "declared.py:pipeline", "--policy", "pool,declared", "--html", "out.html", code=1)
    assert "Nothing was labelled" in (folder / "out.html").read_text()


@pytest.mark.parametrize("option", ["--predictions", "--html"])
@pytest.mark.parametrize("file", ["events.jsonl", "declared.py", "./declared.py"])
def test_backtest_does_not_write_over_what_it_reads(folder: Path, option: str, file: str) -> None:
    """The recording, or the declaration: both are as they were."""
    before = (folder / file).read_bytes()
    for pipeline in ("declared.py:pipeline", "declared:pipeline"):
        result = run("backtest", "events.jsonl", pipeline, option, file, code=2)
        assert f"{option}: got {Path(file)}, which is read, expected another file" in result.stderr.replace("\n", " ")
    assert (folder / file).read_bytes() == before


def test_backtest_output_folder_missing_is_told() -> None:
    """A file that cannot be written is one line."""
    result = run("backtest", "events.jsonl", "declared.py:pipeline", "--predictions", "no/out.jsonl", code=1)
    assert result.stderr == "riverrun: no/out.jsonl: No such file or directory\n"


# ------------------------------------------------------------------ the plan of topics


def declare(**further: object) -> Pipeline:
    """Return a small pipeline."""
    fields = {"features": {"a": float}, "label": None, "model": anomaly.HalfSpaceTrees(seed=1), **further}
    return Pipeline("p", **fields)


def as_planned(pipeline: Pipeline) -> dict[str, Existing]:
    """Return a broker on which everything is as planned."""
    return {one.name: Existing(one.partitions, one.config) for one in plan(pipeline, {})}


def test_plan_is_done_when_all_is_there() -> None:
    """What was made by a plan leaves nothing to do."""
    pipeline = declare(partitions=3)
    assert [one.action for one in plan(pipeline, as_planned(pipeline))] == ["none"] * 6


def test_plan_never_shortens_retention_nor_lowers_a_limit() -> None:
    """More than enough is left alone; what is too little, or different, is set."""
    pipeline = declare()
    there = as_planned(pipeline)
    config = {**there["p.raw"].config, "retention.ms": "-1", "max.message.bytes": "9000000"}
    there["p.raw"] = Existing(1, config)
    there["p.predictions"] = Existing(1, {**there["p.predictions"].config, "cleanup.policy": "compact"})
    plans = plan(pipeline, there)
    assert not plans[0].changes
    assert plans[1].changes == {"cleanup.policy": ("compact", "delete")}
    assert plans[3].changes == {"max.message.bytes": (str(1024 * 1024 + 64 * 1024), str(9_000_000 + 64 * 1024))}


def test_plan_outputs_follow_a_larger_input_topic() -> None:
    """Predictions go to the partition number of their event, so as many are needed."""
    pipeline = declare()
    plans = plan(pipeline, {**as_planned(pipeline), "p.raw": Existing(4, as_planned(pipeline)["p.raw"].config)})
    grown = [("none", 4), ("grow", 4), ("none", 1), ("grow", 4), ("grow", 4), ("grow", 4)]
    assert [(one.action, one.partitions) for one in plans] == grown
    assert plans[0].remark == "has 4 partitions, 1 declared: all of them are read"


def test_plan_leaves_the_settings_of_anothers_topic_alone() -> None:
    """A declared source is somebody else's; only compaction, which eats the learning log, is refused."""
    pipeline = declare(source="orders")
    there = as_planned(pipeline)
    there["orders"] = Existing(1, {**there["orders"].config, "retention.ms": "1000"})
    source = plan(pipeline, there)[0]
    assert (source.action, source.changes) == ("none", {})
    assert "retention.ms 1000" in str(source.remark)
    there["orders"] = Existing(1, {**there["orders"].config, "cleanup.policy": "compact"})
    assert plan(pipeline, there)[0].action == "refuse"


@pytest.mark.parametrize("policy", ["compact", "compact,delete"])
def test_plan_does_not_take_compaction_from_an_input_topic(policy: str) -> None:
    """With delete its old values would begin to vanish, which others may want: it is refused, and all of it left."""
    there = as_planned(declare())
    config = {**there["p.raw"].config, "cleanup.policy": policy, "retention.ms": "1000"}
    source = plan(declare(), there | {"p.raw": Existing(1, config)})[0]
    assert (source.action, source.changes) == ("refuse", {})
    told = rf"p\.raw: cleanup\.policy: got '{policy}', expected 'delete': compaction drops .* set it by hand"
    assert re.match(told, str(source.refusal))


def test_replay_horizon_is_what_holds_now_and_what_will() -> None:
    """A topic of ten minutes reaches back ten minutes until the plan is carried out."""
    there = as_planned(declare())
    made = plan(declare(), {})[0]
    assert (replay_horizon(made), replay_horizon(made, applied=True)) == ("30 days", "30 days")
    short = plan(declare(), there | {"p.raw": Existing(1, {**there["p.raw"].config, "retention.ms": "600000"})})[0]
    assert (replay_horizon(short), replay_horizon(short, applied=True)) == ("10 minutes", "30 days")


# ------------------------------------------------------------------ what doctor looks at


def test_check_progress_log_cut_off_names_the_setting() -> None:
    """State that could not be replayed is a problem, a lag is none."""
    progress = {"r[0]": Progress(100, 300, 277), "r[1]": Progress(0, 300, 10), "r[2]": Progress(0, 5, None)}
    cut, lagging, fresh = check_progress("g", progress, "1 day", {})
    assert (cut.ok, lagging.ok, fresh.ok) == (False, True, True)
    assert "RIVERRUN_ON_STATE_LOST" in cut.advice
    assert lagging.found == "0 to 300, committed 10, lag 290"


@pytest.mark.parametrize(("members", "waiting", "well"), [(2, 80, True), (0, 0, True), (0, 80, False)])
def test_check_workers_records_that_nobody_works_off(members: int, waiting: int, well: bool) -> None:
    """A lag is one thing with somebody at it, and another with nobody; what to start is said."""
    check = check_workers("g", members, waiting, "a.py:p")
    assert check.ok is well
    assert ("and 80 offsets are unread" in check.found, "riverrun run a.py:p" in check.advice) == (
        not well,
        not well,
    )


@pytest.mark.parametrize(
    ("at", "begins", "said"),
    [
        (Progress(0, 90, None), {}, ""),
        (Progress(0, 90, 10, "ours"), {}, ""),
        (Progress(0, 90, 10, "other"), {}, "read under other; a.py:p is ours"),
        (Progress(0, 90, 10, "other"), {"r[0]": (10, "ours")}, ""),
        (Progress(0, 90, 10, "ours"), {"r[0]": (10, "other")}, "other begins at 10, and nobody has read on under it"),
        (Progress(0, 90, 20, "ours"), {"r[0]": (10, "other")}, ""),
    ],
    ids=["new", "ours", "foreign", "handed over", "stuck", "passed over"],
)
def test_check_declarations_a_log_that_is_read_under_another_one(
    at: Progress, begins: dict[str, tuple[int, str]], said: str
) -> None:
    """A worker with this declaration would leave it alone; the check says so before one is started."""
    found = [check.found for check in check_declarations("ours", {"r[0]": at}, begins, "a.py:p") if not check.ok]
    assert (found[0] if found else "")[: len(said) or None] == said


def test_check_progress_commit_beyond_the_end_is_a_new_topic() -> None:
    """The group remembers a topic that is gone."""
    [check] = check_progress("g", {"r[0]": Progress(0, 5, 277)}, "1 day", {})
    assert "made anew" in check.advice


def test_check_sizes_small_dead_letters_are_a_problem() -> None:
    """What comes in has to fit where it is kept when it is refused."""
    pipeline = declare()
    there = as_planned(pipeline)
    there["p.dead-letters"] = Existing(1, {**there["p.dead-letters"].config, "max.message.bytes": "1000"})
    assert [check.ok for check in check_sizes(pipeline, plan(pipeline, there))] == [False]


def record(key: bytes, partition: int, kind: bytes | None = None) -> Record:
    """Return a record of a key in a partition."""
    return Record("r", partition, 0, 0, key, b"{}", [("ce_type", kind)] if kind else None)


@pytest.mark.parametrize(("snapshot", "well"), [(39, False), (40, True), (45, True)])
def test_check_progress_log_that_was_cut_is_fine_with_a_snapshot(snapshot: int, well: bool) -> None:
    """It has to stand where the log still is."""
    [check] = check_progress("g", {"r[0]": Progress(40, 60, 50)}, "1 day", {"r[0]": snapshot})
    assert check.ok is well
    assert f"snapshot {50 - snapshot} behind" in check.found


def test_check_progress_log_that_was_cut_and_snapshots_that_are_not_known() -> None:
    """Nothing is advised that would give up a state which may be there."""
    [check] = check_progress("g", {"r[0]": Progress(40, 60, 50)}, "1 day", None)
    assert (check.ok, check.found, check.advice) == (True, "40 to 60, committed 50, lag 10", "")


def test_snapshots_of_store_that_cannot_be_read_is_not_one_without_snapshots(tmp_path: Path) -> None:
    """A disk that is away is told, with what it means for workers; a machine without keys is no fault."""
    assert run("keys", "init").exit_code == 0
    keys = {"signing_key": Path(".riverrun/keys/signing.pem"), "trusted_keys": Path(".riverrun/keys/trusted")}
    (tmp_path / "store" / "p" / manifest_name(0, 5)).mkdir(parents=True)  # nobody can read that
    settings = Settings(snapshot_store=f"file://{tmp_path}/store", **keys)
    unread = snapshots_of(declare(), settings, 2)[2]
    assert isinstance(unread, StoreError)
    check = check_unread(unread)
    assert (check.ok, "RIVERRUN_SNAPSHOT_STORE" in check.advice) == (False, True)
    elsewhere = settings.model_copy(update={"snapshot_store": f"file://{tmp_path}/elsewhere"})
    assert "no such folder here" in str(snapshots_of(declare(), elsewhere, 2)[2])
    assert not (tmp_path / "elsewhere").exists(), "who looks makes nothing"
    without = settings.model_copy(update={"trusted_keys": tmp_path / "none"})
    unread = snapshots_of(declare(), without, 2)[2]
    assert isinstance(unread, ConfigurationError)
    assert check_unread(unread).ok
    assert snapshots_of(declare(), settings.model_copy(update={"snapshot_interval": 0.0}), 2) == ({}, {}, None)


@pytest.mark.parametrize(("rate", "fits"), [(10, True), (100, False)])
def test_check_label_memory_tells_whether_a_time_to_live_fits(rate: int, fits: bool) -> None:
    """Two days of ten events a second are some half a gigabyte; the busiest partition counts, by event time."""
    label = Label("y", type=bool, ttl=timedelta(days=2))
    model = linear_model.LogisticRegression()
    pipeline = declare(label=label, model=model, max_pending_bytes=2**30)
    headers = [("ce_time", b"2013-01-01T00:00:00Z")]
    records = [Record("r", 0, i, 1000 * i // rate, None, b"x" * 30, None) for i in range(rate * 100)]
    records += [Record("r", 1, i, 0, None, b"x" * 30, headers) for i in range(500)]
    records += [Record("r", 2, 0, 0, None, b"x" * 30, [("ce_time", b"\xff")])]
    [check] = check_label_memory(pipeline, records)
    assert (check.ok, "raise max_pending_bytes" in check.advice) == (fits, not fits)
    assert f"{rate * 2 * 86_400:,}"[:5] in check.found
    assert "wait 2 days for their labels" in check.found
    assert list(check_label_memory(declare(), records)) == []


def test_check_partitioners_foreign_labels_are_named() -> None:
    """Labels by CRC-32 beside events by murmur2: the default of librdkafka and two ways out are named."""
    from schemas.murmur2 import home_partition

    keys = [b"k%d" % i for i in range(40)]
    records = [record(key, home_partition(key, 4)) for key in keys]
    records += [record(key, crc32_partition(key, 4), b"riverrun.label") for key in keys]
    events, labels = check_partitioners(records, 4, "r")
    assert events.ok
    assert labels.advice == (
        "labels come from a producer that partitions by crc32 (librdkafka's default); set partitioner=murmur2_random "
        "there, or send them through riverrun bridge"
    )


def test_check_partitioners_foreign_events_without_labels_are_fine() -> None:
    """Events that bring their labels along need not meet anything."""
    records = [record(key, crc32_partition(key, 4)) for key in (b"k%d" % i for i in range(40))]
    [check] = check_partitioners(records, 4, "r")
    assert check.ok
    assert check.found.startswith("crc32")


def test_check_partitioners_labels_without_keys_are_told() -> None:
    """A label without a key lands anywhere."""
    [check, _] = check_partitioners([Record("r", 0, 0, 0, None, b"{}", [("ce_type", b"riverrun.label")])], 2, "r")
    assert (check.ok, check.name) == (False, "keys of labels")


# ------------------------------------------------------------------ the bridge


@pytest.mark.parametrize(
    ("bad", "well", "found"),
    [
        (0, True, "0 of the newest 100 records"),
        (10, True, "10 of the newest 100 records; most frequent: validate: a: got '0', expected a number"),
        (11, False, "11 of the newest 100 records; most frequent: validate: a: got '0', expected a number"),
    ],
)
def test_check_dead_letters_more_than_a_tenth_is_a_problem(bad: int, well: bool, found: str) -> None:
    """Of the newest records; older letters, and those that say nothing, are passed over."""
    records = [Record("p.raw", 0, offset, 0, None, b"{}") for offset in range(1000, 1100)]
    letters = [DeadLetter(record, "validate", f"a: got '{i}', expected a number") for i, record in enumerate(records)]
    old = DeadLetter(Record("p.raw", 0, 999, 0, None, b"{"), "decode", "JSON: got nothing")
    there = [letter_of(letter) for letter in [old, *letters[:bad]]]
    check = check_dead_letters(records, [*there, Record("p.dead-letters", 0, 99, 0, None, b"{}")], "p.py:pipeline")
    assert (check.ok, check.found) == (well, found)
    assert ("riverrun resend p.py:pipeline" in check.advice) == (not well)


def test_check_dead_letters_names_what_is_most_frequent_first() -> None:
    """A field that is wrong in many ways is one fault; a letter with a digest counts."""
    records = [Record("p.raw", 0, offset, 0, None, b"x" * 900) for offset in range(4)]
    reasons = ["b: got nothing, expected a value", "a: got 1, expected a string", "a: got 2, expected a string", "c"]
    there = [letter_of(DeadLetter(record, "validate", why)) for record, why in zip(records, reasons, strict=True)]
    found = check_dead_letters(records, there, "p").found
    assert found == "4 of the newest 4 records; most frequent: validate: a: got 1, expected a string"


def letter_of(letter: DeadLetter) -> Record:
    """Return a dead letter as it stands in its topic."""
    message = OutgoingEncoder("p", limits={"p.dead-letters": 900}).encode(letter, letter.record)
    return Record(message.topic, 0, 0, 0, message.key, message.value, message.headers)


def test_bridged_headers_label_gets_no_id_and_keeps_its_type() -> None:
    """Only an event is given an id, and only where it has none."""
    label = Record("o", 1, 7, 0, b"k", b"{}", [("ce_type", b"riverrun.label"), ("ce_time", b"t")])
    assert bridged_headers(label, sets_id=True) == label.headers
    event = Record("o", 1, 7, 0, b"k", b"{}", [("ce_id", b"mine"), ("ce_time", b"t")])
    assert bridged_headers(event, sets_id=True) == event.headers
    assert bridged_headers(Record("o", 1, 7, -1, b"k", b"{}"), sets_id=False) == []


def test_timestamp_in_microseconds_ends_neither_the_bridge_nor_tail() -> None:
    """A record is passed on, and shown, without a time that nobody can write."""
    record = Record("orders", 0, 1, 1_700_000_000_000_000, b"k", b"{}")
    assert bridged_headers(record, sets_id=True) == [("ce_id", b"orders-0-1")]
    assert as_object(record)["time"] is None


@pytest.mark.parametrize(
    ("kind", "gets"), [(b"com.acme.visit", True), (b"riverrun.event", True), (b"riverrun.x", False)]
)
def test_bridged_headers_event_of_anybodys_type_gets_an_id(kind: bytes, gets: bool) -> None:
    """A type that is not ours is an event for the decoder, too; else a repeated delivery would be scored twice."""
    event = Record("orders", 1, 7, 0, b"k", b"{}", [("ce_type", kind)])
    assert (dict(bridged_headers(event, sets_id=True)).get("ce_id") == b"orders-1-7") == gets


def test_bridge_refuses_the_pipelines_own_topics() -> None:
    """From raw to raw it would run for ever."""
    with pytest.raises(ConfigurationError, match=r"--from: got p\.raw, expected a topic that is none of"):
        Bridge(declare(), Settings(bootstrap_servers=NOTHING_LISTENS), ["p.raw"])


def test_bridge_no_broker_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so before it begins."""
    monkeypatch.setattr("services.topics._ADMIN_SECONDS", 0.2)
    with pytest.raises(BrokerError, match="no Kafka answers"):
        Bridge(declare(), Settings(bootstrap_servers=NOTHING_LISTENS), ["orders"])


@pytest.mark.parametrize(
    ("options", "expected"), [(("--brokers", "3"), "expected 1"), (("--engine", "kafka", "--brokers", "2"), "1 or 3")]
)
def test_broker_start_with_nodes_the_engine_does_not_run_is_usage(options: tuple[str, ...], expected: str) -> None:
    """The number, and what the engine takes; nothing is started."""
    result = run("broker", "start", *options, code=2)
    assert f"--brokers: got {options[-1]}, " in result.stderr
    assert expected in result.stderr


def test_broker_start_kafka_without_java_fails_in_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 1, what is missing, what to do."""
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    result = run("broker", "start", "--engine", "kafka", "--data-dir", str(folder / "b"), code=1)
    assert result.stderr.startswith(
        "riverrun: Apache Kafka needs Java 17 or newer, and there is no java on PATH: install"
    )
    assert result.stderr.count("\n") == 1
    assert run("broker", "status", "--data-dir", str(folder / "b"), code=1).stdout.startswith("stopped")
