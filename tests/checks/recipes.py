"""Model recipes that every law is held for, each with a log that has all that a log can have.

``python -m tests.checks.recipes`` prints the digest of each recipe's predictions, for a comparison across processes.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
from river import (
    anomaly,
    compose,
    forest,
    linear_model,
    multiclass,
    naive_bayes,
    optim,
    preprocessing,
    tree,
)

from riverrun import BackgroundChallenger, Drift, Feature, Label, Pipeline, Watch
from tests.streams.logs import Fold, Log

Row = dict[str, Any]
NUMBERS = {"a": float, "b": float, "c": float}
TTL = timedelta(seconds=5)
EVENTS = 220


@dataclass(frozen=True)
class Recipe:
    """A pipeline and the truth it has to find.

    Parameters
    ----------
    name
        Of the recipe.
    model
        Builds the model.
    kind
        Type of the label, None where there is none.
    truth
        Label of a row, before and after the world changes.
    features
        As declared.
    ttl
        How long labels may take, None for inline ones.
    settings
        Further arguments of the pipeline.
    """

    name: str
    model: Callable[[], Any]
    kind: type | None
    truth: Callable[[Row, bool], Any]
    features: dict[str, Any]
    ttl: timedelta | None = TTL
    settings: tuple[tuple[str, Any], ...] = ()

    def pipeline(self, **changes: Any) -> Pipeline:
        """Return the declaration."""
        arguments: dict[str, Any] = {
            "label": None if self.kind is None else Label("y", type=self.kind, ttl=self.ttl),
            "features": self.features,
            "model": self.model(),
            "drift": Drift(delta=0.05, warning_delta=0.3, cooldown=50, patience=100),
            "policy": BackgroundChallenger(min_learned=30),
            **dict(self.settings),
        }
        return Pipeline(self.name, **{**arguments, **changes})

    def log(self, events: int = EVENTS, seed: int = 11) -> Log:
        """Return events and labels: delayed, early, repeated, corrected, missing; halfway the world changes."""
        rng = random.Random(f"{self.name}/{seed}")
        log, owed = Log(), list[tuple[str, Any]]()
        for i in range(events):
            row, now = self._row(rng), i * 100
            y = None if self.kind is None else self.truth(row, i >= events // 2)
            if self.ttl is None or self.kind is None:
                log.event(row, f"e{i}", y=y, time_ms=now)
                continue
            fate = rng.random()
            if fate < 0.05:
                log.label(f"e{i}", y, time_ms=now)  # early
            log.event(row, f"e{i}", y=y if 0.05 <= fate < 0.15 else None, time_ms=now)
            if 0.15 <= fate < 0.17 and i > 100:
                log.label(f"e{i - 80}", y, time_ms=now)  # late, unless it was there
            if fate >= 0.2:  # those below never come
                owed.append((f"e{i}", y))
            if fate > 0.97:
                log.event(row, f"e{i}", time_ms=now)  # a duplicate event
            while len(owed) > 5:
                id, y = owed.pop(rng.randrange(len(owed)))
                log.label(id, y, time_ms=now)
                if rng.random() < 0.1:
                    log.label(id, rng.choice((y, owed[0][1])), time_ms=now)  # said again, or corrected
        return log

    def _row(self, rng: random.Random) -> Row:
        row: Row = {}
        for name, declared in self.features.items():
            kind = declared.type if isinstance(declared, Feature) else declared
            optional = not isinstance(kind, type) or (isinstance(declared, Feature) and declared.nullable)
            if optional and rng.random() < 0.2:
                row[name] = None
            elif kind is str:
                row[name] = rng.choice(("oslo", "lima", "pune", "cairo"))
            elif kind is int:
                row[name] = rng.randrange(100)
            else:
                row[name] = rng.random() if self.kind is None else rng.gauss(0, 1)
        return row


def _sign(row: Row, changed: bool) -> bool:
    return (row["a"] + row["b"] > 0) is not changed


def _third(row: Row, changed: bool) -> str:
    place = row["a"] + (row["b"] if changed else -row["b"])
    return "low" if place < -0.5 else "mid" if place < 0.5 else "top"


def _numbered(row: Row, changed: bool) -> int:
    return ("low", "mid", "top").index(_third(row, changed))


def _sum(row: Row, changed: bool) -> float:
    return 100.0 + 3 * row["a"] - (row["b"] if changed else -row["b"])


def _late(row: Row, changed: bool) -> bool:
    return ((row["city"] in ("oslo", "lima")) or row["hour"] > 60) is not changed


def _far(row: Row, changed: bool) -> bool:
    return abs(row["a"]) + abs(row["b"]) > 3


def _flights() -> Any:
    numbers = compose.SelectType(float, int) | preprocessing.StandardScaler()
    strings = compose.SelectType(str) | preprocessing.OneHotEncoder()
    return (numbers + strings) | linear_model.LogisticRegression(optim.SGD(0.05))


def _linear() -> Any:
    target = preprocessing.TargetStandardScaler(linear_model.LinearRegression(optim.SGD(0.02)))
    return preprocessing.StandardScaler() | target


_FLIGHTS = {
    "city": str,
    "carrier": Feature(str, max_categories=2, nullable=True, missing="last"),
    "hour": int,
    "temp": Feature(float, nullable=True, missing="mean"),
    "wind": float | None,
    "gust": Feature(float, ge=-1, le=1, out_of_range="clip"),
}
#: So eager that it finds something in two hundred records.
_WATCH = Watch(window=20, every=1, false_discovery_rate=0.9)
_SCALED = preprocessing.StandardScaler

RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("logistic", lambda: _SCALED() | linear_model.LogisticRegression(), bool, _sign, NUMBERS),
        Recipe("logistic_inline", lambda: linear_model.LogisticRegression(), bool, _sign, NUMBERS, ttl=None),
        # Numbers as classes: a set of strings has another order in every process, and after pickle.
        Recipe("hat", lambda: tree.HoeffdingAdaptiveTreeClassifier(grace_period=20), int, _numbered, NUMBERS),
        Recipe("forest", lambda: forest.ARFClassifier(n_models=3, grace_period=20), bool, _sign, NUMBERS),
        Recipe("gaussian_nb", naive_bayes.GaussianNB, str, _third, NUMBERS),
        Recipe(
            "one_vs_rest",
            lambda: _SCALED() | multiclass.OneVsRestClassifier(linear_model.LogisticRegression()),
            str,
            _third,
            NUMBERS,
        ),
        Recipe("softmax", lambda: _SCALED() | linear_model.SoftmaxRegression(), str, _third, NUMBERS),
        Recipe("linear", _linear, float, _sum, NUMBERS),
        Recipe("tree_regressor", lambda: tree.HoeffdingTreeRegressor(grace_period=20), float, _sum, NUMBERS),
        Recipe(
            "half_space", lambda: anomaly.HalfSpaceTrees(n_trees=4, height=4, window_size=40), None, _far, NUMBERS,
        ),
        Recipe(
            "half_space_labelled",
            lambda: preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(n_trees=4, height=4, window_size=40),
            bool,
            _far,
            NUMBERS,
            settings=(("task", "anomaly"),),
        ),
        Recipe("flights", _flights, bool, _late, _FLIGHTS),
        Recipe(
            "flights_assumed",
            _flights,
            bool,
            _late,
            _FLIGHTS,
            settings=(("label", Label("y", ttl=timedelta(seconds=3), on_expiry=False)),),
        ),
        Recipe("flights_watched", _flights, bool, _late, _FLIGHTS, settings=(("watch", _WATCH),)),
        Recipe("naive_bayes_watched", naive_bayes.GaussianNB, str, _third, NUMBERS, settings=(("watch", _WATCH),)),
        Recipe("linear_watched", _linear, float, _sum, NUMBERS, settings=(("watch", _WATCH),)),
    )
}  # fmt: skip

if __name__ == "__main__":
    digests = {}
    for name, recipe in RECIPES.items():
        fold = Fold(recipe.pipeline(), recipe.log().records)
        digests[name] = [recipe.pipeline().declaration, fold.digest]
    print(orjson.dumps(digests).decode())
