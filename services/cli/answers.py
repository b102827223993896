"""What the partitions say: of a command, and of their models."""

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from services.champion_history import held
from services.cli.reading import TopicReader, read
from services.cli.showing import body_of, headers_of
from services.loading import pipeline_topic

if TYPE_CHECKING:
    from schemas.record import Record
    from streams.worker.settings import Settings

#: Type of the event that says no.
REFUSED = "riverrun.command.refused"

_NEWEST, _NEWEST_OF_EACH = 200, 20
_LOOK_SECONDS = 0.3


class Answer(NamedTuple):
    """What a partition says of a command: type and fields of the event, and of those that follow from it."""

    kind: str
    body: dict[str, Any]
    followed: list[tuple[str, dict[str, Any]]]


class Answers:
    """Hears what partitions say of a command, as often as it is asked, with one client.

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

    Raises
    ------
    BrokerError
        When no broker answers, or the topic of lifecycle events is missing.
    """

    def __init__(self, settings: "Settings", pipeline: str, command: str, partitions: set[int]) -> None:
        self._command, self._partitions = command, partitions
        self._reader = TopicReader(settings, pipeline_topic(pipeline, "lifecycle"))

    def within(self, seconds: float) -> dict[int, Answer]:
        """Return the answer of each partition, of those that answer in time.

        Parameters
        ----------
        seconds
            How long to wait; 0 looks once.

        Raises
        ------
        BrokerError
            When the broker does not answer any more.
        """
        answers: dict[int, Answer] = {}
        deadline = time.monotonic() + seconds
        while True:
            for kind, body in _lifecycle(self._reader.read(newest_of(len(self._partitions)), follow=False)):
                answer = answers.get(body["partition"])
                if body.get("command") == self._command:
                    answers[body["partition"]] = Answer(kind, body, [])
                elif answer is not None and body.get("reason") == answer.body["id"]:
                    answer.followed.append((kind, body))
            if answers.keys() >= self._partitions or time.monotonic() >= deadline:
                return dict(sorted(answers.items()))
            time.sleep(_LOOK_SECONDS)

    def close(self) -> None:
        """Let go of the broker."""
        self._reader.close()


def holds(settings: "Settings", pipeline: str) -> dict[int, dict[str, dict[str, Any]]]:
    """Return what holds the models of each partition: ``frozen`` or ``pinned``, and the event that says since when.

    Partitions that nothing holds are left out.
    """
    return held(all_lifecycle_events(settings, pipeline))


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
    yield from _lifecycle(read(settings, pipeline_topic(pipeline, "lifecycle"), start, follow=False))


def _lifecycle(records: "Iterable[Record]") -> "Iterator[tuple[str, dict[str, Any]]]":
    for record in records:
        headers = headers_of(record)
        body = body_of(record, headers)
        if isinstance(body, dict):
            yield str(headers.get("ce_type")), body


def all_lifecycle_events(settings: "Settings", pipeline: str) -> list[dict[str, Any]]:
    """Return the fields of all lifecycle events, with their types, each once, however often it was written."""
    found: dict[str, dict[str, Any]] = {}
    for kind, body in lifecycle_events(settings, pipeline, "beginning"):
        if "id" in body:
            found.setdefault(body["id"], {"type": kind, **body})
    return list(found.values())
