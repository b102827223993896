"""Watching a worker from outside: its Prometheus endpoint, and the topic of lifecycle events."""

import time
from collections import defaultdict
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import orjson
from confluent_kafka import Consumer, TopicPartition
from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families

from schemas import cloudevents as ce
from schemas import topics
from services.topics import log
from streams.worker.settings import Settings

_SCRAPE_SECONDS = 5.0
_FETCH_SECONDS = 1.0
#: Without the proxies of the environment, which do not reach this machine's own addresses.
_OPENER = build_opener(ProxyHandler({}))


class Reading(Struct, frozen=True):
    """What the worker says of itself, summed over its partitions.

    Parameters
    ----------
    read
        Records stepped through.
    counts
        Outcomes and remarks by name, as in `streams.accounting`.
    pending
        Events that wait for their label.
    lag
        Records not yet stepped through; None when the broker did not tell.
    metrics
        Prequential metrics by name; of the first partition.
    version, learned
        Champion, and the examples it has learned; of the first partition.
    emitted
        Messages produced, by topic.
    """

    read: int
    counts: dict[str, int]
    pending: int
    lag: int | None
    metrics: dict[str, float]
    version: str
    learned: int
    emitted: dict[str, int]

    def rolling(self, name: str) -> float | None:
        """Return a rolling metric by the name of its metric, such as ``accuracy``."""
        for full, value in self.metrics.items():
            stem, _, window = full.rpartition("_")
            if stem == name and window.isdigit():
                return value
        return None


def scrape(port: int) -> Reading | None:
    """Return a worker's reading, None until it has its partitions or when it does not answer."""
    try:
        with _OPENER.open(f"http://127.0.0.1:{port}/metrics", timeout=_SCRAPE_SECONDS) as answer:
            return parse(answer.read().decode())
    except (URLError, OSError):
        return None


def parse(text: str) -> Reading | None:
    """Return what a page of metrics says, None when no partition is in it yet.

    Examples
    --------
    >>> parse('# TYPE riverrun_records_read counter\\nriverrun_records_read_total{partition="0"} 7.0\\n').read
    7
    >>> parse("") is None
    True
    """
    samples: dict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
    for family in text_string_to_metric_families(text):
        if family.name.startswith("riverrun_"):
            for sample in family.samples:
                samples[sample.name].append((sample.labels, sample.value))
    read = samples["riverrun_records_read_total"]
    if not read:
        return None
    counts: dict[str, int] = defaultdict(int)
    for labels, value in samples["riverrun_outcomes_total"]:
        counts[labels["outcome"]] += int(value)
    for labels, value in samples["riverrun_remarks_total"]:
        counts[labels["remark"]] += int(value)
    first = min(labels["partition"] for labels, _ in read)
    metrics = {labels["metric"]: value for labels, value in samples["riverrun_metric"] if labels["partition"] == first}
    champions = [
        (labels["version"], value)
        for labels, value in samples["riverrun_model_learned"]
        if labels["partition"] == first
    ]
    version, learned = champions[0] if champions else ("", 0.0)
    lags = [value for _, value in samples["riverrun_lag_records"]]
    return Reading(
        read=int(sum(value for _, value in read)),
        counts=dict(counts),
        pending=int(sum(value for _, value in samples["riverrun_labels_pending"])),
        lag=int(sum(lags)) if len(lags) == len(read) else None,
        metrics=metrics,
        version=version,
        learned=int(learned),
        emitted={labels["topic"]: int(value) for labels, value in samples["riverrun_emitted_total"]},
    )


class LifecycleEvent(Struct, frozen=True):
    """A lifecycle event as it stands in its topic: its kind, such as ``drift.warned``, and its fields."""

    kind: str
    fields: dict[str, object]

    @property
    def time_ms(self) -> int:
        """When it happened, in event time."""
        time_ms = self.fields["time"]
        return time_ms if isinstance(time_ms, int) else 0


class LifecycleFeed:
    """Reads lifecycle events when there are some.

    It fetches only while the worker has written more than was read: the embedded broker answers empty fetches at once,
    and an idle consumer keeps it, and itself, busy.

    Parameters
    ----------
    settings
        Of the deployment.
    pipeline
        Name of the pipeline; its lifecycle topic has one partition.
    """

    def __init__(self, settings: Settings, pipeline: str) -> None:
        self.topic = topics.lifecycle(pipeline)
        self.events: list[LifecycleEvent] = []
        self._position = 0
        config = settings.client(
            **{
                "group.id": "riverrun-demo",  # demanded, never joined
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 100,
            }
        )
        self._consumer = Consumer(config, logger=log)

    def catch_up(self, written: int) -> None:
        """Read what the worker has written since, for at most a second.

        Parameters
        ----------
        written
            Number of lifecycle events the worker has emitted.
        """
        if written <= len(self.events):
            return
        self._consumer.assign([TopicPartition(self.topic, 0, self._position)])
        try:
            deadline = time.monotonic() + _FETCH_SECONDS
            while len(self.events) < written and time.monotonic() < deadline:
                message = self._consumer.poll(0.1)
                if message is None or message.error() is not None:
                    continue
                kind = ce.header(message.headers() or [], "ce_type") or ""
                self.events.append(
                    LifecycleEvent(kind.removeprefix("riverrun."), orjson.loads(message.value() or b"{}"))
                )
                self._position = (message.offset() or 0) + 1
        finally:
            self._consumer.unassign()

    def close(self) -> None:
        """Leave the broker in peace."""
        self._consumer.close()
