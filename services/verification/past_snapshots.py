"""The snapshots of a partition, seen from a position in its past."""

import platform
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version

from schemas.attempts import Attempts
from schemas.errors import RiverrunError, SnapshotError
from schemas.manifest import Identity, Manifest, Part, is_same_topic
from schemas.operators import SignedCommand
from schemas.signing import TrustedKeys
from streams.worker.stores.authentic import opened
from streams.worker.stores.store import SnapshotStore


class PastSnapshots:
    """The snapshots that may be of use at a position, and what the others tell.

    `Recovery` reads it as a store; it decides what of it is to be believed once more.

    Parameters
    ----------
    store, trusted
        Where they are, and whose are believed.
    declared_at
        As `Recovery`.
    identity
        Whose state is wanted.
    positions
        Of what use a snapshot has to be: not before the beginning of the log, not behind the position.
    """

    def __init__(
        self,
        store: SnapshotStore,
        trusted: TrustedKeys,
        declared_at: Callable[[int, int], SignedCommand | None],
        identity: Identity,
        positions: range,
    ) -> None:
        self.remarks: list[str] = []
        self._store = store
        self._trusted = trusted
        self._identity = identity
        self._declared_at = declared_at
        self._positions = positions
        self._useful: list[bytes] = []
        #: Those of this log, whatever declaration and version wrote them.
        self._manifests: list[Manifest] = []
        try:
            self._read()
            noted = self._noted_skips()
        except SnapshotError as error:
            self.remarks.append(f"no snapshots: {error}")
            noted = ()
        # A position was passed over after the snapshots before it were taken: only the newest know all of them.
        newest = self._manifests[0].skips if self._manifests else ()
        self.skips = tuple(sorted({*newest, *noted}))

    def _read(self) -> None:
        refusals: list[str] = []
        for found in opened(self._store, self._trusted, self._identity.partition):
            manifest = found.manifest
            if manifest is None:
                refusals.append(found.refusal)
                continue
            if manifest.identity.is_of_former(self._identity):
                continue
            if manifest.identity.log == self._identity.log:
                self._manifests.append(manifest)
            if manifest.next in self._positions and self._leads_on(manifest):
                self._useful.append(found.document)
        if refusals:
            self.remarks.append(f"{len(refusals)} snapshots are not believed, the newest of them: {refusals[0]}")

    def _leads_on(self, manifest: Manifest) -> bool:
        """Tell whether a snapshot is of the wanted declaration, or one that this declaration took over."""
        differs = manifest.differs_from(self._identity)
        if differs != ["declaration"]:
            return not differs
        command = self._declared_at(self._identity.partition, manifest.next)
        return command is not None and command.declares == self._identity.declaration

    def _noted_skips(self) -> tuple[int, ...]:
        document = self._store.noted(self._identity.partition)
        try:
            noted = None if document is None else Attempts.from_document(self._trusted.open(document))
        except RiverrunError:
            return ()
        if noted is None or (noted.pipeline, noted.topic, noted.partition) != self._identity.log:
            return ()
        return noted.skips if is_same_topic(noted.topic_id, self._identity.topic_id) else ()

    @property
    def other_versions(self) -> str:
        """The versions that were at work at the position, where they are others than those here; else nothing."""
        at_work = self._next_one or max(
            (m for m in self._manifests if m.identity.declaration == self._identity.declaration),
            key=lambda manifest: manifest.next,
            default=None,
        )
        if at_work is None:
            return ""
        then = {"River": at_work.identity.river, "riverrun": at_work.riverrun, "Python": at_work.python}
        here = {"River": version("river"), "riverrun": version("riverrun"), "Python": platform.python_version()}
        return ", ".join(f"{name} {then[name]}, here {here[name]}" for name in then if then[name] != here[name])

    def doubt(self, used: Manifest) -> str:
        """Say why the state at the position may not have come from a snapshot, nothing when there is no such reason."""
        following = self._next_one
        if following is None or following.parent is not None:
            return ""
        return (
            f"between the snapshot at {used.next} and the next that is kept, at {following.next}, a worker began "
            "without a snapshot: the model of that time may have another past"
        )

    @property
    def _next_one(self) -> Manifest | None:
        """The first snapshot beyond the position."""
        beyond = (
            manifest
            for manifest in self._manifests
            if manifest.next >= self._positions.stop and manifest.identity.declaration == self._identity.declaration
        )
        return min(beyond, key=lambda manifest: manifest.next, default=None)

    def manifests(self, partition: int) -> Iterator[bytes]:
        """Yield those that may be of use, the newest first."""
        return iter(self._useful)

    def get(self, partition: int, parts: Sequence[Part]) -> Iterator[bytes]:
        """Yield parts."""
        return self._store.get(partition, parts)
