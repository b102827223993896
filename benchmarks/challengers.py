"""``python -m benchmarks.challengers``: what a race brings and costs, by its budget, on a stream and on the flights.

A logistic regression serves, and eight trees race with it; on flights, five other learning rates do.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable
from statistics import median
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from river import linear_model, optim, preprocessing, tree, utils

from benchmarks.quality.policies import records_of_stream
from benchmarks.quality.worlds import all_worlds
from examples.flights import pipeline as flights_pipeline
from riverrun import BackgroundChallenger, Label, Pipeline, Race
from schemas.events import ModelPromoted, PredictionMade
from schemas.lines import format_line, records_of
from schemas.record import Record
from services.flights import flight_log
from streams.task import Task

app = typer.Typer(add_completion=False)
_TREES = {"grace_period": [50, 100, 200, 400], "max_depth": [5, 20]}
_RATES = {"LogisticRegression": {"optimizer": [(optim.SGD, {"lr": [0.05, 0.02, 0.01, 0.002, 0.001]})]}}
_BUDGETS: tuple[float | None, ...] = (None, 2.0, 1.0, 0.5)


@app.command()
def main(
    seeds: Annotated[int, typer.Option(help="Of the stream.")] = 3,
    events: Annotated[int, typer.Option(help="Of each stream.")] = 20_000,
    flights: Annotated[bool, typer.Option(help="Play 120,000 flights as well.")] = False,
) -> None:
    """Play streams with races of several budgets; print accuracy, when the first winner served, and cost."""
    table = Table(title="median over seeds; processor time by that without a race")
    for column in ("stream", "budget", "accuracy", "first winner at", "winners", "cost"):
        table.add_column(column)
    world = next(world for world in all_worlds() if world.name == "stationary agrawal")
    streams = [world.build(seed) for seed in range(1, seeds + 1)]
    plain = [_played(_agrawal(stream, None), _records(stream, events)) for stream in streams]
    trees = utils.expand_param_grid(tree.HoeffdingTreeClassifier(), _TREES)
    _add(table, "agrawal", "no race", plain, plain)
    for budget in _BUDGETS:
        raced = [_played(_agrawal(s, Race(trees, budget=budget)), _records(s, events)) for s in streams]
        _add(table, "agrawal", "all 8" if budget is None else f"{budget:g} of 8", raced, plain)
    if flights:
        log = list(records_of((format_line(line) for line in flight_log(120_000)), "flights.raw", partition=0))
        alone = [_played(flights_pipeline, log)]
        _add(table, "flights", "no race", alone, alone)
        rates = utils.expand_param_grid(flights_pipeline.model, _RATES)
        for budget in (None, 1.0):
            raced = [_played(dataclasses.replace(flights_pipeline, race=Race(rates, budget=budget)), log)]
            _add(table, "flights", "all 5" if budget is None else f"{budget:g} of 5", raced, alone)
    Console().print(table)


def _agrawal(stream: Any, race: Race | None) -> Pipeline:
    x, y = stream.examples[0]
    model = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    label = Label("y", type=type(y))
    return Pipeline("quality", dict.fromkeys(x, float), label, model, policy=BackgroundChallenger(), race=race)


def _records(stream: Any, events: int) -> list[Record]:
    return [record for record, _ in records_of_stream(stream, 0)][:events]


_Run = tuple[float, list[int], float]


def _played(pipeline: Pipeline, records: Iterable[Record]) -> _Run:
    """Return accuracy, offsets at which a winner took over, and processor seconds."""
    task, promoted = Task(pipeline), list[int]()
    right = answered = 0

    def note(_id: str, _offset: int, settled: Any) -> None:
        nonlocal right, answered
        right += settled.prediction == settled.y
        answered += 1

    task.witness = note
    began = time.process_time()
    for record in records:
        for event in task.step(record):
            if not isinstance(event, PredictionMade) and isinstance(event, ModelPromoted):
                promoted.append(event.offset)
    return right / answered, promoted, time.process_time() - began


def _add(table: Table, stream: str, budget: str, runs: list[_Run], plain: list[_Run]) -> None:
    firsts = [str(offsets[0]) if offsets else "-" for _, offsets, _ in runs]
    ratio = median(run[2] / alone[2] for run, alone in zip(runs, plain, strict=True))
    accuracy, winners = median(run[0] for run in runs), median(len(run[1]) for run in runs)
    table.add_row(stream, budget, f"{accuracy:.4f}", " ".join(firsts), f"{winners:g}", f"{ratio:.1f}")


if __name__ == "__main__":
    app()
