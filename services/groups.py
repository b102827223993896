"""How far a consumer group is, and how many are in it."""

from collections.abc import Iterable
from contextlib import closing

from confluent_kafka import Consumer, TopicPartition

from services.topics import log, new_admin
from streams.worker.settings import Settings


def committed_offsets(
    settings: Settings, group: str, topic: str, partitions: Iterable[int], seconds: float
) -> dict[int, int]:
    """Return the offset that a group has committed for each partition; where none is, none is there.

    It is asked for as a consumer that never joins. The admin client would ask for a group's offsets, too, but
    librdkafka 2.16 ends the process by a segmentation fault when the coordinator has just moved to another broker
    (`rd_kafka_handle_OffsetFetch` looks for the client's own group, and an admin client has none).

    Parameters
    ----------
    settings
        Of the deployment.
    group
        Id of the group.
    topic, partitions
        What is asked for.
    seconds
        How long an answer may take.

    Raises
    ------
    KafkaException
        When there is no answer.
    """
    wanted = [TopicPartition(topic, partition) for partition in partitions]
    # A reader of committed records would wait for the end of a transaction that is about to commit offsets.
    config = {"group.id": group, "enable.auto.commit": False, "isolation.level": "read_uncommitted"}
    with closing(Consumer(settings.client(**config), logger=log)) as consumer:
        found = consumer.committed(wanted, timeout=seconds)
    return {place.partition: place.offset for place in found if place.offset >= 0}


def member_count(settings: Settings, group: str, seconds: float) -> int:
    """Return how many consumers are in a group.

    Parameters
    ----------
    settings
        Of the deployment.
    group
        Id of the group; none is in one that the broker does not know.
    seconds
        How long an answer may take.

    Raises
    ------
    KafkaException
        When there is no answer, or it may not be told.
    """
    admin = new_admin(settings)  # by name: a client that is gone answers nothing, and the future waits for ever
    return len(admin.describe_consumer_groups([group], request_timeout=seconds)[group].result().members)
