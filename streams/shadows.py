"""The models beside the champion: those of the contest, and those that race."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from streams.accounting import Books
from streams.contest import Answers, Contest
from streams.entrants import Entrants
from streams.label_join import Asked
from streams.learner import Learner
from streams.past import Kept
from streams.pipeline import Pipeline, label_of
from streams.policy import ChampionVersions, ObserveOnly
from streams.prequential import Loss
from streams.recent import Example
from streams.verdict import RACING, Verdict
from streams.versions import Frozen

_CONTEST, _RACE, _FROZEN = "contest-", "race-", "frozen-"


class Shadows:
    """Those who could serve, and who of them should.

    Parameters
    ----------
    pipeline
        The declaration.
    fresh
        Makes an unlearned learner, under the next version, of the declared model with a label.
    books
        Where errors of theirs are counted.
    loss
        Measures their answers.
    """

    def __init__(self, pipeline: Pipeline, fresh: Callable[[str], Learner], books: Books, loss: Loss) -> None:
        self._pipeline = pipeline
        self._fresh = fresh
        self._books = books
        self._loss = loss
        #: Label of the model that serves.
        self._serving = ""
        self.contest: Contest | None = None
        race = pipeline.race
        self.entrants = Entrants(race, pipeline.candidates, fresh, books) if race is not None else None
        self.exist = race is not None or isinstance(pipeline.policy, ChampionVersions)
        #: Whether anybody has to be asked, or taught: nobody has while the world stands still.
        self.are_awake = False

    def begin(self, champion: Learner) -> None:
        """Begin with a champion that none of them has met: the contest anew, while those that race go on."""
        self._serving = label_of(champion.version)
        self._begin_contest(champion)
        self._begin_race()
        self._look_around(champion)

    def _look_around(self, champion: Learner) -> None:
        """See whether anybody is awake."""
        contest = self.contest
        self.are_awake = self.entrants is not None or (
            contest is not None and (contest.is_awake or contest.steady is not champion or contest.past.is_busy)
        )

    def _begin_contest(self, champion: Learner) -> None:
        self.contest = self._new_contest(champion)
        if self.contest is not None:
            self.contest.begin()

    def _begin_race(self) -> None:
        if self.entrants is not None:
            self.entrants.begin(self._serving)

    def _new_contest(self, champion: Learner) -> Contest | None:
        policy, pipeline = self._pipeline.policy, self._pipeline
        if not isinstance(policy, ChampionVersions):
            return None
        late, kind, classes = pipeline.label is not None and pipeline.label.comes_late, pipeline.kind, pipeline.classes
        return Contest(policy, champion, self.another, kind, classes, self._books, self._loss.of, late=late)

    def another(self) -> Learner:
        """Return an unlearned learner of the kind that serves; of the declared model when no declared one serves."""
        return self._fresh(self._serving if self._serving in self._pipeline.candidates else "")

    # ------------------------------------------------------------------ who there is

    def learners(self, champion: Learner) -> dict[str, Learner]:
        """Return those that learn, by the name of the part that they are in a snapshot."""
        found: dict[str, Learner] = {}
        if self.contest is not None:
            found |= {f"{_CONTEST}{role}": learner for role, learner in self.contest.learners(champion).items()}
        if self.entrants is not None:
            found |= {f"{_RACE}{version}": learner for version, learner in self.entrants.learners.items()}
        return found

    @property
    def frozen(self) -> dict[str, Frozen]:
        """Those that do not learn, by the name of the part that they are in a snapshot."""
        found = self.contest.past.frozen if self.contest is not None else {}
        return {f"{_FROZEN}{name}": frozen for name, frozen in found.items()}

    def find(self, name: str, champion: Learner) -> Verdict | str:
        """Return what an operator calls by its name, empty for the one before the champion; or why that cannot be."""
        contest, entrants = self.contest, self.entrants
        if contest is not None:
            contest.past.finish()  # who has stepped down just now can be meant, too
            self._look_around(champion)
        if not self.exist:
            return f"{type(self._pipeline.policy).__name__} keeps no other models; ChampionVersions and Pool do"
        before = contest.before(champion) if contest is not None else entrants.before if entrants is not None else ""
        wanted = name or before
        if not wanted:
            return f"nobody has served before {champion.version}"
        if wanted == champion.version:
            return f"{wanted} serves already"
        there = contest.candidates(champion) if contest is not None else {}
        found = there.get(wanted)
        if found is None and entrants is not None:
            found = entrants.find(wanted)
        if found is not None:
            return found
        names = [*there, *(entrants.learners if entrants else ())]
        return f"model: got {wanted!r}, expected one that is there: {', '.join(names) or 'nobody'}"

    # ------------------------------------------------------------------ one event

    def answers(self, champion: Learner, x: dict[str, Any], offset: int) -> Answers | None:
        """Return what those that learn answer to an event, prediction and score by name; None when nobody is asked."""
        answers = self.contest.answers(champion, x, offset) if self.contest is not None else None
        return answers if self.entrants is None else {**(answers or {}), **self.entrants.answers(x)}

    def rehearse(self, champion: Learner, asked: Asked) -> Answers | None:
        """Return what is answered in a rehearsal of an event whose label has come late, see `Contest.rehearse`."""
        return None if self.contest is None else self.contest.rehearse(champion, asked.x, asked.offset)

    def all_answers(self, asked: Asked) -> Answers | None:
        """Return what all have answered to an event whose label has come; those that do not learn are asked now."""
        later = self.contest.later_answers(asked.x, asked.offset) if self.contest is not None else None
        if not later:
            return asked.shadows
        return {**asked.shadows, **later} if asked.shadows else later

    def learn(self, champion: Learner, asked: Asked, y: Any) -> None:
        """Let those learn that do; their errors are their own, and may end them."""
        if self.contest is not None:
            self.contest.learn(champion, asked.x, y, asked.offset)
        if self.entrants is not None:
            self.entrants.learn(asked.x, y, asked.shadows or ())

    def update(
        self,
        champion: Learner,
        loss: float | None,
        losses: Mapping[str, float | None],
        offset: int,
        *,
        own: bool,
        learned: Example | None,
    ) -> Verdict | None:
        """Take the losses of one labelled event, as `Contest.update` does.

        Returns
        -------
        The one that should serve, if any is better: one that knows the world of today, else one that races.
        """
        contest, entrants = self.contest, self.entrants
        verdict = None
        if contest is not None:
            verdict = contest.update(champion, loss, losses, offset, own=own, learned=learned)
            if self.are_awake or contest.is_awake:
                self._look_around(champion)
        if entrants is None or loss is None:
            return verdict
        faster = entrants.update(loss, losses, offset)
        if faster is None or (verdict is not None and not verdict.held):
            return verdict
        return msgspec.structs.replace(faster, held=self._held_back(faster))

    def _held_back(self, faster: Verdict) -> str:
        """Return why one who races may not take over, empty when it may."""
        if isinstance(self._pipeline.policy, ObserveOnly):
            return "policy"
        return "" if self.contest is None or self.contest.may_act(is_new=not faster.has_served) else "budget"

    def is_news(self, verdict: Verdict) -> bool:
        """Tell whether a held verdict is heard of for the first time."""
        if verdict.role in RACING:
            return self.entrants is not None and self.entrants.is_news(verdict)
        return self.contest is not None and self.contest.restraint.is_news(verdict)

    @property
    def has_kept(self) -> bool:
        """Whether there are versions kept that nobody has been told of."""
        return self.contest is not None and self.contest.past.has_kept

    def take_kept(self) -> list[Kept]:
        """Return the versions that are kept and nobody has been told of."""
        return [] if self.contest is None else self.contest.past.take_kept()

    # ------------------------------------------------------------------ what follows from it

    def crown(self, verdict: Verdict, champion: Learner, since: int, copy: Callable[[Frozen], Learner]) -> Learner:
        """Let one take over, as `Contest.crown` does; where nobody keeps the champion, it goes on racing."""
        if self.contest is not None:
            new = self.contest.crown(verdict, champion, since, copy)
        else:
            new = copy(verdict.model) if isinstance(verdict.model, Frozen) else verdict.model
        self._serving = label_of(new.version)
        if self.entrants is not None:
            won = verdict.role in RACING and verdict.advantage.count > 0
            self.entrants.begin(self._serving, champion if self.contest is None else None, won=won)
        self._look_around(new)
        return new

    def on_drift(self, *, certain: bool) -> None:
        """Begin anew with those that have to know the new world from its beginning."""
        if self.contest is not None:
            self.contest.challenger.renew()
        if self.entrants is not None and certain:
            self.entrants.enter(self._serving)

    def eliminate(self) -> tuple[str, str] | None:
        """Let one leave the race that has no place in it any more; return its version, and why."""
        return self.entrants.eliminate() if self.entrants is not None else None

    def begin_anew(self, champion: Learner, losses: Sequence[tuple[float, int]]) -> None:
        """Begin anew with what remembers losses, as `Contest.begin_anew` does; a lead in the race stands."""
        if self.contest is not None:
            self.contest.begin_anew(champion, losses)

    # ------------------------------------------------------------------ kept and brought back

    def snapshot(self, champion: Learner) -> Any:
        """Return the state but for the models: of the contest, and of the race."""
        contest = None if self.contest is None else self.contest.snapshot(champion)
        return contest, None if self.entrants is None else self.entrants.snapshot()

    def restore(
        self,
        contest: Any,
        race: Any,
        champion: Learner,
        learner: Callable[[str, str, int], Learner],
        data: Callable[[str], bytes],
    ) -> None:
        """Become what `snapshot` was taken of.

        Parameters
        ----------
        contest, race
            What `snapshot` returned; None where it begins anew.
        champion
            Who serves.
        learner
            Returns the learner of a part, given its name, version and number of examples learned.
        data
            Returns a part as it is written.
        """
        self._serving = label_of(champion.version)
        self.contest = self._new_contest(champion)
        if self.contest is None or contest is None:
            self._begin_contest(champion)
        else:
            self.contest.restore(
                contest,
                champion,
                lambda role, version, learned: learner(f"{_CONTEST}{role}", version, learned),
                lambda name: data(f"{_FROZEN}{name}"),
            )
        if self.entrants is None or race is None:
            self._begin_race()
        else:
            self.entrants.restore(race, lambda version, learned: learner(f"{_RACE}{version}", version, learned))
        self._look_around(champion)
