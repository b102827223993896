"""What a broker keeps: one partition's records, in transactions or not, and where their markers leave gaps."""

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

from confluent_kafka import KafkaError

from schemas.record import Headers


class Message:
    """A record as confluent-kafka hands it over."""

    __slots__ = ("_error", "_headers", "_key", "_offset", "_partition", "_timestamp_ms", "_topic", "_value", "within")

    def __init__(
        self,
        topic: str,
        partition: int,
        offset: int,
        key: bytes | None = None,
        value: bytes | None = None,
        headers: Headers | None = None,
        timestamp_ms: int = 0,
        error: KafkaError | None = None,
    ) -> None:
        self._topic, self._partition, self._offset = topic, partition, offset
        self._key, self._value, self._headers = key, value, headers
        self._timestamp_ms, self._error = timestamp_ms, error
        #: The transaction that it was produced in.
        self.within: Transaction | None = None

    def __len__(self) -> int:
        return len(self._value or b"")

    def topic(self) -> str:
        """The topic."""
        return self._topic

    def partition(self) -> int:
        """The partition."""
        return self._partition

    def offset(self) -> int | None:
        """The offset; None when it is not known."""
        return self._offset if self._offset >= 0 else None

    def timestamp(self) -> tuple[int, int]:
        """Kind and milliseconds."""
        return 1, self._timestamp_ms

    def key(self) -> bytes | None:
        """The key."""
        return self._key

    def value(self) -> bytes | None:
        """The value."""
        return self._value

    def headers(self) -> Headers | None:
        """The headers."""
        return self._headers

    def error(self) -> KafkaError | None:
        """The error, if it is one."""
        return self._error

    def placed(self, offset: int, value: bytes | None = None) -> "Message":
        """Return the same record at an offset, with another value if one is given."""
        value = self._value if value is None else value
        copy = Message(self._topic, self._partition, offset, self._key, value, self._headers, self._timestamp_ms)
        copy.within = self.within
        return copy


class Transaction:
    """Records of several partitions, and offsets of a group, that become visible together or never."""

    def __init__(self, owner: str, deadline: float) -> None:
        self.owner = owner
        self.deadline = deadline
        self.state = "open"
        self.messages: list[Message] = []
        self.logs: dict[Log, None] = {}
        self.offsets: dict[Any, int] = {}
        self.member: Any = None


class Log:
    """One partition of one topic."""

    def __init__(self, topic: str, partition: int) -> None:
        self.topic, self.partition = topic, partition
        self.low = self.end = 0
        self._messages: list[Message] = []
        self._offsets: list[int] = []
        self._open: dict[Transaction, int] = {}

    def append(self, message: Message, transaction: Transaction | None = None) -> Message:
        """Append a record; return it as it stands there."""
        stored = message.placed(self.end)
        stored.within = transaction
        self._messages.append(stored)
        self._offsets.append(self.end)
        if transaction is not None:
            self._open.setdefault(transaction, self.end)
            transaction.logs[self] = None
            transaction.messages.append(stored)
        self.end += 1
        return stored

    def insert(self, message: Message, gap: int) -> None:
        """Append a record that has its offset already, and behind it some offsets without records."""
        self._messages.append(message)
        self._offsets.append(message.offset())
        self.end = message.offset() + 1 + gap

    def mark(self, transaction: Transaction) -> None:
        """Append the marker that ends a transaction: it takes an offset."""
        del self._open[transaction]
        self.end += 1

    @property
    def stable(self) -> int:
        """The last stable offset: who reads committed reads up to here."""
        return min(self._open.values(), default=self.end)

    def read(self, start: int, count: int = 1_000_000) -> list[Message]:
        """Return committed records from an offset on, up to the last stable offset."""
        found: list[Message] = []
        stable = self.stable
        for message in self._messages[bisect_left(self._offsets, start) :]:
            if message.offset() >= stable or len(found) == count:
                break
            if message.within is None or message.within.state == "committed":
                found.append(message)
        return found

    def __iter__(self) -> Iterator[Message]:
        return iter(self._messages)

    def delete_below(self, low: int) -> None:
        """Forget the beginning, as retention does."""
        self.low = max(self.low, low)
        self._keep(message for message in self._messages if message.offset() >= low)

    def compact(self) -> None:
        """Keep the newest record of each key, and nothing of aborted transactions."""
        settled = self.read(0)
        newest = {message.key(): message.offset() for message in settled}
        beyond = (message for message in self._messages if message.offset() >= self.stable)
        self._keep([*(m for m in settled if newest[m.key()] == m.offset()), *beyond])

    def replace(self, offset: int, value: bytes | None) -> None:
        """Damage a record: another value stands there, or nothing at all."""
        self._keep(
            message if message.offset() != offset else message.placed(offset, value)
            for message in self._messages
            if message.offset() != offset or value is not None
        )

    def _keep(self, messages: Any) -> None:
        self._messages = list(messages)
        self._offsets = [message.offset() for message in self._messages]
