"""A stock Faust agent over its default aiokafka driver, at-least-once.

It takes events in batches, the faster of Faust's ways, and lets a batch be acknowledged only when its outputs are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import faust
from faust.types import EventT

from benchmarks.peers.arguments import parse, report
from benchmarks.work import Steps

BATCH_RECORDS = 1_000
BATCH_SECONDS = 0.05


def build(bootstrap: str, in_topic: str, out_topic: str, group: str, model: str) -> faust.App:
    """Declare the application and its one agent."""
    app = faust.App(
        group,
        broker=f"kafka://{bootstrap}",
        broker_session_timeout=6,
        broker_heartbeat_interval=1,
        broker_commit_interval=1.0,
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,
        topic_disable_leader=True,
        web_enabled=False,
        key_serializer="raw",
        value_serializer="raw",
    )
    raw = app.topic(in_topic, value_type=bytes, value_serializer="raw", key_serializer="raw")
    predictions = app.topic(out_topic, value_serializer="raw", key_serializer="raw")
    steps = Steps(model)

    @app.agent(raw)
    async def predict(stream: faust.StreamT[bytes]) -> None:
        async for batch in stream.take_events(BATCH_RECORDS, within=BATCH_SECONDS):
            await asyncio.gather(*[acknowledged async for acknowledged in produce(batch)])

    async def produce(batch: list[EventT]) -> AsyncIterator[asyncio.Future]:
        for event in batch:
            message = event.message
            output = steps[message.partition](event.value, message.partition, message.offset)
            yield await predictions.send(key=event.key, value=output, partition=message.partition)

    @app.on_partitions_assigned.connect
    async def assigned(*_: object, **__: object) -> None:
        report("assigned")

    return app


def main() -> None:
    """Run the worker until SIGTERM."""
    arguments = parse(__doc__)
    app = build(arguments.bootstrap, arguments.in_topic, arguments.out_topic, arguments.group, arguments.model)
    faust.Worker(app, loglevel="WARN", quiet=False).execute_from_commandline()


if __name__ == "__main__":
    main()
