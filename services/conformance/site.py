"""Where a check of a broker works: clients, a partition and a group that nobody else uses, and the time it has."""

import logging
import time
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from services.groups import committed_offsets
from streams.worker.settings import Settings

POLL_SECONDS = 0.02
RECORDS = 5

_TRANSACTION_MS = 10_000


class Clients:
    """Makes the probe's clients; a test that wants a broken broker makes others.

    Parameters
    ----------
    settings
        Of the deployment.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._log = logging.getLogger("riverrun.probe")
        self._log.setLevel(logging.CRITICAL)  # librdkafka warns of each refusal: they are what the probe is after

    def producer(self, transactional_id: str) -> Producer:
        """Return a producer of a transactional id, as a worker's is."""
        config = {
            "transactional.id": transactional_id,
            "transaction.timeout.ms": _TRANSACTION_MS,
            "message.timeout.ms": _TRANSACTION_MS,
            "linger.ms": 0,
        }
        return Producer(self._settings.client(**config), logger=self._log)

    def consumer(self, group: str) -> Consumer:
        """Return a consumer of a group, as a worker's is, but quick to notice a rebalance."""
        config = {
            "group.id": group,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "partition.assignment.strategy": "range",
            "session.timeout.ms": 10_000,
            "heartbeat.interval.ms": 200,
            "fetch.wait.max.ms": 100,
        }
        return Consumer(self._settings.client(**config), logger=self._log)

    def committed(self, group: str, topic: str, partition: int, seconds: float) -> int | None:
        """Return the offset that a group has committed."""
        return committed_offsets(self._settings, group, topic, [partition], seconds).get(partition)


@dataclass(frozen=True)
class Site:
    """Where a check works: clients, a partition, a name that nobody else uses, and a deadline."""

    clients: Clients
    topic: str
    partition: int
    name: str
    deadline: float

    @property
    def seconds(self) -> float:
        """Seconds that are left."""
        return max(0.1, self.deadline - time.monotonic())

    def producer(self) -> Producer:
        """Return a producer that has fenced those this returned before: they share one transactional id."""
        producer = self.clients.producer(self.name)
        producer.init_transactions(self.seconds)
        producer.list_topics(self.topic, timeout=self.seconds)  # one that does not know a new topic may wait for it
        return producer

    def write(self, producer: Producer, word: str) -> None:
        """Begin a transaction and have some records of it written."""
        producer.begin_transaction()
        for _ in range(RECORDS):
            producer.produce(self.topic, word.encode(), partition=self.partition)
        producer.flush(self.seconds)

    def offsets(self, offset: int) -> list[TopicPartition]:
        """Return an offset as a transaction takes it."""
        return [TopicPartition(self.topic, self.partition, offset)]

    def committed(self) -> int | None:
        """Return the offset that the group has committed."""
        return self.clients.committed(self.name, self.topic, self.partition, self.seconds)


class Member:
    """A member of a site's group, which remembers under which generations it was given partitions.

    Attributes
    ----------
    generations
        Group metadata, the newest last.
    error
        The last one that was heard of.

    Parameters
    ----------
    site
        Of the check.
    """

    def __init__(self, site: Site) -> None:
        self.generations: list[Any] = []
        self.error: KafkaError | None = None
        self._consumer = site.clients.consumer(site.name)
        self._consumer.subscribe([site.topic], on_assign=self._assigned)

    def poll(self) -> None:
        """Take part in the group's life."""
        message = self._consumer.poll(POLL_SECONDS)
        error = message.error() if message is not None else None
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            self.error = error

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _assigned(self, consumer: Consumer, _: list[TopicPartition]) -> None:
        # Asked within the callback: it is what the partitions were given under.
        self.generations.append(consumer.consumer_group_metadata())
