"""A Bytewax dataflow with a recovery store, at-least-once: a resume repeats at most one epoch of a second."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from bytewax import operators as op
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from benchmarks.peers.arguments import FETCH_AHEAD, parse, report
from benchmarks.work import Steps

EPOCH = timedelta(seconds=1)
BATCH_RECORDS = 1_000


def build(bootstrap: str, in_topic: str, out_topic: str, model: str) -> Dataflow:
    """Wire source → work → sink; the work takes the source's batches as they come."""
    steps = Steps(model)

    def work(batch: list[KafkaSourceMessage]) -> Iterable[KafkaSinkMessage]:
        return [
            KafkaSinkMessage(message.key, steps[message.partition](message.value, message.partition, message.offset))
            for message in batch
        ]

    flow = Dataflow("bench")
    source = KafkaSource([bootstrap], [in_topic], batch_size=BATCH_RECORDS, add_config=dict(FETCH_AHEAD))
    messages = op.input("input", flow, source)
    predictions = op.flat_map_batch("work", messages, work)
    op.output("output", predictions, KafkaSink([bootstrap], out_topic, {"partitioner": "murmur2_random"}))
    return flow


def main() -> None:
    """Run the flow until SIGTERM; the recovery store lives in a temporary folder."""
    arguments = parse(__doc__)
    flow = build(arguments.bootstrap, arguments.in_topic, arguments.out_topic, arguments.model)
    with TemporaryDirectory() as folder:
        init_db_dir(Path(folder), 1)
        report("assigned")
        cli_main(flow, epoch_interval=EPOCH, recovery_config=RecoveryConfig(folder))


if __name__ == "__main__":
    main()
