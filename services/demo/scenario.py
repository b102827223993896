"""What can be replayed: a stream, the pipeline that reads it, and how they are told."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from schemas import cloudevents as ce
from schemas.errors import ConfigurationError
from schemas.lines import Line
from services.flights import FLIGHTS, data_folder, flight_log
from services.recurring import APPLICATIONS, recurring_log

ROOT = Path(__file__).resolve().parents[2]

_LABEL = ("ce_type", ce.LABEL.encode())


@dataclass(frozen=True)
class Scenario:
    """A stream and the pipeline that reads it.

    Parameters
    ----------
    name
        Of stream, example and pipeline.
    question
        What is predicted, in words.
    unit
        What one event is, in the plural.
    log
        Yields the first so many events with their labels, in event time.
    events
        How many events there are.
    demo_events
        How many of them the demo replays unless told otherwise: about a minute's work.
    check
        Raises `ConfigurationError` when the stream cannot be had.
    """

    name: str
    question: str
    unit: str
    log: Callable[[int | None], Iterator[Line]]
    events: int
    demo_events: int
    check: Callable[[], object] = lambda: None

    @property
    def topic(self) -> str:
        """The topic it is replayed to."""
        return f"{self.name}.raw"

    @property
    def example(self) -> Path:
        """The file that declares its pipeline.

        Raises
        ------
        ConfigurationError
            When this is an installation without the examples.
        """
        path = ROOT / "examples" / f"{self.name}.py"
        if not path.is_file():
            raise ConfigurationError(
                f"{path}: not there. The demo runs from a copy of the repository: git clone it, then make demo"
            )
        return path


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "flights",
            "New York 2013: will a flight arrive more than 15 minutes late?",
            "flights",
            flight_log,
            FLIGHTS,
            demo_events=120_000,
            check=data_folder,
        ),
        Scenario(
            "recurring",
            "Will a loan be granted? The rule changes every 4,000 loans.",
            "applications",
            recurring_log,
            APPLICATIONS,
            demo_events=APPLICATIONS,
        ),
    )
}


def check_extra() -> None:
    """Raise unless the embedded broker is installed."""
    if find_spec("noida_db") is None:
        raise ConfigurationError(
            "the demo needs the package noida-db, which is not installed: pip install riverrun[demo]"
        )


def is_label(line: Line) -> bool:
    """Tell whether a line is a label record rather than an event.

    Examples
    --------
    >>> is_label(Line(b"a", b"{}", [("ce_type", b"riverrun.label")]))
    True
    """
    return _LABEL in (line.headers or ())
