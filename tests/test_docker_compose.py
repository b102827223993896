"""``docker-compose.yml``, read and not run: what it promises, and that its commands are commands."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from services.broker.ports import free_port
from services.cli import app
from streams.worker.endpoint import serve
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


def test_image_is_built_once_and_never_pulled(services: dict[str, Any]) -> None:
    """Docker fails where several services build one tag at once, and would look for our name in its registry."""
    ours = {name: service for name, service in services.items() if service["image"].startswith("riverrun")}
    assert ours.keys() == {"topics", "keys", "worker", "replay"}
    assert len({service["image"] for service in ours.values()}) == 1
    assert [name for name, service in ours.items() if "build" in service] == ["topics"]
    assert {service.get("pull_policy") for service in ours.values()} == {"never"}
    assert all("topics" in ours[name]["depends_on"] for name in ("worker", "replay"))


def test_worker_that_takes_too_much_memory_is_killed_alone(services: dict[str, Any]) -> None:
    """The quarantine counts on it; swap would only put it off."""
    worker = services["worker"]
    assert worker["mem_limit"] == worker["memswap_limit"] == "1g"


def test_kafka_is_asked_often_only_until_it_is_up(services: dict[str, Any]) -> None:
    """Each question is a JVM."""
    check = services["kafka"]["healthcheck"]
    assert (check["interval"], check["start_interval"]) == ("30s", "2s")
    assert int(check["start_period"].removesuffix("s")) >= 60


def test_health_of_a_worker_is_asked_without_a_proxy(services: dict[str, Any]) -> None:
    """Docker hands the proxies of its configuration to each container."""
    port = free_port()
    serve(port, lambda: {"status": "ok"})
    which, program, *arguments = services["worker"]["healthcheck"]["test"]
    assert (which, program) == ("CMD", "python")
    arguments = [argument.replace("9464", str(port)) for argument in arguments]
    proxies = {"http_proxy": "http://127.0.0.1:9", "no_proxy": ""}
    subprocess.run([sys.executable, *arguments], env=os.environ | proxies, check=True, timeout=30)
