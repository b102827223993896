"""Runs a worker until it is told to stop."""

import gc
import io
import logging
import sys

import faust
from prometheus_client import REGISTRY, start_http_server

from streams.pipeline import Pipeline
from streams.worker.agents import define_agents
from streams.worker.app import App
from streams.worker.settings import Settings
from streams.worker.telemetry import Telemetry


def run_worker(pipeline: Pipeline, settings: Settings) -> int:
    """Run a worker in this process until SIGTERM or SIGINT, or until a promise would be broken.

    Parameters
    ----------
    pipeline
        The declaration.
    settings
        Of the deployment.

    Returns
    -------
    Exit code: 0 after a signal, 1 after an error.

    Raises
    ------
    BrokerError
        When Kafka does not answer or topics are missing.
    """
    _configure_logging(settings.log_level)
    app = App(pipeline, settings)
    define_agents(app)
    _say_once_why(app)
    if settings.metrics_port:
        REGISTRY.register(Telemetry(app))
        start_http_server(settings.metrics_port)
    gc.collect()
    gc.freeze()  # what is loaded by now lives as long as the process
    gc.set_threshold(50_000, 20, 50)
    worker = faust.Worker(app, quiet=True, override_logging=False, redirect_stdouts=False, stdout=io.StringIO())
    try:
        worker.execute_from_commandline()
    except SystemExit as exit:
        return 1 if app.error is not None else int(exit.code or 0)
    return 0


def _configure_logging(level: str) -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)-7s %(message)s")
    logging.getLogger("riverrun").setLevel(level)
    # Why a transaction was aborted is told once, by us.
    logging.getLogger("riverrun.kafka").addFilter(lambda record: "TXNERR" not in record.getMessage())
    for noisy in ("faust", "mode", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL if level != "DEBUG" else logging.DEBUG)


def _say_once_why(app: App) -> None:
    """Keep Faust from telling in its own words, several times, what `App.fail` has said in one line."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(lambda record: app.error is None or record.name.startswith("riverrun"))
