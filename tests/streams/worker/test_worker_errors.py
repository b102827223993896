"""When a worker cannot go on it says why in one line, exits with 1, and no offset moves past the place."""

import re
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from tests.streams.worker.engines import ON_BOTH
from tests.streams.worker.events import inline
from tests.streams.worker.kafka import Kafka, header

pytestmark = ON_BOTH


def last_words(worker: Any) -> str:
    """Return the last line a worker wrote, after checking that it ended with an error and no traceback."""
    assert worker.wait() == 1
    assert "Traceback" not in worker.log, worker.log
    lines = [line for line in worker.log.splitlines() if re.search("error: | CRITICAL | ERROR ", line)]
    assert len(lines) == 1, worker.log
    return str(lines[0])


def test_missing_topics_are_named(kafka: Kafka, deploy: Callable[..., Any]) -> None:
    """Nothing is created in passing; the line says what to run."""
    deployment = deploy(topics=False)
    assert re.search(rf"no topic {deployment.raw}, .*: riverrun topics apply", last_words(deployment.start()))
    assert deployment.raw not in kafka.admin.list_topics(timeout=10).topics


def test_broker_that_does_not_answer_is_named(deploy: Callable[..., Any]) -> None:
    """The address, where it comes from, and in brackets what librdkafka says, not how Python shows such an error."""
    worker = deploy(topics=False).start(bootstrap_servers="127.0.0.1:1", fault="have_little_patience")
    said = r"127\.0\.0\.1:1: no Kafka answers \(Failed to get metadata: [\w :]+\)\. Is RIVERRUN_BOOTSTRAP_SERVERS right"
    assert re.search(said, last_words(worker))


def test_setting_that_cannot_be_is_named(deploy: Callable[..., Any]) -> None:
    """The environment variable, what it holds, what it takes."""
    worker = deploy(topics=False).start(commit_interval=-1)
    assert "RIVERRUN_COMMIT_INTERVAL: got '-1', expected more than 0" in last_words(worker)


def test_too_few_partitions_of_predictions_are_named(kafka: Kafka, deploy: Callable[..., Any]) -> None:
    """A prediction goes to the partition number of its event, so there must be as many."""
    deployment = deploy(topics=False, partitions=3)
    topics = [NewTopic(topic.name, 3 if topic.name == deployment.raw else 1, 1) for topic in deployment.pipeline.topics]
    for made in kafka.admin.create_topics(topics).values():
        made.result(10)
    words = last_words(deployment.start())
    assert f"{deployment.predictions}: got 1 partitions, expected at least the 3 of {deployment.raw}" in words
    for name in (deployment.dead_letters, deployment.manifests, deployment.snapshots):
        assert f"{name}: got 1 partitions, expected at least the 3 of {deployment.raw}" in words
    assert words.endswith(": riverrun topics apply adds them")


def test_broken_model_stops_the_worker_at_the_tenth_error(kafka: Kafka, deploy: Callable[..., Any]) -> None:
    """Nine records become dead letters, the tenth stays in the log for the mended model."""
    deployment = deploy(model="broken")
    kafka.produce(deployment.raw, inline(300))
    words = last_words(deployment.start(batch_records=20))
    assert re.search(r"\.raw\[0\]@109: 10 model errors in a row, .*the river runs dry.*nothing was committed", words)
    committed = kafka.committed(deployment.pipeline).get(0, 0)
    assert committed <= 109
    letters = {header(letter, "riverrun_offset"): letter for letter in kafka.read(deployment.dead_letters)[0]}
    assert set(letters) <= {b"%d" % offset for offset in range(100, 109)}
    assert kafka.count(deployment.predictions) >= committed - len(letters)


def test_broker_without_transactions_is_told_before_anything_is_read(kafka: Kafka, deploy: Callable[..., Any]) -> None:
    """One line says what is missing and what does without."""
    deployment = deploy()
    kafka.produce(deployment.raw, inline(10))
    words = last_words(deployment.start(fault="know_no_transactions"))
    assert "transactions: " in words
    assert "RIVERRUN_PROCESSING_GUARANTEE=at_least_once does without" in words
    assert kafka.committed(deployment.pipeline) == {}


