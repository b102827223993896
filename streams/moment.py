"""The record at which something happens to the models."""

from msgspec import Struct

from schemas.record import Record


class Moment(Struct, frozen=True, gc=False):
    """The record at which something happens.

    Parameters
    ----------
    record
        The record.
    time_ms
        Its event time, milliseconds since 1970.
    about
        The event it is about, when that is another one: part of the ids that derive from it.
    """

    record: Record
    time_ms: int
    about: str = ""
