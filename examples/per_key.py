"""A model for each machine, and what that is worth: two backtests of one log, without Kafka.

    python examples/per_key.py

A reading of 70 °C is a fault in one machine and Tuesday in another. What is normal has to be learned per machine; the
record's key says which it is.
"""

import random
from collections.abc import Iterator
from dataclasses import replace

import orjson
from river import linear_model, metrics, preprocessing

from riverrun import Label, PerKey, Pipeline
from schemas.record import Record
from services.backtest import Backtest

pipeline = Pipeline(
    "machines",
    features={"celsius": float, "load": float},
    label=Label("fault"),
    model=preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    model_per=PerKey(most=500, min_learned=30),
    metrics=[metrics.Accuracy(), metrics.ROCAUC()],
)


def readings(machines: int = 200, count: int = 40_000) -> Iterator[Record]:
    """Yield readings; each machine has its own normal temperature."""
    rng = random.Random(1)
    normal = [rng.uniform(30, 90) for _ in range(machines)]
    for offset in range(count):
        machine, load = rng.randrange(machines), rng.random()
        celsius = normal[machine] + 10 * load + rng.gauss(0, 5)
        fault = celsius - 10 * load - normal[machine] + rng.gauss(0, 2) > 4
        value = orjson.dumps({"celsius": celsius, "load": load, "fault": fault})
        yield Record("machines.raw", 0, offset, offset, b"machine-%d" % machine, value)


def main() -> None:
    """Print what both come to."""
    for name, declared in (("one model", replace(pipeline, model_per=None)), ("a model per machine", pipeline)):
        backtest = Backtest(declared)
        for _ in backtest.run(readings()):
            pass
        values = " ".join(f"{metric} {value:.3f}" for metric, value in backtest.task.evaluation.values.items())
        print(f"{name:20} {values}")


if __name__ == "__main__":
    main()
