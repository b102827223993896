"""How far a group is, asked of a broker that has only just come to be."""

from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from services import groups
from services.groups import committed_offsets, member_count
from streams.worker.settings import Settings


class Broker:
    """A broker in place of librdkafka's clients: it answers when all of some errors have been said."""

    def __init__(self, *errors: int) -> None:
        self.errors = list(errors)
        self.timeouts: list[float] = []

    def answer(self, seconds: float) -> None:
        """Raise what comes first, nothing once all is said."""
        self.timeouts.append(seconds)
        if self.errors:
            raise KafkaException(KafkaError(self.errors.pop(0)))

    def committed(self, wanted: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        """Return 7 for the first partition, nothing for the others."""
        self.answer(timeout)
        return [TopicPartition(one.topic, one.partition, -1001 if one.partition else 7) for one in wanted]

    def close(self) -> None:
        """Do nothing."""

    def describe_consumer_groups(self, names: list[str], request_timeout: float) -> dict[str, "Future[Any]"]:
        """Return a group of two members."""
        told: Future[Any] = Future()
        try:
            self.answer(request_timeout)
            told.set_result(SimpleNamespace(members=["a", "b"]))
        except KafkaException as error:
            told.set_exception(error)
        return {names[0]: told}


Questions = Callable[[Broker], list[Callable[[], object]]]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Questions:
    """Return what asks the two questions of a broker, a second each."""

    def questions(broker: Broker) -> list[Callable[[], object]]:
        monkeypatch.setattr(groups, "Consumer", lambda *_, **__: broker)
        monkeypatch.setattr(groups, "new_admin", lambda _: broker)
        monkeypatch.setattr(groups, "_AGAIN_SECONDS", 0.01)
        return [
            lambda: committed_offsets(Settings(), "g", "t", range(2), 1.0),
            lambda: member_count(Settings(), "g", 1.0),
        ]

    return questions


WHICH = pytest.mark.parametrize("which", [0, 1], ids=["committed", "members"])


@WHICH
def test_coordinator_that_is_on_its_way_is_asked_again(ask: Questions, which: int) -> None:
    """As on a new Kafka, whose topic of offsets the first question makes; the seconds are those of all questions."""
    broker = Broker(
        KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.COORDINATOR_LOAD_IN_PROGRESS
    )
    assert ask(broker)[which]() == ({0: 7}, 2)[which]
    assert broker.timeouts == sorted(broker.timeouts, reverse=True)
    assert (len(broker.timeouts), broker.timeouts[0] <= 1.0) == (4, True)


@WHICH
def test_refusal_for_good_is_told_at_once(ask: Questions, which: int) -> None:
    """Nobody waits for rights that will not come."""
    broker = Broker(KafkaError.GROUP_AUTHORIZATION_FAILED)
    with pytest.raises(KafkaException, match="GROUP_AUTHORIZATION_FAILED"):
        ask(broker)[which]()
    assert len(broker.timeouts) == 1


@WHICH
def test_coordinator_that_does_not_come_is_told_in_time(ask: Questions, which: int) -> None:
    """The last refusal, when the seconds are over."""
    broker = Broker(*[KafkaError.NOT_COORDINATOR] * 1000)
    with pytest.raises(KafkaException, match="NOT_COORDINATOR"):
        ask(broker)[which]()
    assert 2 < len(broker.timeouts) < 1000
