"""``riverrun demo`` and ``riverrun replay``: recorded streams, into a broker of their own or into yours."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from services.cli.errors import FAILED, INTERRUPTED
from services.cli.options import ServersOption, hush_kafka, settings_of

if TYPE_CHECKING:
    from services.demo.replay import Replay
    from services.demo.scenario import Scenario
    from services.demo.screen import View
    from services.demo.session import Session

_LOG_EVERY_SECONDS = 5.0
_FRAMES_PER_SECOND = 5


class Name(StrEnum):
    """The streams."""

    FLIGHTS = "flights"
    RECURRING = "recurring"


RowsOption = Annotated[
    int | None, typer.Option("--rows", min=1, help="Number of events (flights, applications).", show_default=False)
]
SpeedOption = Annotated[
    float | None,
    typer.Option(
        "--speed", min=0.001, help="Seconds of event time per second; else at full speed.", show_default=False
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("demo", epilog="Example: riverrun demo --scenario recurring")(demo)
    app.command("replay", epilog="Example: riverrun replay flights --rows 10000 --speed 3600")(replay)


def demo(
    scenario: Annotated[Name, typer.Option(help="Which stream.")] = Name.FLIGHTS,
    rows: RowsOption = None,
    speed: SpeedOption = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the broker running, with what is in it.")] = False,
    data_dir: Annotated[
        Path, typer.Option(help="Where broker and worker write; what an earlier demo left there is removed.")
    ] = Path(".riverrun/demo"),
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the broker; else a free one.", show_default=False)
    ] = None,
) -> None:
    """Run broker, worker and a recorded stream on this machine, and watch them for about a minute."""
    signal.signal(signal.SIGTERM, _terminate)
    hush_kafka("ERROR")
    from services.demo.child import WorkerFailed

    try:
        with ExitStack() as stack:
            with _telling() as say:
                say("loading River and Faust")
                from services.demo.scenario import SCENARIOS
                from services.demo.session import Session

                session = stack.enter_context(
                    Session(SCENARIOS[scenario], data_dir=data_dir, events=rows, speed=speed, port=port, keep=keep)
                )
                session.set_up(say)
            view = _watch_live(session) if sys.stdout.isatty() else _watch_plainly(session)
    except KeyboardInterrupt:
        typer.echo("stopped; nothing is left running", err=True)
        raise typer.Exit(INTERRUPTED) from None
    except WorkerFailed as error:
        typer.echo(f"riverrun: {error}", err=True)
        raise typer.Exit(FAILED) from None
    _sum_up(session, view, data_dir)
    if not session.is_complete:
        raise typer.Exit(FAILED)


@contextmanager
def _telling() -> Iterator[Callable[[str], None]]:
    """Yield what tells the steps of the start: on one line that goes away again, or one line each."""
    if not sys.stdout.isatty():
        yield lambda words: typer.echo(f"{words} …")
        return
    from rich.console import Console

    with Console().status("") as status:
        yield lambda words: status.update(f"{words} …")


def _terminate(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _watch_live(session: "Session") -> "View":
    from rich.console import Console
    from rich.live import Live

    from services.demo.screen import screen

    console = Console()
    with Live(console=console, auto_refresh=False, transient=True) as live:
        drawn = 0.0
        for view in session.play():
            if (now := time.monotonic()) - drawn >= 1 / _FRAMES_PER_SECOND:
                live.update(screen(view, console.height), refresh=True)
                drawn = now
    return view


def _watch_plainly(session: "Session") -> "View":
    from services.demo.screen import event_line, log_line

    typer.echo(session.scenario.question)
    told, due = 0, _LOG_EVERY_SECONDS
    for view in session.play():
        for event in view.events[told:]:
            typer.echo(event_line(event))
        told = len(view.events)
        if view.seconds >= due:
            typer.echo(log_line(view))
            due += _LOG_EVERY_SECONDS
    return view


def _sum_up(session: "Session", view: "View", data_dir: Path) -> None:
    from services.demo.summary import next_steps, summary

    typer.echo("")
    for line in summary(session, view):
        typer.echo(line)
    typer.echo("")
    for line in next_steps(session, data_dir):
        typer.echo(line)


def replay(
    stream: Annotated[Name, typer.Argument(help="Which stream.", show_default=False)],
    rows: RowsOption = None,
    speed: SpeedOption = None,
    once: Annotated[
        bool,
        typer.Option("--once", help="Send nothing to a topic that has, or had, records, of a whole replay or not."),
    ] = False,
    servers: ServersOption = None,
) -> None:
    """Send a recorded stream, events and labels, to the input topic of its example.

    Event time travels in the ce_time header; a flight's label follows when the flight has landed.
    """
    signal.signal(signal.SIGTERM, _terminate)
    settings = settings_of(servers)
    from services.demo.replay import Replay
    from services.demo.scenario import SCENARIOS
    from services.topics import has_had_records

    scenario = SCENARIOS[stream]
    scenario.check()
    if once and has_had_records(settings, scenario.topic):
        typer.echo(f"{scenario.topic} has or had records already: nothing is sent, as --once says")
        return
    job = Replay(settings, scenario.topic, speed=speed)
    try:
        _replay_visibly(job, scenario, min(rows or scenario.events, scenario.events))
    except KeyboardInterrupt:
        _report(job, scenario, "stopped after ")
        raise typer.Exit(INTERRUPTED) from None
    _report(job, scenario, "")


def _report(job: "Replay", scenario: "Scenario", how: str) -> None:
    typer.echo(f"{how}{job.events:,} {scenario.unit} and {job.labels:,} labels sent to {scenario.topic}")


def _replay_visibly(job: "Replay", scenario: "Scenario", events: int) -> None:
    """Replay in this thread, and draw from a second one where somebody looks."""
    if not sys.stderr.isatty():
        job.run(scenario.log(events))
        return
    from threading import Event, Thread

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    done = Event()
    with Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task(scenario.topic, total=events)

        def draw() -> None:
            while not done.wait(1 / _FRAMES_PER_SECOND):
                bar.update(task, completed=job.events, refresh=True)

        thread = Thread(target=draw, daemon=True)
        thread.start()
        try:
            job.run(scenario.log(events))
        finally:
            done.set()
            thread.join()
