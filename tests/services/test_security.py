"""Users with passwords and exactly the rights of docs/security.md, on Apache Kafka with an authorizer."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import NewTopic
from typer.testing import CliRunner

from services.cli import app
from streams.worker.keys import make_keys
from tests.secured_kafka import SecuredKafka, secured_kafka
from tests.services.acls import Right, grant, listed
from tests.streams.worker.kafka import Kafka, until

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
USER = "ann"
DECLARATION = """
from datetime import timedelta
from river import linear_model, preprocessing
from riverrun import Label, Pipeline

def declare(name, **further):
    return Pipeline(
        name,
        features={"a": float},
        label=Label("y", type=bool, ttl=timedelta(days=1)),
        model=preprocessing.StandardScaler() | linear_model.LogisticRegression(**further),
        id_field="id",
    )

pipeline = declare("churn")
changed = declare("churn", l2=0.1)
"""
DENIED = re.compile(r"(authorization failed|not authorized|may describe|denied)", re.IGNORECASE)
WORKER = [right for right in listed("churn") if right.role.startswith("worker")]
VERDICT = [right for right in WORKER if right.name in ("riverrun.conformance", "riverrun-conformance")]


class Desk:
    """The user's desk: a broker, keys, a declaration."""

    def __init__(self, secured: SecuredKafka, folder: Path) -> None:
        self.secured, self.folder = secured, folder
        self.kafka = Kafka(secured.open)
        self.pipeline, self.changed = f"{folder / 'declared.py'}:pipeline", f"{folder / 'declared.py'}:changed"
        private, public = make_keys(folder / "keys")
        keys = {"RIVERRUN_SIGNING_KEY": str(private), "RIVERRUN_TRUSTED_KEYS": str(public.parent)}
        self.environment = secured.environment(USER) | keys | {"RIVERRUN_SNAPSHOT_INTERVAL": "1"}
        (folder / "declared.py").write_text(DECLARATION)

    def grant(self, *roles: str, further: list[Right] | None = None) -> None:
        """Give the user the rights of these roles, and no others."""
        rights = [right for right in listed("churn") if right.role in roles]
        assert {right.role for right in rights} == set(roles)
        grant(self.kafka.admin, USER, rights + (further or []))

    def run(self, *arguments: str, code: int | None = 0, stdin: str | None = None) -> str:
        """Run a command as the user, who may do all of it; return what it said."""
        result = CliRunner().invoke(app, list(arguments), env=self.environment, input=stdin)
        assert code is None or result.exit_code == code, result.output
        assert not DENIED.search(result.output), result.output
        return result.output

    def start(self, **settings: str) -> "subprocess.Popen[str]":
        """Start a worker as the user."""
        command = [sys.executable, "-c", "from services.cli import main; main()", "run", self.pipeline]
        environment = {**os.environ, **self.environment, "PYTHONPATH": str(ROOT), **settings}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def events(self, first: int, count: int) -> str:
        """Return labelled events as lines."""
        rows = [{"id": f"e{i}", "k": "c", "a": i % 7 - 3.0, "y": i % 7 > 3} for i in range(first, first + count)]
        return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A broker on which the pipeline's topics were made by a user who may do no more than that."""
    folder = tmp_path_factory.mktemp("secured")
    with secured_kafka(folder, {USER: "ann's secret"}) as secured:
        desk = Desk(secured, folder)
        made = desk.kafka.admin.create_topics([NewTopic("churn.predictions", 1, 1, config={"retention.ms": "1000"})])
        made["churn.predictions"].result(20)
        desk.grant("topics plan")
        assert "create" in desk.run("topics", "plan", desk.pipeline)
        desk.grant("topics apply")
        said = desk.run("topics", "apply", desk.pipeline, "--partitions", "2")
        assert "grown       churn.predictions (2 partitions): " in said
        desk.grant("send")
        desk.run("send", "-", "--topic", "churn.raw", "--key-field", "k", stdin=desk.events(0, 50))
        desk.grant("doctor", "doctor --probe")
        assert "probe verdict: kept in riverrun.conformance" in desk.run("doctor", desk.pipeline, "--probe", code=None)
        desk.grant("worker", "worker, exactly once")
        assert_worked(work(desk))  # there is a snapshot from now on: whoever starts reads it
        yield desk


def assert_worked(said: str) -> None:
    """See that a worker worked, ended when it was told to, and was denied nothing."""
    assert not re.search(f"^ended|^no answer|{DENIED.pattern}", said, re.IGNORECASE), said


