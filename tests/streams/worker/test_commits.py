"""Commits, with a consumer that answers when the test has it answer."""

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from streams.worker.commits import Commits


class FakeConsumer:
    """Notes what it is to commit, and whether it was to wait for the broker."""

    def __init__(self) -> None:
        self.commits: list[tuple[int, bool]] = []
        self.error: KafkaError | Exception | None = None

    def commit(self, offsets: list[TopicPartition], asynchronous: bool) -> list[TopicPartition] | None:
        """Note it."""
        self.commits.append((offsets[0].offset, asynchronous))
        if self.error is not None and not asynchronous:
            raise KafkaException(self.error) if isinstance(self.error, KafkaError) else self.error
        return None if asynchronous else offsets


def at(offset: int) -> list[TopicPartition]:
    """Return a position of one partition."""
    return [TopicPartition("p.raw", 0, offset)]


def desk() -> tuple[Commits, Any]:
    """Return commits, and who makes them."""
    return Commits(), FakeConsumer()


def test_commit_that_was_begun_is_answered_later() -> None:
    """Nobody waits for the broker; each answer goes to the commit of its offsets, in whatever order they come."""
    commits, consumer = desk()
    first, second = commits.ask(at(1)), commits.ask(at(2))
    assert commits
    commits.begin(consumer)
    assert consumer.commits == [(1, True), (2, True)]
    commits.hear(None, at(2))
    assert (first.done(), second.result(0)) == (False, True)
    commits.hear(None, at(1))
    assert first.result(0)
    assert not commits


def test_commit_that_was_begun_is_done_again_where_nobody_would_hear_its_answer() -> None:
    """In order, so that the last one stands; the first answer, when it comes after all, is of no use."""
    commits, consumer = desk()
    begun = commits.ask(at(1))
    commits.begin(consumer)
    asked = commits.ask(at(2))
    commits.finish(consumer)
    assert consumer.commits == [(1, True), (1, False), (2, False)]
    assert begun.result(0)
    assert asked.result(0)
    commits.hear(None, at(1))
    assert not commits


def test_answer_to_nobody_is_passed_over() -> None:
    """An answer for other offsets answers nothing."""
    commits, consumer = desk()
    asked = commits.ask(at(1))
    commits.begin(consumer)
    commits.hear(None, at(7))
    assert not asked.done()


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize(
    "code",
    [
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError._ASSIGNMENT_LOST,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.NOT_COORDINATOR,
        KafkaError._WAIT_COORD,
    ],
)
def test_refusal_that_passes_is_no_error(code: int, begun: bool) -> None:
    """What a rebalance refuses may be committed after it, and what a coordinator, once there is one."""
    commits, consumer = desk()
    asked = commits.ask(at(1))
    settle(commits, consumer, KafkaError(code), begun=begun)
    assert asked.result(0) is False


@pytest.mark.parametrize("begun", [True, False])
def test_refusal_that_stays_is_an_error(begun: bool) -> None:
    """A group that the worker may not commit to is told to whoever asked."""
    commits, consumer = desk()
    asked = commits.ask(at(1))
    settle(commits, consumer, KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED), begun=begun)
    with pytest.raises(KafkaException):
        asked.result(0)


def settle(commits: Commits, consumer: Any, error: KafkaError, *, begun: bool) -> None:
    """Have the broker refuse: what was begun, or what is waited for."""
    consumer.error = error
    if begun:
        commits.begin(consumer)
        commits.hear(error, at(1))
    else:
        commits.finish(consumer)


def test_partition_that_is_refused_is_no_success() -> None:
    """librdkafka calls a commit a success of which one partition went well; what was refused is found there."""

    class Partition:
        topic, partition, offset = "p.raw", 0, 1

        def __init__(self, code: int | None) -> None:
            self.error = None if code is None else KafkaError(code)

    commits, consumer = desk()
    answers = [commits.ask(at(1)) for _ in range(2)]
    commits.begin(consumer)
    for code in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_AUTHORIZATION_FAILED):
        commits.hear(None, [Partition(None), Partition(code)])  # type: ignore[list-item]
    assert [type(answer.exception(0)) for answer in answers] == [KafkaException] * 2


def test_whoever_gives_up_takes_nothing_back() -> None:
    """A task that is cancelled while it waits does not break the thread that polls."""
    commits, consumer = desk()
    asked = commits.ask(at(1))
    assert not asked.cancel()
    commits.finish(consumer)
    assert consumer.commits == [(1, False)]


def test_close_answers_everybody() -> None:
    """What was begun, what was only asked for, and what is asked for later is not committed; nobody waits for ever."""
    commits, consumer = desk()
    begun = commits.ask(at(1))
    commits.begin(consumer)
    asked = commits.ask(at(2))
    commits.close()
    late = commits.ask(at(3))
    assert [begun.result(0), asked.result(0), late.result(0)] == [False, False, False]
    assert not commits


def test_error_that_is_not_of_kafka_is_told_to_whoever_asked() -> None:
    """A consumer that is closed already, for one."""
    commits, consumer = desk()
    consumer.error = RuntimeError("Consumer closed")
    asked = commits.ask(at(1))
    commits.finish(consumer)
    with pytest.raises(RuntimeError):
        asked.result(0)
