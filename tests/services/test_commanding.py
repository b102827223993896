"""Commands in the log: what is said when it is not known where they stand, or when they cannot be committed."""

from typing import Any

import pytest
from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException, Message

from schemas.commands import Pin
from schemas.errors import BrokerError
from services import commanding
from streams.worker.settings import Settings


class Forgetful:
    """A producer that delivers, and does not hear where."""

    def __init__(self, config: dict[str, Any], logger: Any) -> None:
        self._reports: list[Any] = []

    def init_transactions(self, seconds: float) -> None:
        """Nothing."""

    def begin_transaction(self) -> None:
        """Nothing."""

    def produce(self, topic: str, value: bytes, *, partition: int, headers: Any, on_delivery: Any) -> None:
        """Keep what is reported: partition 0 stands at 5, others nobody knows where."""
        offset = OFFSET_INVALID if partition else 5
        self._reports.append(lambda: on_delivery(None, Message(topic, partition, offset)))

    def commit_transaction(self, seconds: float) -> None:
        """Report."""
        for report in self._reports:
            report()


def test_command_whose_place_is_not_known_is_said_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can wait for it by its offset, and it must not be written again."""
    monkeypatch.setattr(commanding, "Producer", Forgetful)
    pin, settings = Pin(pipeline="p"), Settings(commands="open")
    assert commanding.send(settings, "p.raw", {0: pin}, "models").offsets == {0: 5}
    with pytest.raises(BrokerError, match=r"^p\.raw: the command is in the log as models-\w+, .* partitions \[1, 2\]"):
        commanding.send(settings, "p.raw", {0: pin, 1: pin, 2: pin}, "models")


class Failing:
    """A producer of which one call fails, which keeps what is called."""

    def __init__(self, failing: str, error: KafkaError) -> None:
        self._failing, self._error = failing, error
        self.calls: list[str] = []
        self.config: dict[str, Any] = {}

    def __call__(self, config: dict[str, Any], logger: Any) -> "Failing":
        self.config = config
        return self

    def __getattr__(self, name: str) -> Any:
        def call(*_: Any, **__: Any) -> None:
            self.calls.append(name)
            if name == self._failing:
                raise KafkaException(self._error)

        return call


REFUSED = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "refused")
ABORTABLE = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "refused", txn_requires_abort=True)
TIMED_OUT = KafkaError(KafkaError._TIMED_OUT, "refused", retriable=True)
NOT_TAKEN, NOT_KNOWN = "the command was not taken", "it is not known whether the command was taken"


@pytest.mark.parametrize(
    ("failing", "error", "what", "aborts"),
    [
        ("init_transactions", REFUSED, NOT_TAKEN, False),
        ("produce", REFUSED, NOT_TAKEN, True),
        ("commit_transaction", ABORTABLE, NOT_TAKEN, True),
        ("commit_transaction", TIMED_OUT, NOT_KNOWN, False),
    ],
)
def test_command_that_cannot_be_committed_is_taken_back(
    failing: str, error: KafkaError, what: str, aborts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once where that is possible, else by the broker as soon as a worker's: readers wait at what is open."""
    producer = Failing(failing, error)
    monkeypatch.setattr(commanding, "Producer", producer)
    with pytest.raises(BrokerError, match=rf"^p\.raw: {what}: refused$"):
        commanding.send(Settings(commands="open"), "p.raw", {0: Pin(pipeline="p")}, "models")
    assert ("abort_transaction" in producer.calls) == aborts
    assert producer.config["transaction.timeout.ms"] == 15_000


def test_command_that_cannot_be_taken_back_is_told_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what went wrong first."""
    producer = Failing("abort_transaction", REFUSED)
    monkeypatch.setattr(commanding, "Producer", producer)

    def fail(_: float) -> None:
        raise KafkaException(ABORTABLE)

    producer.commit_transaction = fail  # type: ignore[attr-defined]
    with pytest.raises(BrokerError, match="not taken"):
        commanding.send(Settings(commands="open"), "p.raw", {0: Pin(pipeline="p")}, "models")
