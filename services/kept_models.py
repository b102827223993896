"""The models in the newest snapshot of a partition, each checked against what was signed before it is looked at."""

import hashlib
from collections.abc import Collection, Sequence
from importlib.metadata import version
from typing import Any

from schemas import topics
from schemas.errors import NotPicklableError, SnapshotError
from schemas.manifest import FORMAT, Manifest, Part
from schemas.signing import TrustedKeys
from services.topics import partition_counts
from streams import pickling
from streams.inventory import KeptModel, models_in
from streams.worker.settings import Settings
from streams.worker.stores.authentic import newest_of
from streams.worker.stores.opening import open_snapshots
from streams.worker.stores.store import SnapshotStore


def open_kept(settings: Settings, pipeline: str) -> SnapshotStore:
    """Return where the snapshots of a pipeline are.

    Raises
    ------
    SnapshotError
        When they would be in Kafka, and there is no topic of them.
    """
    manifests = topics.manifests(pipeline)
    if settings.snapshot_store == "kafka" and manifests not in partition_counts(settings):
        raise SnapshotError(
            f"no snapshots: there is no topic {manifests}; workers make it, unless RIVERRUN_SNAPSHOT_STORE says "
            "that snapshots are kept elsewhere: set it here, too"
        )
    return open_snapshots(settings, pipeline)


class KeptModels:
    """The models of one partition, as its newest snapshot holds them that can be believed.

    Parameters
    ----------
    store, trusted
        Where snapshots are, and whose are believed.
    pipeline
        Name of the pipeline.
    topic, partition
        The log that they are of.
    classes
        Classes besides River's that may be in them: `Pipeline.classes`.
    topic_id
        Kafka's id of the topic, empty where it knows none.

    Raises
    ------
    SnapshotError
        When there is none, or it was taken by another version.
    """

    def __init__(
        self,
        store: SnapshotStore,
        trusted: TrustedKeys,
        pipeline: str,
        topic: str,
        partition: int,
        classes: Collection[Any] = (),
        topic_id: str = "",
    ) -> None:
        self._store = store
        self._topic_id = topic_id
        self._classes = classes
        self._log = pipeline, topic, partition
        self._where = f"{topic}[{partition}]"
        self.manifest = self._newest(trusted)
        self._parts = {part.name: part for part in self.manifest.parts}

    def _newest(self, trusted: TrustedKeys) -> Manifest:
        """Return the newest manifest that somebody trusted has signed, and that is of this log."""
        newest, refusals = newest_of(self._store, trusted, self._log, self._topic_id)
        if newest is not None:
            return newest
        doubt = f"; {len(refusals)} are not believed, the newest of them: {refusals[0]}" if refusals else ""
        advice = "; workers take one every RIVERRUN_SNAPSHOT_INTERVAL" if not refusals else ""
        raise SnapshotError(f"{self._where}: there is no snapshot yet{advice}{doubt}")

    def models(self) -> list[KeptModel]:
        """List the models; the state beside them is loaded, they are not.

        Raises
        ------
        SnapshotError
            When the state is damaged, of another version, or made of classes that are not known here.
        """
        [data] = self.data(["state"])
        return models_in(self._load(data)["lifecycle"])

    def part(self, name: str) -> Part:
        """Return where the bytes of a part are.

        Raises
        ------
        SnapshotError
            When the snapshot has none of that name.
        """
        if name not in self._parts:
            raise SnapshotError(f"{self._where}: the snapshot at {self.manifest.next} has no part {name}")
        return self._parts[name]

    def find(self, name: str) -> KeptModel:
        """Return a model by its name, or by its role where nobody else has that.

        Raises
        ------
        SnapshotError
            When there is none; those that are there are named.
        """
        models = self.models()
        found = [model for model in models if name in (model.name, model.part)]
        found = found or [model for model in models if model.role == name]
        if len(found) == 1:
            return found[0]
        known = ", ".join(f"{model.name} ({model.role})" for model in models)
        raise SnapshotError(
            f"{self._where}: got model {name!r}, expected one of the snapshot at {self.manifest.next}: {known}"
        )

    def data(self, names: Sequence[str]) -> list[bytes]:
        """Return the bytes of parts, once they are known to be those that were signed.

        Raises
        ------
        SnapshotError
            When they are not, or are not there any more.
        """
        # A part of a topic is read where it stands: one after the other, in the order of their places.
        parts = sorted({name: self.part(name) for name in names}.values(), key=lambda part: part.places)
        found: dict[str, bytes] = {}
        for part, data in zip(parts, self._store.get(self._log[2], parts), strict=True):
            if hashlib.sha256(data).hexdigest() != part.digest:
                raise SnapshotError(f"{self._where}: part {part.name}: its bytes are not those that were signed")
            found[part.name] = data
        return [found[name] for name in names]

    def load(self, models: Sequence[KeptModel]) -> list[Any]:
        """Return models, each a copy of its own.

        Raises
        ------
        SnapshotError
            When one is damaged, of another version, or made of classes that are not known here.
        """
        return [self._load(data) for data in self.data([model.part for model in models])]

    def _load(self, data: bytes) -> Any:
        identity, here = self.manifest.identity, version("river")
        if (identity.river, identity.format) != (here, FORMAT):
            raise SnapshotError(
                f"{self._where}: the snapshot is of River {identity.river}, format {identity.format}; here are "
                f"River {here}, format {FORMAT}: read it with the version that wrote it"
            )
        try:
            return pickling.loads(data, further=self._classes)
        except NotPicklableError as error:
            raise SnapshotError(
                f"{self._where}: {error}; name the declaration it was taken under as FILE.py:NAME, which brings its "
                "classes"
            ) from None
