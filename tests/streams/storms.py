"""Storms: worlds that change, models that raise, labels that are late, and commands, all of it drawn."""

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from river import base, linear_model, naive_bayes, preprocessing, tree

from riverrun import ChampionVersions, Label, Pipeline, Pool
from schemas import cloudevents as ce
from schemas.commands import Freeze, Order, Pin, Promote, Resume, Retrain, RollBack, encode_command
from schemas.record import Record
from streams.task import Task
from tests.streams.logs import Log


class Moody(base.Classifier):
    """Raises where a feature says so, when it learns or answers; or only every second time."""

    def __init__(self) -> None:
        self.inner = naive_bayes.GaussianNB()
        self.learned = 0

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        """Learn, or raise in the middle of it."""
        self.learned += 1
        if x["mood"] == 1 or (x["mood"] == 2 and self.learned % 2):
            raise ArithmeticError("not in the mood to learn")
        self.inner.learn_one({"a": x["a"], "b": x["b"]}, y)

    def predict_proba_one(self, x: dict[str, Any]) -> dict[Any, float]:
        """Answer, or raise."""
        if x["mood"] == 3 or (x["mood"] == 4 and self.learned % 2):
            raise ArithmeticError("not in the mood to answer")
        answer: dict[Any, float] = self.inner.predict_proba_one({"a": x["a"], "b": x["b"]})
        return answer


_MODELS: tuple[Any, ...] = (
    naive_bayes.GaussianNB(),
    preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    tree.HoeffdingTreeClassifier(grace_period=50),
    Moody(),
)


class Storm:
    """A pipeline, and a log that is drawn as it is read: some of its commands name models that are there.

    Parameters
    ----------
    seed
        Of all that is drawn.
    """

    def __init__(self, seed: int) -> None:
        self._rng = rng = random.Random(seed)
        settings = {
            "milestone": rng.choice([1, 50, 200]),
            "probation": rng.choice([0, 50, 200, 1000]),
            "versions": rng.choice([0, 1, 3]),
            "change": rng.choice([1.0, 20.0, 3000.0]),
            "challenger_life": rng.choice([150, 1000]),
            "scored": rng.choice([0.5, 1.0, 1.0]),
            "actions": rng.choice([3, 300]),
        }
        policy = Pool(**settings) if rng.random() < 0.5 else ChampionVersions(alarm=rng.choice([1.0, 5.0]), **settings)
        self._late = rng.choice(["", "late", "mixed", "assumed"])
        ttl = timedelta(seconds=0.3 if self._late == "assumed" else 100) if self._late else None
        assumed = {"on_expiry": False} if self._late == "assumed" else {}
        model = rng.choice(_MODELS)
        self._is_moody = isinstance(model, Moody)
        features = {"a": float, "b": float} | ({"mood": float} if self._is_moody else {})
        per = "key" if rng.random() < 0.2 and not self._is_moody else None
        label = Label("y", type=bool, ttl=ttl, **assumed)
        self.pipeline = Pipeline("p", features=features, label=label, model=model, policy=policy, model_per=per)
        self._segment, self._noise = rng.choice([150, 400]), rng.choice([0.02, 0.1])
        self._commands = rng.choice([0.0, 0.01, 0.03])

    def records(self, count: int, task: Task) -> Iterator[Record]:
        """Yield the records of so many events; commands go to models of a task that has stepped through the others."""
        log, rng, due = Log(), self._rng, dict[int, list[tuple[int, bool, bytes]]]()
        for i in range(count):
            x = {"a": rng.gauss(0, 1), "b": rng.gauss(0, 1)}
            y = (x[("a", "a", "b")[i // self._segment % 3]] > 0) != (i // self._segment % 3 == 1)
            y, key = y != (rng.random() < self._noise), rng.choice([b"k", b"l"])
            if self._is_moody:
                x["mood"] = float(rng.choice([1, 2, 3, 4]) if rng.random() < 0.01 else 0)
            inline = not self._late or (self._late == "mixed" and rng.random() < 0.3)
            yield log.event(x, f"e{i}", y=y if inline else None, time_ms=i, key=key)
            if not inline and not (self._late == "assumed" and rng.random() < 0.3):
                due.setdefault(i + (40 if self._late == "late" else rng.randrange(1, 200)), []).append((i, y, key))
            for j, label, of in due.pop(i, ()):
                yield log.label(f"e{j}", label, time_ms=i, key=of)
            while rng.random() < self._commands:
                headers = [("ce_id", f"c{len(log.records)}".encode()), ("ce_type", ce.COMMAND.encode())]
                yield log.raw(encode_command(self._order(task)), headers=headers, time_ms=i)

    def _order(self, task: Task) -> Order:
        lifecycle, rng = task.lifecycle, self._rng
        contest = lifecycle.shadows.contest
        names = list(contest.candidates(lifecycle.champion)) if contest is not None else []
        if names and rng.random() < 0.5:
            return Promote(pipeline="p", model=rng.choice(names))
        kind = rng.choice([RollBack, RollBack, RollBack, Retrain, Freeze, Pin, Resume, Resume, Resume])
        order: Order = kind(pipeline="p")
        return order
