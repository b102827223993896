"""Those that race with the champion: declared models that learn in its shadow, on a budget."""

from collections.abc import Callable, Collection, Iterable, Mapping
from math import ceil
from typing import Any

from msgspec import Struct

from schemas.errors import ModelBrokenError, ModelError
from streams.accounting import Books
from streams.evidence import Lead
from streams.learner import Learner
from streams.pipeline import label_of
from streams.race import Race
from streams.verdict import Role, Verdict

#: After each of the first so many winners so many times the evidence is needed: among models that are nearly as good
#: one is ahead this week and another one the next.
_WINNERS, _HARDER = 6, 4.0


#: Loss of a turn that is not answered: that of a wrong answer.
_UNANSWERED = 1.0


class _Entrant(Struct):
    """One that races, its lead over the champion, and its turns in this rung, with the losses of both."""

    label: str
    role: Role
    learner: Learner
    lead: Lead
    turns: int = 0
    unanswered: int = 0
    loss: float = 0.0
    champions: float = 0.0

    @property
    def merit(self) -> tuple[bool, float]:
        """Whether it has answered at all, and by how much its loss was below the champion's, on average."""
        return self.unanswered < self.turns, (self.champions - self.loss) / max(1, self.turns)

    def take_turn(self, its_loss: float | None, champions: float) -> None:
        """Count a turn and the losses of both in it, its own None where it has not answered."""
        self.turns += 1
        self.unanswered += its_loss is None
        self.loss += _UNANSWERED if its_loss is None else its_loss
        self.champions += champions


