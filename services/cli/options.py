"""Arguments and options that several commands share, and the settings they come to."""

import getpass
import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from streams.worker.settings import Settings


class Output(StrEnum):
    """Who reads: a person, or a program."""

    TEXT = "text"
    JSON = "json"


def check_file(path: Path) -> Path:
    """Refuse what is neither a file, or a pipe, nor ``-``."""
    if str(path) != "-" and (not path.exists() or path.is_dir()):
        what = "a folder" if path.is_dir() else f"no such file (in {Path.cwd()})"
        raise typer.BadParameter(f"{path}: got {what}, expected a file of JSON lines, or - for standard input")
    return path


def check_output(option: str, path: Path | None, inputs: Iterable[Path | str]) -> None:
    """Refuse to write over what is read: a file, or that of a declaration, FILE.py:NAME or MODULE:NAME."""
    for read in map(str, inputs):
        declared = read.rpartition(":")[0]
        names = {read, declared, declared.replace(".", "/") + ".py"} - {""}
        if path is not None and path.exists() and any(Path(name).exists() and path.samefile(name) for name in names):
            raise typer.BadParameter(f"{option}: got {path}, which is read, expected another file to write to")


PipelineArgument = Annotated[
    str, typer.Argument(metavar="PIPELINE", help="The declaration: FILE.py:NAME or MODULE:NAME.", show_default=False)
]
NamedPipelineArgument = Annotated[
    str,
    typer.Argument(
        metavar="PIPELINE", help="FILE.py:NAME, MODULE:NAME, or just the pipeline's name.", show_default=False
    ),
]
FileArgument = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="JSON lines; - reads standard input.", callback=check_file, show_default=False),
]
KeyFieldOption = Annotated[
    str | None,
    typer.Option("--key-field", metavar="FIELD", help="Field of a bare event that is its key.", show_default=False),
]
ServersOption = Annotated[
    str | None,
    typer.Option(
        "--bootstrap-servers",
        metavar="HOST:PORT,…",
        help="Kafka; else RIVERRUN_BOOTSTRAP_SERVERS, else localhost:9092.",
        show_default=False,
    ),
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="text for people, json for programs.")]


def settings_of(servers: str | None = None, **further: Any) -> "Settings":
    """Return the settings of environment and command line, and keep librdkafka's own log off the terminal.

    Variables that may be meant as settings and are none are told.

    Raises
    ------
    ConfigurationError
        Naming the setting, what it got and what it takes.
    """
    from streams.worker.settings import ignored_variables, load_settings

    settings = load_settings(bootstrap_servers=servers, **further)
    for remark in ignored_variables(os.environ):
        typer.echo(f"riverrun: {remark}", err=True)
    hush_kafka(settings.log_level)
    return settings


def hush_kafka(log_level: str, *, propagate: bool = False) -> None:
    """Keep librdkafka's log to itself, unless the level is DEBUG.

    Parameters
    ----------
    log_level
        Of the deployment.
    propagate
        Let warnings through all the same: for workers, whose log is read by operators.
    """
    logger = logging.getLogger("riverrun.kafka")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    is_debugging = log_level == "DEBUG"
    if is_debugging:
        logging.basicConfig(format="%(asctime)s %(levelname)-7s %(message)s")
    logger.setLevel(logging.DEBUG if is_debugging else logging.WARNING)
    logger.propagate = is_debugging or propagate


def user_name() -> str:
    """Return the user's name, nothing where the system has none: a container may run under any number."""
    with suppress(KeyError, OSError):
        return getpass.getuser()
    return ""
