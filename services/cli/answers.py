"""What the partitions answer to a command."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from services.cli.loading import pipeline_topic
from services.cli.reading import read
from services.cli.showing import body_of, headers_of

if TYPE_CHECKING:
    from streams.worker.settings import Settings

#: Type of the event that says no.
REFUSED = "riverrun.command.refused"

_NEWEST, _NEWEST_OF_EACH = 200, 20
_LOOK_SECONDS = 0.3


def answers_to(
    settings: "Settings", pipeline: str, command: str, partitions: set[int], seconds: float
) -> dict[int, tuple[str, dict[str, Any]]]:
    """Return type and fields of the event with which each partition answers, of those that do in time.

    Parameters
    ----------
    settings
        Of the deployment.
    pipeline
        Its name, or where it is declared.
    command
        Id of the command.
    partitions
        Those that it was written to.
    seconds
        How long to wait; 0 looks once.
    """
    answers: dict[int, tuple[str, dict[str, Any]]] = {}
    deadline = time.monotonic() + seconds
    while True:
        for kind, body in newest_events(settings, pipeline, len(partitions)):
            if body.get("command") == command:
                answers[body["partition"]] = kind, body
        if answers.keys() >= partitions or time.monotonic() >= deadline:
            return dict(sorted(answers.items()))
        time.sleep(_LOOK_SECONDS)


def newest_events(settings: "Settings", pipeline: str, partitions: int) -> "Iterator[tuple[str, dict[str, Any]]]":
    """Yield type and fields of the newest lifecycle events: those of all partitions stand in one.

    Parameters
    ----------
    settings
        Of the deployment.
    pipeline
        Its name, or where it is declared.
    partitions
        How many have something to say: the more, the further back.
    """
    newest = max(_NEWEST, _NEWEST_OF_EACH * partitions)
    for record in read(settings, pipeline_topic(pipeline, "lifecycle"), f"-{newest}", follow=False):
        headers = headers_of(record)
        body = body_of(record, headers)
        if isinstance(body, dict):
            yield str(headers.get("ce_type")), body
