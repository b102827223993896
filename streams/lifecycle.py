"""Which model serves: from a change point in the loss to a model that takes over, each step an event."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from schemas.errors import ModelBrokenError, ModelError
from schemas.events import CommandObeyed, DriftCleared, DriftDetected, DriftWarned, LifecycleEvent, ModelRetrained
from streams import announcements
from streams.accounting import Books
from streams.contest import Contest
from streams.detectors.detector import Change
from streams.evidence import Advantage
from streams.label_join import Asked
from streams.learner import Learner
from streams.loss_watch import LossWatch
from streams.moment import Moment
from streams.pipeline import Pipeline
from streams.policy import BackgroundChallenger, ChampionVersions, ObserveOnly, ResetOnDrift
from streams.takeover import MODEL_FIELDS
from streams.undo_log import Checkpoint, Pickled
from streams.verdict import Verdict
from streams.versions import Frozen

_NOTHING: tuple[LifecycleEvent, ...] = ()
#: Examples after which the model of a new declaration takes over, where the policy does not say.
_RENEWAL_LEARNED = 200
_CONTEST, _FROZEN = "contest-", "frozen-"


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
        self._watch = LossWatch(pipeline, self.champion.version)
        self._last_drift = ("", 0)
        #: Whether the models learn, and whether evidence may change the champion: operators decide.
        self.learns = self.acts = True
        self.contest = self._new_contest()

    def _new_contest(self) -> Contest | None:
        policy, pipeline = self._pipeline.policy, self._pipeline
        if not isinstance(policy, ChampionVersions):
            return None
        return Contest(policy, self.champion, self._new_learner, pipeline.kind, pipeline.classes, self._books)

    def _next_version(self) -> str:
        self._versions += 1
        return f"v{self._versions}"

    def _new_learner(self) -> Learner:
        version = self._next_version()
        fresh = partial(self._pipeline.fresh_model, version)
        return Learner(fresh, version, self._pipeline.kind, self._checkpoint)

    def _copy(self, frozen: Frozen) -> Learner:
        """Return a learner that goes on from where a frozen model stood."""
        version = self._next_version()
        return Learner(frozen.thaw, version, self._pipeline.kind, self._checkpoint, learned=frozen.learned)

    def snapshot(self) -> Any:
        """Return the state but for the models."""
        counts = self._versions, self._labelled, self._quiet_until, self._serving_from, self._warned_at
        learners = {
            role: (learner.version, learner.learned)
            for role, learner in (("champion", self.champion), ("challenger", self.challenger))
            if learner is not None
        }
        contest = None if self.contest is None else self.contest.snapshot(self.champion)
        drift = self._warning, self._successor_of, self._last_drift, *self._watch.snapshot()
        return counts, drift, learners, contest, (self.learns, self.acts)

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
        counts, drift, learners, contest, (self.learns, self.acts) = state
        self._versions, self._labelled, self._quiet_until, self._serving_from, self._warned_at = counts
        self._warning, self._successor_of, self._last_drift, *watched = drift

        def learner(part: str, version: str, learned: int) -> Learner:
            return Learner(partial(load, part), version, self._pipeline.kind, self._checkpoint, learned=learned)

        self.champion = learner("champion", *learners["champion"])
        self.challenger = learner("challenger", *learners["challenger"]) if "challenger" in learners else None
        self._watch = LossWatch(self._pipeline, self.champion.version)
        if "drift" not in changed:
            self._watch.restore(watched)
        self.contest = self._new_contest()
        if self.contest is not None and contest is not None and not {"policy", *MODEL_FIELDS} & set(changed):
            self.contest.restore(
                contest,
                self.champion,
                lambda role, version, learned: learner(f"{_CONTEST}{role}", version, learned),
                lambda name: data(f"{_FROZEN}{name}"),
            )
            self._versions = counts[0]  # a new contest begins with a fresh challenger, which is another one

    @property
    def learners(self) -> dict[str, Learner]:
        """All models that learn, by the name of the part that they are in a snapshot."""
        learners = {"champion": self.champion}
        if self.challenger is not None:
            learners["challenger"] = self.challenger
        if self.contest is not None:
            beside = self.contest.learners(self.champion)
            learners |= {f"{_CONTEST}{role}": learner for role, learner in beside.items()}
        return learners

    @property
    def frozen(self) -> dict[str, Frozen]:
        """All models that do not learn, by the name of the part that they are in a snapshot."""
        found = self.contest.frozen if self.contest is not None else {}
        return {f"{_FROZEN}{name}": frozen for name, frozen in found.items()}

    def answers(self, x: dict[str, Any]) -> dict[str, tuple[Any, Any]] | None:
        """Return what models that do not serve answer to an event, by name; None when none is asked."""
        return self.contest.answers(self.champion, x) if self.contest is not None else None

    def learn_in_shadow(self, x: dict[str, Any], y: Any, offset: int) -> None:
        """Let those learn that do not serve; their errors are their own, and may end them."""
        if self.contest is not None:
            self.contest.learn(self.champion, x, y, offset)
        if self.challenger is not None:
            try:
                self.challenger.learn(x, y)
            except ModelError:
                self._books.count["shadow_error"] += 1
            except ModelBrokenError:
                self._books.count["shadow_error"] += 1
                self.challenger = self._new_learner()

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
        self._labelled += 1
        offset = asked.offset
        if offset < self._serving_from:
            loss = losses.get(self.champion.version)  # the champion before it gave that answer
        change = None if loss is None else self._watch.update(loss, asked, y)
        contest = self.contest
        verdict = None if contest is None else contest.update(self.champion, loss, losses, offset)
        if change is None and verdict is None and self._warning is None and self._successor_of is None:
            if contest is not None:
                contest.retire_challenger()
            return _NOTHING
        events: list[LifecycleEvent] = []
        if change is not None:
            events += self._weigh(change, moment)
        if verdict is not None and contest is not None and self.acts and self.learns:
            events += self._decide(contest, verdict, moment)
        events += self._promote_if_ready(moment)
        events += self._clear_if_stale(moment)
        if contest is not None:
            contest.retire_challenger()
        return events

    def _decide(self, contest: Contest, verdict: Verdict, moment: Moment) -> list[LifecycleEvent]:
        """Let the better model take over, or say why not."""
        teller = partial(self._common, moment=moment)
        if verdict.held:
            self._books.count["action_suppressed"] += 1
            return [announcements.held_back(teller, verdict, self.champion)] if contest.is_news(verdict) else []
        since = verdict.advantage.since
        return self._crown(contest, verdict, since, self._recent_drift(), moment)

    def _crown(
        self, contest: Contest, verdict: Verdict, since: int, reason: str, moment: Moment
    ) -> list[LifecycleEvent]:
        replaced = self.champion
        crowning = contest.crown(verdict, replaced, since, self._copy)
        self._serve(crowning.champion, moment.record.offset)
        return announcements.crowned(partial(self._common, moment=moment), verdict, crowning, replaced, since, reason)

    def install(self, name: str, reason: str, moment: Moment) -> list[LifecycleEvent] | str:
        """Let a model serve because an operator says so.

        Parameters
        ----------
        name
            Of the model; empty for the one that served before the champion.
        reason
            Id of the event that tells of the command.

        Returns
        -------
        What is said of it, or why it cannot be.
        """
        if self.contest is None:
            return f"{type(self._pipeline.policy).__name__} keeps no other models; ChampionVersions and Pool do"
        wanted = name or self.contest.before(self.champion)
        if not wanted:
            return f"nobody has served before {self.champion.version}"
        verdict = self.contest.find(wanted, self.champion)
        if verdict is None:
            known = ", ".join(self.contest.names(self.champion)) or "nobody"
            return f"model: got {wanted!r}, expected one that is there: {known}"
        return self._crown(self.contest, verdict, moment.record.offset, reason, moment)

    def _recent_drift(self) -> str:
        """Return the id of the champion's newest drift event, empty when there is none that is not stale."""
        drift, at = self._last_drift
        return drift if self._labelled - at <= self._pipeline.drift.patience else ""

    def _serve(self, champion: Learner, offset: int) -> None:
        """Have another model serve from the record after an offset on."""
        self.champion = champion
        self._watch = LossWatch(self._pipeline, champion.version)
        self._serving_from = offset + 1
        self._quiet_until = self._labelled + self._pipeline.drift.cooldown
        self._warning = None
        self._last_drift = "", 0

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
            self._last_drift = warned.id, self._labelled
            if isinstance(self._pipeline.policy, BackgroundChallenger):
                self.challenger = self._new_learner()
            if self.contest is not None:
                self.contest.renew_challenger()
            return [warned]
        detected = self._drift_event(DriftDetected, change, moment)
        self._warning = None
        self._last_drift = detected.id, self._labelled
        self._quiet_until = self._labelled + self._pipeline.drift.cooldown
        if isinstance(self._pipeline.policy, (BackgroundChallenger, ResetOnDrift)):
            self._successor_of = detected.id
            if self.challenger is None:
                self.challenger = self._new_learner()
        if self.contest is not None:
            self.contest.renew_challenger()
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
        self._warning = None
        self.challenger, self._successor_of = self._new_learner(), reason

    def _succeed(self, learner: Learner, offset: int) -> None:
        """Have a fresh model serve, whoever else there was: what they know is of another declaration, or world."""
        self.challenger = self._successor_of = None
        self._serve(learner, offset)
        self.contest = self._new_contest()

    def _promote_if_ready(self, moment: Moment) -> list[LifecycleEvent]:
        """Let the challenger take over once drift is certain and it has learned enough."""
        if self._successor_of is None or self.challenger is None or not self.acts:
            return []
        policy = self._pipeline.policy
        wanted = policy.min_learned if isinstance(policy, BackgroundChallenger) else _RENEWAL_LEARNED
        if self.challenger.learned < (0 if isinstance(policy, ResetOnDrift) else wanted):
            return []
        event = ModelRetrained(
            **self._common(ModelRetrained, moment),
            version=self.challenger.version,
            replaced=self.champion.version,
            learned=self.challenger.learned,
            reason=self._successor_of,
        )
        fresh, reason, offset = self.challenger, self._successor_of, moment.record.offset
        if self.contest is not None and self._is_command(reason):
            # The world and the declaration are what they were: those that could serve before still can.
            self.challenger = self._successor_of = None
            return self._crown(self.contest, Verdict("challenger", fresh, Advantage(), 0.0), offset, reason, moment)
        self._succeed(fresh, offset)
        return [event]

    def _is_command(self, reason: str) -> bool:
        return reason.endswith(f"/{_kind_of(CommandObeyed)}")

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
            segment=change.segment,
        )

    def _common(self, event: type[LifecycleEvent], moment: Moment) -> dict[str, Any]:
        """Return the fields that every lifecycle event has."""
        return {
            "id": "/".join(filter(None, (moment.record.position.event_id, moment.about, _kind_of(event)))),
            "pipeline": self._pipeline.name,
            "partition": moment.record.partition,
            "offset": moment.record.offset,
            "time": moment.time_ms,
        }


def _kind_of(event: type[LifecycleEvent]) -> str:
    """Return what an event is called in ids."""
    return event.type.removeprefix("riverrun.")