def test_batch_that_gets_lost_stops_the_worker(kafka: Kafka, deploy: Callable[..., Any]) -> None:
    """A poller that skips records breaks a promise: the worker ends before it commits past the hole."""
    deployment = deploy()
    kafka.produce(deployment.raw, inline(2000))
    worker = deployment.start(fault="lose_a_batch", batch_records=40, commit_interval=0.02)
    words = last_words(worker)
    found = re.search(r"\.raw\[0\]: got a batch fetched from (\d+), expected one from (\d+)", words)
    assert found
    position, expected = map(int, found.groups())
    assert expected < position
    committed = kafka.committed(deployment.pipeline).get(0, 0)
    assert committed <= expected
    assert kafka.count(deployment.predictions) == committed


@pytest.mark.parametrize(
    ("guarantee", "words"),
    [
        ("exactly_once", "5 transactions in a row aborted, the last: .*Message size too large"),
        pytest.param("at_least_once", r"\.predictions\[0\]: not delivered: ", marks=pytest.mark.slow),
    ],
)
def test_output_that_is_refused_stops_the_worker(
    kafka: Kafka, deploy: Callable[..., Any], guarantee: str, words: str
) -> None:
    """When the broker takes no predictions any more, what was not delivered is not committed."""
    deployment = deploy()
    kafka.produce(deployment.raw, inline(100))
    worker = deployment.start(processing_guarantee=guarantee)
    deployment.finish()
    resource = ConfigResource(
        ResourceType.TOPIC,
        deployment.predictions,
        incremental_configs=[ConfigEntry("max.message.bytes", "100", incremental_operation=AlterConfigOpType.SET)],
    )
    for done in kafka.admin.incremental_alter_configs([resource]).values():
        done.result(10)
    kafka.produce(deployment.raw, inline(50, start=100))
    assert re.search(words, last_words(worker))
    assert kafka.committed(deployment.pipeline) == {0: 100}


@pytest.mark.parametrize(
    ("kept", "choices"),
    [
        (150, ("fresh", "earliest")),
        pytest.param(200, ("fresh",), marks=pytest.mark.slow),
        pytest.param(260, ("earliest",), marks=pytest.mark.slow),
    ],
)
def test_lost_history_stops_the_worker_unless_told_otherwise(
    kafka: Kafka, deploy: Callable[..., Any], kept: int, choices: tuple[str, ...]
) -> None:
    """Retention took records that the model has learned from, or never saw: nobody goes on in silence."""
    deployment = deploy()
    kafka.produce(deployment.raw, inline(200))
    worker = deployment.start()
    deployment.finish()
    worker.kill()
    end = 300
    kafka.produce(deployment.raw, inline(100, seed=1, start=200))
    for done in kafka.admin.delete_records([TopicPartition(deployment.raw, 0, kept)]).values():
        assert done.result(10).low_watermark == kept

    assert re.search(rf"\.raw\[0\]: state lost: the log begins at {kept}", last_words(deployment.start()))
    assert kafka.committed(deployment.pipeline) == {0: 200}
    for choice in choices:
        worker = deployment.start(on_state_lost=choice)
        assert deployment.finish() == end
        worker.kill()
        assert f"state lost, the log begins at {kept}" in worker.log
        said = kafka.read(deployment.predictions)[0]
        learned = [fields(message)["learned"] for message in said if int(fields(message)["offset"]) >= end - 100]
        begin = end - 100 if choice == "fresh" else kept
        assert learned[0] == max(end - 100, kept) - max(begin, kept)
        assert len(learned) == end - max(end - 100, kept)
        kafka.produce(deployment.raw, inline(100, seed=end, start=end))
        end += 100


def fields(message: Any) -> dict[str, Any]:
    """Return what a prediction says."""
    return dict(orjson.loads(message.value()))
