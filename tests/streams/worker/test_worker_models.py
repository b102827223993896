"""The life cycle over Kafka: evidence and operators change the champion, and a killed worker changes nothing."""

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner, Result

from schemas.operators import Operators
from services.cli import app
from streams.policy import ChampionVersions, Pool
from streams.worker.keys import load_trusted, make_keys
from tests.streams.worker import declarations
from tests.streams.worker.engines import ON_BOTH
from tests.streams.worker.events import Event, inline
from tests.streams.worker.kafka import Kafka, header, until
from tests.streams.worker.test_worker_backtest import turned
from tests.streams.worker.test_worker_deploy import TopicSnapshots

pytestmark = ON_BOTH


@pytest.fixture(autouse=True)
def signing(keys: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have commands signed with the key that workers trust."""
    for name, path in keys.items():
        monkeypatch.setenv(f"RIVERRUN_{name.upper()}", str(path))


def riverrun(kafka: Kafka, *arguments: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(app, [*arguments, "--bootstrap-servers", kafka.bootstrap, "--output", "json"])


def types(kafka: Kafka, deployment: Any) -> list[str]:
    """Return the types of all lifecycle events."""
    told = [header(message, "ce_type") for log in kafka.read(deployment.lifecycle).values() for message in log]
    return [kind.decode().removeprefix("riverrun.") for kind in told if kind]


def test_operators_are_obeyed_where_they_meant_it_and_refused_elsewhere(
    kafka: Kafka, deploy: Callable[..., Any]
) -> None:
    """One id for all partitions, whose answers are waited for; meant is who made the newest predictions."""
    deployment = deploy(partitions=2, policy=Pool(milestone=100))
    name = deployment.pipeline.name
    deployment.start()
    kafka.produce(deployment.raw, inline(1000))
    deployment.finish()
    frozen = riverrun(kafka, "models", "freeze", name, "--why", "broken upstream")
    assert frozen.exit_code == 0, frozen.output
    answers = orjson.loads(frozen.stdout)["answers"]
    assert [(a["partition"], a["order"], a["version"], a["why"]) for a in answers] == [
        (p, "freeze", "v1", "broken upstream") for p in (0, 1)
    ]
    listed = orjson.loads(riverrun(kafka, "models", "ls", name).stdout)
    kafka.produce(deployment.raw, inline(500, seed=1, start=1000))
    deployment.finish()
    again = orjson.loads(riverrun(kafka, "models", "ls", name).stdout)
    learned = [(before["learned"], after["learned"]) for before, after in zip(listed, again, strict=True)]
    assert all(after - before == 1 for before, after in learned)  # what the newest prediction's own label taught
    assert riverrun(kafka, "models", "resume", name).exit_code == 0
    # The champion of partition 1 is another one from here on: what was meant for v1 holds in partition 0 only.
    challenger = next(
        iter(orjson.loads(riverrun(kafka, "models", "promote", name, "v99", "--partition", "1").stdout)["answers"])
    )["reason"].split()[-1]
    promoted = riverrun(kafka, "models", "promote", name, challenger, "--partition", "1")
    assert promoted.exit_code == 0, promoted.output
    partly = riverrun(kafka, "models", "pin", name, "--expect", "v1")
    assert partly.exit_code == 1
    assert [a["type"] for a in orjson.loads(partly.stdout)["answers"]] == [
        "riverrun.command.obeyed",
        "riverrun.command.refused",
    ]
    kafka.produce(deployment.raw, inline(500, seed=2, start=1500))
    deployment.finish()
    assert kafka.digests(deployment.pipeline) == kafka.expected(deployment.pipeline)
    history = orjson.loads(riverrun(kafka, "history", name).stdout)
    orders = [(row["partition"], row["order"], row["why"]) for row in history if "order" in row]
    held = [(p, order, why) for p in (0, 1) for order, why in (("freeze", "broken upstream"), ("resume", ""))]
    assert orders == [*held[:2], (0, "pin", ""), *held[2:]]
    [change] = [row for row in history if "order" not in row]
    assert (change["partition"], change["replaced"], change["version"]) == (1, "v1", challenger)
    assert (change["cause"]["id"], change["cause"]["order"]) == (change["reason"], "promote")
    assert f"{challenger} serves instead of v1" in heard(kafka, name)


@pytest.mark.slow
def test_commands_of_strangers_and_commands_said_twice_are_refused(
    kafka: Kafka, deploy: Callable[..., Any], keys: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unsigned, signed by somebody else, or copied: each is answered, and none changes an answer."""
    deployment = deploy()
    name = deployment.pipeline.name
    deployment.start(snapshot_interval=0.3)
    kafka.produce(deployment.raw, inline(300))
    deployment.finish()
    assert riverrun(kafka, "models", "freeze", name).exit_code == 0
    [*_, signed] = kafka.records(deployment.raw)[0]
    assert riverrun(kafka, "models", "resume", name).exit_code == 0
    kafka.produce(deployment.raw, [Event(signed.value, headers=list(signed.headers or ()), partition=0)])
    monkeypatch.setenv("RIVERRUN_COMMANDS", "open")
    unsigned = riverrun(kafka, "models", "freeze", name)
    monkeypatch.delenv("RIVERRUN_COMMANDS")
    private, public = make_keys(tmp_path / "stranger")
    monkeypatch.setenv("RIVERRUN_SIGNING_KEY", str(private))
    strange = riverrun(kafka, "models", "freeze", name)
    file = tmp_path / "declared.py"
    file.write_text(f"from {declarations.__name__} import RECIPES\nother = RECIPES['small']({name!r}, model='nb')\n")
    store, (_, end) = TopicSnapshots(kafka, deployment), kafka.extents(deployment.raw)[0]
    until(lambda: store.newest(0) >= end - 1, what="a snapshot behind which nothing waits")
    declared = riverrun(kafka, "deploy", f"{file}:other")
    kafka.produce(deployment.raw, inline(100, seed=1, start=300))
    deployment.finish()
    assert (unsigned.exit_code, strange.exit_code, declared.exit_code) == (1, 1, 1)
    told = [orjson.loads(m.value()) for m in kafka.read(deployment.lifecycle)[0]]
    reasons = [one["reason"] for one in told if one["id"].endswith("/command.refused")]
    stranger = f"signed with key {public.stem}, which is not trusted"
    for words, reason in zip(("was taken before", "not signed", stranger, stranger), reasons, strict=True):
        assert words in reason
    assert orjson.loads(declared.stdout)["refused"] == {"0": reasons[-1]}
    operators = Operators(load_trusted(keys["trusted_keys"]))
    assert kafka.digests(deployment.pipeline) == kafka.expected(deployment.pipeline, operators)


def heard(kafka: Kafka, name: str) -> str:
    """Return what the example that reacts to changes of the champion hears first."""
    script = Path(__file__).parents[3] / "examples" / "react.py"
    with subprocess.Popen(
        [sys.executable, script, name, kafka.bootstrap], stdout=subprocess.PIPE, text=True
    ) as process:
        timer = threading.Timer(30, process.kill)
        timer.start()
        try:
            assert process.stdout is not None
            return process.stdout.readline()
        finally:
            timer.cancel()
            process.kill()


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(Pool(milestone=100), id="pool", marks=pytest.mark.slow),
        pytest.param(ChampionVersions(milestone=100), id="versions", marks=pytest.mark.slow),
    ],
)
def test_drift_is_acted_on_and_a_killed_worker_answers_as_an_undisturbed_one(
    kafka: Kafka, deploy: Callable[..., Any], policy: Any
) -> None:
    """Challengers, references and evidence come back from a snapshot to the last bit."""
    deployment = deploy(partitions=1, policy=policy)
    events = turned(list(inline(4000)))
    worker = deployment.start(snapshot_interval=0.3)
    for part in range(4):
        kafka.produce(deployment.raw, events[1000 * part : 1000 * (part + 1)])
        deployment.predicted(1000 * part + 700)
        worker.kill()
        worker = deployment.start(snapshot_interval=0.3)
    deployment.finish()
    assert kafka.digests(deployment.pipeline) == kafka.expected(deployment.pipeline)
    assert {"model.retrained", "model.promoted"} <= set(types(kafka, deployment))
