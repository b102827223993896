"""The settings of Apache Kafka's nodes."""

from pathlib import Path

import pytest

from services.broker.server_properties import server_properties


def parsed(text: str) -> dict[str, str]:
    """Return settings by name, each there once."""
    settings = dict(line.split("=", 1) for line in text.splitlines())
    assert len(settings) == len(text.splitlines())
    return settings


def test_nodes_differ_in_number_ports_and_folder_only() -> None:
    """All know the same voters."""
    nodes = [parsed(server_properties(n, [1, 2, 3], [4, 5, 6], Path(f"/d/{n}"))) for n in (1, 2, 3)]
    assert nodes[0]["controller.quorum.voters"] == "1@127.0.0.1:4,2@127.0.0.1:5,3@127.0.0.1:6"
    assert nodes[1]["listeners"] == "CLIENTS://127.0.0.1:2,CONTROLLER://127.0.0.1:5"
    differing = {name for name in nodes[0] if len({node[name] for node in nodes}) > 1}
    assert differing == {"node.id", "listeners", "advertised.listeners", "log.dirs"}


@pytest.mark.parametrize(("brokers", "copies", "needed"), [(1, "1", "1"), (3, "3", "2")])
def test_copies_follow_the_number_of_nodes(brokers: int, copies: str, needed: str) -> None:
    """Three nodes keep three copies of everything, Kafka's own topics too, and acknowledge with two."""
    ports = list(range(brokers))
    settings = parsed(server_properties(1, ports, ports, Path("d")))
    factors = {value for name, value in settings.items() if name.endswith("replication.factor")}
    least = {value for name, value in settings.items() if name.endswith((".min.isr", "min.insync.replicas"))}
    assert (factors, least) == ({copies}, {needed})


def test_backslash_in_the_folder_is_escaped() -> None:
    """A properties file takes a backslash for the begin of an escape."""
    assert parsed(server_properties(1, [1], [2], Path("a\\b")))["log.dirs"] == "a\\\\b"


def test_further_listener_stands_beside_ours_and_other_settings_win() -> None:
    """A test that wants passwords keeps the listener without, on which the broker is started."""
    further = {"listeners": "SASL://127.0.0.1:3", "num.io.threads": "1", "authorizer.class.name": "a"}
    settings = parsed(server_properties(1, [1], [2], Path("d"), further))
    assert settings["listeners"] == "CLIENTS://127.0.0.1:1,CONTROLLER://127.0.0.1:2,SASL://127.0.0.1:3"
    assert (settings["num.io.threads"], settings["authorizer.class.name"]) == ("1", "a")
