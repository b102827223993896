"""Errors as one line on stderr and an exit code."""

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from schemas.errors import ConfigurationError, DeclarationError, RiverrunError

FAILED = 1
WRONG = 2
PROBLEMS = 3
INTERRUPTED = 130


class Commands(TyperGroup):
    """The commands, whose errors are told in one line; an error nobody foresaw keeps its traceback."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run a command line and leave the process with its exit code."""
        options["standalone_mode"] = False
        try:
            code = super().main(*args, **options)
        except typer.Abort:
            code = INTERRUPTED
        except Exception as error:
            told = tell(error)
            if told is None:
                raise
            code, message = told
            if message:
                typer.echo(f"riverrun: {one_line(message)}", err=True)
        sys.exit(code if isinstance(code, int) else 0)


def tell(error: Exception) -> tuple[int, str] | None:
    """Return exit code and message of an error, None when it is a bug.

    Examples
    --------
    >>> tell(DeclarationError("label.ttl", -5, "a positive timedelta"))
    (2, 'label.ttl: got -5, expected a positive timedelta')
    >>> tell(KeyError("x")) is None
    True
    """
    if isinstance(error, RiverrunError):
        return WRONG if isinstance(error, DeclarationError | ConfigurationError) else FAILED, str(error)
    if hasattr(error, "format_message"):  # click's usage errors, whichever click typer brings
        context = getattr(error, "ctx", None)
        where = context.command_path if context is not None else "riverrun"
        message = error.format_message()  # empty where the help was shown instead
        stop = "" if message.endswith((".", "?", "!")) else "."
        return WRONG, message and f"{message}{stop} See: {where} --help"
    kafka = sys.modules.get("confluent_kafka")
    if kafka is not None and isinstance(error, kafka.KafkaException):
        return FAILED, f"Kafka: {error.args[0].str()}"
    if isinstance(error, OSError) and error.filename is not None:
        return FAILED, f"{error.filename}: {error.strerror}"
    return None


def one_line(text: str) -> str:
    """Return a text on one line.

    Examples
    --------
    >>> one_line("the broker said:\\n  no\\n  never")
    'the broker said: | no | never'
    """
    return " | ".join(line.strip() for line in text.splitlines() if line.strip())
