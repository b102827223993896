"""``riverrun broker``: a Kafka for one machine."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import BrokerError
from services.cli.errors import FAILED
from services.cli.options import Output, OutputOption
from services.cli.printing import print_json

if TYPE_CHECKING:
    from services.broker import Broker
    from services.broker.record import BrokerRecord


class Engine(StrEnum):
    """What runs as broker."""

    EMBEDDED = "embedded"
    KAFKA = "kafka"


DataDirOption = Annotated[Path, typer.Option("--data-dir", help="Where the broker keeps its data.")]
DEFAULT_DIR = Path(".riverrun/broker")
_PORT = 9092


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(
        help="A Kafka broker on this machine, for trying things out.",
        epilog="Example: riverrun broker start",
        no_args_is_help=True,
    )
    commands.command("start", epilog="Example: riverrun broker start --engine kafka --brokers 3")(start)
    commands.command("stop", epilog="Example: riverrun broker stop")(stop)
    commands.command("status", epilog="Example: riverrun broker status --output json")(status)
    app.add_typer(commands, name="broker")


def start(
    data_dir: DataDirOption = DEFAULT_DIR,
    engine: Annotated[
        Engine, typer.Option(help="embedded is up in a second; kafka is Apache Kafka, and needs Java and Maven.")
    ] = Engine.EMBEDDED,
    brokers: Annotated[int, typer.Option(help="Nodes, 1 or 3; 3 with --engine kafka only.")] = 1,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help=f"TCP port on 127.0.0.1, else {_PORT}; 0 takes a free one. Further nodes have the next ones.",
            show_default=False,
        ),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Start it in the background, unless it runs; it stays until it is stopped."""
    bootstrap = broker_of(engine, data_dir, brokers, (_PORT if port is None else port) or None).start()
    if port and bootstrap.partition(",")[0].rpartition(":")[2] != str(port):
        raise BrokerError(
            f"--port: got {port}, but it runs already, at {bootstrap}: use that, or riverrun broker stop, then start"
        )
    if output is Output.JSON:
        print_json({"state": "running", "bootstrap": bootstrap, "data_dir": str(data_dir)})
        return
    typer.echo(f"running at {bootstrap}, data in {data_dir}")
    typer.echo(f"export RIVERRUN_BOOTSTRAP_SERVERS={bootstrap}")


def broker_of(engine: Engine, data_dir: Path, brokers: int, port: int | None) -> "Broker":
    """Return the broker that was asked for, not started.

    Raises
    ------
    BadParameter
        The engine does not run so many nodes.
    """
    from services.broker import EmbeddedBroker, KafkaBroker

    sizes = (1,) if engine is Engine.EMBEDDED else (1, 3)
    if brokers not in sizes:
        expected = " or ".join(map(str, sizes))
        raise typer.BadParameter(f"--brokers: got {brokers}, expected {expected} with --engine {engine.value}")
    if engine is Engine.EMBEDDED:
        return EmbeddedBroker(data_dir, port=port)
    return KafkaBroker(data_dir, brokers=brokers, port=port)


def stop(data_dir: DataDirOption = DEFAULT_DIR, output: OutputOption = Output.TEXT) -> None:
    """Stop it, whichever engine it is; its data stays."""
    from services.broker import BrokerHome

    home = BrokerHome(data_dir)
    was_running = home.status().is_up
    home.stop()
    if output is Output.JSON:
        print_json({"state": "stopped", "was_running": was_running, "data_dir": str(data_dir)})
    else:
        typer.echo("stopped" if was_running else f"nothing ran in {data_dir}")


def status(data_dir: DataDirOption = DEFAULT_DIR, output: OutputOption = Output.TEXT) -> None:
    """Tell whether it runs, and where; exit code 1 when it does not, or not whole."""
    from services.broker import BrokerHome

    found = BrokerHome(data_dir).status()
    record = found.record
    if output is Output.JSON:
        print_json({"state": found.state, "data_dir": str(data_dir), **(fields_of(record) if record else {})})
    elif record is None:
        typer.echo(f"{found.state}, data in {data_dir}")
    else:
        pids = ", ".join(str(node.pid) if node.is_alive else f"node {node.number} is down" for node in record.nodes)
        where = f"{record.engine} at {record.bootstrap}, pid {pids}, since {record.started}"
        typer.echo(f"{found.state}: {where}, data in {data_dir}")
    if found.state != "running":
        raise typer.Exit(FAILED)


def fields_of(record: "BrokerRecord") -> dict[str, object]:
    """Return what a program may want to know of a broker that was started."""
    nodes = [
        {"node": node.number, "address": node.address, "pid": node.pid, "running": node.is_alive}
        for node in record.nodes
    ]
    where = {"engine": record.engine, "bootstrap": record.bootstrap, "started": record.started}
    return {**where, "nodes": nodes}