class Entrants:
    """The models of a partition that race with its champion.

    Parameters
    ----------
    race
        The declaration.
    labels
        Of all declared models, see `Pipeline.candidates`.
    fresh
        Makes a learner of the model with a label.
    books
        Where errors of theirs are counted, and events: whose turn it is follows from their number.
    """

    def __init__(self, race: Race, labels: Collection[str], fresh: Callable[[str], Learner], books: Books) -> None:
        self._race = race
        self._labels = labels
        self._fresh = fresh
        self._books = books
        self._racing: dict[str, _Entrant] = {}
        #: Labels of those that still have to go at the end of a rung, the worst one last.
        self._leaving: list[str] = []
        self._held: set[str] = set()
        self._winners = 0

    # ------------------------------------------------------------------ who there is

    @property
    def learners(self) -> dict[str, Learner]:
        """Those that race, by version."""
        return {version: entrant.learner for version, entrant in self._racing.items()}

    @property
    def before(self) -> str:
        """Version of the last one that has lost its place, empty when none has."""
        losers = (version for version, entrant in reversed(self._racing.items()) if entrant.role == "loser")
        return next(losers, "")

    def begin(self, serving: str, loser: Learner | None = None, *, won: bool = False) -> None:
        """Race with another champion.

        Parameters
        ----------
        serving
            Label of its model: no other one of the kind races with it.
        loser
            The champion before, when it is to go on racing.
        won
            Whether the new one has won the race.
        """
        for version, entrant in list(self._racing.items()):
            if entrant.label == serving:
                del self._racing[version]
            else:
                entrant.lead = Lead()
        self._winners = min(_WINNERS, self._winners + won)
        if loser is not None:
            self._racing[loser.version] = _Entrant(label_of(loser.version), "loser", loser, Lead())
        self.enter(serving)

    def enter(self, serving: str) -> None:
        """Let all race that don't, unlearned, but for the kind that serves; a rung begins."""
        there = {entrant.label for entrant in self._racing.values()} | {serving}
        for label in self._labels:
            if label not in there:
                self._add(label)
        self._held.clear()
        self._begin_rung()

    def _add(self, label: str) -> _Entrant:
        learner = self._fresh(label)
        self._racing[learner.version] = entrant = _Entrant(label, "entrant", learner, Lead())
        return entrant

    # ------------------------------------------------------------------ one event

    def answers(self, x: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
        """Return what those answer to an event whose turn it is, prediction and score by version: None if it raises."""
        answers: dict[str, tuple[Any, Any]] = {}
        for version in self._next():
            try:
                answers[version] = self._racing[version].learner.predict(x)
            except ModelError:
                self._books.count["shadow_error"] += 1
                answers[version] = None, None  # it has had its turn
        return answers

    def _next(self) -> Iterable[str]:
        """Return whose turn it is: all, or as many as the budget allows."""
        budget, racing = self._race.budget, self._racing
        if budget is None or budget >= len(racing):
            return racing
        # By the number of events scored, which one that makes the champion raise is none of: it must leave no trace.
        number, versions = self._books.count["scored"], list(racing)
        turns = range(int(budget * number), int(budget * (number + 1)))
        return [versions[turn % len(versions)] for turn in turns]

    def learn(self, x: dict[str, Any], y: Any, asked: Iterable[str]) -> None:
        """Let those learn whose turn the event was; one that breaks begins anew, but for its turns in this rung."""
        for version in asked:
            entrant = self._racing.get(version)
            if entrant is None:
                continue
            try:
                entrant.learner.learn(x, y)
            except ModelError:
                self._books.count["shadow_error"] += 1
            except ModelBrokenError:
                self._books.count["shadow_error"] += 1
                del self._racing[version]
                rung = entrant.turns, entrant.unanswered, entrant.loss, entrant.champions
                again = self._add(entrant.label)
                again.turns, again.unanswered, again.loss, again.champions = rung

    def update(self, loss: float, losses: Mapping[str, float | None], offset: int) -> Verdict | None:
        """Take the losses of one labelled event.

        Parameters
        ----------
        loss
            The champion's, in [0, 1].
        losses
            Of others, by version or name; None of one that did not answer in its turn.
        offset
            Offset of the event.

        Returns
        -------
        The one that is better than the champion, if any is.
        """
        best: Verdict | None = None
        for version, entrant in self._racing.items():
            if version not in losses:
                continue
            its_loss = losses[version]
            if not self._leaving:
                entrant.take_turn(its_loss, loss)
            if its_loss is None:
                continue
            entrant.lead.update(loss, its_loss, offset)
            if best is None or entrant.lead.value > best.advantage.value:
                best = Verdict(entrant.role, entrant.learner, entrant.lead, 0.0)
        # Any of them may be better by chance: each has its share of alpha.
        enough = len(self._labels) / self._race.alpha * _HARDER**self._winners
        return best if best is not None and best.advantage.value >= enough else None

    # ------------------------------------------------------------------ a rung and its end

    def _begin_rung(self) -> None:
        for entrant in self._racing.values():
            entrant.turns, entrant.unanswered, entrant.loss, entrant.champions = 0, 0, 0.0, 0.0
        self._leaving = []

    def eliminate(self) -> tuple[str, str] | None:
        """Let the worst one go, when a rung is over and there is no budget for all: one at a call.

        Returns
        -------
        Its version, and why; None when nobody has to go.
        """
        racing = self._racing
        if not self._leaving:
            self._leaving = self._end_rung()
            if not self._leaving:
                return None
        label = self._leaving.pop()
        version = next(version for version, entrant in racing.items() if entrant.label == label)
        entrant = racing.pop(version)
        its, champions, turns = entrant.loss / entrant.turns, entrant.champions / entrant.turns, entrant.turns
        unanswered = f", {entrant.unanswered} of them unanswered and counted as wrong" if entrant.unanswered else ""
        reason = (
            f"its mean loss was {its:.4f} and the champion's {champions:.4f} on {turns} events{unanswered}: the worst "
            f"of {len(racing) + 1} that raced, on a budget of {self._race.budget:g}"
        )
        if not self._leaving:
            self._begin_rung()
        return version, reason

    def _end_rung(self) -> list[str]:
        """Return the labels of the worse half, the worst one last; none while the rung goes on, or all may stay."""
        budget, racing = self._race.budget, self._racing.values()
        if budget is None or len(racing) <= max(1, budget) or any(one.turns < self._race.rung for one in racing):
            return []
        gone = len(racing) - max(int(budget), ceil(len(racing) / 2), 1)
        return [entrant.label for entrant in sorted(racing, key=lambda one: one.merit)[:gone]][::-1]

    # ------------------------------------------------------------------ what follows from it

    def is_news(self, verdict: Verdict) -> bool:
        """Tell whether a held verdict is heard of for the first time."""
        known = verdict.model.name in self._held
        self._held.add(verdict.model.name)
        return not known

    def find(self, version: str) -> Verdict | None:
        """Return one by its version, as a verdict without evidence; None when it does not race."""
        entrant = self._racing.get(version)
        return None if entrant is None else Verdict(entrant.role, entrant.learner, Lead(), 0.0)

    # ------------------------------------------------------------------ kept and brought back

    def snapshot(self) -> Any:
        """Return the state but for the models."""
        racing = {
            version: (
                one.label,
                one.learner.learned,
                one.role,
                one.lead.snapshot(),
                one.turns,
                one.unanswered,
                one.loss,
                one.champions,
            )
            for version, one in self._racing.items()
        }
        return racing, self._leaving, self._winners, sorted(self._held)

    def restore(self, state: Any, learner: Callable[[str, int], Learner]) -> None:
        """Become what `snapshot` was taken of; `learner` returns one, given version and number of examples."""
        racing, self._leaving, self._winners, held = state
        self._held = set(held)
        self._racing = {
            version: _Entrant(label, role, learner(version, learned), Lead.restored(lead), *rung)
            for version, (label, learned, role, lead, *rung) in racing.items()
        }
