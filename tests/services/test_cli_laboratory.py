"""``riverrun backtest`` with several combinations, on files, pipes and topics."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner, Result

from services.cli import app
from services.laboratory import processes
from services.laboratory.child import outcome as play_here
from services.laboratory.outcome import Job, Outcome
from tests.services.laboratory import laboratory_pipelines as declared
from tests.services.laboratory.conftest import DECLARED, log_file, named
from tests.streams.worker.declarations import small
from tests.streams.worker.events import inline
from tests.streams.worker.kafka import Kafka

__all__ = ["log_file"]


class Here:
    """An engine in this process: what is tested here is the command."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def run(self, jobs: list[Job], tell: Any) -> Any:
        """Yield the last one first."""
        for place in reversed(range(len(jobs))):
            tell(place, 0.5)
            yield place, self.play(jobs[place])

    def play(self, job: Job) -> Outcome:
        """Play a job under the hash seed that it asks for, or says it has."""
        return play_here(job, lambda share: None)


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Play in this process, which has a hash seed, and no settings in the environment."""
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    monkeypatch.delenv("RIVERRUN_BOOTSTRAP_SERVERS", raising=False)
    monkeypatch.setattr(processes, "Processes", Here)


def run(*arguments: object, code: int = 0, input: bytes | None = None) -> Result:
    """Run the command and hold its exit code."""
    result = CliRunner().invoke(app, ["backtest", *map(str, arguments)], input=input)
    assert result.exit_code == code, result.output
    return result


def read(*arguments: object, code: int = 0, input: bytes | None = None) -> Any:
    """Run the command for its JSON."""
    return json.loads(run(*arguments, "--output", "json", code=code, input=input).stdout)


def digests(report: Any) -> dict[str, list[str]]:
    """Return the digests of predictions by title, one for each partition."""
    return {entry["title"]: [one["digest"] for one in entry["runs"]] for entry in report["entries"]}


def test_combinations_have_the_digests_of_plain_backtests(log_file: Path, tmp_path: Path) -> None:
    """Each pipeline with its own model and others, under each policy; and a report beside it."""
    html = tmp_path / "report.html"
    arguments = (log_file, named("pipeline"), "--policy", "observe-only,declared", "--model", named("bayes"))
    report = read(*arguments, "--html", html, "--baseline", "bayes / observe-only")
    found = digests(report)
    assert list(found) == [
        "declared model / observe-only",
        "declared model / declared policy",
        "bayes / observe-only",
        "bayes / declared policy",
    ]
    assert found["declared model / declared policy"] == [read(log_file, named("pipeline"))["digest"]]
    assert (report["baseline"], report["entries"][2]["difference"]) == ("bayes / observe-only", None)
    assert html.read_text().startswith("<!doctype html>")
    assert "report: " in run(*arguments, "--html", html).stdout


def test_table_has_a_row_a_combination_and_failures_are_told(log_file: Path) -> None:
    """One fails, the others are shown, and the exit code says so."""
    result = run(log_file, named("pipeline"), "--model", f"{DECLARED}:grove,regressor", code=1)
    rows = [line.split("  ")[0] for line in result.stdout.splitlines()]
    assert rows[:4] == ["combination", "declared model", "grove", "regressor"]
    assert "regressor: bench: model: got 'LinearRegression', expected a River classifier" in result.stderr
    assert "1 of 3 combinations failed." in result.stdout


TWINS = """
from river import linear_model, preprocessing
from riverrun import Label, Pipeline
def twin(name):
    model = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    return Pipeline(name, features={"a": float}, label=Label("y"), model=model)
x1, x2 = twin("x1"), twin("x2")
"""


def test_one_model_under_two_names_differs_by_nothing(tmp_path: Path) -> None:
    """Events without ids are named after each pipeline's topic: they are held against each other by their place."""
    (tmp_path / "twins.py").write_text(TWINS)
    events = tmp_path / "events.jsonl"
    events.write_text("".join(f'{{"a": {number % 7}, "y": {str(number % 3 == 0).lower()}}}\n' for number in range(400)))
    arguments = (events, f"{tmp_path / 'twins.py'}:x1", f"{tmp_path / 'twins.py'}:x2")
    _, other = read(*arguments)["entries"]
    assert (other["title"], other["unpaired"]) == ("x2", 0)
    assert other["difference"]["mean"] == 0.0
    assert "+0.0000" in run(*arguments).stdout


