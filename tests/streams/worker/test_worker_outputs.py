"""What a prediction looks like on its topic."""

import io
import re
from collections.abc import Callable
from typing import Any

import fastavro
import orjson
import pytest
from confluent_kafka import Message

from schemas import cloudevents as ce
from schemas.avro import avro_event_schema, decode_avro
from schemas.events import PredictionMade
from streams.pipeline import Pipeline
from tests.streams.worker.engines import ON_BOTH
from tests.streams.worker.events import inline
from tests.streams.worker.kafka import Event, Kafka, header, until

pytestmark = ON_BOTH

TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def written_as_avro(pipeline: Pipeline, events: list[Event]) -> list[Event]:
    """Return JSON events as Avro of the pipeline's schema."""
    schema = fastavro.parse_schema(avro_event_schema(pipeline.avro_fields()))
    written = []
    for event in events:
        out = io.BytesIO()
        fastavro.schemaless_writer(out, schema, orjson.loads(event.value or b""))
        headers = [pair for pair in event.headers if pair[0] != "content-type"]
        written.append(Event(out.getvalue(), event.key, [*headers, ("content-type", ce.AVRO.encode())]))
    return written


def fields(message: Message, output_format: str) -> dict[str, Any]:
    """Return what a prediction says."""
    if output_format == "avro":
        return decode_avro(PredictionMade, message.value())
    return dict(orjson.loads(message.value()))


@pytest.mark.parametrize("output_format", ["json", "avro"])
def test_prediction_carries_key_partition_envelope_and_trace(
    kafka: Kafka, deploy: Callable[..., Any], output_format: str
) -> None:
    """On the partition of its event, under its key, as a CloudEvent, with the trace; JSON and Avro events alike."""
    deployment = deploy(partitions=3, output_format=output_format)
    further = [("traceparent", TRACE), ("tracestate", b"a=1"), ("ce_time", b"2026-01-02T03:04:05Z"), ("secret", b"x")]
    events = [
        Event(event.value, event.key, event.headers + (further if i % 2 else [])) for i, event in enumerate(inline(60))
    ]
    bare = [
        Event(event.value, key, partition=0) for event, key in zip(inline(4, 1), (b"a", b"a", None, None), strict=True)
    ]
    avro = written_as_avro(deployment.pipeline, events)
    events = [pair[i % 3 > 0] for i, pair in enumerate(zip(events, avro, strict=True))]
    kafka.produce(deployment.raw, events + bare)
    worker = deployment.start()
    deployment.finish()
    assert worker.metrics("riverrun_emitted_total", "topic") == {deployment.predictions: 64}

    raw, predictions = kafka.read(deployment.raw), kafka.read(deployment.predictions)
    assert min(len(messages) for messages in predictions.values()) > 5
    for partition in raw:
        for asked, said in zip(raw[partition], predictions[partition], strict=True):
            answer = fields(said, output_format)
            position = f"{deployment.raw}-{partition}-{asked.offset()}"
            assert said.key() == asked.key()
            assert answer["id"] == (header(asked, "ce_id") or position.encode()).decode()
            assert (answer["source"], answer["partition"], answer["offset"]) == (
                deployment.raw, partition, asked.offset()
            )  # fmt: skip
            assert answer["declaration"] == deployment.pipeline.declaration
            assert (answer["model"], answer["version"]) == ("LogisticRegression", "v1")
            assert header(said, "ce_id") == position.encode()
            assert header(said, "ce_specversion") == b"1.0"
            assert header(said, "ce_type") == b"riverrun.prediction"
            assert header(said, "ce_source") == f"riverrun/{deployment.pipeline.name}".encode()
            assert header(said, "content-type") == f"application/{output_format}".encode()
            for name in ("traceparent", "tracestate", "ce_time"):
                assert header(said, name) == header(asked, name)
            assert header(said, "secret") is None
    if output_format == "json":
        assert kafka.digests(deployment.pipeline) == kafka.expected(deployment.pipeline)


def test_worker_tells_in_its_log_what_it_has_done_and_goes_on(kafka: Kafka, deploy: Callable[..., Any]) -> None:
    """Line after line, while it reads; the numbers are those of the input, and nothing is said when nothing is read."""
    deployment = deploy(partitions=2)
    worker = deployment.start(fault="tell_often")
    for start in (0, 300):
        kafka.produce(deployment.raw, inline(300, start=start))
        deployment.finish()
        until(lambda start=start: told(worker.log) == start + 300, 20, "a line that tells of all")
    assert worker.log.splitlines()[-1].endswith("champion v1")
    assert ", 0 left; " in worker.log.splitlines()[-1]
    code, _ = worker.terminate()
    assert code == 0


def told(log: str) -> int:
    """Return how many records a worker has told of."""
    return sum(int(count) for count in re.findall(r"INFO +(\d+) records in \d+ s \(scored", log))
