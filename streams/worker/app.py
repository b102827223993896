"""The Faust app of one pipeline."""

import asyncio
import logging
import uuid
from collections.abc import Sequence
from typing import Any

import faust
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType
from faust.transport.drivers import TRANSPORTS
from faust.types import TP

from schemas import topics
from schemas.errors import BrokerError, ConfigurationError, RiverrunError
from schemas.murmur2 import home_partition
from schemas.outgoing import Outgoing, OutgoingEncoder
from schemas.signing import Signer, TrustedKeys
from streams.pipeline import Pipeline
from streams.worker.alignment import Alignment
from streams.worker.aside import Aside
from streams.worker.assignment import Assignment
from streams.worker.batch import BatchSchema
from streams.worker.conformance import heed_verdict
from streams.worker.declarations import DeclarationLog
from streams.worker.delivery import AtLeastOnce
from streams.worker.emitter import Emitter, OnDelivery
from streams.worker.keys import load_operators, load_signer, load_trusted
from streams.worker.metadata import partition_counts, unseen
from streams.worker.quarantine import Quarantine
from streams.worker.recovery import Recovery
from streams.worker.settings import Settings
from streams.worker.snapshots import Snapshots
from streams.worker.stores.opening import open_snapshots
from streams.worker.stores.store import SnapshotStore
from streams.worker.tables import NoTables
from streams.worker.transactions import ExactlyOnce

log = logging.getLogger("riverrun.worker")

TRANSPORTS.aliases.setdefault("riverrun", "streams.worker.transport:Transport")

_ADMIN_SECONDS = 15
_TRANSACTION_MS = 15_000


