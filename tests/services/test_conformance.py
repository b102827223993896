"""The probe of a broker: what each engine does, what a broken one would, and who heeds the verdict."""

import itertools
import json
import logging
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from river import linear_model
from typer.testing import CliRunner

from schemas.errors import BrokerError
from services.broker import EmbeddedBroker
from services.cli import app
from services.conformance import Clients, probe, store
from services.conformance.checks import CHECKS
from services.topics import apply_topics
from streams.label import Label
from streams.pipeline import Pipeline
from streams.worker.app import App
from streams.worker.conformance import NAMELESS, TOPIC, Trial, cluster_id, read_verdict
from streams.worker.settings import Settings
from tests.streams.worker.engines import ON_BOTH

ABORTED, OFFSETS, ZOMBIES, STALE = CHECKS
GOOD = [Trial(name, True, "as it should be") for name in CHECKS]
BAD = [*GOOD[:2], Trial(ZOMBIES, False, "both could commit"), GOOD[3]]
DECLARATION = """
from river import linear_model
from riverrun import Label, Pipeline
pipeline = Pipeline("probed", features={"a": float}, label=Label("y"), model=linear_model.LogisticRegression())
"""
PIPELINE = Pipeline("probed", features={"a": float}, label=Label("y"), model=linear_model.LogisticRegression())
#: noida-db commits offsets that are sent with any group metadata, whoever's and of whatever generation.
SHORTCOMINGS = {"embedded_kafka": {STALE}, "apache_kafka": set[str]()}


@pytest.fixture(scope="module")
def embedded_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An embedded broker of this module's own: a bad verdict would stop the workers of others."""
    with EmbeddedBroker(tmp_path_factory.mktemp("broker"), dies_with_parent=True) as bootstrap:
        yield bootstrap


@dataclass(frozen=True)
class Broker:
    """A broker under test, and the checks that it is known to fail."""

    settings: Settings
    shortcomings: set[str]

    @property
    def admin(self) -> AdminClient:
        """A client for its administration."""
        return AdminClient(self.settings.client())

    def topics(self) -> set[str]:
        """Return its topics."""
        return set(self.admin.list_topics(timeout=10).topics)

    def forget(self) -> None:
        """Delete the verdicts."""
        if TOPIC in self.topics():
            admin = self.admin
            admin.delete_topics([TOPIC])[TOPIC].result(10)
        deadline = time.monotonic() + 10
        while TOPIC in self.topics():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def write(self, key: str, value: bytes | None) -> None:
        """Write a record into the topic of verdicts."""
        producer = Producer(self.settings.client())
        producer.list_topics(TOPIC, timeout=10)
        producer.produce(TOPIC, value, key, 0)
        assert producer.flush(10) == 0


