"""A worker that no longer works ends and says where it stood; one that has nothing to do, or much, does not."""

import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import IsolationLevel, Producer, TopicPartition
from confluent_kafka.admin import OffsetSpec
from faust.types import TP

from streams.worker.log_ends import LogEnds
from streams.worker.settings import Settings
from tests.streams.worker.engines import ON_BOTH
from tests.streams.worker.events import inline
from tests.streams.worker.kafka import Event, Kafka, until

LIMIT_SECONDS = 3.0
COUNT = 2000


def tail(kafka: Kafka, topic: str, events: list[Event], *, commit: bool) -> None:
    """Write a transaction, whose marker takes an offset behind its records, and end it either way."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": f"tail-of-{topic}"})
    producer.init_transactions(10)
    producer.begin_transaction()
    for event in events:
        producer.produce(topic, event.value, event.key, headers=event.headers, partition=0)
    assert producer.flush(10) == 0
    if commit:
        producer.commit_transaction(10)
    else:
        producer.abort_transaction(10)
    # A transaction has ended before its marker is written: until then nobody reads beyond its beginning.
    until(lambda: readable_end(kafka, topic) == kafka.extents(topic)[0][1], what="the transaction's marker")


def readable_end(kafka: Kafka, topic: str) -> int:
    """Return the offset up to which partition 0 can be read by those who wait for transactions."""
    tp = TopicPartition(topic, 0)
    answers = kafka.admin.list_offsets({tp: OffsetSpec.latest()}, isolation_level=IsolationLevel.READ_COMMITTED)
    return int(answers[tp].result(10).offset)


def assert_well(worker: Any, seconds: float) -> None:
    """Hold that a worker runs, and says that it is well, all the time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert worker.running, worker.log
        status, body = worker.health()
        assert (status, body["status"]) == (200, "ok"), body
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        pytest.param(
            "stop_fetching",
            r"raw\[0\]@[3-9]\d\d: no record stepped through for 3\.\d s, with records to read \(\d+ now",
            id="stop_fetching",
        ),
        pytest.param(
            "block_loop",
            r"raw\[0\]@[1-9]\d*: no record stepped through for .*The main thread is at threading\.py:\d+ wait <",
            id="block_loop",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "commit_nothing",
            r"raw\[0\]@0: nothing committed for 3\.\d s, with records done \(\d+ now, \d+ then\)",
            id="commit_nothing",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_worker_that_stands_still_ends_and_the_next_one_finishes(
    kafka: Kafka, deploy: Callable[..., Any], fault: str, words: str
) -> None:
    """First it is unwell, then it ends with 1 and one line; each event is answered once all the same."""
    deployment, events = deploy(), list(inline(COUNT))
    # Whoever blocks before the first commit stands still in another way: it has done what it cannot commit.
    harmless = 300 if fault == "block_loop" else 0
    kafka.produce(deployment.raw, events[:harmless])
    worker = deployment.start(fault=fault, stall_limit=LIMIT_SECONDS, batch_records=100)
    deployment.finish()
    kafka.produce(deployment.raw, events[harmless:])
    _, body = until(lambda: (found := worker.health())[0] == 503 and found, 30, "503")
    began = time.monotonic()
    assert body["status"] == "stalled"
    assert body["partitions"] == [0]
    assert f"{deployment.raw}[0]@" in body["reason"]
    assert worker.wait(LIMIT_SECONDS + 5) == 1
    print(f"{fault}: from half the limit to the end: {time.monotonic() - began:.1f} s")
    [line] = [line for line in worker.log.splitlines() if " CRITICAL " in line]
    assert re.search(r" CRITICAL stalled: .*" + words, line), line
    assert "most recent call first" in worker.log

    deployment.start(stall_limit=LIMIT_SECONDS)
    assert deployment.finish() == COUNT
    assert kafka.digests(deployment.pipeline) == kafka.expected(deployment.pipeline)


@pytest.mark.slow
def test_worker_in_which_the_gil_is_held_ends_all_the_same(kafka: Kafka, deploy: Callable[..., Any]) -> None:
    """No thread of Python's runs any more: it ends after twice the limit, with its stacks."""
    deployment = deploy()
    kafka.produce(deployment.raw, inline(COUNT))
    worker = deployment.start(fault="hold_gil", stall_limit=LIMIT_SECONDS, batch_records=100)
    deployment.predicted(1)
    began = time.monotonic()
    assert worker.wait(2 * LIMIT_SECONDS + 10) == 1
    print(f"hold_gil: {time.monotonic() - began:.1f} s")
    assert re.search(r"Timeout \(0:00:06\)!(.|\n)*in hanging", worker.log), worker.log
    deployment.start()
    assert deployment.finish() == COUNT
    assert kafka.digests(deployment.pipeline) == kafka.expected(deployment.pipeline)


@pytest.mark.slow
def test_idle_worker_is_well_and_knows_three_paths(kafka: Kafka, deploy: Callable[..., Any]) -> None:
    """For longer than the limit; a second one without partitions too."""
    deployment = deploy()
    kafka.produce(deployment.raw, inline(100))
    worker = deployment.start(stall_limit=3)
    deployment.finish()
    standby = deployment.start(stall_limit=3, worker_id="w1")
    until(lambda: standby.health()[0] == 200, 20)
    until(lambda: len(worker.health()[1]["partitions"]) + len(standby.health()[1]["partitions"]) == 1, 20)
    until(lambda: "assigned no partition" in worker.log + standby.log, 20)
    for idle in (worker, standby):
        assert_well(idle, 4.5)
    _, body = worker.health()
    assert set(body) == {"status", "last_commit_age_seconds", "partitions", "waiting"}
    assert body["last_commit_age_seconds"] < 4
    url = f"http://127.0.0.1:{worker._metrics_port}"
    for path in ("/", "/metrics"):
        with urllib.request.urlopen(url + path, timeout=5) as answer:
            assert answer.headers["content-type"].startswith("text/plain")
            assert b"riverrun_last_commit_age_seconds" in answer.read()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url + "/helth", timeout=5)
    assert refused.value.code == 404


