"""Prometheus' view of a worker, read from its tasks when somebody scrapes."""

import logging
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from faust.types import TP
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from streams.accounting import OUTCOMES
from streams.worker.log_ends import LogEnds

if TYPE_CHECKING:
    from streams.worker.app import App
    from streams.worker.shard import Shard

log = logging.getLogger("riverrun.worker")

#: A scrape must not outlast its time, 5 s or more, while no broker answers: it would tell of a worker that is gone.
_BROKER_SECONDS = 1.5


class Telemetry(Collector):
    """Collects the metrics of a worker; label values are partitions, outcomes and metric names, never keys.

    Parameters
    ----------
    app
        The worker's app.
    """

    def __init__(self, app: "App") -> None:
        self._app = app
        self._ends = LogEnds(app.settings, app.group_id, _BROKER_SECONDS)
        self._admin = AdminClient(app.settings.client(**{"client.id": "riverrun-telemetry", "log_level": 0}))
        self._runs = {
            "pipeline": app.pipeline.name,
            "declaration": app.pipeline.declaration,
            "processing_guarantee": app.settings.processing_guarantee,
            "version": version("riverrun"),
        }
        #: Metrics that had no value, which is said once.
        self._told: set[tuple[TP, str]] = set()

    def _tell_failures(self, tp: TP, failures: Mapping[str, str]) -> None:
        """Say once of each metric that it has no value."""
        for name, error in failures.items():
            if (tp, name) not in self._told:
                self._told.add((tp, name))
                log.warning("%s[%d]: metric %s has no value: it raised %s", *tp, name, error)

    def collect(self) -> Iterator[Metric]:
        """Return what there is to say now."""
        shards, left = dict(self._app.assignment.shards), self._app.assignment.waiting
        positions = left | {tp: shard.position for tp, shard in shards.items()}
        ends = self._ends.beyond(positions)
        yield from self._worker_metrics(asks=bool(ends or not positions))
        yield from self._work_metrics()
        yield from self._partition_metrics(shards, left, ends)
        yield from self._snapshot_metrics(shards)

    def _worker_metrics(self, *, asks: bool) -> Iterator[Metric]:
        """What is true of the process, and begins anew with it; a broker that was silent is not asked again."""
        app, assignment = self._app, self._app.assignment
        yield InfoMetricFamily("riverrun", "What this worker runs", value=self._runs)
        partitions = GaugeMetricFamily("riverrun_input_partitions", "Partitions of the input topic, of all workers")
        if asks and (count := self._input_partitions()) is not None:
            partitions.add_metric([], count)
        yield partitions
        yield CounterMetricFamily("riverrun_rebalances", "Times the group assigned", value=assignment.rebalances)
        age = time.monotonic() - assignment.last_commit
        yield GaugeMetricFamily("riverrun_last_commit_age_seconds", "Time since the last commit", value=age)
        emitted = CounterMetricFamily("riverrun_emitted", "Messages produced", labels=["topic"])
        for topic, count in list(app.emitter.emitted.items()):
            emitted.add_metric([topic], count)
        yield emitted
        events = CounterMetricFamily("riverrun_lifecycle_events", "Lifecycle events said, by type", labels=["type"])
        for type, count in app.encoder.lifecycle_events.items():
            events.add_metric([type], count)
        yield events
        aborted = CounterMetricFamily("riverrun_transactions_aborted", "Cycles that were taken back and done again")
        aborted.add_metric([], assignment.aborted)
        yield aborted
        yield assignment.timing.collect()

    def _work_metrics(self) -> Iterator[Metric]:
        """What this process has done with the partitions, those that others have by now among them."""
        read = CounterMetricFamily("riverrun_records_read", "Records stepped through", labels=["partition"])
        outcomes = CounterMetricFamily(
            "riverrun_outcomes", "Records by what became of them", labels=["partition", "outcome"]
        )
        remarks = CounterMetricFamily(
            "riverrun_remarks", "Things worth knowing that happened", labels=["partition", "remark"]
        )
        for tp, done in sorted(self._app.assignment.tally.done.items()):
            partition = str(tp.partition)
            for name, count in done.items():
                if name == "read":
                    read.add_metric([partition], count)
                else:
                    (outcomes if name in OUTCOMES else remarks).add_metric([partition, name], count)
        yield from (read, outcomes, remarks)

    def _input_partitions(self) -> int | None:
        """Ask the broker; None where it does not answer."""
        topic = self._app.pipeline.source_topic
        try:
            return len(self._admin.list_topics(topic, timeout=_BROKER_SECONDS).topics[topic].partitions)
        except KafkaException as error:
            log.debug("no count of %s's partitions: %s", topic, error.args[0].str())
            return None

    def _partition_metrics(
        self, shards: "Mapping[TP, Shard]", left: Mapping[TP, int], ends: Mapping[TP, int]
    ) -> Iterator[Metric]:
        """What is true of the partitions, and goes with them from worker to worker."""
        pending = GaugeMetricFamily("riverrun_labels_pending", "Events that wait for their label", labels=["partition"])
        pending_bytes = GaugeMetricFamily("riverrun_labels_pending_bytes", "Their size", labels=["partition"])
        learned = GaugeMetricFamily(
            "riverrun_model_learned", "Examples the champion has learned", labels=["partition", "version"]
        )
        values = GaugeMetricFamily("riverrun_metric", "Prequential metrics", labels=["partition", "metric"])
        unsettled = GaugeMetricFamily(
            "riverrun_signals_unsettled", "Watched signals that have no reference yet", labels=["partition"]
        )
        lag = GaugeMetricFamily("riverrun_lag_records", "Records not yet stepped through", labels=["partition"])
        watermark = GaugeMetricFamily(
            "riverrun_event_time_watermark_seconds", "Event time reached", labels=["partition"]
        )
        waiting = GaugeMetricFamily(
            "riverrun_partition_waits",
            "1 where another declaration or other topics are waited for, else 0",
            labels=["partition"],
        )
        frozen = GaugeMetricFamily(
            "riverrun_models_frozen", "1 where an operator has them learn nothing, else 0", labels=["partition"]
        )
        pinned = GaugeMetricFamily(
            "riverrun_champion_pinned", "1 where an operator keeps the champion, else 0", labels=["partition"]
        )
        for tp in sorted({*shards, *left}):
            waiting.add_metric([str(tp.partition)], int(tp in left))
            if tp not in shards and tp in ends:
                lag.add_metric([str(tp.partition)], max(0, ends[tp] - left[tp]))
        for tp, shard in sorted(shards.items()):
            task, partition = shard.task, str(tp.partition)
            pending.add_metric([partition], len(task.join.pending))
            pending_bytes.add_metric([partition], task.join.pending.size_bytes)
            champion = task.lifecycle.champion
            learned.add_metric([partition, champion.version], champion.learned)
            frozen.add_metric([partition], int(not task.lifecycle.learns))
            pinned.add_metric([partition], int(not task.lifecycle.acts))
            estimated: dict[str, float] = {}
            if task.watcher is not None:
                estimated = task.watcher.estimated
                unsettled.add_metric([partition], len(task.watcher.unsettled))
            evaluated = task.evaluation.values
            if len(evaluated) < len(task.evaluation.names):
                self._tell_failures(tp, task.evaluation.failures)
            for name, value in {**evaluated, **estimated}.items():
                values.add_metric([partition, name], value)
            if tp in ends:
                lag.add_metric([partition], max(0, ends[tp] - shard.position))
            watermark.add_metric([partition], task.clock.watermark_ms / 1000)
        yield from (
            pending,
            pending_bytes,
            learned,
            frozen,
            pinned,
            values,
            unsettled,
            lag,
            waiting,
            watermark,
        )

    def _snapshot_metrics(self, shards: "Mapping[TP, Shard]") -> Iterator[Metric]:
        snapshots, recovery = self._app.snapshots, self._app.recovery
        if snapshots is None or recovery is None:
            return
        age = GaugeMetricFamily(
            "riverrun_snapshot_age_seconds", "Since the newest snapshot was taken", labels=["partition"]
        )
        behind = GaugeMetricFamily(
            "riverrun_snapshot_behind_records", "Positions that a recovery would replay", labels=["partition"]
        )
        for tp, shard in sorted(shards.items()):
            if shard.snapshot is not None:
                age.add_metric([str(tp.partition)], max(0.0, time.time() - shard.snapshot.time / 1000))
            restored_at = shard.start if shard.snapshot is None else shard.snapshot.next
            behind.add_metric([str(tp.partition)], shard.position - restored_at)
        yield from (age, behind)
        counts = CounterMetricFamily("riverrun_snapshots", "Snapshots by what became of them", labels=["outcome"])
        for outcome, count in (
            ("taken", snapshots.taken),
            ("failed", snapshots.failed),
            ("restored", recovery.restored),
            ("refused", recovery.refused),
        ):
            counts.add_metric([outcome], count)
        yield counts
        dump, size, restore = snapshots.last_seconds, snapshots.last_bytes, recovery.last_seconds
        yield GaugeMetricFamily("riverrun_snapshot_cpu_seconds", "Processor time of the last dump", value=dump)
        yield GaugeMetricFamily("riverrun_snapshot_bytes", "What it wrote: the parts that had changed", value=size)
        yield GaugeMetricFamily("riverrun_restore_seconds", "What the last restore from a snapshot took", value=restore)
