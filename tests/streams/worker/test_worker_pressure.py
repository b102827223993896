"""A model that is slower than its input."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.streams.worker.events import inline
from tests.streams.worker.kafka import Kafka, until

MEGABYTE = 1024 * 1024


@pytest.mark.slow
def test_slow_model_leaves_the_backlog_in_kafka(kafka: Kafka, deploy: Callable[..., Any]) -> None:
    """Memory stays where it is, latency of a stop too, and what is left undone is in the log."""
    deployment = deploy(model="slow")
    wide = [event.value[:-1] + b', "note": "' + b"x" * 1000 + b'"}' for event in inline(1, 0) if event.value]
    events = [type(event)(wide[0], event.key, event.headers) for event in inline(20_000)]
    kafka.produce(deployment.raw, events)
    worker = deployment.start()
    deployment.predicted(300)
    begin = worker.rss_bytes
    deployment.predicted(2000)
    assert worker.rss_bytes - begin < 40 * MEGABYTE
    lag = worker.metrics("riverrun_lag_records", "partition")["0"]
    assert lag > 10_000
    code, seconds = worker.terminate()
    assert (code, seconds < 5) == (0, True)
    [committed] = kafka.committed(deployment.pipeline).values()
    assert committed == kafka.count(deployment.predictions)
    until(lambda: not worker.running, 1, "its end")
