"""Makes the shard of an assigned partition: from a snapshot, or from the beginning of the log."""

import logging
from functools import partial

from faust.types import TP

from schemas.errors import BrokerError
from schemas.manifest import Identity, Manifest, is_same_topic
from schemas.operators import Operators
from streams.pipeline import Pipeline
from streams.snapshot import identity_of
from streams.takeover import Takeover
from streams.task import Task
from streams.worker.alignment import Alignment
from streams.worker.forked import checkpoint
from streams.worker.poller import Extent
from streams.worker.quarantine import Quarantine
from streams.worker.recovery import Recovered, Recovery
from streams.worker.settings import Settings
from streams.worker.shard import Shard

log = logging.getLogger("riverrun.worker")


class Restoration:
    """Decides from what the state of a partition is restored, and from where its log is read.

    Parameters
    ----------
    pipeline
        The declaration.
    partitions
        Partitions of the input topic when the worker starts.
    settings
        Of the deployment.
    operators
        Those whose commands are obeyed.
    recovery
        Restores tasks from snapshots; without, the whole log is replayed.
    quarantine
        Knows the records at which workers have died.
    alignment
        Knows how many partitions the input topic has now.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        partitions: int,
        settings: Settings,
        operators: Operators,
        recovery: Recovery | None,
        quarantine: Quarantine | None,
        alignment: Alignment | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._partitions = partitions
        self._settings = settings
        self._operators = operators
        self._recovery = recovery
        self._quarantine = quarantine
        self._alignment = alignment
        #: For partitions that came later: how many there were when one was first seen.
        self._partitions_with: dict[int, int] = {}
        #: Partitions that wait and are not told of yet, by what there is to say of them.
        self._waiting: dict[tuple[str, str, str], list[Extent]] = {}

    def shard(self, extent: Extent) -> Shard | None:
        """Return the shard of a partition, None when this worker's declaration is not the one that is to read on.

        Raises
        ------
        BrokerError
            When the snapshots cannot be read; when the log no longer reaches back and `on_state_lost` is ``stop``.
        """
        emit_from = max(extent.committed, extent.low)
        recovered = self._recovered(extent)
        if recovered.task is None and recovered.unreadable:
            raise BrokerError(
                f"{extent.tp.topic}[{extent.tp.partition}]: the snapshots cannot be read: {recovered.unreadable}. "
                "Nothing is lost: the worker ends, and the next start tries again"
            )
        attempts = None
        if self._quarantine is not None:
            attempts = self._quarantine.look(extent.tp.partition, emit_from, recovered.skips, extent.topic_id)
        if self._settings.on_new_declaration == "wait" and self._is_foreign(extent, recovered):
            self._note_who_waits(extent, recovered.foreign)
            return None
        if recovered.task is not None and recovered.manifest is not None:
            position = recovered.manifest.next
            return Shard(recovered.task, position, emit_from, recovered.manifest, attempts, extent.topic_id)
        task, start = self._fresh_task(extent.tp), extent.low
        if extent.committed > 0 and extent.low > 0:
            start = self._without_history(extent)
        task.next_offset = start
        return Shard(task, start, emit_from, None, attempts, extent.topic_id)

    def holds(self, shard: Shard, extent: Extent) -> bool:
        """Tell whether a shard that was released cleanly can go on: nobody has committed, or passed anything over."""
        if shard.position != extent.committed or not is_same_topic(shard.topic_id, extent.topic_id):
            return False
        if self._quarantine is not None:
            attempts = self._quarantine.look(extent.tp.partition, extent.committed, shard.skips, extent.topic_id)
            if attempts.skips != shard.skips:
                return False
            shard.emit_from = extent.committed
            shard.begin(attempts)
        return True

    def _is_foreign(self, extent: Extent, recovered: Recovered) -> bool:
        """Tell whether the log was read under another declaration, which has not handed over to this one."""
        if recovered.foreign is not None:
            return True
        hands_over = recovered.manifest is not None and recovered.manifest.identity.declaration == extent.declaration
        return extent.declaration not in ("", self._pipeline.declaration) and not hands_over

    def say_who_waits(self) -> None:
        """Say which partitions were found to be another declaration's since this was said, those alike in one line."""
        for (before, other, advice), extents in self._waiting.items():
            (topic, number), many = extents[0].tp, len(extents) > 1
            places = ", ".join(f"{extent.tp.partition} up to {extent.committed}" for extent in extents)
            log.error(
                "%s %s read under declaration %s, and no snapshot there hands over to %s, this worker's%s. %s "
                "RIVERRUN_ON_NEW_DECLARATION=relearn reads all of the log again under this one",
                f"{len(extents)} partitions of {topic} are left alone:"
                if many
                else f"{topic}[{number}] is left alone:",
                f"{places} were" if many else f"up to {extents[0].committed} it was",
                before,
                self._pipeline.declaration,
                other,
                advice,
            )
        self._waiting = {}

    def _note_who_waits(self, extent: Extent, foreign: Manifest | None) -> None:
        before = extent.declaration if foreign is None else foreign.identity.declaration
        changed = () if foreign is None else Takeover.between("", foreign.declared, self._pipeline.declared).changed
        river = self.identity(extent.tp, extent.topic_id).river
        if foreign is not None and foreign.identity.river != river:
            advice = f"That snapshot is of River {foreign.identity.river}, which {river} cannot be trusted to load:"
        else:
            advice = "`riverrun deploy` has workers with the declaration before do that;"
        other = f" (other: {', '.join(changed)})" if changed else ""
        self._waiting.setdefault((before, other, advice), []).append(extent)

    def _fresh_task(self, tp: TP) -> Task:
        # What was replayed was read under another declaration once: that is what relearning is.
        crosses = self._settings.on_new_declaration == "relearn"
        count = self._partition_count(tp.partition)
        return Task(self._pipeline, tp.partition, count, checkpoint, self._operators, crosses_declarations=crosses)

    def identity(self, tp: TP, topic_id: str) -> Identity:
        """Return whose state a partition's is, of the topic of an id."""
        return identity_of(self._pipeline, tp.partition, self._partition_count(tp.partition), topic_id)

    def _partition_count(self, number: int) -> int:
        """Return of how many partitions one is; it tells which labels are misrouted, so a worker keeps to it."""
        if self._alignment is None or number < self._partitions:
            return self._partitions
        return self._partitions_with.setdefault(number, self._alignment.partitions)

    def _recovered(self, extent: Extent) -> Recovered:
        if self._recovery is None or extent.committed <= 0:
            return Recovered()
        fresh, identity = partial(self._fresh_task, extent.tp), self.identity(extent.tp, extent.topic_id)
        return self._recovery.recover(fresh, identity, extent.low, extent.committed)

    def _without_history(self, extent: Extent) -> int:
        """Return where to start when the beginning of the log is gone."""
        where = f"{extent.tp.topic}[{extent.tp.partition}]"
        if self._settings.on_state_lost == "stop":
            raise BrokerError(
                f"{where}: state lost: the log begins at {extent.low}, the model has learned from records before it. "
                "RIVERRUN_ON_STATE_LOST=earliest relearns from what is left, =fresh goes on with a new model."
            )
        start = extent.low if self._settings.on_state_lost == "earliest" else max(extent.committed, extent.low)
        log.warning("%s: state lost, the log begins at %d: starting at %d", where, extent.low, start)
        return start
