"""The checks of a broker: each does what a worker does when all goes wrong, and returns what it found."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, Producer, TopicPartition

from services.conformance.site import POLL_SECONDS, RECORDS, Member, Site

_ABORTED_OFFSET, _COMMITTED_OFFSET = 7, 5
_FENCED = (KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED)
_STALE = (KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID, KafkaError.FENCED_INSTANCE_ID)


class CheckFailed(Exception):
    """A check has shown the contrary of what was to be shown."""


def hide_aborted_records(site: Site) -> str:
    """Write an aborted, a committed and an open transaction; only the committed one may be read."""
    producer = site.producer()
    site.write(producer, "aborted")
    producer.abort_transaction(site.seconds)
    site.write(producer, "committed")
    producer.commit_transaction(site.seconds)
    site.write(producer, "open")
    seen = _read(site, until="committed")
    producer.abort_transaction(site.seconds)
    counts = [seen[word] for word in ("committed", "aborted", "open")]
    found = "a read_committed consumer saw {} committed records, {} aborted ones and {} of an open transaction"
    if counts != [RECORDS, 0, 0]:
        raise CheckFailed(f"{found.format(*counts)}, expected {RECORDS}, 0 and 0")
    return found.format(*counts)


def apply_transactional_offsets(site: Site) -> str:
    """Send offsets with an aborted and with a committed transaction; the group may have those of the latter only."""
    with closing(Member(site)) as member:
        _poll_until(site, [member], lambda: bool(member.generations))
        producer = site.producer()
        producer.begin_transaction()
        producer.send_offsets_to_transaction(site.offsets(_ABORTED_OFFSET), member.generations[-1], site.seconds)
        seen = [site.committed()]
        producer.abort_transaction(site.seconds)
        producer.begin_transaction()
        producer.send_offsets_to_transaction(site.offsets(_COMMITTED_OFFSET), member.generations[-1], site.seconds)
        seen.append(site.committed())  # only now: a transaction can take offsets when the one before it is all over
        producer.commit_transaction(site.seconds)
        seen.append(_wait_for_offset(site, _COMMITTED_OFFSET))
    shown = ["no offset" if offset is None else f"offset {offset}" for offset in seen]
    found = f"the group had {shown[0]} before an abort, {shown[1]} after it and {shown[2]} after a commit"
    if seen != [None, None, _COMMITTED_OFFSET]:
        raise CheckFailed(f"{found}; expected no offset, no offset and offset {_COMMITTED_OFFSET}")
    return found


def fence_zombies(site: Site) -> str:
    """Have a second producer take the transactional id of one in a transaction, which may not commit it then."""
    zombie = site.producer()
    site.write(zombie, "zombie")
    successor = site.producer()
    refusal = _refusal_of(lambda: zombie.commit_transaction(site.seconds), _FENCED)
    if refusal is None:
        raise CheckFailed(
            "a producer could commit after another had taken its transactional id, expected PRODUCER_FENCED"
        )
    site.write(successor, "successor")
    successor.commit_transaction(site.seconds)
    return f"a producer whose transactional id was taken could not commit ({refusal}), the one that took it could"


def refuse_stale_group_metadata(site: Site) -> str:
    """Send offsets as a member did before a rebalance, and as one that has left the group; neither may be taken."""
    with closing(Member(site)) as old:
        _poll_until(site, [old], lambda: bool(old.generations))
        with closing(Member(site)) as new:
            _poll_until(site, [old, new], lambda: len(old.generations) > 1)
            producer = site.producer()
            older = _send_and_commit(site, producer, old.generations[0])
            old.close()
            left = _send_and_commit(site, producer, old.generations[-1])
    found = f"offsets of an older generation: {older or 'taken'}; of a member that has left: {left or 'taken'}"
    if older is None or left is None:
        raise CheckFailed(f"{found}; expected ILLEGAL_GENERATION and UNKNOWN_MEMBER_ID")
    return found


CHECKS: dict[str, Callable[[Site], str]] = {
    "aborted records hidden": hide_aborted_records,
    "transactional offsets applied": apply_transactional_offsets,
    "zombies fenced": fence_zombies,
    "stale group metadata refused": refuse_stale_group_metadata,
}


def _read(site: Site, until: str) -> Counter[str]:
    """Count what is to be read, to the end, or until the deadline when the records of a word do not come."""
    seen: Counter[str] = Counter()
    with closing(site.clients.consumer(site.name)) as consumer:
        consumer.assign([TopicPartition(site.topic, site.partition, OFFSET_BEGINNING)])
        while time.monotonic() < site.deadline:
            message = consumer.poll(POLL_SECONDS)
            if message is None:
                continue
            if message.error() is None:
                seen[message.value().decode()] += 1
            elif message.error().code() == KafkaError._PARTITION_EOF and seen[until] >= RECORDS:
                break
    return seen


def _poll_until(site: Site, members: Sequence[Member], condition: Callable[[], bool]) -> None:
    """Let members of a group live until something has come about; one thread serves them all."""
    while not condition():
        for member in members:
            member.poll()
        if time.monotonic() > site.deadline:
            errors = [f" ({member.error.str()})" for member in members if member.error is not None]
            raise CheckFailed(f"group of {len(members)}: no assignment in time{''.join(errors[:1])}")


def _wait_for_offset(site: Site, wanted: int) -> int | None:
    """Return the committed offset: the markers of a transaction may come some time after its commit."""
    while (committed := site.committed()) != wanted and time.monotonic() < site.deadline:
        time.sleep(POLL_SECONDS)
    return committed


def _send_and_commit(site: Site, producer: Producer, group: Any) -> str | None:
    """Return the name of the error by which stale offsets were refused, None when they were taken."""

    def send_and_commit() -> None:
        producer.begin_transaction()
        producer.send_offsets_to_transaction(site.offsets(_COMMITTED_OFFSET), group, site.seconds)
        producer.commit_transaction(site.seconds)

    refusal = _refusal_of(send_and_commit, _STALE)
    if refusal is not None:
        producer.abort_transaction(site.seconds)
    return refusal


def _refusal_of(call: Callable[[], object], expected: Sequence[int]) -> str | None:
    """Return the name of the expected error, None when there was none; another error is no answer."""
    try:
        call()
    except KafkaException as error:
        if error.args[0].code() in expected:
            return str(error.args[0].name()).removeprefix("_")
        raise
    return None
