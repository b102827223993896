"""What the log says about declarations."""

from collections.abc import Mapping
from contextlib import closing
from typing import Any

from schemas.operators import Operators, SignedCommand
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
    operators
        Those whose commands are obeyed.
    """

    def __init__(self, config: Mapping[str, Any], topic: str, pipeline: str, operators: Operators) -> None:
        self._config = config
        self._topic = topic
        self._pipeline = pipeline
        self._operators = operators

    def at(self, partition: int, position: int) -> SignedCommand | None:
        """Return the command with which a declaration begins, None when the next record at a position is none.

        Raises
        ------
        SnapshotError
            When the log does not answer.
        """
        with closing(RangeReader(self._config, self._topic, partition)) as reader:
            _, end = reader.extent()
            message = next(iter(reader.between(position, end)), None) if position < end else None
        if message is None:
            return None
        command = self._operators.declaration_in(
            message.headers() or (), message.value(), self._topic, message.partition()
        )
        return command if command is not None and command.command.pipeline == self._pipeline else None
