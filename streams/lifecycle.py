"""Which model serves: from a change point in the loss to a model that takes over, each step an event."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace

from schemas.errors import ModelBrokenError, ModelError
from schemas.events import DriftDetected, LifecycleEvent, ModelRetired, ModelRetrained
from streams import announcements
from streams.accounting import Books
from streams.alarms import Alarms
from streams.detectors.detector import Change
from streams.evidence import Advantage
from streams.label_join import Asked
from streams.learner import Learner
from streams.loss_watch import LossWatch
from streams.moment import Common, Moment
from streams.pipeline import Pipeline, label_of
from streams.policy import BackgroundChallenger, ObserveOnly, ResetOnDrift
from streams.prequential import Loss
from streams.shadows import Shadows
from streams.successor import Successor
from streams.takeover import MODEL_FIELDS
from streams.undo_log import Checkpoint, Pickled
from streams.verdict import Verdict
from streams.versions import Frozen

_NOTHING: tuple[LifecycleEvent, ...] = ()
#: Examples after which the model of a new declaration takes over, where the policy does not say.
_RENEWAL_LEARNED = 200


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
    loss
        Measures answers of models that do not serve.
    """

    def __init__(
        self, pipeline: Pipeline, books: Books, loss: Loss, checkpoint: Callable[[Any], Checkpoint] = Pickled
    ) -> None:
        self._pipeline = pipeline
        self._checkpoint = checkpoint
        self._books = books
        self._loss = loss
        self._versions = 0
        self._serving_from = 0
        self.successor: Successor | None = None
        self.champion = self._new_learner("")
        self._alarms = Alarms(pipeline.drift, books)
        self._watch = LossWatch(pipeline, self.champion.version)
        #: Whether the models learn, and whether evidence may change the champion: operators decide.
        self.learns = self.acts = True
        self.shadows = Shadows(pipeline, self._new_learner, books, loss)
        self.shadows.begin(self.champion)

    def _next_version(self, label: str) -> str:
        self._versions += 1
        return f"v{self._versions}-{label}" if label else f"v{self._versions}"

    def _new_learner(self, label: str) -> Learner:
        """Return an unlearned one of the declared model with a label."""
        version = self._next_version(label)
        fresh = partial(self._pipeline.fresh_model, version)
        return Learner(fresh, version, self._pipeline.kind, self._checkpoint)

    def _copy(self, frozen: Frozen) -> Learner:
        """Return a learner that goes on from where a frozen model stood."""
        version = self._next_version(label_of(frozen.version))
        return Learner(frozen.thaw, version, self._pipeline.kind, self._checkpoint, learned=frozen.learned)

    def snapshot(self) -> Any:
        """Return the state but for the models."""
        learners = {role: (learner.version, learner.learned) for role, learner in self._own.items()}
        drift = self._alarms.snapshot(), *self._watch.snapshot()
        successor = None if self.successor is None else self.successor.snapshot()
        decided = self._versions, self._serving_from, successor, self.learns, self.acts
        return decided, drift, learners, *self.shadows.snapshot(self.champion)

    def restore(
        self, state: Any, load: Callable[[str], Any], data: Callable[[str], bytes], *, changed: Collection[str] = ()
    ) -> None:
        """Become what `snapshot` was taken of.

        Parameters
        ----------
        state
            What `snapshot` returned.
        load
            Returns the model of a part; each time another copy.
        data
            Returns a part as it is written.
        changed
            Names of the fields that are declared anew: what they decide begins anew.
        """
        decided, (alarms, *watched), learners, contest, race = state
        versions, self._serving_from, successor, self.learns, self.acts = decided
        self._alarms.restore(alarms)

        def learner(part: str, version: str, learned: int) -> Learner:
            return Learner(partial(load, part), version, self._pipeline.kind, self._checkpoint, learned=learned)

        self.champion = learner("champion", *learners["champion"])
        self.successor = successor and Successor(learner("successor", *learners["successor"]), *successor)
        if "policy" in changed:  # what that one has begun of itself; orders and declarations hold under any
            self._alarms.drop_warning()
            if self.successor is not None and self.successor.origin in ("warning", "drift"):
                self.successor = None
        self._watch = LossWatch(self._pipeline, self.champion.version)
        if "drift" not in changed:
            self._watch.restore(watched)
        anew = MODEL_FIELDS & set(changed)
        self._versions = versions
        self.shadows = Shadows(self._pipeline, self._new_learner, self._books, self._loss)
        self.shadows.restore(
            None if anew or "policy" in changed else contest,
            None if anew or "race" in changed else race,
            self.champion,
            learner,
            data,
        )

    @property
    def learners(self) -> dict[str, Learner]:
        """All models that learn, by the name of the part that they are in a snapshot."""
        return self._own | self.shadows.learners(self.champion)

    @property
    def _own(self) -> dict[str, Learner]:
        """The champion and its successor, by role."""
        own = {"champion": self.champion}
        return own if self.successor is None else own | {"successor": self.successor.learner}

    @property
    def frozen(self) -> dict[str, Frozen]:
        """All models that do not learn, by the name of the part that they are in a snapshot."""
        return self.shadows.frozen

    def teach_successor(self, x: dict[str, Any], y: Any) -> None:
        """Let the successor learn; its errors are its own: one that cannot learn goes, unless it is a declared one."""
        successor = self.successor
        assert successor is not None
        try:
            successor.learner.learn(x, y)
        except (ModelError, ModelBrokenError) as error:
            self._books.count["shadow_error"] += 1
            is_declared = successor.origin == "declaration"
            if isinstance(error, ModelBrokenError):
                again = self._new_learner("") if is_declared else self.shadows.another()
                successor = replace(successor, learner=again)
            successor = replace(successor, failed=successor.failed + 1)
            self.successor = None if successor.cannot_learn and not is_declared else successor
        else:
            if successor.failed:
                self.successor = replace(successor, failed=0)

    def observe(
        self, loss: float | None, losses: Mapping[str, float | None], asked: Asked, y: Any, moment: Moment
    ) -> Sequence[LifecycleEvent]:
        """Take the loss of one labelled event and do what the policy says.

        Parameters
        ----------
        loss
            Loss of the answer that was given, in [0, 1], None when there is none.
        losses
            Losses of what other models had answered, by their names.
        asked, y
            The event the loss is about, and its label.
        moment
            The record that brought the label.
        """
        is_warned, shadows, offset = self._alarms.note(), self.shadows, asked.offset
        own = offset >= self._serving_from
        if not own:  # the champion before it gave that answer
            loss = losses.get(self.champion.version)
        elif self._loss.has_unit and (losses_again := self._loss.measure(y, asked.prediction, offset)):
            loss = None  # it is among these, in the unit of those that follow
            self._begin_anew(losses_again)
        change = None if loss is None else self._watch.update(loss, asked, y)
        verdict, were_awake = None, shadows.are_awake
        if shadows.exist:
            learned = (offset, asked.x, y) if self.learns else None
            verdict = shadows.update(self.champion, loss, losses, offset, own=own, learned=learned)
        idle = change is None and verdict is None and self.successor is None and not is_warned
        if idle and not were_awake:
            return _NOTHING
        events = _NOTHING if idle else self._act(change, verdict, moment)
        if shadows.has_kept:
            events = [*events, *self.tell_kept(moment)]
        return self._eliminate(moment) if shadows.entrants is not None and not events else events

    def _act(self, change: Change | None, verdict: Verdict | None, moment: Moment) -> Sequence[LifecycleEvent]:
        """Do what the policy says about a change point, about a better model, and about what was begun before."""
        events: list[LifecycleEvent] = []
        if change is not None:
            events += self._weigh(change, moment)
        if verdict is not None and self._may_change(moment):
            events += self._decide(verdict, moment)
        if self._may_change(moment):
            events += self._promote_if_ready(moment)
        events += self._clear_if_stale(moment)
        return events

    def install(self, name: str, reason: str, moment: Moment, *, again: bool = False) -> list[LifecycleEvent] | str:
        """Let a model serve because an operator says so.

        Parameters
        ----------
        name
            Of the model; empty for the one that served before the champion.
        reason
            Id of the event that tells of the command.
        again
            Whether it must have served before.

        Returns
        -------
        What is said of it, or why it cannot be.
        """
        found = self.shadows.find(name, self.champion)
        if isinstance(found, str):
            return found
        if again and not found.has_served:
            return f"to: {found.model.name} has not served here: riverrun models promote lets it serve"
        self.give_up_retraining()
        return self._crown(found, moment.record.offset, reason, moment)

    def give_up_retraining(self) -> None:
        """Forget a fresh model that an operator has ordered: another order goes before it."""
        if self.successor is not None and self.successor.origin == "command":
            self.successor = None

    def _begin_anew(self, losses: Sequence[tuple[float, int]]) -> None:
        """Begin anew with all that remembers losses, with those of the newest answers in the new unit."""
        self._books.count["loss_unit_changed"] += 1
        self._watch = LossWatch(self._pipeline, self.champion.version)
        self._watch.remember(losses)
        self._alarms.forget_losses()
        self.shadows.begin_anew(self.champion, losses)

    @property
    def _decides(self) -> bool:
        """Whether anybody but an operator may change the champion: it is neither pinned nor frozen."""
        return self.acts and self.learns

    def _may_change(self, moment: Moment) -> bool:
        """Tell whether the champion may change at a record: once at most, however many labels it brings."""
        return self._decides and moment.record.offset >= self._serving_from

    def _decide(self, verdict: Verdict, moment: Moment) -> list[LifecycleEvent]:
        """Let the better model take over, or say why not."""
        if not verdict.held:
            return self._crown(verdict, verdict.advantage.since, self._alarms.recent, moment)
        self._books.count["action_suppressed"] += 1
        is_news = self.shadows.is_news(verdict)
        return [announcements.held_back(self._teller(moment), verdict, self.champion)] if is_news else []

    def _crown(self, verdict: Verdict, since: int, reason: str, moment: Moment) -> list[LifecycleEvent]:
        """Let one serve that has been chosen; a successor that is not wanted any more goes."""
        replaced = self.champion
        champion = self.shadows.crown(verdict, replaced, since, self._copy)
        self._serve(champion, moment.record.offset)
        if self.successor is not None and not self.successor.is_ordered:
            self.successor = None
        return announcements.crowned(self._teller(moment), verdict, champion, replaced, since, reason)

    def tell_kept(self, moment: Moment) -> list[LifecycleEvent]:
        """Say which old champions are kept since this was said last."""
        teller = self._teller(moment)
        told = [announcements.kept(teller, kept.archived, kept.evicted) for kept in self.shadows.take_kept()]
        return [event for events in told for event in events]

    def _eliminate(self, moment: Moment) -> Sequence[LifecycleEvent]:
        """Let one leave the race that has no place in it any more: one at a record."""
        if (gone := self.shadows.eliminate()) is None:
            return _NOTHING
        version, reason = gone
        return [ModelRetired(**moment.common(ModelRetired, self._pipeline.name), retired=version, reason=reason)]

    def _serve(self, champion: Learner, offset: int) -> None:
        """Have another model serve from the record after an offset on."""
        self.champion = champion
        self._watch = LossWatch(self._pipeline, champion.version)
        self._serving_from = offset + 1
        self._alarms.begin()
        self._loss.new_champion()

    def _weigh(self, change: Change, moment: Moment) -> list[LifecycleEvent]:
        """Say what a change point means, and get ready for what may follow."""
        # Who cannot or may not take over answers nothing: drift is told as to an observer then.
        successor = self.successor
        answering = successor is not None and successor.is_due and not successor.cannot_learn and self._decides
        event = self._alarms.weigh(change, self.champion.version, self._teller(moment), answering=answering)
        if event is None:
            return []
        certain = isinstance(event, DriftDetected)
        self._answer(event.id, certain=certain)
        self.shadows.on_drift(certain=certain)
        return [event]

    def _answer(self, reason: str, *, certain: bool) -> None:
        """Start a successor at a warning or a drift, if the policy wants one and nobody else has asked for another."""
        policy, successor = self._pipeline.policy, self.successor
        if certain and isinstance(policy, (BackgroundChallenger, ResetOnDrift)):
            if successor is None or successor.origin == "drift":  # it had to wait, and knows an older world
                self.successor = Successor(self.shadows.another(), "drift", reason)
            elif successor.origin == "warning":
                self.successor = replace(successor, origin="drift", reason=reason)
        elif not certain and isinstance(policy, BackgroundChallenger) and successor is None:
            self.successor = Successor(self.shadows.another(), "warning", reason)

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
        Version of the successor, empty when it serves already.
        """
        learner = self._new_learner("")
        self._alarms.drop_warning()
        if at_once or isinstance(self._pipeline.policy, ObserveOnly):
            self._succeed(learner, offset)
            return ""
        self.successor = Successor(learner, "declaration", reason)
        return learner.version

    def retrain(self, reason: str) -> None:
        """Start a fresh model beside the champion, whatever the policy; it takes over when it has learned enough.

        Parameters
        ----------
        reason
            Id of the event that caused it.
        """
        self._alarms.drop_warning()
        self.successor = Successor(self.shadows.another(), "command", reason)

    def _succeed(self, learner: Learner, offset: int) -> None:
        """Have a fresh model serve, whoever else there was: what they know is of another declaration, or world."""
        self.successor = None
        self._serve(learner, offset)
        self.shadows.begin(learner)

    def _promote_if_ready(self, moment: Moment) -> list[LifecycleEvent]:
        """Let the successor take over once it has to and has learned enough."""
        successor = self.successor
        if successor is None or not successor.is_due:
            return []
        policy = self._pipeline.policy
        wanted = policy.min_learned if isinstance(policy, BackgroundChallenger) else _RENEWAL_LEARNED
        fresh, reason, offset = successor.learner, successor.reason, moment.record.offset
        if fresh.learned < (0 if isinstance(policy, ResetOnDrift) else wanted):
            return []
        if self.shadows.contest is not None and successor.origin == "command":
            # The world and the declaration are what they were: those that could serve before still can.
            self.successor = None
            return self._crown(Verdict("challenger", fresh, Advantage(), 0.0), offset, reason, moment)
        event = ModelRetrained(
            **moment.common(ModelRetrained, self._pipeline.name),
            version=fresh.version,
            replaced=self.champion.version,
            learned=fresh.learned,
            reason=reason,
        )
        self._succeed(fresh, offset)
        return [event]

    def _clear_if_stale(self, moment: Moment) -> list[LifecycleEvent]:
        """Drop a warning that led to nothing, with its successor."""
        cleared = self._alarms.clear_if_stale(self.champion.version, self._teller(moment))
        if cleared is None:
            return []
        if self.successor is not None and self.successor.origin == "warning":
            self.successor = None
        return [cleared]

    def _teller(self, moment: Moment) -> Common:
        """Return what gives events at a record the fields that all have."""
        return partial(moment.common, pipeline=self._pipeline.name)
