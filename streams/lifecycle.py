"""Which model serves: from a change point in the loss to a model that takes over, each step an event."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from schemas.errors import ModelBrokenError, ModelError
from schemas.events import CommandObeyed, DriftDetected, LifecycleEvent, ModelRetired, ModelRetrained
from streams import announcements
from streams.accounting import Books
from streams.alarms import Alarms
from streams.detectors.detector import Change
from streams.evidence import Advantage
from streams.label_join import Asked
from streams.learner import Learner
from streams.loss_watch import LossWatch
from streams.moment import Common, Moment, kind_of
from streams.pipeline import Pipeline, label_of
from streams.policy import BackgroundChallenger, ObserveOnly, ResetOnDrift
from streams.prequential import Loss
from streams.shadows import Shadows
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
        self._successor_of: str | None = None
        self.challenger: Learner | None = None
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
        learners = {
            role: (learner.version, learner.learned)
            for role, learner in (("champion", self.champion), ("challenger", self.challenger))
            if learner is not None
        }
        drift = self._alarms.snapshot(), *self._watch.snapshot()
        decided = self._versions, self._serving_from, self._successor_of, self.learns, self.acts
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
        versions, self._serving_from, self._successor_of, self.learns, self.acts = decided
        self._alarms.restore(alarms)

        def learner(part: str, version: str, learned: int) -> Learner:
            return Learner(partial(load, part), version, self._pipeline.kind, self._checkpoint, learned=learned)

        self.champion = learner("champion", *learners["champion"])
        self.challenger = learner("challenger", *learners["challenger"]) if "challenger" in learners else None
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
        learners = {"champion": self.champion}
        if self.challenger is not None:
            learners["challenger"] = self.challenger
        return learners | self.shadows.learners(self.champion)

    @property
    def frozen(self) -> dict[str, Frozen]:
        """All models that do not learn, by the name of the part that they are in a snapshot."""
        return self.shadows.frozen

    def teach_challenger(self, x: dict[str, Any], y: Any) -> None:
        """Let the challenger learn that will take over; its errors are its own, and may end it."""
        assert self.challenger is not None
        try:
            self.challenger.learn(x, y)
        except ModelError:
            self._books.count["shadow_error"] += 1
        except ModelBrokenError:
            self._books.count["shadow_error"] += 1
            self.challenger = self.shadows.another()

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
        change = None if loss is None else self._watch.update(loss, asked, y)
        verdict, were_awake = None, shadows.are_awake
        if shadows.exist:
            learned = (offset, asked.x, y) if self.learns else None
            verdict = shadows.update(self.champion, loss, losses, offset, own=own, learned=learned)
        idle = change is None and verdict is None and self._successor_of is None and not is_warned
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
        if verdict is not None and self.acts and self.learns:
            events += self._decide(verdict, moment)
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
        if self._successor_of is not None and self._is_command(self._successor_of):
            self.challenger = self._successor_of = None

    def _decide(self, verdict: Verdict, moment: Moment) -> list[LifecycleEvent]:
        """Let the better model take over, or say why not."""
        if not verdict.held:
            return self._crown(verdict, verdict.advantage.since, self._alarms.recent, moment)
        self._books.count["action_suppressed"] += 1
        is_news = self.shadows.is_news(verdict)
        return [announcements.held_back(self._teller(moment), verdict, self.champion)] if is_news else []

    def _crown(self, verdict: Verdict, since: int, reason: str, moment: Moment) -> list[LifecycleEvent]:
        """Let one serve that has been chosen; whoever was to answer a drift comes too late."""
        replaced = self.champion
        champion = self.shadows.crown(verdict, replaced, since, self._copy)
        self._serve(champion, moment.record.offset)
        if self._successor_of is None or not self._is_command(self._successor_of):
            self.challenger = self._successor_of = None
        return announcements.crowned(self._teller(moment), verdict, champion, replaced, since, reason)

    def tell_kept(self, moment: Moment) -> list[LifecycleEvent]:
        """Say which old champions are kept since this was said last."""
        teller = self._teller(moment)
        told = [announcements.kept(teller, kept.archived, kept.evicted) for kept in self.shadows.take_kept()]
        return [event for events in told for event in events]

    def _eliminate(self, moment: Moment) -> Sequence[LifecycleEvent]:
        """Let one leave the race that has no place in it any more: one at a record."""
        gone = self.shadows.eliminate()
        if gone is None:
            return _NOTHING
        version, reason = gone
        return [ModelRetired(**moment.common(ModelRetired, self._pipeline.name), retired=version, reason=reason)]

    def _serve(self, champion: Learner, offset: int) -> None:
        """Have another model serve from the record after an offset on."""
        self.champion = champion
        self._watch = LossWatch(self._pipeline, champion.version)
        self._serving_from = offset + 1
        self._alarms.begin()

    def _weigh(self, change: Change, moment: Moment) -> list[LifecycleEvent]:
        """Say what a change point means, and get ready for what may follow."""
        answering = self._successor_of is not None
        event = self._alarms.weigh(change, self.champion.version, self._teller(moment), answering=answering)
        if event is None:
            return []
        policy = self._pipeline.policy
        if isinstance(event, DriftDetected):
            if isinstance(policy, (BackgroundChallenger, ResetOnDrift)):
                self._successor_of = event.id
                self.challenger = self.challenger or self.shadows.another()
        elif isinstance(policy, BackgroundChallenger):
            self.challenger = self.shadows.another()
        self.shadows.on_drift(certain=isinstance(event, DriftDetected))
        return [event]

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
        learner = self._new_learner("")
        self._alarms.drop_warning()
        if at_once or isinstance(self._pipeline.policy, ObserveOnly):
            self._succeed(learner, offset)
            return ""
        self.challenger, self._successor_of = learner, reason
        return learner.version

    def retrain(self, reason: str) -> None:
        """Start a fresh model beside the champion, whatever the policy; it takes over when it has learned enough.

        Parameters
        ----------
        reason
            Id of the event that caused it.
        """
        self._alarms.drop_warning()
        self.challenger, self._successor_of = self.shadows.another(), reason

    def _succeed(self, learner: Learner, offset: int) -> None:
        """Have a fresh model serve, whoever else there was: what they know is of another declaration, or world."""
        self.challenger = self._successor_of = None
        self._serve(learner, offset)
        self.shadows.begin(learner)

    def _promote_if_ready(self, moment: Moment) -> list[LifecycleEvent]:
        """Let the challenger take over once drift is certain and it has learned enough."""
        if self._successor_of is None or self.challenger is None or not self.acts:
            return []
        policy = self._pipeline.policy
        wanted = policy.min_learned if isinstance(policy, BackgroundChallenger) else _RENEWAL_LEARNED
        if self.challenger.learned < (0 if isinstance(policy, ResetOnDrift) else wanted):
            return []
        event = ModelRetrained(
            **moment.common(ModelRetrained, self._pipeline.name),
            version=self.challenger.version,
            replaced=self.champion.version,
            learned=self.challenger.learned,
            reason=self._successor_of,
        )
        fresh, reason, offset = self.challenger, self._successor_of, moment.record.offset
        if self.shadows.contest is not None and self._is_command(reason):
            # The world and the declaration are what they were: those that could serve before still can.
            self.challenger = self._successor_of = None
            return self._crown(Verdict("challenger", fresh, Advantage(), 0.0), offset, reason, moment)
        self._succeed(fresh, offset)
        return [event]

    def _is_command(self, reason: str) -> bool:
        return reason.endswith(f"/{kind_of(CommandObeyed)}")

    def _clear_if_stale(self, moment: Moment) -> list[LifecycleEvent]:
        """Drop a warning that led to nothing, with its challenger."""
        cleared = self._alarms.clear_if_stale(self.champion.version, self._teller(moment))
        if cleared is None:
            return []
        self.challenger = None
        return [cleared]

    def _teller(self, moment: Moment) -> Common:
        """Return what gives events at a record the fields that all have."""
        return partial(moment.common, pipeline=self._pipeline.name)
