"""Finds the newest snapshot that can be believed, and makes a task of it."""

import hashlib
import logging
import time
from collections.abc import Callable

from msgspec import Struct

from schemas.errors import RiverrunError, SnapshotError, StoreError
from schemas.manifest import Identity, Manifest
from schemas.operators import SignedCommand
from schemas.signing import TrustedKeys
from streams import snapshot
from streams.takeover import Takeover
from streams.task import Task
from streams.worker.stores.authentic import opened
from streams.worker.stores.store import SnapshotStore

log = logging.getLogger("riverrun.worker")

#: How many manifests are looked at before the log is read from its beginning.
_LOOKED_AT = 16


class Recovered(Struct, frozen=True):
    """What snapshots know of a partition.

    Parameters
    ----------
    task
        The task as it was at the newest snapshot that can be used; None without one.
    manifest
        The manifest of that.
    skips
        Positions that have to be passed over, whatever the state is restored from.
    foreign
        The newest snapshot of this log when it was taken under a declaration that has not handed over to this one.
    unreadable
        Why there may be snapshots that nobody knows of: what the store says that did not answer. Empty when it did.
    """

    task: Task | None = None
    manifest: Manifest | None = None
    skips: tuple[int, ...] = ()
    foreign: Manifest | None = None
    unreadable: str = ""


class Recovery:
    """Restores tasks from snapshots.

    Nothing is loaded before signature, identity, position and digests are checked, and then only classes that are on
    the list. What does not pass is passed over, with a word why: the log itself can restore everything, it only takes
    longer.

    Parameters
    ----------
    store
        Where snapshots are kept.
    trusted
        Keys whose snapshots are believed.
    declared_at
        Tells which declaration begins at a position of a partition, if one does: the state before it is taken over.
    """

    def __init__(
        self,
        store: SnapshotStore,
        trusted: TrustedKeys,
        declared_at: Callable[[int, int], SignedCommand | None] = lambda partition, position: None,
    ) -> None:
        self.refused = self.restored = 0
        self.last_seconds = 0.0
        self._store = store
        self._trusted = trusted
        self._declared_at = declared_at

    def recover(self, fresh: Callable[[], Task], identity: Identity, low: int, committed: int) -> Recovered:
        """Return the newest state from which the log can be read on, if there is one.

        Parameters
        ----------
        fresh
            Makes a task of the declaration.
        identity
            Whose state is wanted.
        low, committed
            First offset that the log still has, and the committed one: only a snapshot between them is of use.
        """
        began = time.monotonic()
        where = f"{identity.topic}[{identity.partition}]"
        try:
            authentic = self._authentic(identity, committed, where)
            credible = self._credible(authentic, identity, low, committed, where)
        except SnapshotError as error:
            log.warning("%s: no snapshots: %s", where, error)
            return Recovered(unreadable=str(error))
        newest = next((m for m in authentic if m.identity.log == identity.log), None)
        skips, unreadable = () if newest is None else newest.skips, ""
        for manifest in credible:
            try:
                task = self._load(fresh(), manifest)
            except StoreError as error:
                unreadable = str(error)
                log.warning("%s: snapshot at %d cannot be read: %s", where, manifest.next, error)
                continue
            except Exception as error:  # whatever a part may hold
                self._refuse(where, f"snapshot at {manifest.next}: {_words(error)}")
                continue
            self.restored += 1
            self.last_seconds = time.monotonic() - began
            return Recovered(task, manifest, skips)
        is_foreign = newest is not None and newest.identity.declaration != identity.declaration
        return Recovered(skips=skips, foreign=newest if is_foreign else None, unreadable=unreadable)

    def _authentic(self, identity: Identity, committed: int, where: str) -> list[Manifest]:
        """Return the newest manifests that somebody trusted has signed, the newest first, none of a deleted topic.

        Those beyond the committed offset are not counted: a group that was set back finds the one below it.
        """
        authentic, looked_at, former = list[Manifest](), 0, 0
        for found in opened(self._store, self._trusted, identity.partition):
            if found.manifest is None:
                self._refuse(where, found.refusal)
                looked_at += 1
            elif found.manifest.identity.is_of_former(identity):
                former += 1
            else:
                authentic.append(found.manifest)
                looked_at += found.manifest.next <= committed
            if looked_at == _LOOKED_AT:
                break
        if former:
            log.warning("%s: %d snapshots are of a deleted topic of that name: passed over", where, former)
        return authentic

    def _credible(
        self, manifests: list[Manifest], identity: Identity, low: int, committed: int, where: str
    ) -> list[Manifest]:
        """Return the manifests that may be loaded, the newest state first."""
        credible: list[Manifest] = []
        oldest = committed
        for manifest in manifests:
            if manifest.differs_from(identity) == ["declaration"]:
                if not self._hands_over(manifest, identity):
                    continue  # of a declaration before: there is nothing wrong with it
            else:
                try:
                    manifest.check(identity)
                except SnapshotError as error:
                    self._refuse(where, str(error))
                    continue
            if not low <= manifest.next <= committed:
                continue  # of no use: the log begins later, or somebody has set the group back
            if manifest.next > oldest:
                # Newest first: what was written before cannot be of later. Somebody wrote an old one once more.
                self._refuse(where, f"snapshot at {oldest} stands behind that at {manifest.next}: written again")
            oldest = min(oldest, manifest.next)
            credible.append(manifest)
        return sorted(credible, key=lambda manifest: -manifest.next)

    def _hands_over(self, manifest: Manifest, identity: Identity) -> bool:
        """Tell whether the wanted declaration begins in the log where a snapshot of the one before ends."""
        command = self._declared_at(identity.partition, manifest.next)
        return command is not None and command.declares == identity.declaration

    def _load(self, task: Task, manifest: Manifest) -> Task:
        parts = sorted(manifest.parts, key=lambda part: part.places)
        data: dict[str, bytes] = {}
        for part, found in zip(parts, self._store.get(manifest.identity.partition, parts), strict=True):
            if hashlib.sha256(found).hexdigest() != part.digest:
                raise SnapshotError(f"part {part.name}: its bytes are not those that were signed")
            data[part.name] = found
        before, now = manifest.identity.declaration, task.pipeline.declaration
        changes = Takeover.between(before, manifest.declared, task.pipeline.declared)
        snapshot.restore(task, data, changes if before != now or changes.changed else None)
        if before != now:
            command = self._declared_at(manifest.identity.partition, manifest.next)
            repeated = "no command says so" if command is None else task.orders.repeated(command)
            if repeated:
                raise SnapshotError(f"declaration {now} does not begin there: {repeated}")
        if task.next_offset > manifest.next:
            raise SnapshotError(f"its state is of {task.next_offset}, beyond it")
        return task

    def _refuse(self, where: str, why: str) -> None:
        self.refused += 1
        log.warning("%s: snapshot refused: %s", where, why)


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, RiverrunError) else f"{type(error).__name__}: {error}"
