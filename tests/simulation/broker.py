"""A broker in memory: logs, transactions with their coordinator, and one consumer group."""

from typing import Protocol

from confluent_kafka import KafkaError, KafkaException
from faust.types import TP

from tests.simulation.group import Group
from tests.simulation.log import Log, Message, Transaction

TRANSACTION_SECONDS = 15.0


def failure(code: int, **flags: bool) -> KafkaException:
    """Return an exception as librdkafka's calls raise it."""
    return KafkaException(KafkaError(code, None, **flags))


class Auditor(Protocol):
    """Who looks at everything that becomes durable."""

    def appended(self, message: Message) -> None:
        """A record was appended outside of transactions."""

    def offsets_committed(self, offsets: dict[TP, int], within: Transaction | None) -> None:
        """Offsets are about to be committed, with the records of a transaction if there is one."""

    def committed(self, transaction: Transaction) -> None:
        """A transaction was committed."""


class Session:
    """What the coordinator knows of a transactional id."""

    def __init__(self) -> None:
        self.epoch = 0
        self.holder: object = None
        self.transaction: Transaction | None = None


class Broker:
    """Keeps records and offsets.

    Parameters
    ----------
    group
        The group of the workers.
    auditor
        Who looks on.
    """

    def __init__(self, group: Group, auditor: Auditor) -> None:
        self.group = group
        self.logs: dict[tuple[str, int], Log] = {}
        self._auditor = auditor
        self._sessions: dict[str, Session] = {}

    def log(self, topic: str, partition: int) -> Log:
        """Return a partition."""
        key = topic, max(0, partition)
        if key not in self.logs:
            self.logs[key] = Log(*key)
        return self.logs[key]

    def append(self, message: Message, transaction: Transaction | None) -> Message:
        """Append a record; return it as it stands there."""
        stored = self.log(message.topic(), message.partition()).append(message, transaction)
        if transaction is None:
            self._auditor.appended(stored)
        return stored

    def commit_offsets(self, offsets: dict[TP, int], within: Transaction | None = None) -> None:
        """Set the group's offsets."""
        self._auditor.offsets_committed(offsets, within)
        self.group.committed |= offsets

    # ------------------------------------------------------------------ transactions

    def session(self, transactional_id: str) -> Session:
        """Return what is known of an id."""
        return self._sessions.setdefault(transactional_id, Session())

    def initialize(self, transactional_id: str, holder: object) -> int:
        """Fence earlier producers of an id, end what they left open, and return the new epoch."""
        session = self.session(transactional_id)
        session.holder = holder
        if session.transaction is not None:
            self.end(session.transaction, commit=False)
        session.epoch += 1
        return session.epoch

    def transaction(self, transactional_id: str, epoch: int, now: float) -> Transaction:
        """Return the open transaction of a producer; the first record or offset opens it.

        Raises
        ------
        KafkaException
            When the producer is fenced.
        """
        session = self._sessions[transactional_id]
        if session.epoch != epoch:
            raise failure(KafkaError.INVALID_PRODUCER_EPOCH)
        if session.transaction is None:
            session.transaction = Transaction(transactional_id, now + TRANSACTION_SECONDS)
        return session.transaction

    def end(self, transaction: Transaction, *, commit: bool) -> None:
        """Commit or abort: markers go to every partition, offsets to the group."""
        session = self._sessions[transaction.owner]
        if session.transaction is transaction:
            session.transaction = None
        if commit and transaction.offsets:
            self.commit_offsets(transaction.offsets, transaction)
        transaction.state = "committed" if commit else "aborted"
        for log in transaction.logs:
            log.mark(transaction)
        if commit:
            self._auditor.committed(transaction)

    @property
    def open_transactions(self) -> list[Transaction]:
        """What is neither committed nor aborted."""
        return [s.transaction for s in self._sessions.values() if s.transaction is not None]

    def expire(self, now: float) -> None:
        """Abort what was open too long, fencing its producer, and put out members that are silent."""
        for session in self._sessions.values():
            if session.transaction is not None and session.transaction.deadline < now:
                self.end(session.transaction, commit=False)
                session.epoch += 1
        self.group.expire(now)

    def unstable(self, tps: list[TP]) -> list[Transaction]:
        """Return the open transactions that hold offsets of some partitions: nobody is told what is committed."""
        return [t for t in self.open_transactions if any(tp in t.offsets for tp in tps)]
