"""``riverrun bridge``: records of foreign producers, re-keyed."""

import signal
from typing import Annotated

import typer

from services.cli.options import Output, OutputOption, PipelineArgument, ServersOption, settings_of
from services.cli.printing import counted, print_json
from services.loading import load_pipeline


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("bridge", epilog="Example: riverrun bridge examples/flights.py:pipeline --from airline.landings")(
        bridge
    )


def bridge(
    pipeline: PipelineArgument,
    sources: Annotated[list[str], typer.Option("--from", metavar="TOPIC", help="Read this topic; may be repeated.")],
    servers: ServersOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Pass records of other topics on to a pipeline's input topic, in the partitions where it looks for their keys.

    At least once, until SIGTERM or Ctrl-C. Use it for producers that cannot be set to partition by murmur2.
    """
    settings = settings_of(servers)
    declared = load_pipeline(pipeline)
    from services.bridge import Bridge

    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    moving = Bridge(declared, settings, sources)
    typer.echo(f"riverrun: bridging {', '.join(sources)} to {moving.target}, group {moving.group_id}", err=True)
    try:
        moving.run(lambda: stopping)
    finally:
        if output is Output.JSON:
            print_json({"target": moving.target, "moved": moving.moved, "without_key": moving.without_key})
        else:
            keyless = f", {moving.without_key} of them without a key" if moving.without_key else ""
            typer.echo(f"moved {counted(moving.moved, 'record')} to {moving.target}{keyless}")