class App(faust.App):
    """A Faust app whose transport hands on batches.

    Parameters
    ----------
    pipeline
        The declaration.
    settings
        Of the deployment.
    """

    def __init__(self, pipeline: Pipeline, settings: Settings) -> None:
        self.pipeline = pipeline
        self.settings = settings
        self.group_id = settings.group_of(pipeline.name)
        self._partition_counts = topic_partitions(settings, [topic.name for topic in pipeline.topics])
        self._check_topics()
        if settings.processing_guarantee == "exactly_once":
            heed_verdict(settings)
        names = [name for name, count in self._partition_counts.items() if count]
        self.encoder = OutgoingEncoder(pipeline.name, pipeline.output_format, max_message_bytes(settings, names))
        self.emitter, self._aside = Emitter(), Aside(self._outside_producer)
        # No name has a "/": workers of two pipelines never share an id, whatever they are called.
        self.transactional_id = f"{pipeline.name}/{settings.worker_id or uuid.uuid4().hex}"
        self._transactions = settings.processing_guarantee == "exactly_once"
        self.delivery: ExactlyOnce | AtLeastOnce = (
            ExactlyOnce(self.emitter, self.transactional_id, pipeline.declaration)
            if self._transactions
            else AtLeastOnce(self.emitter, pipeline.declaration)
        )
        self.error: Exception | None = None
        first_server = settings.bootstrap_servers.split(",")[0].strip()
        super().__init__(
            self.group_id,
            broker=f"riverrun://{first_server}",
            web_enabled=False,
            topic_disable_leader=True,
            topic_allow_declare=False,
            stream_wait_empty=False,
            TableManager=NoTables,
            stream_buffer_maxsize=2,
            broker_commit_interval=settings.commit_seconds,
            key_serializer="raw",
            value_serializer="raw",
        )
        partitions = self._partition_counts[pipeline.source_topic]
        self.recovery: Recovery | None = None
        self.snapshots: Snapshots | None = None
        quarantine: Quarantine | None = None
        operators = load_operators(settings)
        if settings.snapshot_interval:
            store, signer, trusted = self._open_store(), *self._load_keys()
            declarations = DeclarationLog(settings.client(), pipeline.source_topic, pipeline.name, operators)
            self.recovery = Recovery(store, trusted, declarations.at)
            self.snapshots = Snapshots(store, signer, trusted, settings.snapshot_interval)
            quarantine = Quarantine(store, signer, trusted, pipeline.name, pipeline.source_topic)
        self.alignment = Alignment(pipeline.source_topic, partitions, self._producible_partitions)
        self.assignment = Assignment(
            pipeline,
            partitions,
            self.encoder,
            self.delivery,
            settings,
            operators,
            self.recovery,
            self.snapshots,
            quarantine,
            self.alignment,
        )
        self.raw_topic = self.topic(pipeline.source_topic, schema=BatchSchema())

    def _create_directories(self) -> None:
        """Make none: Faust's are for tables, and what a worker knows is in the log."""

    def _check_topics(self) -> None:
        source = self.pipeline.source_topic
        missing = [name for name, count in self._partition_counts.items() if count == 0]
        if not self.settings.snapshots_in_kafka:
            missing = [name for name in missing if name not in self._snapshot_topics]
        if missing:
            raise BrokerError(
                f"no topic {', '.join(missing)} on {self.settings.bootstrap_servers}{unseen(self.settings)}: "
                "riverrun topics apply"
            )
        counts = self._partition_counts
        short = [
            f"{name}: got {counts[name]} partitions, expected at least the {counts[source]} of {source}"
            for name in self._aligned_topics
            if counts[name] < counts[source]
        ]
        if short:
            raise BrokerError(f"{'; '.join(short)}: riverrun topics apply adds them")

    @property
    def _aligned_topics(self) -> list[str]:
        """The topics whose partition n takes what is said of the input's partition n."""
        name = self.pipeline.name
        aligned = [topics.predictions(name), topics.dead_letters(name)]
        return aligned + self._snapshot_topics if self.settings.snapshots_in_kafka else aligned

    def _producible_partitions(self) -> dict[str, int]:
        """Ask how many partitions there are, through the producers: what they have not heard of they refuse."""
        names = [self.pipeline.source_topic, *self._aligned_topics]
        producers = (self.emitter.producer, self._aside.producer)
        try:
            known = [producer.list_topics(timeout=_ADMIN_SECONDS).topics for producer in producers if producer]
        except KafkaException as error:
            raise BrokerError(f"{self.settings.bootstrap_servers}: no Kafka answers ({error.args[0].str()})") from None
        return {name: min(len(told[name].partitions) if name in told else 0 for told in known) for name in names}

    @property
    def _snapshot_topics(self) -> list[str]:
        return [topics.manifests(self.pipeline.name), topics.snapshots(self.pipeline.name)]

    def _load_keys(self) -> tuple[Signer, TrustedKeys]:
        settings = self.settings
        signer, trusted = load_signer(settings.signing_key), load_trusted(settings.trusted_keys)
        if signer.key_id not in trusted.key_ids:
            raise ConfigurationError(
                f"RIVERRUN_TRUSTED_KEYS: {settings.trusted_keys} does not contain the key {signer.key_id} of "
                f"{settings.signing_key}: this worker would not believe its own snapshots. Put its public key there."
            )
        return signer, trusted

    def _open_store(self) -> SnapshotStore:
        emit = self._emit_with_outputs if self._transactions else self._aside.emit
        return open_snapshots(self.settings, self.pipeline.name, emit, self._aside.emit_now)

    def _emit_with_outputs(self, messages: Sequence[Outgoing], on_delivery: OnDelivery) -> None:
        """Produce pieces of a snapshot within the transaction of the cycle."""
        self.delivery.emit(messages, more_follow=True, on_delivery=on_delivery)

    def _outside_producer(self) -> Producer:
        config = self._producer_config(**{"message.timeout.ms": _TRANSACTION_MS})
        return Producer(config, logger=logging.getLogger("riverrun.kafka"))

    def consumer_config(self) -> dict[str, Any]:
        """Return the consumer's configuration."""
        further = {}
        if self.settings.worker_id:
            further["group.instance.id"] = f"{self.pipeline.name}-{self.settings.worker_id}"
        return self.settings.client(
            **{
                "group.id": self.group_id,
                "client.id": "riverrun",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "partition.assignment.strategy": "range",
                "session.timeout.ms": 30_000,
                "heartbeat.interval.ms": 1000,
                "fetch.wait.max.ms": 100,
                "fetch.message.max.bytes": max(1024 * 1024, self.pipeline.max_record_bytes),
                "queued.min.messages": self.settings.batch_records,
                "fetch.queue.backoff.ms": 10,
                # New partitions have no reader until it is asked for; it is one small request.
                "topic.metadata.refresh.interval.ms": 10_000,
            },
            **further,
        )

    def new_producer(self) -> Producer:
        """Return a connected producer whose failures the emitter hears of, its transactions begun anew."""
        transactional = {
            "transactional.id": self.transactional_id,
            # Below the session timeout: a worker that is gone is fenced before its partitions go to another one.
            "transaction.timeout.ms": _TRANSACTION_MS,
            "message.timeout.ms": _TRANSACTION_MS,
            "delivery.report.only.error": False,
        }
        reporting = {
            "message.timeout.ms": 60_000,  # then the worker ends, whoever waits
            "delivery.report.only.error": True,
            "on_delivery": self.emitter.delivered,
        }
        config = self._producer_config(**(transactional if self._transactions else reporting))
        producer = Producer(config, logger=logging.getLogger("riverrun.kafka"))
        self.emitter.producer = producer
        if isinstance(self.delivery, ExactlyOnce):
            self.delivery.start(producer)
        return producer

    def _producer_config(self, **further: Any) -> dict[str, Any]:
        return self.settings.client(
            **further,
            **{
                "client.id": "riverrun",
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                # Under load outputs gather; with nothing else to do the worker has them sent at once.
                "linger.ms": 5,
                "message.max.bytes": 64 * 1024 * 1024,
                "queue.buffering.max.messages": 200_000,
            },
        )

    def partitions(self, topic: str) -> int:
        """Return the number of partitions of a topic, 0 where there is no such topic."""
        if topic not in self._partition_counts:
            self._partition_counts |= topic_partitions(self.settings, [topic])
        return self._partition_counts[topic]

    def home(self, topic: str, key: bytes) -> TP:
        """Return the partition a key belongs to."""
        return TP(topic, home_partition(key, self.partitions(topic)))

    def fail(self, error: Exception) -> None:
        """Stop the worker with an error, before any further offset moves."""
        if self.error is None:
            self.error = error
            self.assignment.stop(error)
            log.critical("%s", error, exc_info=None if isinstance(error, RiverrunError) else error)
            self._crashing = asyncio.ensure_future(self.crash(error))


def topic_partitions(settings: Settings, names: list[str]) -> dict[str, int]:
    """Return the number of partitions of each topic, 0 where there is no such topic.

    Raises
    ------
    BrokerError
        When no broker answers, or it refuses us.
    """
    known = partition_counts(settings, _ADMIN_SECONDS)
    return {name: known.get(name, 0) for name in names}


def max_message_bytes(settings: Settings, names: list[str]) -> dict[str, int]:
    """Return ``max.message.bytes`` of each topic.

    Raises
    ------
    BrokerError
        When the broker does not tell, as without the right to describe the configuration of a topic.
    """
    admin = AdminClient(settings.client(), logger=logging.getLogger("riverrun.kafka"))
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    sizes = {}
    for resource, answer in admin.describe_configs(resources, request_timeout=_ADMIN_SECONDS).items():
        try:
            sizes[resource.name] = int(answer.result()["max.message.bytes"].value)
        except KafkaException as error:
            raise BrokerError(
                f"{resource.name}: how large its messages may be is not told: {error.args[0].str()}; a worker needs "
                "DescribeConfigs there"
            ) from None
    return sizes
