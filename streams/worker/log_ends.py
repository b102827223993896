"""Where the logs end for those who read committed records, asked of the broker beside the worker's own clients."""

import logging
import time
from collections.abc import Mapping

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from faust.types import TP
from msgspec import Struct

from streams.worker.settings import Settings

#: Said of a position that the log does not reach back to any more.
_OUT_OF_RANGE = (KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET)

log = logging.getLogger("riverrun.worker")


class _Stand(Struct, frozen=True):
    """Where a position stands, and what is known of what follows it."""

    at: int
    empty_to: int = -1
    holds_record: bool = False


class LogEnds:
    """Asks where the logs end, with clients of its own, and tells records from what only takes up offsets.

    Markers of transactions and aborted records take offsets at the end of a log, and nobody will ever read them. So
    when a position stands still before the end of its log, a reader looks, once, whether there is a record.

    Parameters
    ----------
    settings
        Of the deployment.
    group_id
        For the rights of the reader, which joins no group and commits nothing.
    seconds
        How long the broker is given for an answer.
    """

    def __init__(self, settings: Settings, group_id: str, seconds: float) -> None:
        # What these clients have to complain of, the worker's own have said.
        self._config = settings.client(**{"client.id": "riverrun-log-ends", "log_level": 0})
        self._group_id = group_id
        self._seconds = seconds
        self._admin: AdminClient | None = None
        self._stood: dict[TP, _Stand] = {}

    def beyond(self, positions: Mapping[TP, int]) -> dict[TP, int]:
        """Return the end of each log, or its position where no record follows it; what is not known is left out."""
        ends = self._ask(list(positions))
        doubtful = {tp for tp, end in ends.items() if self._doubts(tp, positions[tp], end)}
        found = self._look({tp: positions[tp] for tp in doubtful})
        for tp, holds_record in found.items():
            self._stood[tp] = _Stand(positions[tp], -1 if holds_record else ends[tp], holds_record)
        return {
            tp: positions[tp] if self._stood[tp].empty_to >= end else end
            for tp, end in ends.items()
            if tp not in doubtful or tp in found
        }

    def _doubts(self, tp: TP, at: int, end: int) -> bool:
        """Tell whether a position stands where it stood before, and what follows has not been looked at."""
        stand = self._stood.get(tp)
        if stand is None or stand.at != at:
            self._stood[tp] = _Stand(at)
            return False
        return stand.empty_to < end and not stand.holds_record

    def _ask(self, tps: list[TP]) -> dict[TP, int]:
        if not tps:
            return {}
        if self._admin is None:
            self._admin = AdminClient(self._config)
        latest = {TopicPartition(tp.topic, tp.partition): OffsetSpec.latest() for tp in tps}
        answers = self._admin.list_offsets(
            latest, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=self._seconds
        )
        deadline = time.monotonic() + self._seconds
        ends = {}
        for partition, answer in answers.items():
            try:
                offset = answer.result(max(0.0, deadline - time.monotonic())).offset
            except (KafkaException, TimeoutError) as error:
                log.debug("no end of %s[%d]: %s", partition.topic, partition.partition, error)
            else:
                ends[TP(partition.topic, partition.partition)] = offset
        return ends

    def _look(self, positions: Mapping[TP, int]) -> dict[TP, bool]:
        """Return whether a record follows each position; what is not known in time is left out.

        One does where the log has been cut off behind a position: nobody has read what was there.
        """
        found: dict[TP, bool] = {}
        if not positions:
            return found
        reader = Consumer(
            self._config
            | {
                "group.id": self._group_id,
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
            }
        )
        try:
            reader.assign([TopicPartition(tp.topic, tp.partition, at) for tp, at in positions.items()])
            deadline = time.monotonic() + self._seconds
            while len(found) < len(positions) and (left := deadline - time.monotonic()) > 0:
                message = reader.poll(left)
                if message is None:
                    break
                error = message.error()
                tp = TP(message.topic(), message.partition())
                if error is None or error.code() in _OUT_OF_RANGE:
                    found.setdefault(tp, True)
                elif error.code() == KafkaError._PARTITION_EOF:
                    found.setdefault(tp, False)
        finally:
            reader.close()
        return found
