"""What a demo did, in words, and what to try next."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from services.demo.screen import View, day, detail, number
from services.demo.session import REPLAY_SECONDS, Session

_EVENTS_SHOWN = 12
_WIDTH = 14


def summary(session: Session, view: View) -> Iterator[str]:
    """Yield the lines of the summary."""
    reading = view.reading
    if reading is None:
        yield "The worker said nothing."
        return
    count = reading.counts.get
    unit = view.scenario.unit
    until = f" until {day(view.time_ms)}" if view.time_ms is not None else ""
    yield f"{view.sent:,} {unit}{until} in {view.seconds:.0f} s: {reading.read:,} records, {_rate(view):,.0f} a second."
    if session.is_cut_short:
        yield f"Stopped after {REPLAY_SECONDS:.0f} s, short of {view.planned:,}: --rows {view.planned} plays them all."
    if not session.is_complete:
        yield f"The worker had {session.backlog:,} records to go when its time was up."
    yield ""
    yield _row("predictions", f"{count('scored', 0):,}")
    labels = [
        f"{count('label_joined', 0):,} joined",
        f"{reading.pending:,} pending",
        f"{count('expired', 0):,} never came",
    ]
    yield _row("labels", ", ".join(labels))
    yield _row("dead letters", f"{count('dead_letter', 0):,}")
    yield _row("accuracy", f"{number(reading.metrics.get('accuracy'))}, majority class {_majority(view)}")
    rolling = [
        f"{words} {number(reading.rolling(name))}"
        for name, words in (
            ("accuracy", "accuracy"),
            ("majority_class", "majority class"),
            ("rocauc", "ROC AUC"),
            ("log_loss", "log loss"),
        )
    ]
    yield _row(f"last {view.window:,}", ", ".join(rolling))
    yield _row("champion", f"{reading.version}, {reading.learned:,} examples learned")
    yield from _events(view)


def _events(view: View) -> Iterator[str]:
    told = [event for event in view.events if event.kind != "drift.warned"]
    title = "events"
    for event in told[:_EVENTS_SHOWN]:
        yield _row(title, f"{day(event.time_ms)}  {event.kind.replace('.', ' '):<15}  {detail(event)}")
        title = ""
    if len(told) > _EVENTS_SHOWN:
        yield _row("", f"and {len(told) - _EVENTS_SHOWN} more")
    if not told:
        yield _row(title, "no drift")


def next_steps(session: Session, data_dir: Path) -> Iterator[str]:
    """Yield what to try next."""
    name = session.scenario.name
    if session.keep and session.is_complete:
        first, *others = session.topics
        shortened = [topic.removeprefix(name) for topic in others]
        yield f"The broker stays. Topics: {', '.join([first, *shortened])}"
        yield from _activation()
        yield f"  export RIVERRUN_BOOTSTRAP_SERVERS={session.bootstrap}"
        yield f"  riverrun tail lifecycle {name} --from beginning"
        yield f"  riverrun tail predictions {name} -n 3"
        yield f"  riverrun broker stop --data-dir {data_dir}"
        return
    other = "recurring" if name == "flights" else "flights"
    yield f"Nothing is left running. The worker's log: {session.worker.log_path}"
    yield "Next:"
    yield from _activation()
    yield f"  riverrun demo {'--scenario recurring' if other == 'recurring' else ''}".rstrip().ljust(40) + _ABOUT[other]
    yield "  riverrun demo --keep".ljust(40) + "and look at the topics afterwards"
    yield f"  less examples/{name}.py".ljust(40) + "the declaration that was run"


def _activation() -> Iterator[str]:
    """Yield how a shell finds riverrun, where it does not yet."""
    script = Path(sys.prefix, "bin", "activate")
    if shutil.which("riverrun") is None and script.exists():
        yield f"  . {os.path.relpath(script)}".ljust(40) + "lets the shell find riverrun"


_ABOUT = {"recurring": "a stream in which drift is certain", "flights": "flights, weather and late labels"}


def _row(name: str, text: str) -> str:
    return f"  {name:<{_WIDTH}}{text}".rstrip()


def _rate(view: View) -> float:
    return view.reading.read / view.seconds if view.reading and view.seconds else 0.0


def _majority(view: View) -> str:
    return number(view.reading.metrics.get("majority_class")) if view.reading else ""
