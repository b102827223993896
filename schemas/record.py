"""A record as Kafka hands it over."""

from msgspec import Struct

from schemas.position import Position

Headers = list[tuple[str, bytes | None]]


class Record(Struct, frozen=True, gc=False):
    """One record of the input topic, undecoded.

    Parameters
    ----------
    topic, partition, offset
        Where it stands.
    timestamp_ms
        Kafka's timestamp in milliseconds since 1970, -1 when there is none.
    key, value
        The bytes as they came; None where Kafka has null.
    headers
        Pairs of name and bytes in their order, None when there are none.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers | None = None

    @property
    def position(self) -> Position:
        """Where it stands."""
        return Position(self.topic, self.partition, self.offset)
