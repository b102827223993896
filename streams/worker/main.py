"""Runs a worker until it is told to stop."""

import asyncio
import gc
import io
import logging
import signal
import sys
from importlib.metadata import version

import faust
from prometheus_client import REGISTRY

from streams.pipeline import Pipeline
from streams.worker.agents import define_agents
from streams.worker.app import App
from streams.worker.endpoint import serve
from streams.worker.kafka_log import Repetitions
from streams.worker.last_resort import LastResort
from streams.worker.log_ends import LogEnds
from streams.worker.settings import Settings
from streams.worker.signals import listen_to_signals
from streams.worker.telemetry import Telemetry
from streams.worker.watchdog import Watchdog
from streams.worker.whereabouts import committed_places

log = logging.getLogger("riverrun.worker")

_LOG_END_SECONDS = 5.0


def run_worker(pipeline: Pipeline, settings: Settings) -> int:
    """Run a worker in this process until SIGTERM, SIGINT or SIGHUP, or until a promise would be broken.

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
    _say_start(app)
    _say_once_why(app)
    last_resort = LastResort()
    watchdog = _watchdog(app, last_resort)
    if settings.metrics_port:
        REGISTRY.register(Telemetry(app))
        serve(settings.metrics_port, watchdog.report, settings.metrics_host)
    gc.collect()
    gc.freeze()  # what is loaded by now lives as long as the process
    gc.set_threshold(50_000, 20, 50)
    worker = _Worker(app, last_resort)
    if settings.stall_limit:
        watchdog.start()
    try:
        code = _execute(worker, app)
    finally:
        watchdog.stop()
    log.info(
        "worker of %s ends: exit code %d, committed: %s", app.pipeline.name, code, committed_places(app.assignment.left)
    )
    return code


def _execute(worker: "_Worker", app: App) -> int:
    """Return the exit code of a worker that has ended."""
    try:
        worker.execute_from_commandline()
    except SystemExit as exit:
        return 1 if app.error is not None else int(exit.code or 0)
    except asyncio.CancelledError:  # the loop was stopped under whoever waited for Kafka
        if app.error is None:
            raise
        return 1
    return 0


class _Worker(faust.Worker):
    """Faust's worker, which ends in time: Kafka, or what keeps the snapshots, may be away for longer."""

    def __init__(self, app: App, last_resort: LastResort) -> None:
        super().__init__(app, quiet=True, override_logging=False, redirect_stdouts=False, stdout=io.StringIO())
        self._app, self._last_resort, self._seconds = app, last_resort, app.settings.stop_limit

    def install_signal_handlers(self) -> None:
        """Have signals start the time to end, too: what restores a state keeps the loop from hearing of them."""
        super().install_signal_handlers()
        # Under nohup it is ignored, and stays so.
        if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            self.loop.add_signal_handler(signal.SIGHUP, self._schedule_shutdown, signal.SIGHUP)
        if self._seconds and sys.platform != "win32":
            listen_to_signals(self._limit)

    async def _stop_on_signal(self, signal: signal.Signals) -> None:
        log.info("%s: finishing, committing, leaving the group", signal.name)
        await super()._stop_on_signal(signal)

    async def stop(self) -> None:
        """Stop, after a signal or an error."""
        if self._seconds:
            self._limit()
        await super().stop()

    def _limit(self) -> None:
        self._last_resort.end_within(
            self._seconds,
            f"did not stop within {self._seconds:g} s (RIVERRUN_STOP_LIMIT), probably because Kafka is unreachable; "
            "exiting as if killed. Nothing is lost: the next start goes on from what was committed",
            self._forgive,
        )

    def _forgive(self) -> None:
        """Have the next start blame no record, unless one was being stepped through."""
        assignment = self._app.assignment
        if not assignment.stepping:
            assignment.forgive()


def _watchdog(app: App, last_resort: LastResort) -> Watchdog:
    limit = app.settings.stall_limit
    ends = LogEnds(app.settings, app.group_id, min(_LOG_END_SECONDS, limit / 2))
    return Watchdog(app.assignment, ends, limit, last_resort)


def _configure_logging(level: str) -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)-7s %(message)s")
    logging.getLogger("riverrun").setLevel(level)
    logging.getLogger("riverrun.kafka").addFilter(Repetitions())
    for noisy in ("faust", "mode", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL if level != "DEBUG" else logging.DEBUG)


def _say_start(app: App) -> None:
    pipeline, settings = app.pipeline, app.settings
    log.info(
        "worker of %s starts: declaration %s, riverrun %s, River %s, group %s on %s, %s, snapshots: %s, metrics: %s",
        pipeline.name,
        pipeline.declaration,
        version("riverrun"),
        version("river"),
        app.group_id,
        settings.bootstrap_servers,
        settings.processing_guarantee,
        settings.snapshot_store if settings.snapshot_interval else "none",
        f"port {settings.metrics_port}" if settings.metrics_port else "none",
    )


def _say_once_why(app: App) -> None:
    """Keep Faust from telling in its own words, several times, what `App.fail` has said in one line."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(lambda record: app.error is None or record.name.startswith("riverrun"))
