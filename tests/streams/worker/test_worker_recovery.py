"""Kills and restarts: the same answers, said as often as promised, and nothing lost."""

import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.broker import EmbeddedBroker, free_port
from tests.streams.worker import declarations
from tests.streams.worker.conftest import Deployment
from tests.streams.worker.engines import ON_BOTH
from tests.streams.worker.events import BAD, delayed, inline
from tests.streams.worker.kafka import Kafka, header, until
from tests.streams.worker.runner import ROOT


def ids(kafka: Kafka, topic: str) -> list[bytes | None]:
    """Return the ids of what was said, in order."""
    return [header(message, "ce_id") for message in kafka.read(topic)[0]]


def never_ahead(kafka: Kafka, deployment: Any) -> bool:
    """Tell whether each committed record has been answered: the offset is asked first."""
    committed = kafka.committed(deployment.pipeline).get(0, 0)
    answered = kafka.reach(deployment.predictions) + kafka.reach(deployment.dead_letters)
    return committed <= answered


@ON_BOTH
@pytest.mark.parametrize(
    ("seed", "kills", "guarantee"),
    [
        (1, 2, "exactly_once"),
        pytest.param(1, 2, "at_least_once", marks=pytest.mark.slow),
        *(
            pytest.param(seed, 4, guarantee, marks=pytest.mark.slow)
            for seed in (2, 3)
            for guarantee in ("exactly_once", "at_least_once")
        ),
    ],
)
def test_killed_worker_loses_nothing_and_repeats_only_as_promised(
    kafka: Kafka, deploy: Callable[..., Any], seed: int, kills: int, guarantee: str
) -> None:
    """After kill -9 at any moment the state is that of an undisturbed run; what is said twice is said alike."""
    rng = random.Random(seed)
    deployment = deploy(model="hat")
    count = 6_000
    kafka.produce(deployment.raw, inline(count, seed))
    for target in sorted(rng.randrange(1, count - 3000) for _ in range(kills)):
        # Often enough that kills come within a transaction; seldom enough that something is left to be repeated.
        interval = 0.1 if guarantee == "exactly_once" else 1.0
        worker = deployment.start(batch_records=100, commit_interval=interval, processing_guarantee=guarantee)

        def reached(target: int = target) -> bool:
            assert never_ahead(kafka, deployment)
            return kafka.reach(deployment.predictions) >= target

        # A worker that was killed before its first commit makes the next one commit a thousand records one by one.
        until(reached, 120, f"{target} predictions")
        worker.kill()
        assert kafka.committed(deployment.pipeline).get(0, 0) <= len(set(ids(kafka, deployment.predictions)))
    deployment.start(processing_guarantee=guarantee)
    assert deployment.finish() == count

    said: dict[bytes | None, tuple[Any, ...]] = {}
    repeated = 0
    for message in kafka.read(deployment.predictions)[0]:
        body = (message.key(), message.value(), sorted(message.headers()))
        event_id = header(message, "ce_id")
        repeated += event_id in said
        assert said.setdefault(event_id, body) == body
    assert list(said) == [f"{deployment.raw}-0-{offset}".encode() for offset in range(count)]
    assert (repeated > 0) == (guarantee == "at_least_once"), "the kills came in the midst of work"
    assert kafka.digests(deployment.pipeline, distinct=True) == kafka.expected(deployment.pipeline)


def test_sigterm_drains_commits_and_the_next_start_goes_on(kafka: Kafka, deploy: Callable[..., Any]) -> None:
    """Within seconds, exit code 0, the offset behind the last answer; nothing is said twice, nothing is left out."""
    deployment = deploy(ttl_seconds=3600, model="hat")
    log = list(delayed(4000))
    for i, (_, bad) in enumerate(BAD.values()):
        if len(bad.value or b"") < 1_000_000:
            log.insert(i * 300, bad)
    kafka.produce(deployment.raw, log)
    for target in (1, 1000):
        worker = deployment.start(batch_records=50)
        deployment.predicted(target)
        code, seconds = worker.terminate()
        assert code == 0
        assert seconds < 5
        [committed] = kafka.committed(deployment.pipeline).values()
        assert committed < len(log), "it was stopped in the midst of work"
        letters = [int(header(m, "riverrun_offset") or b"") for m in kafka.read(deployment.dead_letters)[0]]
        answered = [int((event_id or b"").rpartition(b"-")[2]) for event_id in ids(kafka, deployment.predictions)]
        last = max(answered + letters)
        assert last < committed, "nothing is said that is not committed"
        events = [record.offset for record in kafka.records(deployment.raw)[0] if is_answered(record)]
        assert sorted(answered + letters) == [offset for offset in events if offset < committed]
    deployment.start()
    assert deployment.finish() == len(log)
    said = ids(kafka, deployment.predictions)
    assert len(said) == len(set(said))
    assert kafka.digests(deployment.pipeline) == kafka.expected(deployment.pipeline)


