"""The manifests of a store that somebody trusted has signed, and why the others are not believed."""

from collections.abc import Iterator

from msgspec import Struct

from schemas.errors import RiverrunError
from schemas.manifest import Log, Manifest, is_same_topic
from schemas.signing import TrustedKeys
from streams.worker.stores.store import SnapshotStore


class Opened(Struct, frozen=True):
    """A manifest as it was found.

    Parameters
    ----------
    document
        Its bytes.
    manifest
        What is in them; None when it is not to be believed.
    refusal
        Why not.
    """

    document: bytes
    manifest: Manifest | None
    refusal: str = ""


def opened(store: SnapshotStore, trusted: TrustedKeys, partition: int) -> Iterator[Opened]:
    """Yield the manifests in a partition of a store, the newest first, of whatever log, declaration and version.

    Parameters
    ----------
    store, trusted
        Where snapshots are, and whose are believed.
    partition
        Its number.

    Raises
    ------
    SnapshotError
        The store does not answer.
    """
    for document in store.manifests(partition):
        try:
            manifest = Manifest.from_document(trusted.open(document))
        except RiverrunError as error:
            yield Opened(document, None, str(error))
        else:
            yield Opened(document, manifest)


def newest_of(
    store: SnapshotStore, trusted: TrustedKeys, log: Log, topic_id: str = ""
) -> tuple[Manifest | None, list[str]]:
    """Return the newest manifest of a log, if there is one, and why those before it are not believed, newest first.

    Parameters
    ----------
    store, trusted
        As `opened`.
    log
        Which one: the signature says who wrote a manifest, never where it belongs.
    topic_id
        Kafka's id of the topic, empty where that is of no interest or not known.

    Raises
    ------
    SnapshotError
        The store does not answer.
    """
    refusals: list[str] = []
    for found in opened(store, trusted, log[2]):
        if found.manifest is None:
            refusals.append(found.refusal)
        elif found.manifest.identity.log != log:
            pipeline, topic, partition = found.manifest.identity.log
            refusals.append(f"it is of {pipeline}, {topic}[{partition}]")
        elif not is_same_topic(found.manifest.identity.topic_id, topic_id):
            refusals.append("it is of a deleted topic of that name")
        else:
            return found.manifest, refusals
    return None, refusals
