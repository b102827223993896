"""Declares a pipeline anew in its log: the workers with the declaration before finish there and hand over."""

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing

from msgspec import Struct

from schemas.commands import Declare
from schemas.manifest import Manifest
from services.commanding import Sent, send
from services.groups import GroupOffsets
from services.topics import require_topic
from streams.pipeline import Pipeline
from streams.takeover import Takeover
from streams.worker.declarations import DeclarationLog
from streams.worker.keys import load_operators, load_trusted
from streams.worker.settings import Settings
from streams.worker.stores.authentic import newest_of
from streams.worker.stores.opening import open_snapshots

_SECONDS = 30.0
_STEP_SECONDS = 1.0


class Handover(Struct, frozen=True):
    """How far a partition is on its way to a new declaration.

    Parameters
    ----------
    partition
        Its number.
    position
        Where the new declaration begins.
    committed
        What the workers have committed, -1 before the first time.
    snapshot
        Position of the newest snapshot, -1 when there is none, None when that is not known.
    """

    partition: int
    position: int
    committed: int
    snapshot: int | None

    @property
    def is_done(self) -> bool:
        """Whether the workers before have come to the place, and have left a snapshot there."""
        if self.position == 0:
            return True
        return self.committed >= self.position and (self.snapshot is None or self.snapshot >= self.position)


def changes(pipeline: Pipeline, newest: Manifest | None, successor: Declare | None = None) -> Takeover | None:
    """Return what a declaration changes, None when nothing was learned under another one yet.

    Parameters
    ----------
    pipeline
        The new declaration.
    newest
        The newest snapshot.
    successor
        The declaration that begins where that was taken, if one does.
    """
    if newest is None:
        return None
    if successor is not None:
        return Takeover.between(successor.declaration, successor.declared, pipeline.declared)
    return Takeover.between(newest.identity.declaration, newest.declared, pipeline.declared)


class Standings:
    """Under which declaration the partitions of a pipeline are read.

    Parameters
    ----------
    pipeline
        The new declaration.
    settings
        Of the deployment.
    topic_id
        Kafka's id of the input topic, empty where it knows none.

    Raises
    ------
    ConfigurationError
        When this machine cannot read the snapshots, or has no keys.
    """

    def __init__(self, pipeline: Pipeline, settings: Settings, topic_id: str = "") -> None:
        self._store, self._trusted = open_snapshots(settings, pipeline.name), load_trusted(settings.trusted_keys)
        self._log, self._topic_id = (pipeline.name, pipeline.source_topic), topic_id
        operators = load_operators(settings)
        self._declarations = DeclarationLog(settings.client(), pipeline.source_topic, pipeline.name, operators)

    def newest(self, partition: int) -> Manifest | None:
        """Return the newest snapshot of a partition that can be believed, None when there is none.

        Raises
        ------
        SnapshotError
            When the store does not answer.
        """
        return newest_of(self._store, self._trusted, (*self._log, partition), self._topic_id)[0]

    def successor(self, partition: int, newest: Manifest | None) -> Declare | None:
        """Return the command by which another declaration begins where a snapshot was taken, if one does.

        Raises
        ------
        SnapshotError
            When the log does not answer.
        """
        found = None if newest is None else self._declarations.at(partition, newest.next)
        return found.command if found is not None and isinstance(found.command, Declare) else None


def declare(pipeline: Pipeline, settings: Settings, *, fresh: bool, who: str, why: str) -> Sent:
    """Write the declaration into every partition of the input topic, in one transaction.

    Parameters
    ----------
    pipeline
        The new declaration.
    settings
        Of the deployment.
    fresh
        Whether a changed model replaces the one that serves at once.
    who, why
        For those who read the log later.

    Returns
    -------
    The command: where it stands in each partition, and its id.

    Raises
    ------
    ConfigurationError
        When commands are to be signed, and there is no key.
    BrokerError
        When the broker does not take it; nothing is declared then.
    """
    topic = pipeline.source_topic
    partitions = require_topic(settings, topic)
    command = Declare(pipeline.name, pipeline.declaration, pipeline.declared, fresh, who, why)
    return send(settings, topic, dict.fromkeys(range(partitions), command), "deploy")


def handovers(
    pipeline: Pipeline, settings: Settings, offsets: Mapping[int, int], snapshot_at: Callable[[int], int | None]
) -> Generator[list[Handover], None, None]:
    """Yield how far the partitions are, each second, until all are handed over.

    Parameters
    ----------
    pipeline
        The new declaration.
    settings
        Of the deployment.
    offsets
        Where the command stands, as `declare` told.
    snapshot_at
        Returns the position of a partition's newest snapshot, None when that is not known. It is asked for at first,
        and when the partition has come to the place: no snapshot is taken there before.

    Raises
    ------
    KafkaException
        When the broker does not tell how far the group is.
    """
    snapshots: dict[int, int | None] = {}
    with closing(GroupOffsets(settings, settings.group_of(pipeline.name))) as group:
        while True:
            committed = group.committed(pipeline.source_topic, offsets, _SECONDS)
            found = []
            for n, offset in sorted(offsets.items()):
                at = committed[n].offset if n in committed else -1
                if n not in snapshots or (at >= offset and (snapshots[n] or -1) < offset):
                    snapshots[n] = snapshot_at(n)
                found.append(Handover(n, offset, at, snapshots[n]))
            yield found
            if all(one.is_done for one in found):
                return
            time.sleep(_STEP_SECONDS)
