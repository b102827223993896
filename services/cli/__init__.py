"""The command line: ``riverrun``.

Exit codes: 0 done, 1 failed, 2 wrong usage, declaration or configuration, 3 ``doctor`` found problems, 130 interrupted.
``verify`` has two more: 4 the prediction is older than the log, 5 another declaration or version made it.
What a command needs beside typer is imported when it runs, so that ``--help`` answers at once.
"""

from typing import Annotated

import typer

from services.cli import (
    backtest,
    bridge,
    broker,
    demo,
    deploy,
    doctor,
    drift,
    history,
    keys,
    models,
    resend,
    run,
    schema,
    send,
    tail,
    topics,
    verify,
)
from services.cli.errors import Commands
from services.cli.hash_seed import fix_hash_seed

app = typer.Typer(
    cls=Commands,
    name="riverrun",
    help="Online machine learning on Kafka: score each event, learn from each label, notice drift and act on it.",
    epilog="Example: riverrun run examples/flights.py:pipeline",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as version_of

        typer.echo(f"riverrun {version_of('riverrun')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


_MODULES = (
    demo,
    run,
    send,
    tail,
    resend,
    history,
    drift,
    models,
    backtest,
    verify,
    topics,
    deploy,
    doctor,
    schema,
    bridge,
    broker,
    keys,
)
for _module in _MODULES:
    _module.register(app)


def main() -> None:
    """Run the command line in ``sys.argv`` and leave with its exit code."""
    fix_hash_seed()
    app(prog_name="riverrun")
