"""What a task says: one prediction per scored event, what happens to its models, and what it could not use.

The Avro schemas in ``schemas/avro`` are generated from these classes, so a field's name, type and order are a
contract with every reader. Times are milliseconds since 1970.
"""

from typing import ClassVar

from msgspec import Struct

from schemas.record import Record

SCHEMA_VERSION = 1

Answer = bool | int | float | str | None
Score = float | dict[str, float] | None


class PredictionMade(Struct, frozen=True, gc=False):
    """The answer to one event.

    Parameters
    ----------
    id
        Id of the event.
    prediction
        The answer: a class, a number, or None when the model could not say.
    score
        Probability of the positive class (binary), of each class (multiclass), the anomaly score;
        None where the model gives none.
    model, version, learned
        Name and version of the champion that answered, and the number of examples it had learned.
    source, partition, offset
        Position of the event.
    pipeline, declaration
        Name of the pipeline and digest of its declaration.
    schema_version
        Version of this schema.
    flags
        What was remarkable: ``time-leap`` when the event's time lies far ahead of the stream's.
    """

    type: ClassVar[str] = "riverrun.prediction"

    id: str
    prediction: Answer
    score: Score
    model: str
    version: str
    learned: int
    source: str
    partition: int
    offset: int
    pipeline: str
    declaration: str
    schema_version: int = SCHEMA_VERSION
    flags: tuple[str, ...] = ()


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


class DriftWarned(LifecycleEvent, frozen=True, kw_only=True):
    """The champion's loss may be rising.

    Parameters
    ----------
    version
        The champion's version.
    signal
        What was watched; ``loss`` is the champion's loss in [0, 1].
    before, after
        Mean of the signal before and after the change point.
    change_offset
        Offset of the newest labelled record known to lie before the change point.
    width
        Number of labelled events since the change point: the detector's window.
    delta
        The detector's confidence parameter.
    """

    type: ClassVar[str] = "riverrun.drift.warned"

    version: str
    signal: str
    before: float
    after: float
    change_offset: int
    width: int
    delta: float


class DriftDetected(DriftWarned, frozen=True, kw_only=True):
    """The champion's loss has risen."""

    type: ClassVar[str] = "riverrun.drift.detected"


class DriftCleared(LifecycleEvent, frozen=True, kw_only=True):
    """A warning was not followed by a detection in time; the challenger it started is dropped.

    Parameters
    ----------
    version
        The champion's version.
    warning
        Id of the warning.
    """

    type: ClassVar[str] = "riverrun.drift.cleared"

    version: str
    warning: str


class ModelRetrained(LifecycleEvent, frozen=True, kw_only=True):
    """A fresh model has taken over.

    Parameters
    ----------
    version, replaced
        The new champion's version and the old one's.
    learned
        Examples the new champion had learned when it took over.
    reason
        Id of the event that caused it.
    """

    type: ClassVar[str] = "riverrun.model.retrained"

    version: str
    replaced: str
    learned: int
    reason: str


class DeclarationChanged(LifecycleEvent, frozen=True, kw_only=True):
    """From here on the log is folded under another declaration.

    Parameters
    ----------
    declaration, replaced
        Digests of the new declaration and of the one before; equal when it was declared once more.
    changed
        Names of the declared fields that differ.
    version
        The champion's version.
    challenger
        Version of the new model that learns beside it and takes over, empty when there is none.
    command
        Id of the command.
    """

    type: ClassVar[str] = "riverrun.declaration.changed"

    declaration: str
    replaced: str
    changed: tuple[str, ...]
    version: str
    challenger: str
    command: str


class CommandRefused(LifecycleEvent, frozen=True, kw_only=True):
    """A command was read and not obeyed.

    Parameters
    ----------
    command
        Id of the command.
    reason
        Why not.
    """

    type: ClassVar[str] = "riverrun.command.refused"

    command: str
    reason: str


LIFECYCLE_EVENTS: tuple[type[LifecycleEvent], ...] = (
    DriftWarned,
    DriftDetected,
    DriftCleared,
    ModelRetrained,
    DeclarationChanged,
    CommandRefused,
)


class DeadLetter(Struct, frozen=True):
    """A record that could not be used, untouched, and why.

    Parameters
    ----------
    record
        The record as it came.
    stage
        Where it failed: ``envelope``, ``decode``, ``validate``, ``score``, ``learn``, ``encode`` or ``quarantine``.
    reason
        What happened: what was got and what was expected.
    attempt
        1 the first time.
    """

    record: Record
    stage: str
    reason: str
    attempt: int = 1


Event = PredictionMade | LifecycleEvent | DeadLetter