@pytest.mark.slow
def test_long_replay_with_a_slow_model_is_well(kafka: Kafka, deploy: Callable[..., Any]) -> None:
    """Seconds in which nothing is committed, in batches that each take longer than the limit."""
    deployment = deploy(model="slow")
    kafka.produce(deployment.raw, inline(3000))
    limits = {"stall_limit": 1, "batch_records": 1500, "batch_seconds": 10, "snapshot_interval": 0}
    worker = deployment.start(**limits)
    until(lambda: worker.health()[0] == 200, 20)
    deployment.finish()
    assert worker.terminate()[0] == 0
    worker = deployment.start(**limits)
    until(lambda: worker.health()[0] == 200, 20)
    until(lambda: "3,000 records to replay" in worker.log, 20)
    began = time.monotonic()
    while worker.metrics("riverrun_lag_records", "partition") != {"0": 0}:
        assert_well(worker, 0.2)
    assert time.monotonic() - began > 2
    print(f"replay: {time.monotonic() - began:.1f} s")
    assert worker.terminate()[0] == 0
    assert kafka.digests(deployment.pipeline) == kafka.expected(deployment.pipeline)


@ON_BOTH
@pytest.mark.slow
@pytest.mark.parametrize("commit", [pytest.param(True, id="committed"), pytest.param(False, id="aborted")])
def test_offsets_without_records_at_the_end_of_the_log_are_no_work(
    kafka: Kafka, deploy: Callable[..., Any], *, commit: bool
) -> None:
    """Markers of transactions, and what was aborted: the log ends behind the position for ever, and all is well."""
    deployment = deploy()
    kafka.produce(deployment.raw, inline(200))
    tail(kafka, deployment.raw, list(inline(100, start=200)), commit=commit)
    count = 300 if commit else 200
    worker = deployment.start(stall_limit=2)
    until(lambda: kafka.committed(deployment.pipeline) == {0: count}, 40)
    assert kafka.extents(deployment.raw)[0][1] > count
    until(lambda: worker.metrics("riverrun_lag_records", "partition") == {"0": 0.0}, 20, "a lag of none")
    assert_well(worker, 5)
    kafka.produce(deployment.raw, inline(10, start=300))
    deployment.finish()
    assert_well(worker, 3)


@ON_BOTH
def test_log_ends_tell_records_from_empty_offsets(kafka: Kafka, deploy: Callable[..., Any]) -> None:
    """The first look believes the broker, the second one at the same position looks for itself."""
    deployment = deploy(partitions=2)
    tp, empty = TP(deployment.raw, 0), TP(deployment.raw, 1)
    tail(kafka, tp.topic, list(inline(10)), commit=True)
    end = kafka.extents(tp.topic)[0][1]
    assert end == 11
    ends = LogEnds(Settings(bootstrap_servers=kafka.bootstrap), deployment.pipeline.name, 5.0)
    for at, expected in ((4, end), (4, end), (4, end), (10, end), (10, 10), (10, 10), (0, end), (0, end)):
        assert ends.beyond({tp: at, empty: 0}) == {tp: expected, empty: 0}, at
    ends.beyond({tp: 10})
    tail(kafka, tp.topic, list(inline(5)), commit=False)
    assert ends.beyond({tp: 10}) == {tp: 10}
    tail(kafka, tp.topic, list(inline(5)), commit=True)
    assert ends.beyond({tp: 10}) == {tp: kafka.extents(tp.topic)[0][1]}
    assert LogEnds(Settings(bootstrap_servers="127.0.0.1:1"), "nobody", 0.5).beyond({tp: 4}) == {}


@ON_BOTH
def test_log_ends_position_before_the_log_is_followed_by_a_record(kafka: Kafka, deploy: Callable[..., Any]) -> None:
    """The log of a partition that waits was trimmed: its end is known, in no time."""
    deployment = deploy()
    tp = TP(deployment.raw, 0)
    kafka.produce(tp.topic, inline(10))
    [cut] = kafka.admin.delete_records([TopicPartition(tp.topic, tp.partition, 5)]).values()
    cut.result(10)
    ends = LogEnds(Settings(bootstrap_servers=kafka.bootstrap), deployment.pipeline.name, 5.0)
    begin = time.monotonic()
    assert [ends.beyond({tp: 2}) for _ in range(3)] == [{tp: 10}] * 3
    assert time.monotonic() - begin < 4
