"""``riverrun run``: a worker."""

import errno
import socket
from typing import Annotated

import typer

from services.cli.options import PipelineArgument, ServersOption, hush_kafka, settings_of
from services.loading import load_pipeline


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run", epilog="Example: riverrun run examples/flights.py:pipeline --metrics-port 9100")(run)


def run(
    pipeline: PipelineArgument,
    servers: ServersOption = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            help="Port of the Prometheus endpoint, 0 for none; else RIVERRUN_METRICS_PORT.", show_default=False
        ),
    ] = None,
    log_level: Annotated[
        str | None,
        typer.Option(help="DEBUG, INFO, WARNING or ERROR; else RIVERRUN_LOG_LEVEL.", show_default=False),
    ] = None,
    worker_id: Annotated[
        str | None,
        typer.Option(help="Stable name of this worker, for a restart without rebalance.", show_default=False),
    ] = None,
) -> None:
    """Run a worker: score, learn, watch for drift, until SIGTERM or Ctrl-C.

    Run it once per core; the workers share the partitions.
    """
    settings = settings_of(servers, metrics_port=metrics_port, log_level=log_level, worker_id=worker_id)
    hush_kafka(settings.log_level, propagate=True)
    declared = load_pipeline(pipeline)
    from schemas.errors import ConfigurationError
    from streams.worker.main import run_worker

    try:
        code = run_worker(declared, settings)
    except OSError as error:
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise ConfigurationError(
                f"RIVERRUN_METRICS_HOST: got {settings.metrics_host}, expected an address or a name of this machine, "
                f"or nothing for all its addresses ({error.strerror})"
            ) from None
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise ConfigurationError(
            f"RIVERRUN_METRICS_PORT: got {settings.metrics_port}, expected a free port ({error.strerror}): stop the "
            "program that has it, choose another with --metrics-port, or 0 for none"
        ) from None
    raise typer.Exit(code or 0)