def test_log_loss_is_refused_where_there_are_no_classes(log_file: Path) -> None:
    """By the option's name, not by that of a metric which nobody has declared."""
    result = run(log_file, named("price"), "--loss", "log", code=1)
    assert "--loss log: got price, a task of kind regression, expected classes" in result.stderr


MAJORITY = """
from river import base

class Maj(base.Classifier):
    def learn_one(self, x, y):
        pass
    def predict_one(self, x):
        return True

majority = Maj()
"""


def test_log_loss_is_refused_of_a_model_that_tells_no_probabilities(log_file: Path, tmp_path: Path) -> None:
    """It would have no loss at all; the others have theirs."""
    (tmp_path / "majority.py").write_text(MAJORITY)
    result = run(
        log_file, named("pipeline"), "--model", f"{tmp_path / 'majority.py'}:majority", "--loss", "log", code=1
    )
    said = "--loss log: got Maj, which tells no probabilities, expected a classifier with predict_proba_one"
    assert f"majority: {said}\n" in result.stderr
    assert "1 of 2 combinations failed." in result.stdout
    wrong = run(log_file, named("pipeline"), "--model", f"{DECLARED}:regressor", "--loss", "log", code=1)
    assert "model: got 'LinearRegression', expected a River classifier" in wrong.stderr


def test_combinations_that_answer_nothing_are_told(tmp_path: Path) -> None:
    """A table is no JSON lines: the exit code and a remark say that nothing was scored."""
    table = tmp_path / "table.csv"
    table.write_text("a,b\n1,2\n")
    result = run(table, named("pipeline"), "--policy", "pool,declared", code=1)
    assert (
        "2 combinations (pool, declared policy): got 2 records and no event among them that could be scored."
        in result.stdout
    )


def test_plain_backtest_stays_what_it_was(log_file: Path) -> None:
    """One pipeline and none of the new options: no table, no process."""
    assert "predictions, digest" in run(log_file, named("pipeline")).stdout.splitlines()[-1]
    assert "digest" in read(log_file, named("pipeline"))


def test_standard_input_is_read_once_for_all(log_file: Path) -> None:
    """Both fold the same records."""
    arguments = (named("pipeline"), "--policy", "pool,declared")
    assert digests(read("-", *arguments, input=log_file.read_bytes())) == digests(read(log_file, *arguments))


def test_key_field_plays_all_partitions_as_plain_backtests_do(log_file: Path) -> None:
    """A partition's run has the digest of that partition; --partition plays one alone."""
    keyed = (log_file, named("pipeline"), "--key-field", "id", "--partitions", "3")
    plain = [read(*keyed, "--partition", number)["digest"] for number in range(3)]
    report = read(*keyed, "--policy", "declared,observe-only")
    assert digests(report)["declared policy"] == plain
    assert sum(one["records"] for one in report["entries"][0]["runs"]) == 2 * declared.COUNT
    assert digests(read(*keyed, "--policy", "declared,pool", "--partition", "1"))["declared policy"] == plain[1:2]


