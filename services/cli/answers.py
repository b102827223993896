"""What the partitions answer to a command."""

import time
from typing import TYPE_CHECKING, Any

from services.cli.loading import pipeline_topic
from services.cli.reading import read
from services.cli.showing import body_of, headers_of

if TYPE_CHECKING:
    from streams.worker.settings import Settings

#: Type of the event that says no.
REFUSED = "riverrun.command.refused"

_NEWEST = 200
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
        for record in read(settings, pipeline_topic(pipeline, "lifecycle"), f"-{_NEWEST}", follow=False):
            headers = headers_of(record)
            body = body_of(record, headers)
            if isinstance(body, dict) and body.get("command") == command:
                answers[body["partition"]] = str(headers.get("ce_type")), body
        if answers.keys() >= partitions or time.monotonic() >= deadline:
            return dict(sorted(answers.items()))
        time.sleep(_LOOK_SECONDS)
