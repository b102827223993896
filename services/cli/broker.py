"""``riverrun broker``: a Kafka for one machine."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.errors import FAILED
from services.cli.options import Output, OutputOption
from services.cli.printing import print_json

DataDirOption = Annotated[Path, typer.Option("--data-dir", help="Where the broker keeps its data.")]
DEFAULT_DIR = Path(".riverrun/broker")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(
        help="A Kafka broker on this machine, for trying things out.",
        epilog="Example: riverrun broker start",
        no_args_is_help=True,
    )
    commands.command("start", epilog="Example: riverrun broker start --port 9092")(start)
    commands.command("stop", epilog="Example: riverrun broker stop")(stop)
    commands.command("status", epilog="Example: riverrun broker status --output json")(status)
    app.add_typer(commands, name="broker")


def start(
    data_dir: DataDirOption = DEFAULT_DIR,
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port on 127.0.0.1; 0 takes a free one.")] = 9092,
    output: OutputOption = Output.TEXT,
) -> None:
    """Start it in the background, unless it runs; it stays until it is stopped."""
    from services.broker import EmbeddedBroker

    bootstrap = EmbeddedBroker(data_dir, port=port or None).start()
    if output is Output.JSON:
        print_json({"state": "running", "bootstrap": bootstrap, "data_dir": str(data_dir)})
        return
    typer.echo(f"running at {bootstrap}, data in {data_dir}")
    typer.echo(f"export RIVERRUN_BOOTSTRAP_SERVERS={bootstrap}")


def stop(data_dir: DataDirOption = DEFAULT_DIR, output: OutputOption = Output.TEXT) -> None:
    """Stop it; its data stays."""
    from services.broker import EmbeddedBroker

    broker = EmbeddedBroker(data_dir)
    was_running = broker.status().state == "running"
    broker.stop()
    if output is Output.JSON:
        print_json({"state": "stopped", "was_running": was_running, "data_dir": str(data_dir)})
    else:
        typer.echo("stopped" if was_running else f"nothing ran in {data_dir}")


def status(data_dir: DataDirOption = DEFAULT_DIR, output: OutputOption = Output.TEXT) -> None:
    """Tell whether it runs, and where; exit code 1 when it does not."""
    from services.broker import EmbeddedBroker

    found = EmbeddedBroker(data_dir).status()
    record = found.record
    if output is Output.JSON:
        where = {"bootstrap": record.bootstrap, "pid": record.pid, "started": record.started} if record else {}
        print_json({"state": found.state, "data_dir": str(data_dir), **where})
    elif record is None:
        typer.echo(f"{found.state}, data in {data_dir}")
    else:
        typer.echo(f"{found.state}: {record.bootstrap}, pid {record.pid}, since {record.started}, data in {data_dir}")
    if found.state != "running":
        raise typer.Exit(FAILED)
