"""What is produced outside of transactions: by one producer, and no error is lost."""

import asyncio
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Message

from schemas.errors import BrokerError
from schemas.outgoing import Outgoing
from streams.worker import app
from streams.worker.aside import Aside
from streams.worker.settings import Settings

MESSAGE = Outgoing("p.snapshots", b"k", b"v", [], 0)


class FakeProducer:
    """Keeps messages until they are flushed, and says what is to be said of them."""

    def __init__(self, refusal: KafkaError | None = None, fault: Exception | None = None) -> None:
        self._refusal, self._fault = refusal, fault
        self._reports: list[Any] = []

    def produce(self, topic: str, value: Any, key: Any, partition: int, on_delivery: Any, *_: Any) -> None:
        """Keep the report."""
        self._reports.append(lambda: on_delivery(self._refusal, Message(topic, partition)))

    def poll(self, _: float) -> None:
        """Nothing."""

    def flush(self) -> None:
        """Report, or fail."""
        if self._fault is not None:
            raise self._fault
        while self._reports:
            self._reports.pop()()


def test_threads_that_come_first_together_make_one_producer() -> None:
    """Two would each say something else of the number of partitions, and one would be flushed by nobody."""
    made, start = list[FakeProducer](), threading.Barrier(3)

    def new_producer() -> Any:
        time.sleep(0.05)  # librdkafka starts threads of its own
        made.append(FakeProducer())
        return made[-1]

    aside = Aside(new_producer)

    def come(_: int) -> object:
        start.wait(5)
        return aside.producer

    with ThreadPoolExecutor(3) as pool:
        assert set(pool.map(come, range(3))) == set(made)
    assert len(made) == 1


def test_failure_of_a_flush_nobody_waits_for_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """It was lost with its future."""
    aside = Aside(lambda: FakeProducer(fault=KafkaException(KafkaError(KafkaError._FATAL, "gone"))))  # type: ignore[arg-type,return-value]

    async def produce() -> None:
        aside.emit([MESSAGE], lambda *_: None)
        while aside._flushes:
            await asyncio.sleep(0.01)

    with caplog.at_level(logging.ERROR, "riverrun.worker"):
        asyncio.run(asyncio.wait_for(produce(), 5))
    [told] = [record.getMessage() for record in caplog.records]
    assert told.startswith("outside of transactions: producer: ")


def test_message_that_is_not_delivered_is_an_error_for_who_waits() -> None:
    """By its topic and partition."""
    aside = Aside(lambda: FakeProducer(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "no")))  # type: ignore[arg-type,return-value]
    with pytest.raises(BrokerError, match=r"^p\.snapshots\[0\]: not delivered: no$"):
        aside.emit_now([MESSAGE])


def test_sizes_that_the_broker_does_not_tell_are_an_error_of_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the right that is missing."""

    def refuse() -> None:
        raise KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "no"))

    def describe(resources: list[Any], request_timeout: float) -> dict[Any, Any]:
        return {resource: SimpleNamespace(result=refuse) for resource in resources}

    monkeypatch.setattr(app, "AdminClient", lambda *_, **__: SimpleNamespace(describe_configs=describe))
    with pytest.raises(BrokerError, match=r"^p\.raw: how large .* is not told: no; .* DescribeConfigs"):
        app.max_message_bytes(Settings(), ["p.raw"])
