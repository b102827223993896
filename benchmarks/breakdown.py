"""Where the microseconds of a record go, stage by stage, in one process and on one thread.

    python -m benchmarks.breakdown --model lr

The first stages need no Kafka, and each holds the work of those above it that a worker does too. The last ones hand
finished messages to librdkafka, with and without their CloudEvents headers. Chunks of 500 records are timed and the
tenth percentile of the chunks is shown beside the median: what a stage costs when nobody disturbs it.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Annotated

import orjson
import typer
from confluent_kafka import Producer
from rich.console import Console
from rich.table import Table

from benchmarks import machine, pipelines, records
from benchmarks.broker import fresh_broker
from benchmarks.table import save
from benchmarks.work import MODEL_NAMES, make_model, make_step
from schemas.events import PredictionMade
from schemas.outgoing import OutgoingEncoder
from schemas.record import Headers, Record
from streams.chain import Chain, is_chain
from streams.decoding import Decoder
from streams.leaf_votes import LeafVotes, has_leaves
from streams.task import Task

CHUNK = 500
Stage = Callable[[Record], object]


def stages(model: str) -> dict[str, Callable[[], Stage]]:
    """Return, by name, what makes a fresh stage."""
    pipeline = getattr(pipelines, model)

    def reference() -> Stage:
        step = make_step(model)
        return lambda record: step(record.value or b"", 0, record.offset)

    def river(votes: LeafVotes | None = None) -> Stage:
        bare = make_model(model)
        ask, teach = bare.predict_proba_one, bare.learn_one
        if votes is not None:
            ask, teach = votes.asking(ask), votes.teaching(teach)

        def stage(record: Record) -> None:
            x = orjson.loads(record.value or b"")
            y = x.pop("label")
            del x["id"]
            ask(x)
            teach(x, y)

        return stage

    def learning(learn_one: Callable[[dict[str, float], bool], object]) -> Stage:
        def stage(record: Record) -> None:
            x = orjson.loads(record.value or b"")
            y = x.pop("label")
            del x["id"]
            learn_one(x, y)

        return stage

    def pipeline_learns() -> Stage:
        return learning(make_model(model).learn_one)

    def chain_learns() -> Stage:
        return learning(Chain(make_model(model)).learn_one)

    def decode() -> Stage:
        return Decoder(pipeline).decode

    def step() -> Stage:
        return Task(pipeline).step

    def encode() -> Stage:
        task, encoder = Task(pipeline), OutgoingEncoder(pipeline.name)

        def stage(record: Record) -> None:
            for event in task.step(record):
                encoder.encode(event, record)

        return stage

    once = {"orjson + River, each leaf votes once": lambda: river(LeafVotes())}
    learners = {
        "orjson + River's pipeline learns": pipeline_learns,
        "orjson + the same, step by step": chain_learns,
    }
    return {
        "reference (the whole bare loop)": reference,
        "orjson + River, nothing else": river,
        **(once if has_leaves(make_model(model)) else {}),
        **(learners if is_chain(make_model(model)) else {}),
        "riverrun: decode and validate": decode,
        "riverrun: step": step,
        "riverrun: step and encode": encode,
    }


def producing(bootstrap: str, pipeline: str) -> dict[str, Callable[[], Stage]]:
    """Return what makes the stages that hand a finished message to librdkafka as the worker does."""
    prediction = PredictionMade("a000001", True, 0.75, "Model", "v1", 1000, "bench.raw", 0, 7, pipeline, "0" * 12)
    message = OutgoingEncoder(pipeline).encode(prediction, Record("bench.raw", 0, 7, 0, b"a000001", b"{}"))

    def stage(headers: Headers | None) -> Stage:
        config = {"enable.idempotence": True, "linger.ms": 0, "delivery.report.only.error": True}
        limit = {"queue.buffering.max.messages": 1_000_000}
        producer = Producer({"bootstrap.servers": bootstrap, **config, **limit})
        produce, topic, value, key = producer.produce, message.topic, message.value, message.key
        produce(topic, value, key)
        producer.flush()
        return lambda _: produce(topic, value, key, 0, None, None, 0, headers)

    return {
        "librdkafka: produce": lambda: stage(None),
        "librdkafka: produce with five headers": lambda: stage(message.headers),
    }


def microseconds(stage: Stage, log: list[Record]) -> list[float]:
    """Return the cost of a record in each chunk, in microseconds."""
    costs = []
    for start in range(0, len(log), CHUNK):
        began = time.perf_counter()
        for record in log[start : start + CHUNK]:
            stage(record)
        costs.append((time.perf_counter() - began) / CHUNK * 1e6)
    return costs


def main(
    model: Annotated[str, typer.Option(help=f"One of {', '.join(MODEL_NAMES)}.")] = "lr",
    size: Annotated[int, typer.Option("--records", help="Records a round.", min=CHUNK)] = 30_000,
    rounds: Annotated[int, typer.Option(help="Rounds, interleaved.", min=1)] = 3,
) -> None:
    """Time the stages in turn; write results/breakdown.json, or breakdown-MODEL.json."""
    log = [
        Record("bench.raw", 0, offset, 0, records.key_of(payload), payload)
        for offset, payload in enumerate(records.generate(size))
    ]
    gc.collect()
    gc.freeze()
    costs: dict[str, list[float]] = {}
    with fresh_broker() as bootstrap:
        for _ in range(rounds):
            for name, fresh in (stages(model) | producing(bootstrap, "bench")).items():
                costs.setdefault(name, []).extend(microseconds(fresh(), log))
    table = Table(title=f"{model}: microseconds a record")
    for heading in ("stage", "tenth percentile", "median"):
        table.add_column(heading)
    rows = {}
    for name, values in costs.items():
        values.sort()
        rows[name] = (values[len(values) // 10], values[len(values) // 2])
        table.add_row(name, *(f"{value:.2f}" for value in rows[name]))
    Console(width=100).print(table)
    save(
        "breakdown" if model == "lr" else f"breakdown-{model}",
        {"model": model, "records": size, "machine": machine.describe(), "rows": rows},
    )


if __name__ == "__main__":
    typer.run(main)
