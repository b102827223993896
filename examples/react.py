"""Reacts to changes of the champion, without a webhook: a consumer of the lifecycle topic.

    python examples/react.py flights localhost:9092

What happens is committed after it was acted on, so nothing is missed while this is down; what was acted on and not
committed comes again, with the same `id`.
"""

import json
import sys

from confluent_kafka import Consumer

ABOUT = {"riverrun.model.retrained", "riverrun.model.promoted", "riverrun.model.rolled-back"}


def act(kind: str, event: dict[str, object]) -> None:
    """Tell a chat, warm a cache, start a batch training: here, print."""
    print(f"{kind}: {event['version']} serves instead of {event['replaced']} ({event['id']})", flush=True)


def main(pipeline: str, servers: str) -> None:
    """Follow the lifecycle topic for ever."""
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": f"{pipeline}-react",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    consumer.subscribe([f"{pipeline}.lifecycle"])
    try:
        while True:
            message = consumer.poll(1.0)
            if message is None or message.error():
                continue
            kind = dict(message.headers() or ()).get("ce_type", b"").decode()
            if kind in ABOUT:
                act(kind, json.loads(message.value()))
            consumer.commit(message)
    except KeyboardInterrupt:
        pass
    finally:
        consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
