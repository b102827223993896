"""Commits of consumed positions: asked for by any thread, made by the one that polls."""

import logging
import queue
from collections.abc import Iterable
from concurrent.futures import Future
from contextlib import suppress

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

log = logging.getLogger("riverrun.worker")

#: Why a commit may be refused that is tried again later: a rebalance is under way, or the coordinator is on its way.
_REFUSED_FOR_NOW = (
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError._NO_OFFSET,
    KafkaError._ASSIGNMENT_LOST,
    KafkaError._DESTROY,
    KafkaError._WAIT_COORD,
    KafkaError._TRANSPORT,
    KafkaError._TIMED_OUT,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.NETWORK_EXCEPTION,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
)


def is_refused_for_now(error: KafkaError) -> bool:
    """Tell whether what got this error, a commit or a question about a group, may be tried again later.

    Errors that confluent-kafka makes of a code are never `retriable`, whatever the code.

    Examples
    --------
    >>> is_refused_for_now(KafkaError(KafkaError.NOT_COORDINATOR))
    True
    >>> is_refused_for_now(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED))
    False
    """
    return error.code() in _REFUSED_FOR_NOW or bool(error.retriable())


class Commits:
    """What is asked for, and what the broker has not answered yet; true while there is any of it.

    librdkafka's synchronous commit hangs when another thread polls meanwhile, so all but `ask` is called by the thread
    that polls. It need not stand still for a commit: one that was begun is answered while it polls. Where it cannot
    poll, in a rebalance or when it has no room for more, nobody would hear that answer: what was begun is then done
    again, and waited for. If the broker applies the first of the two only after a later commit, the position falls
    back: some records are done again, and a snapshot from beyond it is passed over.
    """

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[_Commit] = queue.SimpleQueue()
        self._begun: list[_Commit] = []
        self._closed = False

    def __bool__(self) -> bool:
        return bool(self._begun) or not self._asked.empty()

    def ask(self, offsets: list[TopicPartition]) -> "Future[bool]":
        """Ask for a commit; the answer is True when the broker has it, False when it has refused it for now."""
        commit = _Commit(offsets)
        self._asked.put(commit)
        if self._closed:
            self._give_up()
        return commit.answer

    def begin(self, consumer: Consumer) -> None:
        """Begin what is asked for; the answers come with the polls that follow."""
        while not self._asked.empty():
            commit = self._asked.get()
            self._begun.append(commit)
            consumer.commit(offsets=commit.offsets, asynchronous=True)

    def hear(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """Take the broker's answer to what was begun (librdkafka's ``on_commit``)."""
        for commit in self._begun:
            if commit.is_of(partitions):
                self._begun.remove(commit)
                commit.settle(error, partitions)
                break  # none of them: it was done again meanwhile

    def finish(self, consumer: Consumer, wait_seconds: float = 0.0) -> None:
        """Do what was begun, and what is asked for within some seconds, and wait for the broker."""
        while self._begun:
            self._begun.pop(0).do(consumer)
        with suppress(queue.Empty):
            while True:
                self._asked.get(wait_seconds > 0, wait_seconds or None).do(consumer)
                wait_seconds = 0.0

    def close(self) -> None:
        """Give up what is left, and what comes: nobody will commit it."""
        self._closed = True
        self._give_up()

    def _give_up(self) -> None:
        with suppress(queue.Empty):
            while True:
                self._begun.append(self._asked.get_nowait())
        while self._begun:
            self._begun.pop().answer.set_result(False)


class _Commit:
    def __init__(self, offsets: list[TopicPartition]) -> None:
        self.offsets = offsets
        self.answer: Future[bool] = Future()
        self.answer.set_running_or_notify_cancel()  # whoever waits may give up, and it is done all the same

    def is_of(self, partitions: list[TopicPartition]) -> bool:
        return _positions(partitions) == _positions(self.offsets)

    def do(self, consumer: Consumer) -> None:
        """Commit, and wait for the broker."""
        try:
            self.settle(None, consumer.commit(offsets=self.offsets, asynchronous=False))
        except KafkaException as error:
            self.settle(error.args[0])
        except Exception as error:
            self.answer.set_exception(error)

    def settle(self, error: KafkaError | None, partitions: Iterable[TopicPartition] = ()) -> None:
        """Pass on what the broker said, of all or of one of the partitions."""
        error = error or next((partition.error for partition in partitions if partition.error is not None), None)
        if error is None:
            self.answer.set_result(True)
        elif is_refused_for_now(error):
            log.warning("commit refused, to be tried again: %s", error.str())
            self.answer.set_result(False)
        else:
            self.answer.set_exception(KafkaException(error))


def _positions(partitions: list[TopicPartition]) -> set[tuple[str, int, int]]:
    return {(partition.topic, partition.partition, partition.offset) for partition in partitions}
