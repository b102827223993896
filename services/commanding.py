"""Writes operators' commands into the log: one id, all addressed partitions, one transaction."""

import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from msgspec import Struct

from schemas import cloudevents as ce
from schemas.commands import Command
from schemas.errors import BrokerError, ConfigurationError
from schemas.operators import encode_signed
from schemas.signing import Signer
from services.topics import log
from streams.worker.keys import load_signer
from streams.worker.settings import Settings

_SECONDS = 30.0
_ABORT_SECONDS = 5.0
#: After that the broker takes back what nobody has ended, as of workers: until then readers wait at it.
_TRANSACTION_MS = 15_000
_LARGEST_BYTES = 64 * 1024 * 1024
#: What a record has beside its value, and more: headers, and what a batch begins with.
_ENVELOPE_BYTES = 1024


class Sent(Struct, frozen=True):
    """A command that is in the log.

    Parameters
    ----------
    id
        Its id; the events that answer it name it.
    offsets
        Where it stands in each addressed partition.
    """

    id: str
    offsets: dict[int, int]


def send(settings: Settings, topic: str, commands: Mapping[int, Command], by: str) -> Sent:
    """Write a command, to each addressed partition in its own words, or to none.

    Parameters
    ----------
    settings
        Of the deployment.
    topic
        Input topic of the pipeline.
    commands
        By partition.
    by
        Who writes it, such as ``deploy``: part of its id and of the transaction's.

    Raises
    ------
    ConfigurationError
        When commands are to be signed, and there is no key.
    BrokerError
        When the broker does not take it; nothing is written then, unless the error says that this is not known.
    """
    signer = _signer(settings)
    id, now = f"{by}-{uuid.uuid4().hex[:12]}", round(time.time() * 1000)
    bodies = {
        partition: encode_signed(command, signer, id, topic, partition, now) for partition, command in commands.items()
    }
    headers = ce.event_headers(id, type=ce.COMMAND, source=f"riverrun/{by}")
    config = {
        "transactional.id": f"{topic}-{by}",
        "client.id": f"riverrun-{by}",
        "transaction.timeout.ms": _TRANSACTION_MS,
        "linger.ms": 0,
        "message.max.bytes": _LARGEST_BYTES,  # the topic knows better
    }
    producer = Producer(settings.client(**config), logger=log)
    offsets: dict[int, Any] = {}
    begun = commits = False

    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is None:
            offsets[message.partition()] = message.offset()

    try:
        producer.init_transactions(_SECONDS)
        producer.begin_transaction()
        begun = True
        for partition, body in bodies.items():
            producer.produce(topic, body, partition=partition, headers=headers, on_delivery=delivered)
        commits = True
        producer.commit_transaction(_SECONDS)
    except KafkaException as exception:
        error = exception.args[0]
        is_open = commits and not error.txn_requires_abort()
        what = "it is not known whether the command was taken" if is_open else "the command was not taken"
        if begun and not is_open:
            with suppress(KafkaException):  # then the broker does it, see _TRANSACTION_MS
                producer.abort_transaction(_ABORT_SECONDS)
        raise BrokerError(f"{topic}: {what}: {error.str()}") from None
    if unknown := sorted(partition for partition, offset in offsets.items() if offset is None):
        # The broker has it, but not its answer has come: see streams/worker/stores/kafka.py.
        raise BrokerError(
            f"{topic}: the command is in the log as {id}, but where is not known for partitions {unknown}: the "
            "lifecycle topic tells what becomes of it"
        )
    return Sent(id, offsets)


def size_of(settings: Settings, topic: str, command: Command) -> int:
    """Return how many bytes the record of a command takes at most, its envelope among them.

    Raises
    ------
    ConfigurationError
        When commands are to be signed, and there is no key.
    SealError
        When it is larger than anything that is signed.
    """
    id, now = f"size-{uuid.uuid4().hex}", round(time.time() * 1000)
    return len(encode_signed(command, _signer(settings), id, topic, 0, now)) + _ENVELOPE_BYTES


def _signer(settings: Settings) -> Signer | None:
    """Return whose key commands are signed with, None where they need no signature."""
    if settings.commands == "open":
        return None
    try:
        return load_signer(settings.signing_key)
    except ConfigurationError as error:
        advice = "RIVERRUN_COMMANDS=open sends commands unsigned, to workers that obey everybody"
        raise ConfigurationError(f"{error}; {advice}") from None
