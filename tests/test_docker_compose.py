"""``docker-compose.yml``, read and not run: what it promises, and that its commands are commands."""

from pathlib import Path
from typing import Any

import pytest
import typer

from services.cli import app
from streams.worker.settings import Settings

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services by name."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return found


def option(arguments: list[str]) -> dict[str, Any]:
    """Return the parameters of a command line, which the command has to take."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command, arguments = command.commands[arguments[0]], arguments[1:]
    parameters: dict[str, Any] = command.make_context("riverrun", arguments).params
    return parameters


def test_commands_are_riverruns(services: dict[str, Any]) -> None:
    """With each of their options."""
    ours = {name: service["command"] for name, service in services.items() if "command" in service}
    assert ours.keys() == {"topics", "keys", "worker", "replay"}
    for command in ours.values():
        option(list(command))


def test_what_stays_comes_back_and_the_replay_is_made_once(services: dict[str, Any]) -> None:
    """Kafka and the workers, after a crash or a restart of the machine; what they have kept is not sent again."""
    assert services["kafka"]["restart"] == services["worker"]["restart"] == "unless-stopped"
    assert option(list(services["replay"]["command"]))["once"]


def test_there_are_partitions_for_several_workers(services: dict[str, Any]) -> None:
    """As the first lines say."""
    assert "--scale worker=2" in (ROOT / "docker-compose.yml").read_text()
    assert option(list(services["topics"]["command"]))["partitions"] == 4


def test_worker_has_the_time_to_stop_that_it_takes(services: dict[str, Any]) -> None:
    """Its own words come before the kill, while Kafka is away."""
    limit = Settings.model_fields["stop_limit"].default
    assert float(services["worker"]["stop_grace_period"].removesuffix("s")) >= limit + 5
    assert f"`RIVERRUN_STOP_LIMIT`, {limit:g} s" in (ROOT / "docs" / "guarantees.md").read_text()