def test_line_without_the_key_field_is_taken_once(tmp_path: Path) -> None:
    """Into partition 0, and it is said how many there were; a field that no line has looks like a wrong name."""
    shops = tmp_path / "shops.jsonl"
    events = [{"a": 1.0, "z": 2.0, **({"shop": f"s{i}"} if i % 3 else {})} for i in range(9)]
    shops.write_text("nonsense\n" + "\n".join(map(json.dumps, events)))

    def folded(field: str) -> tuple[list[int], set[str]]:
        """Return records by partition and what is said, of plain backtests and of one that compares."""
        arguments = (shops, named("price"), "-o", "json", "--partitions", "3", "--key-field", field)
        plain = [run(*arguments, "--partition", number) for number in range(3)]
        records = [json.loads(result.stdout)["records"] for result in plain]
        comparing = run(*arguments, "--policy", "declared,observe-only")
        for entry in json.loads(comparing.stdout)["entries"]:
            assert [one["records"] for one in entry["runs"]] == records
        return records, {result.stderr for result in (*plain, comparing)}

    records, said = folded("shop")
    assert sum(records) == 10
    assert said == {"riverrun: 3 lines without field 'shop': taken without a key, into partition 0\n"}
    records, said = folded("shpo")
    assert records == [10, 0, 0]
    wrong = "9 lines without field 'shpo', which no line has: taken without a key, into partition 0. Is the name right?"
    assert said == {f"riverrun: {wrong}\n"}
    assert run(shops, named("price")).stderr == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--policy", "pol"], "--policy: got 'pol', expected declared, observe-only, reset-on-drift"),
        (["--policy", "pool:alpha=2"], "pool.alpha: got 2.0, expected a number between 0 and 1"),
        (["--model", f"{DECLARED}:nix"], "has no 'nix'"),
        (["--model", f"{DECLARED}:nothing"], "expected a River model, a list of them, or a Pipeline"),
        (["--policy", "pool", "--baseline", "nix"], "--baseline: got 'nix', expected one of 'pipeline'"),
        (["--policy", "pool", "--predictions", "out"], "--predictions: got several combinations"),
        (["--from", "3"], "--from, --to: got a file, expected --topic"),
        (["--policy", "pool", "--to", "3"], "--from, --to: got a file, expected --topic"),
        (
            ["--topic", "t", "--from", "50", "--to", "10"],
            "--from, --to: got 50 and 10, expected --to at or behind --from",
        ),
        (["--topic", "t", "--from", "-5", "--to", "-10"], "--from, --to: got -5 and -10, expected --to at or behind"),
        (["--scheduler", "tcp://x:1"], "--scheduler requires --engine dask"),
        (["--engine", "ray"], "Invalid value for '--engine'"),
    ],
)
def test_wrong_usage_is_one_line(log_file: Path, arguments: list[str], said: str) -> None:
    """Exit code 2, before anything is played."""
    result = run(log_file, named("pipeline"), *arguments, code=2)
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_no_pipeline_is_told(log_file: Path) -> None:
    """A file alone is not enough; a topic alone is taken for a pipeline."""
    assert "got no PIPELINE" in run(log_file, code=2).stderr
    assert "Missing argument 'FILE'" in run(code=2).stderr
    assert "got no such file" in run("nowhere.jsonl", named("pipeline"), code=2).stderr


def test_report_that_cannot_be_written_is_told_at_once(log_file: Path) -> None:
    """Not after an hour."""
    result = run(log_file, named("pipeline"), "--html", "no/report.html", code=1)
    assert result.stderr == "riverrun: no/report.html: No such file or directory\n"


def test_report_that_is_not_written_leaves_nothing_and_an_old_one_as_it_was(log_file: Path, tmp_path: Path) -> None:
    """A command that fails has made no file, and has touched none."""
    new, old, link = tmp_path / "new.html", tmp_path / "old.html", tmp_path / "link.html"
    old.write_text("worth an hour")
    link.symlink_to(tmp_path / "target.html")
    for html in (new, old, link):
        run(log_file, named("pipeline"), "--model", named("nix"), "--html", html, code=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.html", "old.html"]
    assert old.read_text() == "worth an hour"
    run(log_file, named("pipeline"), "--html", link)
    assert (tmp_path / "target.html").read_text().startswith("<!doctype html>")


def test_dask_that_is_missing_names_the_extra(log_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the engine that needs none."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    result = run(log_file, named("pipeline"), "--engine", "dask", code=2)
    assert "pip install 'riverrun[laboratory]'" in result.stderr


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Interrupt an experiment after so many outcomes, the last one first."""
    left = [0]

    def run(engine: Here, jobs: list[Job], tell: Any) -> Any:
        for place in reversed(range(len(jobs))):
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            yield place, engine.play(jobs[place])

    monkeypatch.setattr(Here, "run", run)
    return left


def test_interrupted_experiment_shows_what_has_ended(log_file: Path, tmp_path: Path, interrupted: list[int]) -> None:
    """By the titles that all have, against the first that has ended where the baseline has not; and in the report."""
    html = tmp_path / "report.html"
    asked = (log_file, named("pipeline"), "--model", f"{DECLARED}:bayes,grove", "--html", html)
    interrupted[0] = 2
    result = run(*asked, code=130)
    assert [line.split("  ")[0] for line in result.stdout.splitlines()[1:3]] == ["bayes", "grove"]
    assert result.stderr == "riverrun: interrupted: 2 of 3 combinations played\n"
    assert "Interrupted: 2 of 3 combinations were played." in result.stdout
    assert "The baseline declared model is not among them: differences are to bayes." in result.stdout
    assert "Interrupted: 2 of 3" in html.read_text()
    interrupted[0] = 1
    report = read(*asked, "--baseline", "grove", code=130)
    assert (report["baseline"], [one["title"] for one in report["entries"]]) == ("grove", ["grove"])


def test_interrupted_experiment_of_which_nothing_has_ended_says_so(
    log_file: Path, tmp_path: Path, interrupted: list[int]
) -> None:
    """Partitions are parts of a combination: it has ended when all have. No report is written."""
    html = tmp_path / "report.html"
    keyed = ("--key-field", "id", "--partitions", "3", "--policy", "declared,pool", "--html", html)
    for ended in (0, 2):
        interrupted[0] = ended
        result = run(log_file, named("pipeline"), *keyed, code=130)
        assert (result.stdout, result.stderr) == ("", "riverrun: interrupted: 0 of 2 combinations played\n")
    assert not html.exists()
    interrupted[0] = 5
    assert (
        "riverrun: interrupted: 1 of 2 combinations played\n"
        in run(log_file, named("pipeline"), *keyed, code=130).stderr
    )


def test_progress_is_told_now_and_then_where_no_terminal_is(log_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line as a combination ends, not more than one each half minute."""
    from services.cli import laboratory

    asked = (log_file, named("pipeline"), "--policy", "pool,declared")
    assert run(*asked).stderr == ""
    monkeypatch.setattr(laboratory, "_BETWEEN_LINES_SECONDS", 0.0)
    assert run(*asked).stderr == "riverrun: 1 of 2 combinations\n"


def test_progress_is_a_bar_on_a_terminal(log_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all combinations."""
    from services.cli import laboratory

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with laboratory._progress(2) as tell:
        tell(0, 0.5)
        tell(1, 1.0)
    assert "1 of 2 combinations" in terminal.getvalue()


# ------------------------------------------------------------------ topics

TOPIC_DECLARATION = """
from tests.streams.worker.declarations import small
pipeline = small({name!r}, partitions=2)
"""


def test_stretch_of_a_topic_is_played_as_its_committed_records(kafka: Kafka, tmp_path: Path) -> None:
    """All partitions, what was aborted left out, from one offset to another; and nothing new is read."""
    pipeline = small("laboratory", partitions=2)
    kafka.create(pipeline)
    kafka.produce(pipeline.source_topic, inline(300))
    transaction = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": "laboratory"})
    transaction.init_transactions(10)
    transaction.begin_transaction()
    transaction.produce(pipeline.source_topic, b"{}", b"1", partition=0)
    transaction.flush(10)
    transaction.abort_transaction(10)
    (tmp_path / "played.py").write_text(TOPIC_DECLARATION.format(name="laboratory"))
    servers = ("--bootstrap-servers", kafka.bootstrap)
    arguments = ("--topic", pipeline.source_topic, f"{tmp_path / 'played.py'}:pipeline", *servers)
    report = read(*arguments, "--policy", "declared,pool")
    wanted = kafka.backtest(pipeline)
    assert digests(report)["declared policy"] == [wanted[partition].digest.hexdigest() for partition in range(2)]
    assert report["entries"][0]["runs"][0]["outcomes"] == {"scored": wanted[0].task.books.count["scored"]}
    part = read(*arguments, "--partition", "0", "--from", "10", "--to", "60")["entries"][0]["runs"]
    assert [(one["records"], one["curve"]["first"]) for one in part] == [(50, 10)]
    last = read(*arguments, "--partition", "1", "--from", "-7")["entries"][0]["runs"]
    assert [one["records"] for one in last] == [7]
    for empty in (("--from", "5000"), ("--from", "30", "--to", "-5000"), ("--from", "7", "--to", "7")):
        nothing = run(*arguments, *empty, "--html", tmp_path / "report.html", code=1)
        assert "pipeline: got 0 records and no event among them that could be scored." in nothing.stdout


def test_topic_that_is_not_there_is_told(kafka: Kafka) -> None:
    """As elsewhere; and so are offsets that are none, and partitions there are not."""
    pipeline = small("laboratory-none", partitions=1)
    servers = ("--bootstrap-servers", kafka.bootstrap)
    assert "no such topic" in run("--topic", "nix", named("pipeline"), *servers, code=1).stderr
    kafka.create(pipeline)
    arguments = ("--topic", pipeline.source_topic, named("pipeline"), *servers)
    assert "--from: got 'x', expected beginning" in run(*arguments, "--from", "x", code=2).stderr
    assert "--to: got 'x', expected end" in run(*arguments, "--to", "x", code=2).stderr
    assert "--to: got '--5', expected end" in run(*arguments, "--to=--5", code=2).stderr
    assert "--partition: got 3, expected less than 1" in run(*arguments, "--partition", "3", code=2).stderr
    assert "--key-field: got a topic" in run(*arguments, "--key-field", "k", code=2).stderr
