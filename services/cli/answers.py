"""What the partitions say: of a command, and of their models."""

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
        for kind, body in lifecycle_events(settings, pipeline, newest_of(len(partitions))):
            if body.get("command") == command:
                answers[body["partition"]] = kind, body
        if answers.keys() >= partitions or time.monotonic() >= deadline:
            return dict(sorted(answers.items()))
        time.sleep(_LOOK_SECONDS)


def newest_of(partitions: int) -> str:
    """Return where to begin to hear from so many partitions, whose events all stand in one; as `read` takes it.

    Examples
    --------
    >>> newest_of(1), newest_of(100)
    ('-200', '-2000')
    """
    return f"-{max(_NEWEST, _NEWEST_OF_EACH * partitions)}"


def lifecycle_events(settings: "Settings", pipeline: str, start: str) -> "Iterator[tuple[str, dict[str, Any]]]":
    """Yield type and fields of each lifecycle event from a place on, as `read` takes it."""
    for record in read(settings, pipeline_topic(pipeline, "lifecycle"), start, follow=False):
        headers = headers_of(record)
        body = body_of(record, headers)
        if isinstance(body, dict):
            yield str(headers.get("ce_type")), body
