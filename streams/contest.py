"""The contest for the champion's place: who else could serve, and what speaks for them."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from schemas.errors import ModelBrokenError, ModelError
from streams.accounting import Books
from streams.challenger import Challenger
from streams.evidence import Advantage
from streams.label import TaskKind
from streams.learner import Learner
from streams.memory import Memory
from streams.newcomer import Newcomer
from streams.past import Past
from streams.policy import ChampionVersions
from streams.recent import Example
from streams.rehearsal import Rehearsal
from streams.restraint import Restraint
from streams.shift import Alarm
from streams.verdict import Role, Verdict
from streams.versions import Frozen

#: Prediction and score, by name.
Answers = dict[str, tuple[Any, Any]]
#: Labelled events for which the others are scored when the champion's loss may have risen.
_AWAKE = 200
#: The golden ratio less 1, and nearly 1, in 32 bits. Its multiples are spread evenly, whatever the distance of offsets.
_GOLDEN, _ALL = 0x9E3779B1, 0xFFFFFFFF


class Contest:
    """The models of a partition beside its champion.

    Parameters
    ----------
    policy
        The declaration.
    champion
        The first champion.
    fresh
        Makes a fresh learner under the next version.
    kind, classes
        As `Frozen` takes them.
    books
        Where errors of shadows are counted.
    loss
        Measures an answer that was not given, as `Loss.of` does.
    late
        Whether labels come after their events.
    """

    def __init__(
        self,
        policy: ChampionVersions,
        champion: Learner,
        fresh: Callable[[], Learner],
        kind: TaskKind,
        classes: Collection[Any],
        books: Books,
        loss: Callable[[Any, Any, Any], float | None],
        *,
        late: bool = False,
    ) -> None:
        self._policy = policy
        self._scored = round(policy.scored * (_ALL + 1))
        self._fresh = fresh
        self._books = books
        self.steady = champion
        self.challenger = Challenger(fresh, policy.challenger_life)
        self.previous: Learner | None = None
        #: Version of the champion before this one, and whether it was by an order that it had to go.
        self._replaced = "", False
        self._newcomer = Newcomer()
        self.restraint = Restraint(policy)
        self._late = late
        self._memory = Memory()
        self._rehearsal = Rehearsal(policy, self._memory, self.restraint)
        self.past = Past(policy, kind, classes, books, loss)
        self._advantages: dict[str, Advantage] = {}
        self._alarm = Alarm()
        #: Whether the others are scored, and the labelled event at which that ends.
        self.is_awake = policy.always
        self._labelled = self._awake_until = self._probation_until = 0

    # ------------------------------------------------------------------ who there is

    def learners(self, champion: Learner) -> dict[Role, Learner]:
        """Return those that learn beside the champion, by role."""
        found: dict[Role, Learner] = {}
        steady, previous = self.steady, self.previous
        if steady is not champion:
            found["steady"] = steady
        if (challenger := self.challenger.learner) is not None:
            found["challenger"] = challenger
        if (newcomer := self._newcomer.learner) is not None:
            found["newcomer"] = newcomer
        if previous is not None and previous is not champion and previous is not steady:
            found["previous"] = previous
        if (reconstruction := self.past.learner) is not None:
            found["reconstruction"] = reconstruction
        return found

    def _ready(self, champion: Learner) -> dict[Role, Learner]:
        """Return those that learn and can answer."""
        absent = ("reconstruction",) if self._newcomer.is_ready else ("reconstruction", "newcomer")
        return {role: learner for role, learner in self.learners(champion).items() if role not in absent}

    def _contenders(self, champion: Learner) -> Iterator[tuple[Role, str, Learner | Frozen]]:
        """Yield those that could serve: role, name, and themselves."""
        for role, learner in self._ready(champion).items():
            yield role, learner.version, learner
        for frozen in self.past.archive:
            yield "version", frozen.name, frozen

    # ------------------------------------------------------------------ one event

    def _asks(self, offset: int) -> bool:
        """Tell whether anybody is asked about the event at an offset."""
        return self.is_awake and (offset * _GOLDEN & _ALL) < self._scored

    def answers(self, champion: Learner, x: dict[str, Any], offset: int) -> Answers | None:
        """Return what those that learn answer to an event, prediction and score by name; None when nobody is asked."""
        if not self._asks(offset):
            return None
        return self._answers(self._ready(champion).values(), x)

    def rehearse(self, champion: Learner, x: dict[str, Any], offset: int) -> Answers | None:
        """Return what champion and newcomer answer today to an event whose label has come, before they learn it."""
        newcomer = self._newcomer.learner if self._newcomer.is_ready and self._asks(offset) else None
        return None if newcomer is None else self._rehearsal.answers(champion, newcomer, x)

    def later_answers(self, x: dict[str, Any], offset: int) -> Answers | None:
        """Return what those that do not learn answer to an event whose label has come; None when nobody is asked.

        What is older than the event would have said the same before: it need not have been asked then. (A younger copy
        has learned labels of events before this one; a younger model from elsewhere, who knows, and it is not asked.)
        """
        if not self._asks(offset):
            return None
        return self._answers(self.past.asked(offset), x)

    def _answers(self, models: Iterable[Learner | Frozen], x: dict[str, Any]) -> Answers | None:
        answers: Answers = {}
        for model in models:
            try:
                answers[model.name] = model.predict(x)
            except ModelError:
                self._books.count["shadow_error"] += 1
        return answers or None

    def learn(self, champion: Learner, x: dict[str, Any], y: Any, offset: int) -> None:
        """Let those learn that do; an error of theirs is their own, and may end them."""
        self._newcomer.hear(x, y)
        self.past.milestones.hear((offset, x, y))
        if self.past.is_busy:
            self._teach(champion, "reconstruction", self.past.reconstruct)
        for role, learner in self.learners(champion).items():
            if role == "newcomer":
                self._teach(champion, role, self._newcomer.learn)
            elif role != "reconstruction":
                self._teach(champion, role, learner.learn, x, y)

    def _teach(self, champion: Learner, role: Role, teach: Callable[..., None], *example: Any) -> None:
        try:
            teach(*example)
        except (ModelError, ModelBrokenError) as error:
            self._books.count["shadow_error"] += 1
            if isinstance(error, ModelBrokenError):
                self._drop(role, champion)

    def _drop(self, role: str, champion: Learner) -> None:
        if role == "steady":
            self.steady = champion
        elif role == "previous":
            self.previous = None
        elif role == "newcomer":
            self._newcomer.leave()
        elif role == "reconstruction":
            self.past.break_off()
        else:
            self.challenger.begin()

    def update(
        self,
        champion: Learner,
        loss: float | None,
        losses: Mapping[str, float | None],
        offset: int,
        *,
        own: bool = True,
        learned: Example | None = None,
    ) -> Verdict | None:
        """Take the losses of one labelled event; return the one that is better than the champion, if any is.

        Parameters
        ----------
        champion, offset
            Who serves, and the offset of the event.
        loss
            Its loss, None when there is none to speak of.
        losses
            Losses of the others that were asked, by name.
        own
            Whether the champion has given the answer. Else the event came before it served, `loss` is that of its
            answer in shadow, if there is any, and its probation has not begun.
        learned
            The event and its label as the champion has learned them, None when it has not.
        """
        if learned is not None:
            self.past.recent.add(learned)
        if own:
            self._labelled += 1
            if self.is_awake and self._labelled >= self._awake_until and not self._policy.always:
                self._rest()
            if self.previous is not None and self._labelled >= self._probation_until:
                self.previous = None
                self.restraint.relax()
        if loss is not None:
            if (alarm := self._alarm.update(loss)) > 1.0 and alarm >= self._policy.alarm:
                self._wake(champion)
            if self._late and own:
                self._memory.add(loss, offset)
        verdict = self._compare(champion, loss, losses, offset) if self.is_awake else None
        if champion.learned >= self.past.milestones.due:
            self.past.copy(champion, offset, scored=self.is_awake)
        return verdict

    def _compare(
        self, champion: Learner, loss: float | None, losses: Mapping[str, float | None], offset: int
    ) -> Verdict | None:
        """Compare the others with the champion, and see whose time is over."""
        verdict = None
        if loss is not None:
            self._watch(champion, losses, offset)
            verdict = self._judge(champion, loss, losses, offset)
        if self._late and self._newcomer.learner is not None and (verdict is None or verdict.held):
            rehearsed = self._rehearsal.update(self._newcomer.learner, losses, offset)
            verdict = verdict if rehearsed is None else self._weigh(rehearsed)
        if self.challenger.is_spent:
            self.challenger.begin()
        return verdict

    def _watch(self, champion: Learner, losses: Mapping[str, float | None], offset: int) -> None:
        """Look for changes of the world in the losses of models that do not learn."""
        self.past.watch(champion, losses, offset)
        change, since = self.past.milestones.rise
        self._newcomer.suspect(change, since, self._fresh, self.past.recent)

    def _wake(self, champion: Learner) -> None:
        if not self.is_awake:
            self.challenger.begin()
            self.past.milestones.wake(champion.learned, self.past.recent)
        self._awake_until = max(self._awake_until, self._labelled + _AWAKE)
        self.is_awake = True

    def _rest(self) -> None:
        """Let everybody go who was there because something may have changed."""
        self.is_awake = False
        self._advantages.clear()
        self.challenger.leave()
        self._newcomer.begin()
        self.past.milestones.rest()

    def _judge(self, champion: Learner, loss: float, losses: Mapping[str, float | None], offset: int) -> Verdict | None:
        """Return the best of those that are better than the champion."""
        best: tuple[Role, Learner | Frozen, Advantage] | None = None
        most, suffices = 1.0 / self._policy.alpha, self.restraint.suffices
        known, self._advantages = self._advantages, {}  # what speaks for somebody ends with its contender
        for role, name, model in self._contenders(champion):
            advantage = self._advantages[name] = known.get(name) or Advantage()
            its_loss = losses.get(name)
            if its_loss is None or (role in ("challenger", "newcomer") and self._is_too_young(role, model)):
                continue
            # Losses that resemble each other count by blocks: where labels are late, what they tell is soon over.
            advantage.update(loss, its_loss, offset, 1 if role == "steady" else self._memory.block)
            if advantage.value >= most and suffices(advantage.value, role, name):
                best, most = (role, model, advantage), advantage.value
        return None if best is None else self._weigh(Verdict(*best, 0.0))

    def _weigh(self, best: Verdict) -> Verdict:
        fits_again = self.past.archive.fits_again(best.model.name)
        return self.restraint.weigh(best, self.past.milestones.change, fits_again, self._labelled)

    def _is_too_young(self, role: Role, model: Learner | Frozen) -> bool:
        """Tell whether a fresh learner has learned too little to be compared, and note that it could be."""
        (self.challenger if role == "challenger" else self._newcomer).judge()
        return model.learned < self._policy.min_learned

    def begin_anew(self, champion: Learner, losses: Iterable[tuple[float, int]]) -> None:
        """Begin anew with what remembers losses, with the champion's newest ones: their unit is another one."""
        self._alarm, self._advantages = Alarm.after(loss for loss, _ in losses), {}
        self.past.forget_losses(champion.learned, scored=self.is_awake)

    def may_act(self, *, is_new: bool) -> bool:
        """Tell whether the budget of actions allows one more, as `Restraint.may_act` does."""
        return self.restraint.may_act(self._labelled, is_new=is_new)

    # ------------------------------------------------------------------ kept and brought back

    def snapshot(self, champion: Learner) -> Any:
        """Return the state but for the models."""
        return {
            "learners": {role: (one.version, one.learned) for role, one in self.learners(champion).items()},
            "past": self.past.snapshot(),
            "advantages": {name: advantage.snapshot() for name, advantage in self._advantages.items()},
            "alarm": self._alarm.snapshot(),
            "challenger": self.challenger.snapshot(),
            "newcomer": self._newcomer.snapshot(),
            "late": (self._memory.snapshot(), self._rehearsal.snapshot()),
            "counts": (self._labelled, self._awake_until, self._probation_until),
            "restraint": self.restraint.snapshot(),
            "replaced": self._replaced,
        }

    def restore(
        self,
        state: Any,
        champion: Learner,
        learner: Callable[[str, str, int], Learner],
        data: Callable[[str], bytes],
    ) -> None:
        """Become what `snapshot` was taken of.

        Parameters
        ----------
        state
            What `snapshot` returned.
        champion
            Who serves.
        learner
            Returns the learner of a role, given version and number of examples learned.
        data
            Returns a frozen model as it is written, by name.
        """
        learners = {role: learner(role, *named) for role, named in state["learners"].items()}
        self.steady = learners.get("steady", champion)
        self.challenger.restore(state["challenger"], learners.get("challenger"))
        self.previous = learners.get("previous")
        self.past.restore(state["past"], data, learners.get("reconstruction"))
        self._advantages = {name: Advantage.restored(told) for name, told in state["advantages"].items()}
        self._alarm = Alarm.restored(state["alarm"])
        self._newcomer.restore(state["newcomer"], learners.get("newcomer"))
        self._memory.restore(state["late"][0])
        self._rehearsal.restore(state["late"][1])
        self._labelled, self._awake_until, self._probation_until = state["counts"]
        self.is_awake = self._policy.always or self._labelled < self._awake_until
        self.restraint.restore(state["restraint"])
        self._replaced = state["replaced"]

    # ------------------------------------------------------------------ what follows from it

    def begin(self) -> None:
        """Begin with the first champion; what is restored has begun before."""
        if self._policy.always:
            self.challenger.begin()

    def candidates(self, champion: Learner) -> dict[str, Verdict]:
        """Return those that could serve, by name, as verdicts without evidence."""
        return {name: Verdict(role, model, Advantage(), 0.0) for role, name, model in self._contenders(champion)}

    def before(self, champion: Learner) -> str:
        """Return the name of who served before the champion, empty when nobody did."""
        if self.previous is not None:
            return self.previous.version
        return self.past.archive.before(champion.version, *self._replaced, self.steady.version)

    def crown(self, verdict: Verdict, champion: Learner, since: int, copy: Callable[[Frozen], Learner]) -> Learner:
        """Let one take over, and return it.

        Parameters
        ----------
        verdict
            Who, and why.
        champion
            Who serves until now.
        since
            Offset from which on the world is another: a copy of the champion from before is kept.
        copy
            Makes a learner, under the next version, of a frozen one.
        """
        rise, risen = self.past.milestones.rise
        until = min(since, risen) if rise >= self._policy.change else since
        self.past.leave(champion, until, verdict.model)
        new = copy(verdict.model) if isinstance(verdict.model, Frozen) else verdict.model
        if new is self.challenger.learner:
            self.challenger.leave()
            self.begin()
        self._newcomer.begin()
        by_order = verdict.advantage.count == 0
        self.previous, self._replaced = None if champion is self.steady else champion, (champion.version, by_order)
        self._probation_until = self._awake_until = self._labelled + self._policy.probation
        self.restraint.note(verdict.role, verdict.model.name, self._labelled, by_evidence=not by_order)
        self._alarm, self._advantages = Alarm(), {}
        self.past.milestones.begin(new.learned)
        self.is_awake = self._policy.always or self._policy.probation > 0
        if not self.is_awake:
            self._rest()
        return new
