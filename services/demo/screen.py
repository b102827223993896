"""What the demo shows: a quiet screen on a terminal, a line now and then elsewhere, and a summary at the end."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from services.demo.scenario import Scenario
from services.demo.watch import LifecycleEvent, Reading

TRACE_WIDTH = 32
_BARS = "▁▂▃▄▅▆▇█"
_LABEL_WIDTH = 12
_FRAME_LINES = 16  # what stands on the screen beside the events


@dataclass
class View:
    """What there is to show.

    Parameters
    ----------
    scenario
        What is replayed.
    planned
        Events that are to be replayed.
    sent
        Events sent so far.
    seconds
        Since the replay began.
    rate
        Records the worker read per second, lately.
    time_ms
        Event time reached.
    reading
        The worker's newest reading.
    events
        Lifecycle events so far.
    trace
        Rolling accuracy over the replay, one value per step of it.
    """

    scenario: Scenario
    planned: int
    sent: int = 0
    seconds: float = 0.0
    rate: float = 0.0
    time_ms: int | None = None
    reading: Reading | None = None
    events: Sequence[LifecycleEvent] = ()
    trace: deque[float] = field(default_factory=lambda: deque(maxlen=TRACE_WIDTH))

    @property
    def window(self) -> int:
        """Number of labels that rolling metrics look back on."""
        names = self.reading.metrics if self.reading else ()
        return max((int(name.rpartition("_")[2]) for name in names if name.rpartition("_")[2].isdigit()), default=0)


def screen(view: View, height: int) -> RenderableType:
    """Return the screen for a terminal of so many lines; 80 columns are enough."""
    clock = f"{int(view.seconds) // 60:02d}:{int(view.seconds) % 60:02d}"
    head = Table.grid(expand=True)
    head.add_column()
    head.add_column(justify="right")
    head.add_row(Text.assemble(("riverrun ", "bold"), view.scenario.question), Text(clock, "dim"))
    rows = max(1, height - _FRAME_LINES)
    parts: list[RenderableType] = [head, "", _progress(view), _flow(view), "", _quality(view), "", _champion(view), ""]
    return Padding(Group(*parts, _happened(view, rows)), (1, 1, 0, 1))


def _progress(view: View) -> RenderableType:
    line = Table.grid(padding=(0, 2, 0, 0))
    line.add_column(width=_LABEL_WIDTH - 2, style="dim")
    line.add_column(width=TRACE_WIDTH)
    line.add_column()
    said = f"{view.sent:,} of {view.planned:,} {view.scenario.unit}"
    line.add_row("replayed", ProgressBar(total=view.planned, completed=view.sent, width=TRACE_WIDTH), said)
    return line


def _flow(view: View) -> RenderableType:
    reading = view.reading
    line = Table.grid(padding=(0, 2, 0, 0))
    line.add_column(width=_LABEL_WIDTH - 2, style="dim")
    line.add_column(width=26)
    line.add_column(width=18)
    line.add_column()
    if reading is None:
        line.add_row("worker", "starting", "", "")
        line.add_row("labels", "", "", "")
        return line
    count = reading.counts.get
    lag = "lag ?" if reading.lag is None else f"lag {reading.lag:,}"
    reached = "" if view.time_ms is None else f"at {day(view.time_ms)}"
    line.add_row("worker", f"{view.rate:,.0f} records/s", lag, reached)
    joined, dead = count("label_joined", 0), count("dead_letter", 0)
    line.add_row("labels", f"{joined:,} joined", f"{reading.pending:,} pending", f"{dead:,} dead letters")
    return line


def _quality(view: View) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=_LABEL_WIDTH - 2, style="dim")
    table.add_column(width=7, justify="right")
    table.add_column(width=14, justify="right")
    table.add_column()
    table.add_row("", Text("model", "dim"), Text("majority class", "dim"), "")
    reading = view.reading
    value = reading.rolling if reading else lambda name: None
    table.add_row(
        "accuracy", number(value("accuracy")), number(value("majority_class")), Text(sparkline(view.trace), "cyan")
    )
    table.add_row("ROC AUC", number(value("rocauc")), ".500" if reading else "", "")
    table.add_row("log loss", number(value("log_loss")), "", "")
    return table


def _champion(view: View) -> RenderableType:
    line = Table.grid(padding=(0, 2, 0, 0))
    line.add_column(width=_LABEL_WIDTH - 2, style="dim")
    line.add_column()
    reading = view.reading
    line.add_row("champion", f"{reading.version}, {reading.learned:,} examples learned" if reading else "")
    return line


def _happened(view: View, rows: int) -> RenderableType:
    events = view.events[-rows:]
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=_LABEL_WIDTH - 2, style="dim", no_wrap=True)
    table.add_column(width=15, no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    if not events:
        table.add_row("events", "none yet", "")
    for event in events:
        table.add_row(day(event.time_ms), Text(event.kind.replace(".", " "), _colour(event)), detail(event))
    return table


def _colour(event: LifecycleEvent) -> str:
    return {"drift.warned": "yellow", "drift.detected": "bold yellow", "model.retrained": "green"}.get(event.kind, "")


def detail(event: LifecycleEvent) -> str:
    """Return what an event says, in words.

    Examples
    --------
    >>> detail(LifecycleEvent("drift.detected", {"time": 0, "before": 0.1, "after": 0.25, "width": 1200}))
    'loss .100 → .250 over 1,200 labels'
    """
    fields = event.fields
    if event.kind.startswith("drift.") and "after" in fields:
        return f"loss {number(fields['before'])} → {number(fields['after'])} over {fields['width']:,} labels"
    if event.kind == "model.retrained":
        return f"{fields['version']} replaces {fields['replaced']}, {fields['learned']:,} examples learned"
    if event.kind == "drift.cleared":
        return "the warning came to nothing"
    return str(fields.get("reason", ""))


def sparkline(values: Sequence[float]) -> str:
    """Return values as bars between their smallest and largest, a tenth apart at least.

    Examples
    --------
    >>> sparkline([0.5, 0.75, 1.0])
    '▁▄█'
    """
    if not values:
        return ""
    low = min(values)
    span = max(0.1, max(values) - low)
    return "".join(_BARS[int((value - low) / span * (len(_BARS) - 1))] for value in values)


def log_line(view: View) -> str:
    """Return the state of things on one line, for a pipe."""
    said = f"{view.seconds:4.0f} s  {view.sent:,} of {view.planned:,} {view.scenario.unit}"
    reading = view.reading
    if reading is None:
        return said
    value = reading.rolling
    lag = "?" if reading.lag is None else f"{reading.lag:,}"
    return (
        f"{said}  {view.rate:,.0f} records/s  lag {lag}  pending {reading.pending:,}  "
        f"accuracy {number(value('accuracy'))} (majority {number(value('majority_class'))})  "
        f"AUC {number(value('rocauc'))}  {reading.version}"
    )


def event_line(event: LifecycleEvent) -> str:
    """Return a lifecycle event on one line."""
    return f"{day(event.time_ms)}  {event.kind.replace('.', ' ')}  {detail(event)}"


def number(value: object) -> str:
    """Return a number between 0 and 1 with three digits, nothing for what is no number."""
    if not isinstance(value, float | int):
        return ""
    return f"{value:.3f}".removeprefix("0")


def day(time_ms: int) -> str:
    """Return the day of an event time, such as ``Jan 30``."""
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%b %d}".replace(" 0", "  ")
