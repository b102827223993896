"""Keeps a record that kills workers from killing them for ever."""

import logging

import msgspec

from schemas.attempts import CAREFUL_RECORDS, Attempts
from schemas.errors import RiverrunError, SealError, SnapshotError
from schemas.manifest import is_same_topic
from schemas.signing import Signer, TrustedKeys
from streams.worker.stores.store import SnapshotStore

log = logging.getLogger("riverrun.worker")


class Quarantine:
    """Counts the workers that began at a committed offset and never moved it.

    The count is written, beside the snapshots, before the first record is stepped through: whoever dies at it has been
    counted. A worker that ends in order, or with an error of riverrun's own, takes its count back, for that is no fault
    of a record; one that came further leaves none.

    Parameters
    ----------
    store
        Where the counts are kept.
    signer, trusted
        Sign them, and tell whose are believed.
    pipeline, topic
        Whose log it is.
    """

    def __init__(self, store: SnapshotStore, signer: Signer, trusted: TrustedKeys, pipeline: str, topic: str) -> None:
        self._store = store
        self._signer = signer
        self._trusted = trusted
        self._pipeline = pipeline
        self._topic = topic
        #: What this worker has written, by partition.
        self._begun: dict[int, Attempts] = {}

    def look(self, partition: int, committed: int, skips: tuple[int, ...], topic_id: str = "") -> Attempts:
        """Return the attempts at a committed offset, this worker's included; nothing is written yet.

        Parameters
        ----------
        partition
            Number of the partition.
        committed
            The committed offset that was found.
        skips
            Positions to be passed over, as far as a snapshot knows them.
        topic_id
            Kafka's id of the topic, empty where that is not known: nobody has died of a topic that is deleted.
        """
        noted = self._noted(partition, topic_id)
        # Where it was this worker that began there, and has lost the partition since, nobody has died.
        is_ours = noted.committed == committed and noted == self._begun.get(partition)
        attempts = noted if is_ours else noted.begun_at(committed)
        skips = tuple(sorted({*skips, *attempts.skips}))
        return msgspec.structs.replace(attempts, skips=skips, topic_id=topic_id or attempts.topic_id)

    def _noted(self, partition: int, topic_id: str = "") -> Attempts:
        none = Attempts(self._pipeline, self._topic, partition)
        try:
            document = self._store.noted(partition)
            noted = none if document is None else Attempts.from_document(self._trusted.open(document))
        except (SealError, SnapshotError) as error:
            log.warning("%s[%d]: no count of the workers that died: %s", self._topic, partition, error)
            return none
        mine = (noted.pipeline, noted.topic, noted.partition) == (self._pipeline, self._topic, partition)
        return noted if mine and is_same_topic(noted.topic_id, topic_id) else none

    def begin(self, attempts: Attempts) -> None:
        """Write the attempts down: from now on this worker may die."""
        if self._begun.get(attempts.partition) != attempts:
            self._write(attempts)
            self._begun[attempts.partition] = attempts
            if attempts.is_careful:
                log.warning(
                    "%s[%d]: start %d at offset %d: records are committed one by one",
                    attempts.topic,
                    attempts.partition,
                    attempts.starts,
                    attempts.committed,
                )

    def passed(self, partition: int, position: int) -> None:
        """Take note that a position was committed: who began before it has not died there, should anybody do so again.

        A careful worker's count stays as long as its next death would be blamed on the record at which it is.
        """
        attempts = self._begun.get(partition)
        if attempts is not None and position > attempts.committed + CAREFUL_RECORDS * attempts.is_careful:
            del self._begun[partition]
            self._write(msgspec.structs.replace(attempts, starts=0))

    def forgive(self) -> None:
        """Take back what was written: this worker ends, and no record is to blame."""
        for partition in list(self._begun):
            self.withdraw(partition)

    def withdraw(self, partition: int) -> None:
        """Take back what was written of one partition: its next record waits for another declaration."""
        attempts = self._begun.pop(partition, None)
        if attempts is not None and self._noted(partition) == attempts:  # else others have written since, and know more
            self._write(msgspec.structs.replace(attempts, starts=attempts.starts - 1))

    def _write(self, attempts: Attempts) -> None:
        try:
            self._store.note(attempts.partition, self._signer.seal(attempts.to_document()))
        except RiverrunError as error:
            log.warning("%s[%d]: this start is not counted: %s", attempts.topic, attempts.partition, error)
