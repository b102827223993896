"""The undisturbed fold of a partition's log: what has to come of it where operators command its models."""

from collections import Counter
from typing import Any

from schemas.record import Record
from streams.pipeline import Pipeline
from streams.task import Task
from tests.simulation.log import Message
from tests.simulation.said import Said, said_by


class Fold:
    """Steps a task through a log, from its first record on and without a break.

    Says what an `Oracle` says, and lifecycle events as well.

    Parameters
    ----------
    pipeline
        The declaration.
    partition, partitions
        As `Task` takes them.
    """

    def __init__(self, pipeline: Pipeline, partition: int, partitions: int) -> None:
        self.task = Task(pipeline, partition, partitions)
        self.said: dict[int, list[Said]] = {}

    def take(self, message: Message, *, skip: bool = False) -> None:
        """Take the next record, or pass over it."""
        record = record_of(message)
        events = (self.task.skip if skip else self.task.step)(record)
        self.said[record.offset] = said_by(events, lifecycle=True)

    @property
    def counts(self) -> Counter[str]:
        """What was counted."""
        books = self.task.books
        return Counter({**{name: count for name, count in books.count.items() if count}, "read": books.read})


def record_of(message: Message) -> Record:
    """Return a record as a task takes it."""
    place: Any = message.topic(), message.partition(), message.offset(), message.timestamp()[1]
    return Record(*place, message.key(), message.value(), message.headers())
