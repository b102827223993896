"""The course of a demo: set up, replay, wait for the worker, sum up, leave nothing behind."""

import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread

from schemas.errors import BrokerError, ConfigurationError
from services.broker import BrokerHome, EmbeddedBroker, free_port
from services.demo.child import Worker
from services.demo.replay import Replay
from services.demo.scenario import Scenario, check_extra
from services.demo.screen import TRACE_WIDTH, View
from services.demo.watch import LifecycleFeed, scrape
from services.loading import load_pipeline
from services.topics import apply_topics
from streams.worker.settings import Settings

REPLAY_SECONDS = 60.0
START_SECONDS = 60.0
DRAIN_SECONDS = 60.0

_MARKER = "riverrun-demo"
_LAG_LIMIT = 10_000
_SCRAPE_EVERY_SECONDS = 0.5
_TICK_SECONDS = 0.1
_RATE_SECONDS = 3.0


class Session:
    """A demo under way.

    Parameters
    ----------
    scenario
        What is replayed.
    events
        How many events; None for the scenario's own number, and then no longer than a minute.
    speed
        Seconds of event time per second; None for as fast as the worker keeps up.
    data_dir
        Where broker and worker keep what they write; what an earlier demo left there is removed.
    port
        Of the broker; None for a free one.
    keep
        Leave the broker running, with what is in it.

    Examples
    --------
    >>> with Session(SCENARIOS["flights"], data_dir=Path("demo")) as session:  # doctest: +SKIP
    ...     for view in session.play():
    ...         print(log_line(view))
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        data_dir: Path,
        events: int | None = None,
        speed: float | None = None,
        port: int | None = None,
        keep: bool = False,
    ) -> None:
        check_extra()
        scenario.check()
        self.scenario = scenario
        self.data_dir = data_dir
        self.keep = keep
        self.bootstrap = ""
        self.is_complete = False
        self.is_cut_short = False
        self._events = min(events or scenario.demo_events, scenario.events)
        self._is_bounded = events is None
        self._speed = speed
        self._port = port
        self._stack = ExitStack()
        self._view = View(scenario, self._events)
        self._marks: deque[tuple[float, int]] = deque()
        self._failure: BaseException | None = None

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        with _no_interrupts():
            self._stack.close()

    # ------------------------------------------------------------------ setting up

    def set_up(self, say: Callable[[str], None]) -> None:
        """Start broker and worker; returns when the worker is ready for records.

        Raises
        ------
        RiverrunError
            When something does not start.
        """
        example = self.scenario.example
        _make_room(self.data_dir)
        self.broker = EmbeddedBroker(self.data_dir, port=self._port, dies_with_parent=not self.keep)
        self._stack.callback(self._stop_broker)
        self.worker = Worker(self.data_dir / "worker.log", self.data_dir / "keys")
        self._stack.callback(self.worker.stop)
        pipeline = load_pipeline(f"{example}:pipeline")
        say("starting a Kafka broker")
        self.bootstrap = self.broker.start()
        settings = Settings(bootstrap_servers=self.bootstrap, log_level="ERROR")
        say("making its topics")
        self.topics = [plan.name for plan in apply_topics(pipeline, settings)]
        say("starting a worker")
        self._metrics_port = free_port()
        self.worker.run(example, self.bootstrap, self._metrics_port)
        self._feed = LifecycleFeed(settings, pipeline.name)
        self._stack.callback(self._feed.close)
        self._replay = Replay(
            settings, self.scenario.topic, speed=self._speed, may_go_on=lambda: self.backlog < _LAG_LIMIT
        )
        self._wait_for_worker()

    def _wait_for_worker(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while (reading := scrape(self._metrics_port)) is None:
            self.worker.check()
            if time.monotonic() > deadline:
                raise BrokerError(f"the worker has no partition after {START_SECONDS:g} s; see {self.worker.log_path}")
            time.sleep(_TICK_SECONDS)
        self._view.reading = reading

    @property
    def backlog(self) -> int:
        """Number of records sent and not yet read by the worker, as far as is known."""
        reading = self._view.reading
        return self._replay.records - (reading.read if reading else 0)

    # ------------------------------------------------------------------ playing

    def play(self) -> Iterator[View]:
        """Replay, and yield what there is to see a few times a second until the worker has read it all.

        Raises
        ------
        RiverrunError
            When the worker or the replay fails.
        """
        thread = Thread(target=self._run_replay, name="replay", daemon=True)
        began = time.monotonic()
        self._stack.callback(self._end_replay, thread)
        thread.start()
        ended: float | None = None
        next_scrape = 0.0
        while not (ended is not None and self._is_drained()):
            time.sleep(_TICK_SECONDS)
            now = time.monotonic()
            self.worker.check()
            if self._failure is not None:
                raise self._failure
            if now >= next_scrape:
                self._look(now)
                next_scrape = time.monotonic() + _SCRAPE_EVERY_SECONDS
            self._view.seconds = now - began
            if self._is_bounded and ended is None and now - began > REPLAY_SECONDS:
                self.is_cut_short = True
                self._replay.stop()
            if ended is None and not thread.is_alive():
                ended = now
            if ended is not None and now - ended > DRAIN_SECONDS:
                break
            yield self._view
        self._look(time.monotonic())
        self.is_complete = self._is_drained()
        yield self._view

    def _run_replay(self) -> None:
        try:
            self._replay.run(self.scenario.log(self._events))
        except BaseException as error:
            self._failure = error

    def _end_replay(self, thread: Thread) -> None:
        self._replay.stop()
        thread.join()

    def _is_drained(self) -> bool:
        return self.backlog <= 0

    def _look(self, now: float) -> None:
        view = self._view
        view.sent, view.time_ms = self._replay.events, self._replay.time_ms
        reading = scrape(self._metrics_port)
        if reading is None:
            return
        view.reading = reading
        self._marks.append((now, reading.read))
        while now - self._marks[0][0] > _RATE_SECONDS:
            self._marks.popleft()
        (then, before), (at, after) = self._marks[0], self._marks[-1]
        if at > then:
            view.rate = (after - before) / (at - then)
        self._feed.catch_up(reading.emitted.get(self._feed.topic, 0))
        view.events = self._feed.events
        self._trace(view)

    def _trace(self, view: View) -> None:
        """Note the rolling accuracy once per step of the way, so that the trace spans the whole replay."""
        accuracy = view.reading.rolling("accuracy") if view.reading else None
        due = view.sent * TRACE_WIDTH // max(1, self._events)
        if accuracy is not None and accuracy > 0 and len(view.trace) < due:
            view.trace.extend([accuracy] * (due - len(view.trace)))

    # ------------------------------------------------------------------ leaving

    def _stop_broker(self) -> None:
        if self.keep and self.is_complete:
            return
        record = self.broker.status().record
        if record is not None and not self.keep:
            for node in record.nodes:  # its data are thrown away: nothing to save
                self.broker.kill(node.number)
        self.broker.stop()
        if not self.keep:
            _tidy(self.data_dir)


def _tidy(data_dir: Path) -> None:
    """Remove what a demo has written, but for the logs."""
    for path in data_dir.iterdir():
        if path.is_file() and path.suffix != ".log" and path.name != _MARKER:
            path.unlink()


def _make_room(data_dir: Path) -> None:
    """Make the data directory, empty; nothing is removed that no demo has made."""
    marker = data_dir / _MARKER
    if data_dir.exists() and any(data_dir.iterdir()):
        if not marker.exists():
            raise ConfigurationError(
                f"--data-dir: got {data_dir}, expected a new, an empty or an earlier demo's directory"
            )
        if BrokerHome(data_dir).status().is_up:
            raise BrokerError(
                f"{data_dir}: a demo's broker runs there. riverrun broker stop --data-dir {data_dir} ends it; "
                "another --data-dir leaves it alone."
            )
        shutil.rmtree(data_dir)
    data_dir.mkdir(parents=True, exist_ok=True)
    marker.touch()


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Hold off Ctrl-C while things are put away."""
    import signal
    import threading

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
