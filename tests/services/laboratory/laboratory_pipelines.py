"""Declarations that are played in the laboratory's tests, and a log to play them over."""

import math
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import orjson
from river import anomaly, linear_model, metrics, naive_bayes, preprocessing, tree, utils

from riverrun import Drift, Feature, Label, Pipeline, Race
from schemas import cloudevents as ce
from schemas.lines import Line, format_line
from streams.prequential import MajorityClass

COUNT = 1_200

pipeline = Pipeline(
    "bench",
    features={"a": float, "b": Feature(float, nullable=True, missing="mean")},
    label=Label("y", type=bool, ttl=timedelta(days=1)),
    model=preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    drift=Drift(delta=0.05, warning_delta=0.2, cooldown=100),
    metrics=[metrics.Accuracy(), MajorityClass()],
)
price = Pipeline(
    "price",
    features={"a": float},
    label=Label("z", type=float),
    model=tree.HoeffdingTreeRegressor(),
    metrics=[metrics.MAE()],
)
#: Its model raises at every event: a tree that cannot take names.
broken = Pipeline(
    "broken", features={"a": float, "city": str}, label=Label("z", type=float), model=tree.HoeffdingTreeRegressor()
)
odd = Pipeline("odd", features={"a": float}, label=None, model=anomaly.HalfSpaceTrees(seed=1))
bayes = naive_bayes.GaussianNB()
grove = tree.HoeffdingTreeClassifier()
regressor = linear_model.LinearRegression()
racing = replace(
    pipeline, name="racing", race=Race([naive_bayes.GaussianNB(), tree.HoeffdingTreeClassifier()], budget=2)
)
nothing = 3
grid = utils.expand_param_grid(tree.HoeffdingTreeClassifier(), {"grace_period": [50, 200, 800]})
mixed = [bayes, nothing]


def log(count: int = COUNT, *, seed: int = 7) -> Iterator[bytes]:
    """Yield the lines of a log: events, and labels that come 20 events later; half way the rule is turned round."""
    chance = random.Random(seed)
    waiting: list[bytes] = []
    for number in range(count):
        a, b = chance.gauss(0, 1), chance.gauss(5, 2)
        y = (a + 0.2 * b > 1) != (number >= count // 2)
        x = {"a": a, "b": None if number % 9 == 0 else b, "city": chance.choice(("Oslo", "Rome")), "z": 2 * a + b}
        key, time_ms = str(number).encode(), 1_700_000_000_000 + number * 60_000
        yield format_line(Line(key, orjson.dumps(x), ce.event_headers(f"e{number}", source="test", time_ms=time_ms)))
        headers = ce.event_headers(f"l{number}", type=ce.LABEL, source="test", time_ms=time_ms)
        waiting.append(format_line(Line(key, orjson.dumps({"id": f"e{number}", "y": y}), headers)))
        if len(waiting) > 20:
            yield waiting.pop(0)
    yield from waiting


def clipped_log_loss(probability: float) -> float:
    """Return the loss that drift's ``"log"`` stands for, of the probability of what came true."""
    return min(1.0, -math.log(max(probability, math.exp(-4))) / 4)
