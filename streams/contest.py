"""The contest for the champion's place: who else could serve, and what speaks for them."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from schemas.errors import ModelBrokenError, ModelError
from streams.accounting import Books
from streams.archive import Archive
from streams.challenger import Challenger
from streams.evidence import Advantage, Shift, new_alarm
from streams.label import TaskKind
from streams.learner import Learner
from streams.milestones import Milestones
from streams.newcomer import Newcomer
from streams.policy import ChampionVersions
from streams.verdict import Crowning, Role, Verdict
from streams.versions import Frozen

_PER = 10_000
#: Labelled events for which the others are scored when the champion's loss may have risen.
_AWAKE = 200
#: While nothing alarms, the reference is scored on one event in so many.
_PACE = 8
_BASELINE, _PACED_BASELINE = 300, 100


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
    """

    def __init__(
        self,
        policy: ChampionVersions,
        champion: Learner,
        fresh: Callable[[], Learner],
        kind: TaskKind,
        classes: Collection[Any],
        books: Books,
    ) -> None:
        self._policy = policy
        self._fresh = fresh
        self._kind: TaskKind = kind
        self._classes = classes
        self._books = books
        self.steady = champion
        self._challenger = Challenger(fresh, policy.challenger_life)
        self.previous: Learner | None = None
        #: Version of the champion before this one.
        self._replaced = ""
        self._newcomer = Newcomer()
        self.archive = Archive(policy.versions)
        self._milestones = Milestones(policy.milestone, _BASELINE if policy.always else _PACED_BASELINE, kind, classes)
        self._advantages: dict[str, Advantage] = {}
        self._alarm = new_alarm()
        self._labelled = 0
        self._awake_until = 0
        self._probation_until = 0
        #: Labelled events at which the champion was replaced.
        self._actions: list[int] = []
        #: Replacements that probation took back, less those that held.
        self._setbacks = 0
        self._held: set[str] = set()

    # ------------------------------------------------------------------ who there is

    @property
    def is_awake(self) -> bool:
        """Whether the others are scored."""
        return self._policy.always or self._labelled < self._awake_until

    def learners(self, champion: Learner) -> dict[Role, Learner]:
        """Return those that learn beside the champion, by role."""
        roles: tuple[tuple[Role, Learner | None], ...] = (
            ("steady", self.steady),
            ("challenger", self._challenger.learner),
            ("newcomer", self._newcomer.learner),
            ("previous", self.previous),
        )
        found: dict[Role, Learner] = {}
        for role, learner in roles:
            if learner is not None and learner is not champion and learner not in found.values():
                found[role] = learner
        return found

    def _contenders(self, champion: Learner) -> Iterator[tuple[Role, str, Learner | Frozen]]:
        """Yield those that could serve: role, name, and themselves."""
        for role, learner in self.learners(champion).items():
            if role != "newcomer" or self._newcomer.is_ready:
                yield role, learner.version, learner
        for frozen in self.archive:
            yield "version", frozen.name, frozen

    def _asked(self, champion: Learner) -> Iterator[tuple[str, Learner | Frozen]]:
        """Yield those that answer the next event, by name."""
        if self.is_awake:
            for _, name, model in self._contenders(champion):
                yield name, model
        for frozen in self._milestones.references:
            yield frozen.name, frozen

    # ------------------------------------------------------------------ one event

    def answers(self, champion: Learner, x: dict[str, Any]) -> dict[str, tuple[Any, Any]] | None:
        """Return what the others answer to an event, prediction and score by name; None when nobody is asked."""
        if not self.is_awake and champion.learned % _PACE:
            return None
        answers: dict[str, tuple[Any, Any]] = {}
        for name, model in self._asked(champion):
            try:
                answers[name] = model.predict(x)
            except ModelError:
                self._books.count["shadow_error"] += 1
        return answers or None

    def learn(self, champion: Learner, x: dict[str, Any], y: Any, offset: int) -> None:
        """Let those learn that do; an error of theirs is their own, and may end them."""
        self._newcomer.remember(offset, x, y)
        if self.steady is champion and not (self._challenger.learner or self._newcomer.learner or self.previous):
            return  # nobody learns beside it
        for role, learner in self.learners(champion).items():
            try:
                if role == "newcomer":
                    self._newcomer.learn()
                else:
                    learner.learn(x, y)
            except ModelError:
                self._books.count["shadow_error"] += 1
            except ModelBrokenError:
                self._books.count["shadow_error"] += 1
                self._drop(role, champion)

    def _drop(self, role: str, champion: Learner) -> None:
        if role == "steady":
            self.steady = champion
        elif role == "previous":
            self.previous = None
        elif role == "newcomer":
            self._newcomer.leave()
        else:
            self._challenger.begin()

    def update(
        self, champion: Learner, loss: float | None, losses: Mapping[str, float | None], offset: int
    ) -> Verdict | None:
        """Take the losses of one labelled event.

        Parameters
        ----------
        champion
            Who serves.
        loss
            Its loss, None when another champion answered that event, or there is none to speak of.
        losses
            Losses of the others that were asked, by name.
        offset
            Offset of the event.

        Returns
        -------
        The one that is better than the champion, if any is.
        """
        self._labelled += 1
        if self.previous is not None and self._labelled >= self._probation_until:
            self.previous = None
            self._setbacks = max(0, self._setbacks - 1)
        verdict = None
        if loss is not None:
            self._alarm.update(loss)
            if not self._alarm.is_calm and self._alarm.value >= self._policy.alarm:
                self._wake()
            if losses:
                self._watch(champion, losses, offset)
            if self.is_awake:
                verdict = self._judge(champion, loss, losses, offset)
        if self._challenger.learner is not None:
            self._retire_challenger()
        if not self._milestones.take_if_due(champion, offset):
            self._books.count["not_frozen"] += 1
        return verdict

    def _watch(self, champion: Learner, losses: Mapping[str, float | None], offset: int) -> None:
        """Look for changes of the world in the losses of models that do not learn."""
        self._milestones.watch(champion, losses, offset)
        self._newcomer.suspect(*self._milestones.rise, self._fresh, asked=self.is_awake)
        self.archive.watch(losses)

    def _wake(self) -> None:
        if not self.is_awake:
            self._advantages.clear()
            self._challenger.begin()
        self._awake_until = self._labelled + _AWAKE

    def _judge(self, champion: Learner, loss: float, losses: Mapping[str, float | None], offset: int) -> Verdict | None:
        """Compare the others with the champion."""
        best: Verdict | None = None
        for role, name, model in self._contenders(champion):
            its_loss = losses.get(name)
            if its_loss is None or (role in ("challenger", "newcomer") and self._is_too_young(role, model)):
                continue
            advantage = self._advantages.get(name)
            if advantage is None:
                advantage = self._advantages[name] = Advantage()
            advantage.update(loss, its_loss, offset)
            if best is None or advantage.value > best.advantage.value:
                best = Verdict(role, model, advantage, 0.0)
        if best is None or best.advantage.value * self._policy.alpha < 1.0:
            return None
        return self._weighed(best)

    def _is_too_young(self, role: Role, model: Learner | Frozen) -> bool:
        """Tell whether a fresh learner has learned too little to be compared, and note that it could be."""
        (self._challenger if role == "challenger" else self._newcomer).judge()
        return model.learned < self._policy.min_learned

    def _weighed(self, best: Verdict) -> Verdict | None:
        """Return a verdict with what else has to be said, None while it needs more evidence."""
        # Who has shown already what it can needs no change of the world to come back.
        returns = best.role in ("steady", "previous")
        if not returns and best.advantage.value * self._policy.alpha < 2.0**self._setbacks:
            return None
        change = self._milestones.change
        # Whoever has just been crowned has no reference yet; nor has the first champion, which may learn in peace.
        is_open = bool(self._actions) if change is None else change >= self._policy.change
        fits_again = self.archive.fits_again(best.model.name)
        held = ""
        if not (returns or is_open or fits_again >= self._policy.change):
            held = "no change"
        elif not self.may_act():
            held = "budget"
        return Verdict(best.role, best.model, best.advantage, max(change or 0.0, fits_again), held)

    def may_act(self) -> bool:
        """Tell whether the budget of actions allows one more."""
        self._actions = [at for at in self._actions if at > self._labelled - _PER]
        return len(self._actions) < self._policy.actions

    def is_news(self, verdict: Verdict) -> bool:
        """Tell whether a held verdict is heard of for the first time."""
        key = f"{verdict.model.name}/{verdict.held}"
        if key in self._held:
            return False
        self._held.add(key)
        return True

    # ------------------------------------------------------------------ kept and brought back

    @property
    def frozen(self) -> dict[str, Frozen]:
        """All frozen models, by name."""
        return {frozen.name: frozen for frozen in (*self.archive, *self._milestones.frozen)}

    def snapshot(self, champion: Learner) -> Any:
        """Return the state but for the models."""
        return {
            "learners": {role: (one.version, one.learned) for role, one in self.learners(champion).items()},
            "frozen": {name: (one.version, one.learned, one.offset) for name, one in self.frozen.items()},
            "archive": self.archive.snapshot(),
            "milestones": self._milestones.snapshot(),
            "advantages": {name: advantage.snapshot() for name, advantage in self._advantages.items()},
            "alarm": self._alarm.snapshot(),
            "challenger": self._challenger.snapshot(),
            "newcomer": self._newcomer.snapshot(),
            "counts": (self._labelled, self._awake_until, self._probation_until, self._setbacks),
            "acted": (self._actions, sorted(self._held), self._replaced),
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
        self._challenger.restore(state["challenger"], learners.get("challenger"))
        self.previous = learners.get("previous")
        frozen = {
            name: Frozen(data(name), version, learned, offset, self._kind, self._classes)
            for name, (version, learned, offset) in state["frozen"].items()
        }
        self.archive.restore(state["archive"], frozen)
        self._milestones.restore(state["milestones"], frozen)
        self._advantages = {name: Advantage.restored(told) for name, told in state["advantages"].items()}
        self._alarm = Shift.restored(state["alarm"])
        self._newcomer.restore(state["newcomer"], learners.get("newcomer"))
        self._labelled, self._awake_until, self._probation_until, self._setbacks = state["counts"]
        self._actions, held, self._replaced = state["acted"]
        self._held = set(held)

    # ------------------------------------------------------------------ what follows from it

    def begin(self) -> None:
        """Begin with the first champion; what is restored has begun before."""
        if self._policy.always:
            self._challenger.begin()

    def renew_challenger(self) -> None:
        """Start the challenger anew at a warning, unless it is young."""
        if self._challenger.learner is not None and not self._challenger.is_young:
            self._challenger.begin()

    def _retire_challenger(self) -> None:
        """Replace a challenger that has had its time."""
        if not self.is_awake:
            self._challenger.leave()
        elif self._challenger.is_spent:
            self._challenger.begin()

    def names(self, champion: Learner) -> list[str]:
        """Return the names of those that could serve."""
        return [name for _, name, _ in self._contenders(champion)]

    def find(self, name: str, champion: Learner) -> Verdict | None:
        """Return what an operator calls by its name, as a verdict without evidence; None if nobody is it."""
        for role, known, model in self._contenders(champion):
            if known == name:
                return Verdict(role, model, Advantage(), 0.0)
        return None

    def before(self, champion: Learner) -> str:
        """Return the name of who served before the champion, empty when nobody did."""
        if self.previous is not None:
            return self.previous.version
        # It may be the one that is never reset, while the newest in the archive is of this champion, or older.
        kept = [frozen for frozen in reversed([*self.archive]) if not frozen.is_imported]
        known = [(frozen.version, frozen.name) for frozen in kept]
        known.append((self.steady.version, self.steady.version))
        others = [name for version, name in known if version != champion.version]
        return next((name for version, name in known if version == self._replaced), next(iter(others), ""))

    def crown(self, verdict: Verdict, champion: Learner, since: int, copy: Callable[[Frozen], Learner]) -> Crowning:
        """Let one take over.

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
        self._setbacks += verdict.role in ("steady", "previous") and verdict.advantage.count > 0
        rise, risen = self._milestones.rise
        archived = self._milestones.before(min(since, risen) if rise >= self._policy.change else since)
        evicted = self.archive.keep(archived, verdict.model) if archived is not None else None
        new = copy(verdict.model) if isinstance(verdict.model, Frozen) else verdict.model
        if new is self._challenger.learner:
            self._challenger.leave()
            self.begin()
        self._newcomer.begin()
        self.previous, self._replaced = None if champion is self.steady else champion, champion.version
        self._probation_until = self._labelled + self._policy.probation
        self._awake_until = self._probation_until
        self._actions.append(self._labelled)
        self._advantages.clear()
        self._held.clear()
        self._milestones.begin(new.learned)
        self._alarm = new_alarm()
        return Crowning(new, archived, evicted)
