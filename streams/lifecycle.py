"""Which model serves: from a change point in the loss to a model that takes over, each step an event."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from msgspec import Struct

from schemas.errors import ModelBrokenError, ModelError
from schemas.events import DriftCleared, DriftDetected, DriftWarned, LifecycleEvent, ModelRetrained
from schemas.record import Record
from streams.accounting import Books
from streams.drift import Change, LossDetector
from streams.learner import Learner
from streams.pipeline import Pipeline
from streams.policy import BackgroundChallenger
from streams.undo_log import Checkpoint, Pickled

_NOTHING: tuple[LifecycleEvent, ...] = ()


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


class Lifecycle:
    """The champion of one partition and what becomes of it.

    Parameters
    ----------
    pipeline
        The declaration.
    books
        Where suppressed alarms and falls are counted.
    checkpoint
        Writes models down for the undo log.
    """

    def __init__(self, pipeline: Pipeline, books: Books, checkpoint: Callable[[Any], Checkpoint] = Pickled) -> None:
        self._pipeline = pipeline
        self._checkpoint = checkpoint
        self._books = books
        self._versions = 0
        self._labelled = 0
        self._quiet_until = 0
        self._serving_from = 0
        self._warning: str | None = None
        self._warned_at = 0
        self._successor_of: str | None = None
        self.challenger: Learner | None = None
        self.champion = self._new_learner()
        self._detector = LossDetector(pipeline.drift)

    def _new_learner(self) -> Learner:
        self._versions += 1
        version = f"v{self._versions}"
        fresh = partial(self._pipeline.fresh_model, version)
        return Learner(fresh, version, self._pipeline.kind, self._checkpoint)

    def snapshot(self) -> Any:
        """Return the state but for the models."""
        counts = self._versions, self._labelled, self._quiet_until, self._serving_from, self._warned_at
        learners = {role: (learner.version, learner.learned) for role, learner in self.learners.items()}
        return counts, self._warning, self._successor_of, self._detector.snapshot(), learners

    def restore(self, state: Any, load: Callable[[str], Any], *, detector_too: bool = True) -> None:
        """Become what `snapshot` was taken of.

        Parameters
        ----------
        state
            What `snapshot` returned.
        load
            Returns the model of a role; each time another copy.
        detector_too
            Whether drift detection goes on where it was.
        """
        counts, self._warning, self._successor_of, detector, learners = state
        self._versions, self._labelled, self._quiet_until, self._serving_from, self._warned_at = counts
        if detector_too:
            self._detector.restore(detector)
        restored = {
            role: Learner(partial(load, role), version, self._pipeline.kind, self._checkpoint, learned=learned)
            for role, (version, learned) in learners.items()
        }
        self.champion, self.challenger = restored["champion"], restored.get("challenger")

    @property
    def learners(self) -> dict[str, Learner]:
        """The models by role: the champion, and the challenger if there is one."""
        roles = {"champion": self.champion, "challenger": self.challenger}
        return {role: learner for role, learner in roles.items() if learner is not None}

    def learn_in_shadow(self, x: dict[str, Any], y: Any) -> None:
        """Let the challenger learn what the champion has learned; its errors are its own, and may end it."""
        if self.challenger is not None:
            try:
                self.challenger.learn(x, y)
            except ModelError:
                self._books.count["shadow_error"] += 1
            except ModelBrokenError:
                self._books.count["shadow_error"] += 1
                self.challenger = self._new_learner()

    def observe(self, loss: float | None, offset: int, moment: Moment) -> Sequence[LifecycleEvent]:
        """Take the loss of one labelled event and do what the policy says.

        Parameters
        ----------
        loss
            The champion's loss in [0, 1], None when there is none.
        offset
            Offset of the event the loss is about.
        moment
            The record that brought the label.
        """
        self._labelled += 1
        if offset < self._serving_from:
            loss = None  # the champion before it gave that answer
        change = None if loss is None else self._detector.update(loss, offset)
        if change is None and self._warning is None and self._successor_of is None:
            return _NOTHING
        events: list[LifecycleEvent] = []
        if change is not None:
            events += self._weigh(change, moment)
        events += self._promote_if_ready(moment)
        events += self._clear_if_stale(moment)
        return events

    def _weigh(self, change: Change, moment: Moment) -> list[LifecycleEvent]:
        """Turn a change point into an event, unless it is a fall or comes too soon."""
        if change.level == "fall":
            self._books.count["loss_fell"] += 1
            return []
        if self._labelled < self._quiet_until or self._successor_of is not None:
            self._books.count["alarm_suppressed"] += 1
            return []
        if change.level == "warning":
            if self._warning is not None:
                return []
            warned = self._drift_event(DriftWarned, change, moment)
            self._warning, self._warned_at = warned.id, self._labelled
            if self._acts:
                self.challenger = self._new_learner()
            return [warned]
        detected = self._drift_event(DriftDetected, change, moment)
        self._warning = None
        self._quiet_until = self._labelled + self._pipeline.drift.cooldown
        if self._acts:
            self._successor_of = detected.id
            if self.challenger is None:
                self.challenger = self._new_learner()
        return [detected]

    def renew(self, reason: str, offset: int, *, at_once: bool) -> str:
        """Start the model of a new declaration: beside the champion until it has learned enough, or in its place.

        Parameters
        ----------
        reason
            Id of the event that caused it.
        offset
            Offset of the command.
        at_once
            Whether it replaces the champion now. It does so, too, where the policy lets no challenger take over.

        Returns
        -------
        Version of the challenger, empty when it serves already.
        """
        learner = self._new_learner()
        self._warning = None
        if at_once or not self._acts:
            self.champion, self.challenger, self._successor_of = learner, None, None
            self._detector = LossDetector(self._pipeline.drift)
            self._serving_from = offset + 1
            self._quiet_until = self._labelled + self._pipeline.drift.cooldown
            return ""
        self.challenger, self._successor_of = learner, reason
        return learner.version

    @property
    def _acts(self) -> bool:
        return isinstance(self._pipeline.policy, BackgroundChallenger)

    def _promote_if_ready(self, moment: Moment) -> list[LifecycleEvent]:
        """Let the challenger take over once drift is certain and it has learned enough."""
        policy = self._pipeline.policy
        if self._successor_of is None or self.challenger is None or not isinstance(policy, BackgroundChallenger):
            return []
        if self.challenger.learned < policy.min_learned:
            return []
        event = ModelRetrained(
            **self._common(ModelRetrained, moment),
            version=self.challenger.version,
            replaced=self.champion.version,
            learned=self.challenger.learned,
            reason=self._successor_of,
        )
        self.champion, self.challenger, self._successor_of = self.challenger, None, None
        self._detector = LossDetector(self._pipeline.drift)
        self._serving_from = moment.record.offset + 1
        self._quiet_until = self._labelled + self._pipeline.drift.cooldown
        return [event]

    def _clear_if_stale(self, moment: Moment) -> list[LifecycleEvent]:
        """Drop a warning that led to nothing, with its challenger."""
        warning = self._warning
        if warning is None or self._labelled - self._warned_at < self._pipeline.drift.patience:
            return []
        self._warning = self.challenger = None
        common = self._common(DriftCleared, moment)
        return [DriftCleared(**common, version=self.champion.version, warning=warning)]

    def _drift_event(self, event: type[DriftWarned], change: Change, moment: Moment) -> DriftWarned:
        return event(
            **self._common(event, moment),
            version=self.champion.version,
            signal="loss",
            before=change.before,
            after=change.after,
            change_offset=change.offset,
            width=change.width,
            delta=change.delta,
        )

    def _common(self, event: type[LifecycleEvent], moment: Moment) -> dict[str, Any]:
        """Return the fields that every lifecycle event has."""
        kind = event.type.removeprefix("riverrun.")
        return {
            "id": "/".join(filter(None, (moment.record.position.event_id, moment.about, kind))),
            "pipeline": self._pipeline.name,
            "partition": moment.record.partition,
            "offset": moment.record.offset,
            "time": moment.time_ms,
        }
