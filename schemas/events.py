"""What a task says: one prediction per scored event, what happens to its models, and what it could not use.

The Avro schemas in ``schemas/avro`` are generated from these classes, so a field's name, type and order are a
contract with every reader. Times are milliseconds since 1970.
"""

from typing import ClassVar

from msgspec import Struct

from schemas.data_drift import DataDrifted as DataDrifted
from schemas.lifecycle_event import SCHEMA_VERSION as SCHEMA_VERSION
from schemas.lifecycle_event import LifecycleEvent as LifecycleEvent
from schemas.record import Record

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
        The detector's confidence parameter, 0 where it has none.
    segment
        The part of the stream in which it was seen: a class, or the value of a feature, as the declaration's `by` says.
        Empty for all of it.
    """

    type: ClassVar[str] = "riverrun.drift.warned"

    version: str
    signal: str
    before: float
    after: float
    change_offset: int
    width: int
    delta: float
    segment: str = ""


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


class ChampionChanged(LifecycleEvent, frozen=True, kw_only=True):
    """Another model serves from here on, because it was better on the same events.

    Parameters
    ----------
    version, replaced
        The new champion's version and the old one's.
    learned
        Examples the new champion had learned when it took over.
    reason
        Id of the drift event, or of the command, that it answers; empty when evidence came before an alarm.
    evidence
        E-value for "the new one is better": what a bet of 1 against it being no better has become. 0 where an operator
        wanted it.
    change
        E-value for "the world has changed", 0 when it was too early to tell and not asked for.
    since
        Offset of the first event that speaks for it: an estimate of the change point.
    events
        Number of labelled events since then.
    loss, replaced_loss
        Mean loss of both on these.
    """

    version: str
    replaced: str
    learned: int
    reason: str
    evidence: float
    change: float
    since: int
    events: int
    loss: float
    replaced_loss: float


class ModelPromoted(ChampionChanged, frozen=True, kw_only=True):
    """A model that has not served before takes over.

    Parameters
    ----------
    imported
        Name of the model from elsewhere of which a copy serves and learns, such as ``i1042@1500``; empty for others.
    """

    type: ClassVar[str] = "riverrun.model.promoted"

    imported: str


class ModelRolledBack(ChampionChanged, frozen=True, kw_only=True):
    """A model that has served before serves again.

    Parameters
    ----------
    restored
        Which one: a version such as ``v1`` that has gone on learning, or ``v1@1500``, the archived copy of ``v1`` as it
        was when it had learned 1,500 examples. Of an archived one a copy serves and learns, under a version of its own.
    """

    type: ClassVar[str] = "riverrun.model.rolled-back"

    restored: str


class ModelArchived(LifecycleEvent, frozen=True, kw_only=True):
    """A copy of the champion as it was before the change is kept, for the day when the old world comes back.

    Or a model from elsewhere is kept because an operator has imported it.

    Parameters
    ----------
    archived
        Its name, such as ``v1@1500``, or ``i1042@1500`` for one that was imported at offset 1042.
    version, learned
        Of which version, and how many examples it had learned.
    until
        Offset up to which it had learned; of an imported one, the command's.
    origin
        Where an imported one is from, as the command says. Empty for a copy of a champion.
    """

    type: ClassVar[str] = "riverrun.model.archived"

    archived: str
    version: str
    learned: int
    until: int
    origin: str = ""


class ModelRetired(LifecycleEvent, frozen=True, kw_only=True):
    """A model is gone for good.

    Parameters
    ----------
    retired
        Its name.
    reason
        Why.
    """

    type: ClassVar[str] = "riverrun.model.retired"

    retired: str
    reason: str


class ActionSuppressed(LifecycleEvent, frozen=True, kw_only=True):
    """Another model is better, and does not take over all the same. It is said once for each that is held back.

    Parameters
    ----------
    version
        The champion's version.
    held
        Name of the model that is better.
    reason
        Why: ``no change`` of the world is to be seen, the ``budget`` of actions is spent, or the ``policy`` never acts.
    evidence, change, since, events
        As a `ChampionChanged` has them.
    loss, held_loss
        Mean loss of the champion and of the better model on these events.
    """

    type: ClassVar[str] = "riverrun.action.suppressed"

    version: str
    held: str
    reason: str
    evidence: float
    change: float
    since: int
    events: int
    loss: float
    held_loss: float


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


class CommandObeyed(LifecycleEvent, frozen=True, kw_only=True):
    """A command took effect here. What it did to the models follows as events of their own, whose reason is this one.

    Parameters
    ----------
    command
        Id of the command.
    order
        What was wanted: ``retrain``, ``promote``, ``rollback``, ``freeze``, ``pin``, ``resume`` or ``import``.
    version
        Version of the champion that it found.
    who, why
        As the command says.
    key
        Id of the operator's key that it is signed with: unlike `who`, it is verified. Empty where unsigned commands are
        obeyed.
    """

    type: ClassVar[str] = "riverrun.command.obeyed"

    command: str
    order: str
    version: str
    who: str
    why: str
    key: str


class CommandRefused(LifecycleEvent, frozen=True, kw_only=True):
    """A command was read and not obeyed.

    Parameters
    ----------
    command
        Id of the command.
    reason
        Why not.
    order, who, why, key
        As in `CommandObeyed`; empty where nobody trusted has signed it, or it cannot be read.
    """

    type: ClassVar[str] = "riverrun.command.refused"

    command: str
    reason: str
    order: str
    who: str
    why: str
    key: str


LIFECYCLE_EVENTS: tuple[type[LifecycleEvent], ...] = (
    DriftWarned,
    DriftDetected,
    DriftCleared,
    DataDrifted,
    ModelRetrained,
    ModelPromoted,
    ModelRolledBack,
    ModelArchived,
    ModelRetired,
    ActionSuppressed,
    DeclarationChanged,
    CommandObeyed,
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
    """

    record: Record
    stage: str
    reason: str


Event = PredictionMade | LifecycleEvent | DeadLetter
