"""A hand-written consume → produce loop over confluent-kafka, at-least-once."""

from __future__ import annotations

import signal
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer

from benchmarks.peers.arguments import FETCH_AHEAD, parse, report
from benchmarks.work import Steps

BATCH_RECORDS = 500
COMMIT_RECORDS = 5_000
COMMIT_SECONDS = 1.0


def on_delivery(error: KafkaError | None, _message: Message) -> None:
    """Stop at the first output that the broker refused: its input must not be committed."""
    if error is not None:
        raise KafkaException(error)


def consumer_settings(bootstrap: str, group: str) -> dict[str, object]:
    """Return the settings of the input side."""
    return {
        "bootstrap.servers": bootstrap,
        "group.id": group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "session.timeout.ms": 6_000,
        "heartbeat.interval.ms": 1_000,
        **FETCH_AHEAD,
    }


def producer_settings(bootstrap: str) -> dict[str, object]:
    """Return the settings of the output side: errors alone are called back."""
    return {
        "bootstrap.servers": bootstrap,
        "partitioner": "murmur2_random",
        "delivery.report.only.error": True,
        "on_delivery": on_delivery,
    }


class Loop:
    """Read a batch, predict and learn, produce; now and then flush and commit."""

    def __init__(self, bootstrap: str, in_topic: str, out_topic: str, group: str, model: str) -> None:
        self._consumer = Consumer(consumer_settings(bootstrap, group))
        self._producer = Producer(producer_settings(bootstrap))
        self._consumer.subscribe([in_topic], on_assign=lambda *_: report("assigned"))
        self._out_topic, self._steps = out_topic, Steps(model)
        self._uncommitted, self._committed_at = 0, time.monotonic()
        self.stopping = False

    def run(self) -> None:
        """Loop until `stopping`, then commit what is left."""
        while not self.stopping:
            self._handle(self._next_batch())
            waited = time.monotonic() - self._committed_at
            if self._uncommitted >= COMMIT_RECORDS or (self._uncommitted and waited >= COMMIT_SECONDS):
                self._commit()
        if self._uncommitted:
            self._commit()
        self._consumer.close()

    def _next_batch(self) -> list[Message]:
        """Wait for one message, take what is there: `consume(n, t)` alone would wait the whole `t`."""
        first = self._consumer.poll(0.1)
        return [] if first is None else [first, *self._consumer.consume(BATCH_RECORDS - 1, 0)]

    def _handle(self, batch: list[Message]) -> None:
        produce, steps, out_topic = self._producer.produce, self._steps, self._out_topic
        for message in batch:
            if error := message.error():
                raise KafkaException(error)
            partition = message.partition()
            output = steps[partition](message.value(), partition, message.offset())
            produce(out_topic, output, message.key(), partition)
        self._producer.poll(0)
        self._uncommitted += len(batch)

    def _commit(self) -> None:
        """Commit the consumer's position once every output before it is acknowledged."""
        self._producer.flush()
        self._consumer.commit(asynchronous=False)
        self._uncommitted, self._committed_at = 0, time.monotonic()


def main() -> None:
    """Run the loop until SIGTERM."""
    arguments = parse(__doc__)
    loop = Loop(arguments.bootstrap, arguments.in_topic, arguments.out_topic, arguments.group, arguments.model)
    signal.signal(signal.SIGTERM, lambda *_: setattr(loop, "stopping", True))
    loop.run()


if __name__ == "__main__":
    main()
