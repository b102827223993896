"""Errors as one line on stderr and an exit code."""

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from schemas.errors import ConfigurationError, DeclarationError
from services.telling import one_line, told

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
            what = tell(error)
            if what is None:
                raise
            code, message = what
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
    message = told(error)
    if message is None:
        return None
    asked_wrong = isinstance(error, DeclarationError | ConfigurationError) or hasattr(error, "format_message")
    return WRONG if asked_wrong else FAILED, message
