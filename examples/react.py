"""Reacts to changes of the champion, without a webhook: a consumer of the lifecycle topic.

    python examples/react.py flights localhost:9092

A fresh model that is promoted is told of twice, in `model.retrained` and in `model.promoted`: two ids, one change. So
what tells a change is its partition, offset and version, and each is acted on once.

What happens is committed after it was acted on, so nothing is missed while this is down; what was acted on and not
committed comes again, with the same three. Whatever must not be done twice after a kill has to know them.
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
    acted = set()
    try:
        while True:
            message = consumer.poll(1.0)
            if message is None or message.error():
                continue
            kind = dict(message.headers() or ()).get("ce_type", b"").decode()
            if kind in ABOUT:
                event = json.loads(message.value())
                change = event["partition"], event["offset"], event["version"]
                if change not in acted:
                    act(kind, event)
                    acted.add(change)
            consumer.commit(message)
    except KeyboardInterrupt:
        pass
    finally:
        consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
