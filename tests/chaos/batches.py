"""The record batches of a partition as they lie on a broker's disk: who wrote them, and what became of them."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from msgspec import Struct

# Base offset, length; then within it: leader epoch, magic, CRC, attributes, last offset's delta, first and last
# timestamp, producer's id and epoch, base sequence, number of records.
_HEAD = struct.Struct(">qi")
_FIELDS = struct.Struct(">ibIhiqqqhii")
_CONTROL = 0x20
# Of a control record: length, attributes, two deltas, length of the key are one byte each; then version and type.
_CONTROL_TYPE = struct.Struct(">hh")
_CONTROL_AT = 5


class WrittenBatch(Struct, frozen=True):
    """A batch.

    Parameters
    ----------
    offset
        Of its first record.
    producer
        Id of the producer.
    time_ms
        Of its last record; of a marker, when it was written.
    marker
        ``commit`` or ``abort`` where it ends a transaction, None where it holds data.
    """

    offset: int
    producer: int
    time_ms: int
    marker: Literal["commit", "abort"] | None


def batches(folder: Path) -> Iterator[WrittenBatch]:
    """Yield the batches in the folder of a partition, such as ``p.predictions-0``, in order."""
    for segment in sorted(folder.glob("*.log")):
        data = segment.read_bytes()
        start = 0
        while start + _HEAD.size + _FIELDS.size <= len(data):
            offset, length = _HEAD.unpack_from(data, start)
            if length <= 0:
                break  # preallocated, not written yet
            _, _, _, attributes, _, _, time_ms, producer, *_ = _FIELDS.unpack_from(data, start + _HEAD.size)
            marker: Literal["commit", "abort"] | None = None
            if attributes & _CONTROL:
                at = start + _HEAD.size + _FIELDS.size + _CONTROL_AT
                marker = "commit" if _CONTROL_TYPE.unpack_from(data, at)[1] == 1 else "abort"
            yield WrittenBatch(offset, producer, time_ms, marker)
            start += _HEAD.size + length
