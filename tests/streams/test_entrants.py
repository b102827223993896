"""Rungs and their end: who leaves the race, also where models raise, answer nothing, or break."""

from collections.abc import Collection
from typing import Any

import pytest
from river import base, dummy

from schemas.errors import ModelBrokenError
from streams.accounting import Books
from streams.entrants import Entrants
from streams.learner import Learner
from streams.race import Race


class Constant(base.Classifier):
    """Always answers the same."""

    def __init__(self, answer: bool) -> None:
        self.answer = answer

    def learn_one(self, x: Any, y: Any) -> None:
        """Learn nothing."""

    def predict_proba_one(self, x: Any) -> Any:
        """Answer."""
        return {self.answer: 1.0}


class Raising(Constant):
    """Raises at each question."""

    def predict_proba_one(self, x: Any) -> Any:
        """Raise."""
        raise ValueError("no answer")


class Silent(Constant):
    """Never knows."""

    def predict_proba_one(self, x: Any) -> Any:
        """Say nothing."""
        return {}


class Desk:
    """Those that race, by label, and events whose label is true."""

    def __init__(self, models: dict[str, Any], *, budget: float, rung: int) -> None:
        self.models, self.versions = models, 0
        self.books = Books()
        race = Race(list(models.values()), budget=budget, rung=rung)
        self.entrants = Entrants(race, ["", *models], self._fresh, self.books)
        self.entrants.begin("")
        self.gone: list[tuple[str, str]] = []

    def _fresh(self, label: str) -> Learner:
        self.versions += 1
        return Learner(lambda: self.models[label].clone(), f"v{self.versions}-{label}", "binary")

    @property
    def racing(self) -> list[str]:
        """Labels of those that race."""
        return sorted(version.partition("-")[2] for version in self.entrants.learners)

    def step(self) -> tuple[str, str] | None:
        """Take one event."""
        answers = self.entrants.answers({"a": 1.0})
        self.entrants.learn({"a": 1.0}, True, answers)
        losses = {name: None if answer is None else float(not answer) for name, (answer, _) in answers.items()}
        self.entrants.update(0.5, losses, self.books.count["scored"])
        self.books.count["scored"] += 1
        gone = self.entrants.eliminate()
        if gone is not None:
            self.gone.append((gone[0].partition("-")[2], gone[1]))
        return gone

    def run(self, events: int) -> None:
        """Take events."""
        for _ in range(events):
            self.step()


def of(labels: Collection[str]) -> dict[str, Any]:
    """Return models that are never wrong, each under a label."""
    return dict.fromkeys(labels, Constant(True))


@pytest.mark.parametrize("mute", [Raising(True), Silent(True)], ids=["raises", "says nothing"])
def test_one_that_never_answers_leaves_at_the_end_of_the_first_rung(mute: Any) -> None:
    """Its turns count: before those that are always wrong, and the race goes on."""
    desk = Desk({"wrong": Constant(False), "mute": mute, **of("ab")}, budget=1, rung=50)
    desk.run(4 * 50 + 1)
    assert [label for label, _ in desk.gone] == ["mute", "wrong"]
    reason = "its mean loss was 1.0000 and the champion's 0.5000 on 50 events"
    assert desk.gone[0][1].startswith(f"{reason}, 50 of them unanswered and counted as wrong: the worst of 4")
    assert desk.gone[1][1].startswith(f"{reason}: the worst of 3")
    desk.run(2 * 50 + 1)
    assert len(desk.racing) == 1


def test_one_that_raises_takes_no_more_turns_than_any_other() -> None:
    """It goes, and its share of the budget is there for the others."""
    desk = Desk({"mute": Raising(True), **of("abc")}, budget=1.5, rung=50)
    desk.run(2000)
    assert "mute" not in desk.racing
    assert desk.books.count["shadow_error"] <= 52  # a rung, and the next event


def test_one_that_breaks_while_others_leave_breaks_nothing_else() -> None:
    """It begins anew with the turns that it has had, and goes if its turn to go has come."""
    for broken in "abcdef":
        desk = Desk(of("abcdef"), budget=1, rung=10)
        while desk.step() is None:
            pass
        learners = desk.entrants.learners
        left = {version.partition("-")[2]: version for version in learners}
        if broken not in left:
            continue

        def breaking(x: Any, y: Any) -> None:
            raise ModelBrokenError("beyond repair")

        learners[left[broken]].learn = breaking  # type: ignore[method-assign]
        desk.entrants.learn({"a": 1.0}, True, [left[broken]])
        assert left[broken] not in desk.entrants.learners
        assert broken in desk.racing
        desk.run(2)
        assert len(desk.racing) == 3
        desk.run(200)
        assert len(desk.racing) == 1


def test_one_that_breaks_again_and_again_holds_nobody_up() -> None:
    """Its turns go on from one learner to the next."""
    desk = Desk({"fragile": dummy.PriorClassifier(), **of("ab")}, budget=1, rung=50)
    for _ in range(200):
        desk.step()
        for version, learner in desk.entrants.learners.items():
            if version.endswith("fragile") and learner.learned >= 10:

                def breaking(x: Any, y: Any) -> None:
                    raise ModelBrokenError("beyond repair")

                learner.learn = breaking  # type: ignore[method-assign]
    assert len(desk.racing) == 2


def test_restored_in_the_middle_of_an_elimination_goes_on_with_it() -> None:
    """Who still has to go is state."""
    models = {"wrong": Constant(False), "worse": Raising(True), **of("ab")}
    desk, again = Desk(models, budget=1, rung=20), Desk(models, budget=1, rung=20)
    while desk.step() is None:
        pass
    learners = desk.entrants.learners
    again.entrants.restore(desk.entrants.snapshot(), lambda version, _: learners[version])
    again.books.count.update(desk.books.count)
    gone = desk.step()
    assert gone is not None
    assert gone == again.step()
    assert desk.racing == again.racing == ["a", "b"]
