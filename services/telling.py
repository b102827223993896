"""Errors in words, for people: those that are foreseen, on one line."""

import sys

from schemas.errors import RiverrunError


def told(error: Exception) -> str | None:
    """Return the message of an error, None when it is a bug.

    Examples
    --------
    >>> told(RiverrunError("p.raw: no such topic"))
    'p.raw: no such topic'
    >>> told(KeyError("x")) is None
    True
    """
    if isinstance(error, RiverrunError):
        return str(error)
    if hasattr(error, "format_message"):  # click's usage errors, whichever click typer brings
        context = getattr(error, "ctx", None)
        where = context.command_path if context is not None else "riverrun"
        message = str(error.format_message())  # empty where the help was shown instead
        stop = "" if message.endswith((".", "?", "!")) else "."
        return message and f"{message}{stop} See: {where} --help"
    kafka = sys.modules.get("confluent_kafka")
    if kafka is not None and isinstance(error, kafka.KafkaException):
        return f"Kafka: {error.args[0].str()}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return None


def one_line(text: str) -> str:
    """Return a text on one line.

    Examples
    --------
    >>> one_line("the broker said:\\n  no\\n  never")
    'the broker said: | no | never'
    """
    return " | ".join(line.strip() for line in text.splitlines() if line.strip())