@pytest.fixture
def kafka(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A broker that nobody has probed, neither before the test nor after it."""
    settings = Settings(bootstrap_servers=request.getfixturevalue(request.param))
    broker = Broker(settings, SHORTCOMINGS[request.param])
    broker.forget()
    yield broker
    broker.forget()


def failures(trials: list[Trial]) -> set[str]:
    """Return the names of the checks that failed."""
    return {trial.name for trial in trials if not trial.passed}


# ------------------------------------------------------------------ the checks


@ON_BOTH
def test_probe_finds_what_the_engine_is_known_for_and_leaves_nothing_behind(kafka: Broker) -> None:
    """Apache Kafka keeps all four promises, noida-db three of them."""
    before, began = kafka.topics(), time.monotonic()
    trials = list(probe(kafka.settings))
    assert time.monotonic() - began < 30
    assert [trial.name for trial in trials] == list(CHECKS)
    assert failures(trials) == kafka.shortcomings, trials
    assert {name for name in kafka.topics() - before if not name.startswith("__")} == set()
    groups = kafka.admin.list_consumer_groups().result(10).valid
    assert [group.group_id for group in groups if group.group_id.startswith("riverrun.probe.")] == []


class Wrapped:
    """A producer that does something of its own in place of what it was asked for."""

    def __init__(self, producer: Producer, clients: Clients, transactional_id: str) -> None:
        self._producer = producer
        self._clients = clients
        self._transactional_id = transactional_id

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)


class OffsetsApplied(Wrapped):
    """Commits offsets whose transaction is to be aborted."""

    sent = False

    def send_offsets_to_transaction(self, offsets: Any, group: Any, seconds: float) -> None:
        self._producer.send_offsets_to_transaction(offsets, group, seconds)
        self.sent = True

    def abort_transaction(self, seconds: float) -> None:
        self._producer.commit_transaction(seconds) if self.sent else self._producer.abort_transaction(seconds)
        self.sent = False


class GenerationLost(Wrapped):
    """Sends offsets as nobody in particular, which a broker has to take."""

    def send_offsets_to_transaction(self, offsets: Any, group: Any, seconds: float) -> None:
        outsider = self._clients.consumer(self._transactional_id)
        self._producer.send_offsets_to_transaction(offsets, outsider.consumer_group_metadata(), seconds)
        outsider.close()


class AppliesOffsets(Clients):
    """Makes producers that commit offsets of aborted transactions."""

    def producer(self, transactional_id: str) -> Any:
        return OffsetsApplied(super().producer(transactional_id), self, transactional_id)


class LosesGenerations(Clients):
    """Makes producers that send no generation."""

    def producer(self, transactional_id: str) -> Any:
        return GenerationLost(super().producer(transactional_id), self, transactional_id)


class ReadsUncommitted(Clients):
    """Makes consumers that read uncommitted."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.model_copy(update={"kafka": {"isolation.level": "read_uncommitted"}}))


class FencesNobody(Clients):
    """Gives each producer a transactional id of its own."""

    numbers = itertools.count()

    def producer(self, transactional_id: str) -> Producer:
        return super().producer(f"{transactional_id}.{next(self.numbers)}")


class KnowsNoTransactions(Clients):
    """Makes no producer for the first check."""

    def producer(self, transactional_id: str) -> Producer:
        if transactional_id.endswith(ABORTED.replace(" ", "-")):
            raise KafkaException(KafkaError(KafkaError._UNSUPPORTED_FEATURE, "no transactions\nhere"))
        return super().producer(transactional_id)


@ON_BOTH
@pytest.mark.parametrize(
    ("clients", "name", "found"),
    [
        pytest.param(
            ReadsUncommitted,
            ABORTED,
            "saw 5 committed records, 5 aborted ones and 5 of an open .*, expected 5, 0 and 0",
            marks=pytest.mark.slow,
        ),
        (AppliesOffsets, OFFSETS, "no offset before an abort, offset 7 after it and offset 5 after a commit; expected"),
        (FencesNobody, ZOMBIES, "could commit after another had taken its transactional id, expected PRODUCER_FENCED"),
        (LosesGenerations, STALE, "older generation: taken; of a member that has left: taken; expected ILLEGAL_GEN"),
        pytest.param(
            KnowsNoTransactions, ABORTED, "could not be finished: no transactions here", marks=pytest.mark.slow
        ),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_broken_behaviour_fails_its_check_and_no_other(
    kafka: Broker, clients: type[Clients], name: str, found: str
) -> None:
    """Each check looks at one promise, and says what it saw."""
    trials = {trial.name: trial for trial in probe(kafka.settings, clients(kafka.settings))}
    assert failures(list(trials.values())) == {name} | kafka.shortcomings, trials
    assert re.search(found, trials[name].found)


# ------------------------------------------------------------------ the verdict


@ON_BOTH
def test_read_verdict_is_the_last_one_of_the_cluster(kafka: Broker) -> None:
    """None at first; another cluster's is not ours; a tombstone takes it back; what is no verdict is an error."""
    assert read_verdict(kafka.settings) is None
    store(kafka.settings, BAD)
    verdict = store(kafka.settings, GOOD)
    kafka.write("another-cluster", b'{"cluster": "another-cluster"}')
    assert read_verdict(kafka.settings) == verdict
    kafka.write(verdict.cluster, b'{"cluster": 7}')
    with pytest.raises(BrokerError, match=rf"{re.escape(TOPIC)}\[0\]@3: got no verdict: Expected `str`"):
        read_verdict(kafka.settings)
    kafka.write(verdict.cluster, None)
    assert read_verdict(kafka.settings) is None


def test_cluster_without_an_id_has_a_name_all_the_same() -> None:
    """The verdict lies on the cluster it is about, so that any constant will do."""
    assert cluster_id(SimpleNamespace(cluster_id=None)) == NAMELESS
    assert cluster_id(SimpleNamespace(cluster_id="")) == NAMELESS


# ------------------------------------------------------------------ who heeds it


def start(kafka: Broker, **further: Any) -> None:
    """Make a worker's app, which looks at topics and verdict."""
    apply_topics(PIPELINE, kafka.settings)
    App(PIPELINE, kafka.settings.model_copy(update={"snapshot_interval": 0, "commands": "open", **further}))


@ON_BOTH
def test_worker_without_a_verdict_warns_once_and_starts(kafka: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """One line, which names the command; it makes no topic in passing. At least once there is nothing to know."""
    start(kafka, processing_guarantee="at_least_once")
    assert caplog.messages == []
    start(kafka)
    [message] = caplog.messages
    assert "riverrun doctor --probe" in message
    assert TOPIC not in kafka.topics()


@ON_BOTH
def test_worker_with_an_unreadable_verdict_warns_and_starts(kafka: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be read is no reason to stop."""
    verdict = store(kafka.settings, GOOD)
    kafka.write(verdict.cluster, b"nonsense")
    start(kafka)
    [message] = caplog.messages
    assert re.search(r"got no verdict.*riverrun doctor --probe", message)


@ON_BOTH
def test_worker_with_a_failed_verdict_refuses_to_start(kafka: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """One line says which check, what it saw and what does without; at least once starts."""
    verdict = store(kafka.settings, BAD)
    with pytest.raises(BrokerError) as caught:
        start(kafka)
    message = str(caught.value)
    assert f"{verdict.probed_at} found: {ZOMBIES}: both could commit." in message
    assert "RIVERRUN_PROCESSING_GUARANTEE=at_least_once" in message
    assert "riverrun doctor --probe" in message
    assert "\n" not in message
    start(kafka, processing_guarantee="at_least_once")
    assert caplog.messages == []


@ON_BOTH
def test_worker_with_a_good_verdict_says_nothing(kafka: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """Also when an earlier verdict was bad."""
    store(kafka.settings, BAD)
    store(kafka.settings, GOOD)
    with caplog.at_level(logging.DEBUG, "riverrun"):
        start(kafka)
    assert caplog.messages == []


# ------------------------------------------------------------------ the command


@pytest.fixture
def declaration(tmp_path: Path) -> str:
    """The import path of a pipeline."""
    (tmp_path / "probed.py").write_text(DECLARATION)
    return f"{tmp_path / 'probed.py'}:pipeline"


@ON_BOTH
def test_doctor_probe_shows_each_check_and_keeps_the_verdict(kafka: Broker, declaration: str) -> None:
    """A mark for each, exit code 3 when one failed, and workers heed it from then on."""
    apply_topics(PIPELINE, kafka.settings)
    servers = kafka.settings.bootstrap_servers
    result = CliRunner().invoke(app, ["doctor", declaration, "--probe", "--bootstrap-servers", servers])
    assert result.exit_code == (3 if kafka.shortcomings else 0), result.output
    for name in CHECKS:
        assert f"{'✗' if name in kafka.shortcomings else '✓'} probe {name}: " in result.stdout
    verdict = read_verdict(kafka.settings)
    assert verdict is not None
    assert {failure.name for failure in verdict.failures} == kafka.shortcomings
    assert f"✓ probe verdict: kept in {TOPIC} for cluster {verdict.cluster}" in result.stdout
    assert ("RIVERRUN_PROCESSING_GUARANTEE=at_least_once" in result.stdout) == bool(kafka.shortcomings)


@ON_BOTH
@pytest.mark.parametrize("trials", [GOOD, BAD], ids=["good", "bad"])
def test_doctor_probe_tells_programs(
    kafka: Broker, declaration: str, trials: list[Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checks are among the others, and the exit code is the same."""
    apply_topics(PIPELINE, kafka.settings)
    monkeypatch.setattr("services.conformance.probe", lambda settings: iter(trials))
    arguments = ["doctor", declaration, "--probe", "--output", "json"]
    result = CliRunner().invoke(app, [*arguments, "--bootstrap-servers", kafka.settings.bootstrap_servers])
    assert result.exit_code == (3 if trials is BAD else 0), result.output
    told = json.loads(result.stdout)
    checks = {check["name"]: check for check in told["checks"]}
    assert told["ok"] == (trials is GOOD)
    assert [checks[f"probe {trial.name}"]["ok"] for trial in trials] == [trial.passed for trial in trials]
    assert checks["probe verdict"]["ok"]


def test_doctor_probe_whose_verdict_is_not_taken_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """No verdict, and why."""
    from services.cli.doctor import probe_broker

    def refuse(settings: Settings) -> Iterator[Trial]:
        yield GOOD[0]
        raise BrokerError("riverrun.conformance[0]: the verdict was not taken: Topic authorization failed")

    monkeypatch.setattr("services.conformance.probe", refuse)
    trial, verdict = probe_broker(Settings())
    assert (trial.ok, verdict.ok, verdict.found) == (True, False, "none was kept")
    assert "authorization failed" in verdict.advice
