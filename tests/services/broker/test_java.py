"""What Apache Kafka needs of a machine, on machines made of shell scripts."""

import os
from pathlib import Path

import pytest

from schemas.errors import BrokerError, ConfigurationError
from services.broker import KafkaBroker, java
from services.broker.kafka import ApacheKafka


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH, and a cache that is empty."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return programs


def program(path: Path, script: str) -> Path:
    """Make a program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def maven(folder: Path, jars: str) -> Path:
    """Make a Maven that answers with a class path, and counts how often it is asked."""
    return program(folder / "mvn", f'echo asked >> {folder}/asked\nfor a; do :; done\necho "{jars}" > "${{a#*=}}"')


def test_start_without_java_says_what_to_install(machine: Path, tmp_path: Path) -> None:
    """One line: what is missing, and the way that needs none."""
    broker = KafkaBroker(tmp_path / "data")
    with pytest.raises(BrokerError) as caught:
        broker.start()
    assert str(caught.value) == (
        "Apache Kafka needs Java 17 or newer, and there is no java on PATH: install a JDK 17 or newer, "
        "or use the embedded broker: riverrun broker start --engine embedded"
    )
    assert broker.status().state == "stopped"


@pytest.mark.parametrize(
    ("script", "got"),
    [
        ("echo 'openjdk version \"11.0.2\" 2019-01-15' >&2", "version 11"),
        ("echo 'java version \"1.8.0_402\"' >&2", "version 8"),
        ("echo 'No Java runtime present' >&2; exit 1", "exit status 1 from java -version"),
    ],
)
def test_java_too_old_is_named_with_its_version(machine: Path, script: str, got: str) -> None:
    """The program that was found, its version, and the one that is needed."""
    found = program(machine / "java", script)
    with pytest.raises(BrokerError, match=rf"needs Java 17 or newer; {found}: got {got}: install a JDK 17"):
        java.find_java()


def test_java_home_comes_before_path(machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``JAVA_HOME`` chooses, as it does for Kafka's own scripts; a later release is fine."""
    program(machine / "java", "exit 1")
    chosen = program(tmp_path / "jdk" / "bin" / "java", "echo 'openjdk version \"21\" 2023-09-19' >&2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    assert java.find_java() == chosen


def test_classpath_without_maven_says_what_to_install(machine: Path) -> None:
    """One line: what is missing, and the way that needs none."""
    with pytest.raises(BrokerError, match=r"there is no mvn on PATH: install it, or use the embedded broker"):
        java.classpath()


def test_classpath_is_asked_of_maven_once_until_the_pom_changes_or_a_jar_is_gone(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second start does not run Maven."""
    jars = [tmp_path / "a.jar", tmp_path / "b.jar"]
    for jar in jars:
        jar.touch()
    pom = tmp_path / "pom.xml"
    pom.write_text("<project>1</project>")
    monkeypatch.setattr(java, "POM", pom)
    wanted = os.pathsep.join(map(str, jars))
    maven(machine, wanted)

    def asked() -> int:
        assert java.classpath() == wanted
        return (machine / "asked").read_text().count("asked")

    assert [asked(), asked()] == [1, 1]
    pom.write_text("<project>2</project>")
    assert [asked(), asked()] == [2, 2]
    jars[0].unlink()
    assert asked() == 3


def test_classpath_maven_fails_quotes_its_error(machine: Path) -> None:
    """Maven's own words, and the command that shows the rest of them."""
    program(machine / "mvn", "echo '[ERROR] Could not transfer artifact'; echo '[ERROR] -> [Help 1]'; exit 1")
    with pytest.raises(BrokerError, match=r"exit status 1\): Could not transfer artifact; see that it reaches"):
        java.classpath()


def test_classpath_outside_the_repository_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed wheel has no pom."""
    monkeypatch.setattr(java, "POM", tmp_path / "pom.xml")
    with pytest.raises(
        BrokerError, match=r"pom\.xml: no such file; Apache Kafka is started from riverrun's repository"
    ):
        java.classpath()


def test_two_brokers_are_refused() -> None:
    """Two controllers outlive no failure: one node, or three."""
    with pytest.raises(ConfigurationError, match="brokers: got 2, expected 1 or 3"):
        ApacheKafka(2)
