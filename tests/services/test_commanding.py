"""Commands in the log: what is said when it is not known where they stand."""

from typing import Any

import pytest
from confluent_kafka import OFFSET_INVALID, Message

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
