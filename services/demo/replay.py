"""Replay: a recorded stream into Kafka, as fast as it goes or at a multiple of its own time."""

import time
from collections.abc import Callable, Iterable
from threading import Event

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from schemas import cloudevents as ce
from schemas.errors import BrokerError
from schemas.lines import Line
from services.demo.scenario import is_label
from services.topics import log, require_topic
from streams.worker.settings import Settings

FLUSH_SECONDS = 30.0

_SERVE_EVERY = 500
_NAP_SECONDS = 0.05


class Replay:
    """Produces lines to a topic and counts them.

    Event time travels in the ``ce_time`` header and nowhere else: Kafka deletes by the record's own timestamp.

    Parameters
    ----------
    settings
        Of the deployment.
    topic
        An existing topic.
    speed
        Seconds of event time per second; None for as fast as it goes.
    may_go_on
        Asked every 500 records; while it says no, nothing is sent.

    Raises
    ------
    BrokerError
        When no broker answers, or there is no such topic.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        *,
        speed: float | None = None,
        may_go_on: Callable[[], bool] = lambda: True,
    ) -> None:
        require_topic(settings, topic)
        self.events = self.labels = 0
        self.time_ms: int | None = None
        self._topic = topic
        self._speed = speed
        self._may_go_on = may_go_on
        self._stop = Event()
        self._failure: str | None = None
        config = settings.client(
            **{
                "client.id": "riverrun-replay",
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "linger.ms": 5,
                "queue.buffering.max.messages": 100_000,
                "delivery.report.only.error": True,
                "on_delivery": self._not_delivered,
            }
        )
        self._producer = Producer(config, logger=log)

    @property
    def records(self) -> int:
        """Number of records sent."""
        return self.events + self.labels

    def run(self, lines: Iterable[Line]) -> None:
        """Send lines until they end or `stop` is called, and see that they arrive.

        Raises
        ------
        BrokerError
            When a record was not delivered.
        """
        pace = _Pace(self._speed)
        try:
            for line in lines:
                self._send(line)
                if self._speed is not None and not self._wait(pace.delay(line)):
                    break
                if self.records % _SERVE_EVERY == 0:
                    self.time_ms = _time_of(line)
                    if not self._serve():
                        break
        finally:
            left = self._producer.flush(FLUSH_SECONDS)
        if left and self._failure is None:
            self._failure = f"{left} records were not acknowledged within {FLUSH_SECONDS:g} s"
        self._check()

    def stop(self) -> None:
        """End `run` soon; what was sent is delivered."""
        self._stop.set()

    def _send(self, line: Line) -> None:
        while True:
            try:
                self._producer.produce(self._topic, line.value, key=line.key, headers=line.headers)
                break
            except BufferError:
                self._producer.poll(_NAP_SECONDS)
            except KafkaException as error:
                raise BrokerError(f"{self._topic}: {error.args[0].str()}") from None
        if is_label(line):
            self.labels += 1
        else:
            self.events += 1

    def _serve(self) -> bool:
        """Let the producer work while the reader catches up; False when it is time to end."""
        self._producer.poll(0)
        self._check()
        while not self._stop.is_set() and not self._may_go_on():
            self._producer.poll(_NAP_SECONDS)
        return not self._stop.is_set()

    def _wait(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._stop.is_set():
            self._producer.poll(min(left, _NAP_SECONDS))
        return not self._stop.is_set()

    def _not_delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None and self._failure is None:
            self._failure = f"a record was not delivered: {error.str()}"

    def _check(self) -> None:
        if self._failure is not None:
            raise BrokerError(f"{self._topic}: {self._failure}")


class _Pace:
    """Turns event time into waiting time."""

    def __init__(self, speed: float | None) -> None:
        self._speed = speed or 1.0
        self._began: tuple[float, int] | None = None

    def delay(self, line: Line) -> float:
        """Return the seconds that are left until it is this line's turn, 0 or less when it is late."""
        now, time_ms = time.monotonic(), _time_of(line)
        if time_ms is None:
            return 0.0
        if self._began is None:
            self._began = (now, time_ms)
        began, first_ms = self._began
        return began + (time_ms - first_ms) / 1000 / self._speed - now


def _time_of(line: Line) -> int | None:
    text = ce.header(line.headers or [], "ce_time")
    return None if text is None else ce.parse_time(text)
