"""What a log has done to the workers that read it: how often one began at a position and came no further."""

from typing import Any

import msgspec
from msgspec import Struct

from schemas.errors import SnapshotError

#: So many workers may die at a position before its record is passed over.
DEATHS = 3
#: So many records behind the offset at which workers have died are committed one by one.
CAREFUL_RECORDS = 1_000


class Attempts(Struct, frozen=True, forbid_unknown_fields=True):
    """The workers that began at a committed offset, since it has not moved.

    Parameters
    ----------
    pipeline, topic, partition
        Whose log it is.
    committed
        The committed offset they found.
    starts
        How many began there, and ended without a word.
    skips
        Positions whose record is passed over, now and in every replay: the first one at or after each.
    topic_id
        As in `schemas.manifest.Identity`.

    Examples
    --------
    >>> attempts = Attempts("flights", "flights.raw", 0)
    >>> for _ in range(4):
    ...     attempts = attempts.begun_at(1042)
    ...     print(attempts.starts, attempts.is_careful, attempts.skips)
    1 False ()
    2 True ()
    3 True ()
    1 False (1042,)
    """

    pipeline: str
    topic: str
    partition: int
    committed: int = -1
    starts: int = 0
    skips: tuple[int, ...] = ()
    topic_id: str = ""

    def begun_at(self, committed: int) -> "Attempts":
        """Return the attempts with one more, of a worker that begins at a committed offset.

        The fourth worker passes over the record at which three have died. One that was careful and came further died
        at the very offset that is found now.
        """
        if self.is_careful and self.committed < committed <= self.committed + CAREFUL_RECORDS:
            return msgspec.structs.replace(self, committed=committed, starts=2)
        if committed != self.committed:
            return msgspec.structs.replace(self, committed=committed, starts=1)
        if self.starts < DEATHS:
            return msgspec.structs.replace(self, starts=self.starts + 1)
        return msgspec.structs.replace(self, starts=1, skips=(*self.skips, committed))

    @property
    def is_careful(self) -> bool:
        """Whether a worker should commit record by record, so that the next one knows at which it died."""
        return self.starts > 1

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "Attempts":
        """Return the attempts in a document.

        Raises
        ------
        SnapshotError
            When it holds none.
        """
        try:
            return msgspec.convert(document, cls)
        except msgspec.ValidationError as error:
            raise SnapshotError(f"no attempts: {error}") from None