def work(desk: Desk, **settings: str) -> str:
    """Run a worker until it has answered and kept what it has learned; return what it said."""
    before = desk.kafka.reach("churn.predictions"), desk.kafka.reach("churn.manifests")
    worker = desk.start(RIVERRUN_STOP_LIMIT="10", **settings)
    try:
        grows = lambda: (  # noqa: E731
            worker.poll() is not None
            or (desk.kafka.reach("churn.predictions") > before[0] and desk.kafka.reach("churn.manifests") > before[1])
        )
        until(grows, 30)
        worker.send_signal(signal.SIGTERM)
    except TimeoutError:
        worker.kill()
        return f"no answer: {worker.communicate()[0]}"
    said = worker.communicate(timeout=40)[0]
    return said if worker.returncode == 0 else f"ended with {worker.returncode}: {said}"


def test_each_command_works_with_the_rights_of_the_page(desk: Desk) -> None:
    """Every role of the table, with its lines and no others: nothing is denied, on the terminal or in a log."""
    desk.grant("send")
    desk.run("send", "-", "--topic", "churn.raw", "--key-field", "k", stdin=desk.events(50, 50) + '{"id": "bad"}\n')
    desk.grant("worker")
    assert_worked(work(desk, RIVERRUN_PROCESSING_GUARANTEE="at_least_once"))
    desk.grant("doctor")
    assert "✗ broker" not in desk.run("doctor", desk.pipeline, code=None)
    desk.grant("tail")
    for topic in ("raw", "predictions", "lifecycle", "dead-letters"):
        desk.run("tail", topic, "churn", "--no-follow")
    desk.grant("resend")
    assert "sent 1 to churn.raw" in desk.run("resend", desk.pipeline)
    desk.grant("models")
    for command in ("models ls", "models show", "history", "drift ls"):
        desk.run(*command.split(), "churn")
    desk.run("verify", desk.pipeline, "churn.raw-0-0", code=None)
    desk.grant("models", "models, commands")
    desk.run("models", "freeze", "churn", "--wait", "0", code=1)
    desk.grant("deploy")
    assert "declared at churn.raw[0]@" in desk.run("deploy", desk.changed, "--wait", "1", code=1)


@pytest.mark.parametrize("right", [right for right in WORKER if right not in VERDICT], ids=lambda right: right.name)
def test_worker_without_a_line_of_the_page_ends_and_says_what_is_denied(desk: Desk, right: Right) -> None:
    """Every line is needed."""
    desk.grant("send")
    desk.run("send", "-", "--topic", "churn.raw", "--key-field", "k", stdin=desk.events(1000, 10))
    grant(desk.kafka.admin, USER, [one for one in WORKER if one != right])
    said = work(desk)
    assert said.startswith("ended with 1: "), said
    assert DENIED.search(said), said


@pytest.mark.parametrize("right", VERDICT, ids=lambda right: right.name)
def test_worker_that_may_not_read_the_verdict_warns(desk: Desk, right: Right) -> None:
    """It can do without; the page says so."""
    grant(desk.kafka.admin, USER, [one for one in WORKER if one != right])
    worker = desk.start()
    try:
        assert worker.stdout is not None
        assert re.search(f"no verdict on the broker's transactions .*{DENIED.pattern}", worker.stdout.readline(), re.I)
    finally:
        worker.kill()
        worker.communicate()


def test_wrong_password_and_unknown_authority_end_worker_and_commands(desk: Desk) -> None:
    """What the broker says, and which settings it is about; the password stands nowhere."""
    wrong = desk.secured.environment(USER, "another secret")
    tls = {"RIVERRUN_BOOTSTRAP_SERVERS": desk.secured.tls, "RIVERRUN_SECURITY_PROTOCOL": "SSL"}
    for settings, told in (
        (wrong, f"the broker refuses the log-in of user {USER} (SASL authentication error: Authentication failed"),
        (tls, "no TLS with the broker (SSL handshake failed: "),
    ):
        said, _ = (worker := desk.start(**settings)).communicate(timeout=60)
        assert (worker.returncode, told in said, "secret" in said) == (1, True, False), said
        environment = {**desk.environment, **settings}
        for command in ("doctor", "tail raw", "send - --topic", "topics plan", "models ls"):
            target = "churn.raw" if command.startswith("send") else desk.pipeline
            result = CliRunner().invoke(app, [*command.split(), target], env=environment, input="{}")
            assert (result.exit_code, told in result.output) == (3 if command == "doctor" else 1, True), result.output


def test_tls_with_the_authority_of_the_broker_works(desk: Desk) -> None:
    """The certificate is believed, and its name is held against the address."""
    settings = {
        "RIVERRUN_BOOTSTRAP_SERVERS": desk.secured.tls,
        "RIVERRUN_SECURITY_PROTOCOL": "SSL",
        "RIVERRUN_SSL_CA_LOCATION": str(desk.secured.ca),
    }
    result = CliRunner().invoke(
        app, ["tail", "raw", "churn", "--no-follow", "-n", "1"], env=desk.environment | settings
    )
    assert result.exit_code == 0, result.output
