"""Lifecycle events as their topic has them, and what a command prints over them."""

from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from schemas.record import Record
from services.cli import answers, app


def event(kind: str, offset: int, partition: int = 0, **fields: Any) -> dict[str, Any]:
    """Return a lifecycle event."""
    return {
        "type": f"riverrun.{kind}",
        "id": id_of(kind, offset, partition),
        "partition": partition,
        "offset": offset,
        "time": 1_000 * offset,
        **fields,
    }


def id_of(kind: str, offset: int, partition: int = 0) -> str:
    """Return the id of an event."""
    return f"p.raw-{partition}-{offset}/{kind}"


def printed(monkeypatch: pytest.MonkeyPatch, events: list[dict[str, Any]], *arguments: str) -> str:
    """Return what a command prints over a topic that holds some events."""
    records = [
        Record("p.lifecycle", 0, n, 0, None, orjson.dumps(one), [("ce_type", str(one["type"]).encode())])
        for n, one in enumerate(events)
    ]
    monkeypatch.setattr(answers, "read", lambda *_, **__: iter(records))
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout
