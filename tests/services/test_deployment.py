"""The wait for a handover: what is asked meanwhile, and with how many clients."""

from collections.abc import Iterator
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka import TopicPartition

from services import deployment, groups, topics
from services.cli.answers import Answers
from streams.worker.settings import Settings
from tests.streams.worker.declarations import small


class Consumers:
    """Consumers of a broker on which a group has come further each time it is asked; all of them are kept."""

    def __init__(self, *committed: int) -> None:
        self._committed = iter(committed)
        self.made: list[Consumers] = []
        self.is_closed = False

    def __call__(self, *_: Any, **__: Any) -> "Consumers":
        self.made.append(self)
        return self

    def committed(self, wanted: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        """Return the next position, of each partition."""
        offset = next(self._committed)
        return [TopicPartition(one.topic, one.partition, offset) for one in wanted]

    def get_watermark_offsets(self, _: TopicPartition, timeout: float) -> tuple[int, int]:
        """Return those of an empty topic."""
        return 0, 0

    def assign(self, _: list[TopicPartition]) -> None:
        """Nothing."""

    def unassign(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Keep that it was."""
        self.is_closed = True


def test_wait_for_a_handover_keeps_one_client_and_asks_for_snapshots_when_they_may_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A store in Kafka is read by a client for each partition."""
    consumers, asked = Consumers(3, 5, 7, 7, 7), list[int]()
    monkeypatch.setattr(groups, "Consumer", consumers)
    monkeypatch.setattr(deployment, "_STEP_SECONDS", 0.0)
    snapshots: Iterator[int | None] = iter([0, 0, 4, None, 7, 7])

    def snapshot_at(partition: int) -> int | None:
        asked.append(partition)
        return next(snapshots)

    rounds = list(deployment.handovers(small("p"), Settings(), {0: 7, 1: 7}, snapshot_at))
    assert [[(one.committed, one.snapshot) for one in found] for found in rounds] == [
        [(3, 0), (3, 0)],
        [(5, 0), (5, 0)],
        [(7, 4), (7, None)],
        [(7, 7), (7, 7)],
    ]
    assert asked == [0, 1, 0, 1, 0, 1]
    assert (len(consumers.made), consumers.is_closed) == (1, True)


def test_answers_are_looked_for_with_one_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often: `deploy` looks each second."""
    consumers = Consumers()
    monkeypatch.setattr(confluent_kafka, "Consumer", consumers)
    monkeypatch.setattr(topics, "require_topic", lambda *_: 1)
    answers = Answers(Settings(), "p", "deploy-1", {0})
    assert [answers.within(0) for _ in range(3)] == [{}, {}, {}]
    answers.close()
    assert (len(consumers.made), consumers.is_closed) == (1, True)
