"""A Quix Streams application, at-least-once or (`--exactly-once`) with one Kafka transaction a checkpoint."""

from __future__ import annotations

from quixstreams import Application, message_context

from benchmarks.peers.arguments import FETCH_AHEAD, parse
from benchmarks.work import Steps

COMMIT_RECORDS = 5_000
COMMIT_SECONDS = 1.0


def main() -> None:
    """Run the application until SIGTERM."""
    arguments = parse(__doc__)
    app = Application(
        arguments.bootstrap,
        consumer_group=arguments.group,
        auto_offset_reset="earliest",
        commit_interval=COMMIT_SECONDS,
        commit_every=COMMIT_RECORDS,
        processing_guarantee="exactly-once" if arguments.exactly_once else "at-least-once",
        consumer_extra_config=FETCH_AHEAD,
        consumer_poll_timeout=0.1,
        auto_create_topics=False,
        loglevel="WARNING",
    )
    raw = app.topic(arguments.in_topic, value_deserializer="bytes", key_deserializer="bytes")
    predictions = app.topic(arguments.out_topic, value_serializer="bytes", key_serializer="bytes")
    steps = Steps(arguments.model)

    def work(payload: bytes) -> bytes:
        context = message_context()
        return steps[context.partition](payload, context.partition, context.offset)

    app.dataframe(raw).apply(work).to_topic(predictions)
    app.run()


if __name__ == "__main__":
    main()
