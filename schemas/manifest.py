"""What a snapshot consists of: its position, whose state it is, and the parts it is stored in."""

from typing import Any

import msgspec
from msgspec import Struct

from schemas.errors import SnapshotError

#: Raised when the parts mean something else than before.
FORMAT = 10

#: Name of the pipeline, input topic and partition.
Log = tuple[str, str, int]


def is_same_topic(one: str, other: str) -> bool:
    """Tell whether two ids may be of one topic: a topic that is deleted and made anew has another.

    Examples
    --------
    >>> is_same_topic("9kPz", "9kPz"), is_same_topic("9kPz", "M2x1"), is_same_topic("9kPz", "")
    (True, False, True)
    """
    return one == other or not (one and other)


class Identity(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose state a snapshot is; one of another identity is not loaded.

    Parameters
    ----------
    pipeline
        Name of the pipeline.
    declaration
        Digest of all that can change an answer.
    topic
        The input topic.
    partition, partitions
        Number of the partition, and how many the topic has: keys live elsewhere when that changes.
    river
        Version of River, whose objects change between versions.
    format
        Of the parts.
    topic_id
        Kafka's own name for the topic, another one for each topic that was ever given this name. Empty where that is
        not known: such a state may be of any of them.
    """

    pipeline: str
    declaration: str
    topic: str
    partition: int
    partitions: int
    river: str
    format: int = FORMAT
    topic_id: str = ""

    @property
    def log(self) -> Log:
        """The log that the state is of, under whatever declaration and version."""
        return self.pipeline, self.topic, self.partition

    def is_of_former(self, present: "Identity") -> bool:
        """Tell whether the state is of a former topic, which had the present one's name and was deleted."""
        return self.log == present.log and not is_same_topic(self.topic_id, present.topic_id)


class Part(Struct, frozen=True, forbid_unknown_fields=True):
    """A piece of state that is stored once, and referred to as long as it does not change.

    Parameters
    ----------
    name
        Such as ``champion`` or ``pending-17``.
    digest
        SHA-256 of its bytes, 64 hexadecimal digits.
    size_bytes
        Their number.
    entries
        How many entries it held when it was written, 0 where that means nothing.
    since
        Position of the snapshot that wrote it.
    places
        Offsets of its chunks, where the store is a Kafka topic.
    writing
        Tells this writing of the bytes from every other: state is deterministic, so that two workers may write the
        same bytes at the same position.
    """

    name: str
    digest: str
    size_bytes: int
    entries: int
    since: int
    places: tuple[int, ...] = ()
    writing: str = ""


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    """A snapshot: the state of one partition's task before the record at `next`.

    Parameters
    ----------
    identity
        Whose state it is.
    next
        Offset of the first record that the state has not seen.
    declared
        Digest of each declared field, by name.
    parts
        Where the state is.
    time
        When it was taken, milliseconds since 1970.
    riverrun, python
        Versions that wrote it, for the record.
    parent
        Position of the snapshot before it, None for the first of a worker's life.
    skips
        Positions that are passed over in every replay, see `schemas.attempts`.

    Examples
    --------
    >>> identity = Identity("flights", "0123456789ab", "flights.raw", 0, 1, "0.26.1")
    >>> manifest = Manifest(identity, 1042, (Part("state", "0" * 64, 10, 0, 1042),), 0, "0.1.0", "3.11.2")
    >>> Manifest.from_document(manifest.to_document()) == manifest
    True
    """

    identity: Identity
    next: int
    parts: tuple[Part, ...]
    time: int
    riverrun: str
    python: str
    parent: int | None = None
    skips: tuple[int, ...] = ()
    declared: dict[str, str] = {}

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "Manifest":
        """Return the manifest in a document.

        Raises
        ------
        SnapshotError
            When it is none.
        """
        try:
            return msgspec.convert(document, cls)
        except msgspec.ValidationError as error:
            raise SnapshotError(f"no manifest: {error}") from None

    def check(self, expected: Identity) -> None:
        """Raise `SnapshotError` when this is the state of something else."""
        for name in self.differs_from(expected):
            got, wanted = getattr(self.identity, name), getattr(expected, name)
            raise SnapshotError(f"another {name}: got {got!r}, expected {wanted!r}")

    def differs_from(self, expected: Identity) -> list[str]:
        """Return the names in which its identity is another."""
        mine = self.identity
        names = [n for n in Identity.__struct_fields__ if getattr(mine, n) != getattr(expected, n)]
        return [n for n in names if n != "topic_id" or not is_same_topic(mine.topic_id, expected.topic_id)]
