"""What all lifecycle events have."""

from typing import ClassVar

from msgspec import Struct

SCHEMA_VERSION = 1


class LifecycleEvent(Struct, frozen=True, kw_only=True):
    """Something that happened to the models of one partition.

    Parameters
    ----------
    id
        Derived from the position that caused it, hence the same in every replay.
    pipeline
        Name of the pipeline.
    partition, offset, time
        The record at which it happened.
    schema_version
        Version of this schema.
    """

    type: ClassVar[str]

    id: str
    pipeline: str
    partition: int
    offset: int
    time: int
    schema_version: int = SCHEMA_VERSION
