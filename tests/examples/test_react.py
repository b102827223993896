"""The example that reacts to changes of the champion acts once on each."""

import importlib.util
from pathlib import Path
from typing import Any

import orjson
import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "react.py"


class Message:
    """A message of the lifecycle topic."""

    def __init__(self, kind: str, offset: int, version: str, partition: int = 0) -> None:
        self.kind = kind
        self.event = {
            "id": f"p.raw-{partition}-{offset}/{kind}",
            "partition": partition,
            "offset": offset,
            "version": version,
            "replaced": "v1",
        }

    def error(self) -> None:
        """Say that there is none."""

    def headers(self) -> list[tuple[str, bytes]]:
        """Return the headers."""
        return [("ce_type", f"riverrun.{self.kind}".encode())]

    def value(self) -> bytes:
        """Return the body."""
        return orjson.dumps(self.event)


class Consumer:
    """Hears some messages, then Ctrl-C."""

    heard: list[Message]

    def __init__(self, settings: dict[str, Any]) -> None:
        self.waiting = list(self.heard)
        self.committed: list[Message] = []

    def subscribe(self, topics: list[str]) -> None:
        """Take any topics."""

    def poll(self, seconds: float) -> Message:
        """Return the next message."""
        if not self.waiting:
            assert self.committed == self.heard
            raise KeyboardInterrupt
        return self.waiting.pop(0)

    def commit(self, message: Message) -> None:
        """Note what was committed."""
        self.committed.append(message)

    def close(self) -> None:
        """End."""


def test_change_that_two_events_tell_of_is_acted_on_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fresh model that is promoted is also retrained; another offset, version or partition is another change."""
    Consumer.heard = [
        Message("model.retrained", 9, "v2"),
        Message("model.retrained", 9, "v2", partition=1),
        Message("model.promoted", 9, "v2"),
        Message("drift.detected", 11, "v2"),
        Message("model.rolled-back", 12, "v1"),
        Message("model.rolled-back", 12, "v1"),
        Message("model.rolled-back", 15, "v2"),
    ]
    spec = importlib.util.spec_from_file_location("react", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    react = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(react)
    monkeypatch.setattr(react, "Consumer", Consumer)
    react.main("p", "localhost:1")
    said = capsys.readouterr().out.splitlines()
    assert [line.rsplit("(", 1)[1] for line in said] == [
        "p.raw-0-9/model.retrained)",
        "p.raw-1-9/model.retrained)",
        "p.raw-0-12/model.rolled-back)",
        "p.raw-0-15/model.rolled-back)",
    ]
