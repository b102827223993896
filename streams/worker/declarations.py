"""What the log says about declarations."""

from collections.abc import Mapping
from contextlib import closing
from typing import Any

from confluent_kafka import Message

from schemas import cloudevents as ce
from schemas.commands import Declare, decode_command
from streams.worker.range_reader import RangeReader


class DeclarationLog:
    """Finds the command with which a declaration begins.

    Parameters
    ----------
    config
        Configuration of a librdkafka client.
    topic
        The input topic.
    pipeline
        Name of the pipeline.
    """

    def __init__(self, config: Mapping[str, Any], topic: str, pipeline: str) -> None:
        self._config = config
        self._topic = topic
        self._pipeline = pipeline

    def at(self, partition: int, position: int) -> Declare | None:
        """Return the declaration that begins with the next record at or after a position, None when none does there.

        Raises
        ------
        SnapshotError
            When the log does not answer.
        """
        with closing(RangeReader(self._config, self._topic, partition)) as reader:
            _, end = reader.extent()
            message = next(iter(reader.between(position, end)), None) if position < end else None
        command = None if message is None else _command(message)
        return command if command is not None and command.pipeline == self._pipeline else None


def _command(message: Message) -> Declare | None:
    """Return the declaration that a record holds, if it does."""
    headers = dict(message.headers() or ())
    if headers.get("ce_type") != ce.COMMAND.encode():
        return None
    command = decode_command(message.value() or b"")
    return command if isinstance(command, Declare) else None
