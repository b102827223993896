"""A producer with confluent-kafka's interface: what it was given waits, is sent, and is reported."""

from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, TopicPartition
from faust.types import TP

from schemas.record import Headers
from tests.simulation.broker import Broker, failure
from tests.simulation.clock import CLOCK
from tests.simulation.group import Metadata
from tests.simulation.log import Message, Transaction

_OnDelivery = Callable[[KafkaError | None, Message], None]


class Producer:
    """Produces records.

    Parameters
    ----------
    process
        Whose it is.
    transactional_id
        None without transactions.
    """

    def __init__(self, process: Any, transactional_id: str | None) -> None:
        self._process = process
        self._world = process.world
        self._broker: Broker = self._world.broker
        self._id = transactional_id
        self._epoch = -1
        self._transaction: Transaction | None = None
        self._waiting: list[tuple[Message, _OnDelivery | None]] = []
        self._sent: list[tuple[Message, _OnDelivery]] = []
        self._must_abort = False
        #: Name of the next call that goes wrong, and how.
        self.glitch: tuple[str, str] | None = None

    # ------------------------------------------------------------------ records

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        on_delivery: _OnDelivery | None,
        on_error: None,
        timestamp: int,
        headers: Headers,
    ) -> None:
        """Take a record."""
        if self._must_abort:
            raise failure(KafkaError._STATE)
        message = Message(topic, max(0, partition), -1, key, value, headers, round(CLOCK.time() * 1000))
        self._waiting.append((message, on_delivery))

    def poll(self, timeout: float) -> None:
        """Send some of what waits, or nothing, or all; report what was sent."""
        if self._waiting:
            waiting = len(self._waiting)
            self._send(self._world.rng.choice((0, waiting, self._world.rng.randint(0, waiting))))
        self._report()

    def flush(self, timeout: float = 0.0) -> None:
        """Send all, unless there is a limit to the time."""
        self._send(len(self._waiting) if timeout == 0 else self._world.rng.randint(0, len(self._waiting)))
        self._report()

    def _send(self, count: int) -> None:
        if count and self._id is not None and not self._must_abort and self._fails("produce"):
            self._must_abort = True
        for _ in range(count):
            if self._must_abort:
                return
            message, on_delivery = self._waiting.pop(0)
            within = None if self._id is None else self._opened()
            if within is None and self._id is not None:
                self._waiting.insert(0, (message, on_delivery))
                return
            stored = self._broker.append(message, within)
            if on_delivery is not None:
                self._sent.append((stored, on_delivery))
        if count:
            self._process.pause("with records sent")

    def _report(self) -> None:
        sent, self._sent = self._sent, []
        for message, on_delivery in sent:
            on_delivery(None, message.placed(-1) if self._world.loses_a_place() else message)

    # ------------------------------------------------------------------ transactions

    def init_transactions(self, timeout: float) -> None:
        """Fence who had the id before."""
        assert self._id is not None
        self._epoch = self._broker.initialize(self._id, self)

    def begin_transaction(self) -> None:
        """Nothing is sent yet."""
        if self._must_abort:
            raise failure(KafkaError._STATE)
        self._transaction = None

    def send_offsets_to_transaction(self, offsets: list[TopicPartition], group: Metadata, timeout: float) -> None:
        """Have positions committed with the transaction, if the group still knows who says so."""
        self._send(len(self._waiting))
        self._check_abortable()
        self._stumble("send_offsets")
        self._process.pause("before it sends positions")
        refusal = self._broker.group.refusal(group)
        if refusal is not None:
            self._must_abort = True
            raise failure(refusal, txn_requires_abort=True)
        transaction = self._opened()
        self._check_abortable()
        assert transaction is not None
        transaction.member = group
        transaction.offsets |= {TP(o.topic, o.partition): o.offset for o in offsets}
        self._process.pause("after it has sent positions")

    def commit_transaction(self, timeout: float) -> None:
        """Send what waits, report it, and commit."""
        self._send(len(self._waiting))
        self._report()
        self._check_abortable()
        transaction = self._transaction
        if transaction is None:
            return
        lost = self._fails("commit", "lost")
        if not lost:
            self._stumble("commit")
        self._process.pause("before it commits")
        if transaction.state == "open":
            self._broker.end(transaction, commit=True)
        self._process.pause("after it has committed")
        if transaction.state == "aborted":
            raise failure(KafkaError._FENCED, fatal=True)
        if lost:
            CLOCK.now += 5.0
            raise failure(KafkaError._TIMED_OUT, retriable=True)
        self._transaction = None

    def abort_transaction(self, timeout: float) -> None:
        """Forget what waits, and abort."""
        purged, self._waiting = self._waiting, []
        self._report()
        for message, on_delivery in purged:
            if on_delivery is not None:
                on_delivery(KafkaError(KafkaError._PURGE_QUEUE), message)
        self._process.pause("before it aborts")
        transaction, self._transaction = self._transaction, None
        self._must_abort = False
        if transaction is not None and transaction.state == "open":
            self._broker.end(transaction, commit=False)
        self._keep_epoch()

    def _keep_epoch(self) -> None:
        """Go on under the next epoch when the coordinator has ended the transaction and nobody else has that one."""
        assert self._id is not None
        session = self._broker.session(self._id)
        if session.epoch == self._epoch:
            return
        if session.holder is not self:
            raise failure(KafkaError._FENCED, fatal=True)
        self._epoch = self._broker.initialize(self._id, self)

    def _opened(self) -> Transaction | None:
        """Return the open transaction; None when there can be none any more."""
        assert self._id is not None
        try:
            opened = self._broker.transaction(self._id, self._epoch, CLOCK.now)
        except Exception:
            self._must_abort = True
            return None
        self._transaction = opened
        return opened

    def _check_abortable(self) -> None:
        if self._must_abort:
            raise failure(KafkaError.INVALID_PRODUCER_EPOCH, txn_requires_abort=True)

    def _fails(self, call: str, how: str | None = None) -> bool:
        """Tell whether this is the call that goes wrong; once."""
        if self.glitch is None or self.glitch[0] != call or how not in (None, self.glitch[1]):
            return False
        self._world.say("%s: %s %s", self._process, *self.glitch)
        self.glitch = None
        return True

    def _stumble(self, call: str) -> None:
        """Raise what the next call was to raise."""
        if self._fails(call, "aborts"):
            self._must_abort = True
            raise failure(KafkaError.INVALID_TXN_STATE, txn_requires_abort=True)
        if self._fails(call, "retry"):
            raise failure(KafkaError.COORDINATOR_LOAD_IN_PROGRESS, retriable=True)
        if self._fails(call, "silent"):
            CLOCK.now += 40.0
            raise failure(KafkaError._TIMED_OUT, retriable=True)