def is_answered(record: Any) -> bool:
    """Tell whether a record is an event or a bad one, not a good label."""
    return dict(record.headers or ()).get("ce_type") != b"riverrun.label" or record.key == b"bad"


def test_idle_worker_in_a_process_of_its_own_leaves_on_sigint(
    kafka: Kafka, deploy: Callable[..., Any], keys: dict[str, Path]
) -> None:
    """Not forked, as people start it: with nothing to do it leaves within seconds, with 0."""
    deployment = deploy()
    kafka.produce(deployment.raw, inline(100))
    script = (
        "import sys; from tests.streams.worker.runner import run; "
        "run('small', sys.argv[1], {}, {'RIVERRUN_METRICS_PORT': sys.argv[2], "
        "'RIVERRUN_BOOTSTRAP_SERVERS': sys.argv[3]}, sys.argv[4], None)"
    )
    log = deployment.folder / "own.log"
    arguments = [deployment.pipeline.name, str(free_port()), kafka.bootstrap, str(log)]
    env = {**os.environ, **{f"RIVERRUN_{name.upper()}": str(path) for name, path in keys.items()}}
    with subprocess.Popen([sys.executable, "-c", script, *arguments], cwd=ROOT, env=env) as process:
        try:
            deployment.finish()
            process.send_signal(signal.SIGINT)
            assert process.wait(5) == 0, log.read_text()
        finally:
            process.kill()
    assert kafka.count(deployment.predictions) == 100


@pytest.mark.slow
def test_broker_that_restarts_in_the_midst_of_work_costs_no_answer(tmp_path: Path, keys: dict[str, Path]) -> None:
    """The worker goes on, or stops and says why (the embedded broker forgets producers), and the next one goes on."""
    with EmbeddedBroker(tmp_path / "broker", port=free_port(), dies_with_parent=True) as bootstrap:
        kafka = Kafka(bootstrap)
        deployment = Deployment(kafka, declarations.small("restart"), "small", {}, tmp_path, keys)
        kafka.create(deployment.pipeline)
        kafka.produce(deployment.raw, inline(20_000))
        worker = deployment.start()
        try:
            deployment.predicted(2000)
            EmbeddedBroker(tmp_path / "broker").stop()
            until(lambda: "Disconnected" in worker.log, 20, "a worker that notices")
            again = EmbeddedBroker(tmp_path / "broker", port=int(bootstrap.rpartition(":")[2]), dies_with_parent=True)
            again.start()
            until(lambda: not worker.running or kafka.committed(deployment.pipeline) == {0: 20_000}, 60, "an outcome")
            if not worker.running:
                assert worker.wait() == 1
                assert re.search("CRITICAL (producer|transaction): ", worker.log)
                worker = deployment.start()
            assert deployment.finish() == 20_000
            assert worker.terminate()[0] == 0
            assert kafka.digests(deployment.pipeline, distinct=True) == kafka.expected(deployment.pipeline)
        finally:
            for worker in deployment.workers:
                worker.kill()
                print(worker.log[-3000:])


@pytest.mark.slow
@pytest.mark.parametrize(("guarantee", "limit"), [("exactly_once", 3), ("at_least_once", 3), ("exactly_once", 0)])
def test_worker_whose_kafka_is_gone_ends_when_it_is_told_to(
    tmp_path: Path, keys: dict[str, Path], guarantee: str, limit: float
) -> None:
    """Not at once, for the broker may come back, but in time, with an error: what it had begun is not committed."""
    with EmbeddedBroker(tmp_path / "broker", port=free_port(), dies_with_parent=True) as bootstrap:
        kafka = Kafka(bootstrap)
        deployment = Deployment(
            kafka, declarations.small("gone", model="hat"), "small", {"model": "hat"}, tmp_path, keys
        )
        kafka.create(deployment.pipeline)
        kafka.produce(deployment.raw, inline(20_000))
        worker = deployment.start(processing_guarantee=guarantee, stop_limit=limit)
        try:
            deployment.predicted(1000)
            EmbeddedBroker(tmp_path / "broker").kill(1)
            code, seconds = worker.terminate(100)
            assert code == 1
            assert limit == 0 or limit <= seconds < limit + 5
            assert ("RIVERRUN_STOP_LIMIT" in worker.log) == (limit > 0)
            assert " CRITICAL " in worker.log
            assert "Traceback" not in worker.log
            assert worker.log.count(" FAIL ") < 10, "librdkafka is passed on word by word"
        finally:
            worker.kill()
