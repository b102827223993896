"""One broker of an engine for all tests of the worker; pipelines, hence topics and groups, have a name of their own."""

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.broker import EmbeddedBroker, free_port
from streams.pipeline import Pipeline
from streams.worker.keys import make_keys
from tests.streams.worker import declarations
from tests.streams.worker.kafka import Kafka, until
from tests.streams.worker.runner import Worker

_numbers = itertools.count()


@pytest.fixture(scope="session")
def embedded_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap servers of the embedded broker."""
    with EmbeddedBroker(tmp_path_factory.mktemp("broker"), dies_with_parent=True) as bootstrap:
        yield bootstrap


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> Kafka:
    """A running broker: the embedded one, unless a test is parametrised by `engines.ON_BOTH`."""
    fixture = getattr(request, "param", "embedded_kafka")
    return Kafka(request.getfixturevalue(fixture))


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Settings that name a pair of keys."""
    private, public = make_keys(tmp_path_factory.mktemp("keys"))
    return {"signing_key": private, "trusted_keys": public.parent}


class Deployment:
    """A pipeline with topics of its own, and the workers that a test starts for it."""

    def __init__(
        self,
        kafka: Kafka,
        pipeline: Pipeline,
        recipe: str,
        further: dict[str, Any],
        folder: Path,
        keys: dict[str, Path],
    ) -> None:
        self.pipeline = pipeline
        self.workers: list[Worker] = []
        self._kafka = kafka
        self._recipe = recipe
        self._further = further
        self.keys = keys
        self.folder = folder
        self.raw, self.predictions, self.lifecycle, self.dead_letters, self.manifests, self.snapshots = (
            topic.name for topic in pipeline.topics
        )

    def predicted(self, count: int, seconds: float = 40.0) -> None:
        """Wait until there are as many predictions, or more."""
        until(lambda: self._kafka.reach(self.predictions) >= count, seconds, f"{count} predictions")

    def finish(self, seconds: float = 120.0) -> int:
        """Wait until the whole input is committed, hence answered; return the number of its records.

        A careful worker commits a thousand records one by one: of Apache Kafka on a slow disk that takes a minute.
        """
        ends = {partition: high for partition, (_, high) in self._kafka.extents(self.raw).items() if high}
        try:
            until(lambda: self._kafka.committed(self.pipeline) == ends, seconds)
        except TimeoutError as error:
            committed, answered = self._kafka.committed(self.pipeline), self._kafka.reach(self.predictions)
            raise TimeoutError(f"commit of {ends}: {committed} after {seconds} s, {answered} predictions") from error
        return sum(ends.values())

    def start(self, *, fault: str | None = None, declared: dict[str, Any] | None = None, **settings: Any) -> Worker:
        """Start a worker; settings are those of `Settings`, static membership as ``w0`` unless told otherwise.

        `declared` are arguments of the recipe in place of the deployment's own: another declaration.
        """
        settings = {
            "bootstrap_servers": self._kafka.bootstrap,
            "worker_id": "w0",
            "metrics_port": free_port(),
            "commit_interval": 0.2,
            **self.keys,
        } | settings
        env = {f"RIVERRUN_{name.upper()}": str(value) for name, value in settings.items() if value is not None}
        log = self.folder / f"worker{len(self.workers)}.log"
        further = self._further if declared is None else declared
        worker = Worker(self._recipe, self.pipeline.name, further, env, log, fault)
        self.workers.append(worker)
        return worker


@pytest.fixture
def deploy(
    kafka: Kafka, request: pytest.FixtureRequest, tmp_path: Path, keys: dict[str, Path]
) -> Iterator[Callable[..., Deployment]]:
    """Make pipelines with their topics; what runs of them at the end is killed."""
    made: list[Deployment] = []

    def deploy(
        recipe: str = "small", *, limits: dict[str, int] | None = None, topics: bool = True, **further: Any
    ) -> Deployment:
        words = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())[:60]
        name = f"{words}-{next(_numbers)}"
        pipeline = declarations.RECIPES[recipe](name, **further)
        if topics:
            kafka.create(pipeline, limits)
        folder = tmp_path / name
        folder.mkdir()
        made.append(Deployment(kafka, pipeline, recipe, further, folder, keys))
        return made[-1]

    yield deploy
    for deployment in made:
        for worker in deployment.workers:
            worker.kill()
            print(f"--- {worker.log_path.name} of {deployment.pipeline.name}\n{worker.log}")
