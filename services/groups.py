"""How far a consumer group is, and how many are in it."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from typing import TypeVar

from confluent_kafka import Consumer, KafkaException, TopicPartition
from msgspec import Struct

from services.topics import log, new_admin
from streams.worker.commits import is_refused_for_now
from streams.worker.settings import Settings

_AGAIN_SECONDS = 0.2

Answer = TypeVar("Answer")


class Committed(Struct, frozen=True):
    """How far a partition was read.

    Parameters
    ----------
    offset
        The committed offset.
    declaration
        Under which declaration, where a worker of riverrun has said so; else empty, or what somebody else has noted.
    """

    offset: int
    declaration: str


class GroupOffsets:
    """Asks how far a group is, as a consumer that never joins.

    The admin client would ask for a group's offsets, too, but librdkafka 2.16 ends the process by a segmentation fault
    when the coordinator has just moved to another broker (`rd_kafka_handle_OffsetFetch` looks for the client's own
    group, and an admin client has none).

    Parameters
    ----------
    settings
        Of the deployment.
    group
        Id of the group.
    """

    def __init__(self, settings: Settings, group: str) -> None:
        # A reader of committed records would wait for the end of a transaction that is about to commit offsets.
        config = {"group.id": group, "enable.auto.commit": False, "isolation.level": "read_uncommitted"}
        self._consumer = Consumer(settings.client(**config), logger=log)

    def committed(self, topic: str, partitions: Iterable[int], seconds: float) -> dict[int, Committed]:
        """Return what the group has committed for each partition; where there is nothing, none is there.

        Parameters
        ----------
        topic, partitions
            What is asked for.
        seconds
            How long an answer may take. A broker that refuses for now is asked again.

        Raises
        ------
        KafkaException
            When there is no answer.
        """
        wanted = [TopicPartition(topic, partition) for partition in partitions]
        found = _ask(lambda left: self._consumer.committed(wanted, timeout=left), seconds)
        return {place.partition: Committed(place.offset, place.metadata or "") for place in found if place.offset >= 0}

    def close(self) -> None:
        """Let go of the broker."""
        self._consumer.close()


def committed_offsets(
    settings: Settings, group: str, topic: str, partitions: Iterable[int], seconds: float
) -> dict[int, int]:
    """Return the offset that a group has committed for each partition, as `committed` does.

    Raises
    ------
    KafkaException
        When there is no answer.
    """
    return {n: at.offset for n, at in committed(settings, group, topic, partitions, seconds).items()}


def committed(
    settings: Settings, group: str, topic: str, partitions: Iterable[int], seconds: float
) -> dict[int, Committed]:
    """Return what a group has committed for each partition, as `GroupOffsets` does, asked once.

    Raises
    ------
    KafkaException
        When there is no answer.
    """
    with closing(GroupOffsets(settings, group)) as offsets:
        return offsets.committed(topic, partitions, seconds)


def commit_offsets(settings: Settings, group: str, topic: str, offsets: Mapping[int, int], seconds: float) -> None:
    """Commit the next offset of each partition for a group that nobody joins.

    Parameters
    ----------
    settings
        Of the deployment.
    group
        Id of the group.
    topic, offsets
        What is committed; nothing is where there is no partition.
    seconds
        How long an answer may take. A broker that refuses for now is asked again.

    Raises
    ------
    KafkaException
        When it is refused.
    """
    if not offsets:
        return
    places = [TopicPartition(topic, partition, offset) for partition, offset in offsets.items()]
    config = {"group.id": group, "enable.auto.commit": False}
    with closing(Consumer(settings.client(**config), logger=log)) as consumer:
        _ask(lambda _: consumer.commit(offsets=places, asynchronous=False), seconds)


def member_count(settings: Settings, group: str, seconds: float) -> int:
    """Return how many consumers are in a group.

    Parameters
    ----------
    settings
        Of the deployment.
    group
        Id of the group; none is in one that the broker does not know.
    seconds
        How long an answer may take. A broker that refuses for now is asked again.

    Raises
    ------
    KafkaException
        When there is no answer, or it may not be told.
    """
    admin = new_admin(settings)  # by name: a client that is gone answers nothing, and the future waits for ever
    described = _ask(
        lambda left: admin.describe_consumer_groups([group], request_timeout=left)[group].result(), seconds
    )
    return len(described.members)


def _ask(question: Callable[[float], Answer], seconds: float) -> Answer:
    """Ask with the seconds that are left, again while the broker refuses for now.

    The first who asks for a group on a new Kafka has it make the topic of offsets, and is told meanwhile that this
    broker is not the coordinator; so is everybody while the coordinator moves.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return question(max(0.0, deadline - time.monotonic()))
        except KafkaException as error:
            if not is_refused_for_now(error.args[0]) or time.monotonic() + _AGAIN_SECONDS >= deadline:
                raise
            time.sleep(_AGAIN_SECONDS)
