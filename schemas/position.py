"""Where a record stands in the log."""

from typing import NamedTuple


class Position(NamedTuple):
    """A place in one partition of one topic.

    Parameters
    ----------
    topic
        Name of the topic.
    partition
        Partition number, 0 or more.
    offset
        Offset in that partition, 0 or more.

    Examples
    --------
    >>> position = Position("flights.raw", 3, 1042)
    >>> str(position)
    'flights.raw[3]@1042'
    >>> position.event_id
    'flights.raw-3-1042'
    """

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"

    @property
    def event_id(self) -> str:
        """The id of an event that brought none of its own."""
        return f"{self.topic}-{self.partition}-{self.offset}"
