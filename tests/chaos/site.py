"""Where a trial happens: a pipeline with its topics, its workers, its input, and those who watch."""

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from confluent_kafka.admin import NewTopic

from streams.worker.keys import make_keys
from tests.chaos import models
from tests.chaos.commits import Commits
from tests.chaos.crew import Crew
from tests.chaos.judge import judge
from tests.chaos.load import Load
from tests.chaos.reader import Reader
from tests.streams.worker.events import delayed, inline
from tests.streams.worker.kafka import LARGE, Event, Kafka, until

#: What all workers of all trials run with, unless a trial says otherwise.
SETTINGS: dict[str, Any] = {
    "processing_guarantee": "exactly_once",
    "commit_interval": 0.05,
    "snapshot_interval": 0.3,
    "batch_records": 100,
}
FINISH_SECONDS = 180.0
#: Settings of librdkafka under which a session is over soon, and a transaction sooner.
SHORT_SESSION = {"session.timeout.ms": 6000, "transaction.timeout.ms": 4000, "message.timeout.ms": 4000}


class Site:
    """A pipeline on a broker; a context, at whose end nothing of it runs any more.

    Parameters
    ----------
    kafka
        The broker.
    folder
        Made for logs and keys.
    name
        Of the pipeline, its topics and its group.
    recipe, further
        Which pipeline it is.
    bootstrap
        Servers for the workers, where these go by another way than the trial.
    large
        Whether the topics take records of 10 MB.
    settings
        Of all workers.
    """

    def __init__(
        self,
        kafka: Kafka,
        folder: Path,
        name: str,
        recipe: str = "small",
        *,
        bootstrap: str = "",
        large: bool = False,
        settings: dict[str, Any] | None = None,
        **further: Any,
    ) -> None:
        folder.mkdir(parents=True)
        self.kafka = kafka
        self.folder = folder
        self.pipeline = models.RECIPES[recipe](name, **further)
        self.raw, self.predictions, self.lifecycle, self.dead_letters, self.manifests, self.snapshots = (
            topic.name for topic in self.pipeline.topics
        )
        self.private_key, public = make_keys(folder / "keys")
        self.trusted_keys = public.parent
        every = {
            "bootstrap_servers": bootstrap or kafka.bootstrap,
            "signing_key": self.private_key,
            "trusted_keys": self.trusted_keys,
            **SETTINGS,
            **(settings or {}),
        }
        self._create_topics(large)
        outputs = {self.predictions: self.pipeline.partitions, self.dead_letters: self.pipeline.partitions}
        outputs[self.lifecycle] = 1
        self.reader = Reader(kafka.bootstrap, outputs)
        self.commits = Commits(kafka.bootstrap, f"riverrun-{name}", self.raw, self.pipeline.partitions)
        self.crew = Crew(recipe, name, further, folder, every)
        self._loads: list[Load] = []

    def __enter__(self) -> "Site":
        self.reader.start()
        self.commits.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.crew.close()
        for load in self._loads:
            with suppress(Exception):
                load.stop()
        self.commits.stop()
        self.reader.stop()

    def _create_topics(self, large: bool) -> None:
        """Make the topics, with as many copies as the broker makes of any."""
        wanted = []
        for topic in self.pipeline.topics:
            config = dict(topic.config)
            if large and topic.name in (self.raw, self.dead_letters):
                config["max.message.bytes"] = str(LARGE + (topic.name == self.dead_letters) * 64 * 1024)
            partitions = 1 if topic.name == self.lifecycle else self.pipeline.partitions
            wanted.append(NewTopic(topic.name, partitions, -1, config=config))
        for made in self.kafka.admin.create_topics(wanted).values():
            made.result(30)

    def load(self, rate: float, seed: int, *, late_labels: bool = False, limit: int | None = None) -> Load:
        """Begin to write events, so many a second, and so many in all."""
        events = _endless_delayed(seed) if late_labels else inline(10**9, seed)
        self._loads.append(Load(self.kafka.bootstrap, self.raw, events, rate, limit))
        self._loads[-1].start()
        return self._loads[-1]

    def produce(self, events: Iterable[Event]) -> int:
        """Write events, all at once."""
        return self.kafka.produce(self.raw, events)

    def wait_until_working(self, seconds: float = 90.0) -> None:
        """Wait until each partition's offset moves."""
        now = time.monotonic()
        partitions = range(self.pipeline.partitions)
        until(lambda: self.commits.first_after(now, partitions), seconds, "a commit of each partition")

    def wait_until_shared(self, names: Iterable[str], seconds: float = 90.0) -> None:
        """Wait until each of these workers has partitions, and together they have all."""
        names = list(names)

        def shared() -> bool:
            shares = [self.crew.partitions(name) for name in names]
            return all(shares) and sum(map(len, shares)) == self.pipeline.partitions == len(set().union(*shares))

        until(shared, seconds, f"a share for each of {', '.join(names)}")

    def finish(self, seconds: float = FINISH_SECONDS) -> None:
        """Wait until the whole input is committed."""
        ends = {p: high for p, (_, high) in self.kafka.extents(self.raw).items() if high}
        deadline = time.monotonic() + seconds
        while (committed := self.kafka.committed(self.pipeline)) != ends:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the input ends at {ends}, after {seconds:g} s committed is {committed}")
            time.sleep(0.1)

    def judge(self) -> dict[str, int]:
        """Return what has to be zero; workers may still run, with nothing to do."""
        return judge(self.kafka, self.pipeline, self.reader) | {"setbacks": self.commits.setbacks()}


def _endless_delayed(seed: int) -> Iterator[Event]:
    """Return events with late labels, enough for any trial."""
    return delayed(1_000_000, seed)
