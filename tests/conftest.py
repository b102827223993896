"""Property tests draw the same examples in every run and have no deadline: the cores are noisy.

Tests marked ``kafka`` run against Apache Kafka; where Java or Maven is missing they are skipped, and the summary says
so.
"""

import signal
import time
from collections.abc import Iterator
from functools import cache

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from hypothesis import settings

from schemas.errors import BrokerError
from services.broker import KafkaBroker
from services.broker.java import find_java, find_maven

settings.register_profile("riverrun", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("riverrun")

# Whoever is started in the background by a shell without job control ignores ^C, and so would what tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["tests.sampling"]

_skipped: list[str] = []


@cache
def missing_for_kafka() -> str | None:
    """Return what Apache Kafka needs and is not here."""
    try:
        find_java()
        find_maven()
    except BrokerError as error:
        return str(error)
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that needs Apache Kafka where it cannot run."""
    if item.get_closest_marker("kafka") and (reason := missing_for_kafka()):
        _skipped.append(item.nodeid)
        pytest.skip(reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say aloud that nothing was tested against Apache Kafka."""
    if _skipped:
        terminalreporter.section("NOT tested against Apache Kafka", sep="!", red=True, bold=True)
        terminalreporter.line(f"{len(_skipped)} tests were skipped: {missing_for_kafka()}", red=True)


@pytest.fixture(scope="session")
def apache_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap servers of a one-node Apache Kafka for all tests of the session that are marked ``kafka``."""
    with KafkaBroker(tmp_path_factory.mktemp("apache-kafka"), dies_with_parent=True) as bootstrap:
        _wait_for_groups(bootstrap)
        yield bootstrap


def _wait_for_groups(bootstrap: str) -> None:
    """Have the first group asked for, which makes Kafka's topic of offsets, and wait until that one answers."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "first", "log_level": 3})
    deadline = time.monotonic() + 30
    while True:
        try:
            consumer.committed([TopicPartition("none", 0)], timeout=10)
            break
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    consumer.close()
