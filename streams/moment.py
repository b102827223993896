"""The record at which something happens to the models."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from schemas.lifecycle_event import LifecycleEvent
from schemas.record import Record

#: Returns the fields that every lifecycle event of a kind has, see `Moment.common`.
Common = Callable[[type[LifecycleEvent]], dict[str, Any]]


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

    def common(self, event: type[LifecycleEvent], pipeline: str) -> dict[str, Any]:
        """Return the fields that every lifecycle event has.

        Parameters
        ----------
        event
            The kind of event: part of its id.
        pipeline
            The pipeline's name.
        """
        record = self.record
        return {
            "id": "/".join(filter(None, (record.position.event_id, self.about, kind_of(event)))),
            "pipeline": pipeline,
            "partition": record.partition,
            "offset": record.offset,
            "time": self.time_ms,
        }


def kind_of(event: type[LifecycleEvent]) -> str:
    """Return what a kind of event is called in ids."""
    return event.type.removeprefix("riverrun.")
