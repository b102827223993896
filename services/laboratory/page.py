"""One HTML file of a comparison: it opens offline, loads nothing, and holds whatever the data hold as text."""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from schemas import cloudevents as ce
from services.laboratory.bins import Bins
from services.laboratory.charts import MARKED, Line, chart, key, small_chart
from services.laboratory.comparison import Comparison, Entry, paired
from services.laboratory.features import Features
from services.laboratory.interval import BATCHES, show
from services.laboratory.outcome import Outcome
from streams.accounting import OUTCOMES, REMARKS

_HERE = Path(__file__).parent
_ROLLING_SHARE = 40
_FIGURES = 20
_MOST_EVENTS = 200


def render(comparison: Comparison, asked: dict[str, str]) -> str:
    """Return the report.

    Parameters
    ----------
    comparison
        What to tell.
    asked
        What was asked for: records, engine, and whatever else belongs into the first table.
    """
    entries, against = comparison.entries, comparison.entries[comparison.baseline]
    played = [run for entry in entries for run in entry.runs if not run.error]
    partitions = sorted({run.combination.partition for run in played})
    data: dict[str, Any] = {}
    panels = [_panel(entries, against, partition, data) for partition in partitions]
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            title="Backtest: " + ", ".join(dict.fromkeys(run.name for run in played)),
            asked=asked,
            versions=", ".join(dict.fromkeys(run.versions for run in played)),
            loss=", ".join(dict.fromkeys(run.loss for run in played)),
            entries=entries,
            against=against,
            best={entry.title for entry in comparison.best},
            key=lambda number: Markup(key(number)),
            comparison=comparison,
            panels=panels,
            batches=BATCHES,
            script=Markup(script),  # our own
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            style=Markup((_HERE / "page.css").read_text(encoding="utf-8")),
            data=Markup(_as_json(data)),
            meanings=OUTCOMES | REMARKS,
            most_micros=max((entry.micros or 0.0 for entry in entries), default=0.0) or 1.0,
        )
    )


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters["interval"] = show
    made.filters["seconds"] = lambda time_ms: ce.format_time(time_ms)[:16].replace("T", " ") if time_ms > 0 else ""
    return made


def _as_json(data: object) -> str:
    """Return JSON that can stand within a script element: nothing in it can end that, or begin a comment."""
    text = orjson.dumps(data).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _panel(entries: Sequence[Entry], against: Entry, partition: int, data: dict[str, Any]) -> dict[str, Any]:
    """Return what the page shows of one partition."""
    runs = [
        (number, entry.title, run)
        for number, entry in enumerate(entries)
        for run in entry.runs
        if run.combination.partition == partition and not run.error
    ]
    shift = max(run.curve.shift for _, _, run in runs)
    curves = [run.curve.coarser(shift) for _, _, run in runs]
    size = max(len(curve.counts) for curve in curves)
    first, width = curves[0].first, 1 << shift
    offsets = [first + i * width for i in range(size + 1)]
    span = max(1, size // _ROLLING_SHARE)
    features = [(title, run.features) for _, title, run in runs if run.features is not None]
    times = _times(features[0][1], offsets) if features else []
    lines = [
        Line(number, title, _filled(curve.rolling(span), size), _marks(run, first, width))
        for (number, title, run), curve in zip(runs, curves, strict=True)
    ]
    base = next((run for _, title, run in runs if title == against.title), None)
    gains = [
        Line(number, title, _gain(run.curve, base.curve, shift, size))
        for number, title, run in runs
        if base is not None and run is not base and run.loss == base.loss
    ]
    panel: dict[str, Any] = {
        "partition": partition,
        "span": span * width,
        "runs": runs,
        "width": width,
        "loss": None,
        "gain": None,
    }
    loss = runs[0][2].loss
    if any(run.labelled for _, _, run in runs):
        said = f"Rolling mean of the {loss} over {span * width} offsets, by offset of the event; marks below the lines."
        panel["loss"] = Markup(
            chart(f"loss-{partition}", f"Loss over time, partition {partition}", said, lines, offsets)
        )
        data[f"loss-{partition}"] = _series(lines, offsets, times)
        panel["figures"] = _figures(runs, curves, offsets)
    if gains:
        said = f"Sum of the losses less that of {against.title}, on the same events: a line that falls gains on it."
        panel["gain"] = Markup(
            chart(
                f"gain-{partition}",
                f"Difference to {against.title}, summed up, partition {partition}",
                said,
                gains,
                offsets,
            )
        )
        data[f"gain-{partition}"] = _series(gains, offsets, times)
    panel["events"] = [
        (number, title, run.marks[:_MOST_EVENTS], max(0, len(run.marks) - _MOST_EVENTS) + run.marks_dropped)
        for number, title, run in runs
    ]
    panel["features"] = [(title, _feature_rows(found)) for title, found in features]
    return panel


def _series(lines: Sequence[Line], offsets: Sequence[int], times: Sequence[str]) -> dict[str, Any]:
    rounded = [[None if v is None else round(v, 5) for v in line.values] for line in lines]
    series = [{"run": line.run, "title": line.title, "values": v} for line, v in zip(lines, rounded, strict=True)]
    return {"offsets": offsets, "times": times, "series": series}


def _filled(values: list[float | None], size: int) -> list[float | None]:
    return values + [None] * (size - len(values))


def _marks(run: Outcome, first: int, width: int) -> list[tuple[str, float, str]]:
    return [
        (mark.type, (mark.offset - first) / width, f"{mark.type} at {mark.offset:,}, {mark.text}")
        for mark in run.marks
        if mark.type in MARKED
    ]


def _gain(curve: Bins, other: Bins, shift: int, size: int) -> list[float | None]:
    _, sums, _ = paired(curve.coarser(shift), other.coarser(shift))
    return _filled(list(accumulate(sums)), size)


def _times(features: Features, offsets: Sequence[int]) -> list[str]:
    """Return the time up to which each bin reaches, empty where the events bring none."""
    said = []
    for end in offsets[1:]:
        index = min(len(features.times) - 1, (end - 1 - features.first) // features.width)
        time_ms = features.times[index] if index >= 0 else -1
        said.append(ce.format_time(time_ms)[:16].replace("T", " ") if time_ms > 0 else "")
    return said


def _figures(runs: Sequence[Any], curves: Sequence[Bins], offsets: Sequence[int]) -> list[tuple[str, list[str]]]:
    """Return the loss in twenty stretches of the log: the chart as a table."""
    size = len(offsets) - 1
    step = -(-size // _FIGURES)
    rows = []
    for start in range(0, size, step):
        cells = []
        for curve in curves:
            count = sum(curve.counts[start : start + step])
            cells.append(f"{sum(curve.sums[start : start + step]) / count:.4f}" if count else "-")
        rows.append((f"{offsets[start]:,} to {offsets[min(size, start + step)] - 1:,}", cells))
    return rows


def _feature_rows(features: Features) -> list[dict[str, Any]]:
    rows = []
    for curve in features.curves:
        lines = list(curve.lines.values())
        seen = [share for share in curve.missing if share is not None]
        rows.append(
            {
                "name": curve.name,
                "kind": curve.kind,
                "values": list(curve.lines) if curve.kind == "category" else [],
                "first": curve.first,
                "last": curve.last,
                "shift": curve.shift,
                "missing": sum(seen) / len(seen) if seen else None,
                "chart": Markup(small_chart(f"{curve.name} over the log", lines, curve.spread)) if lines else "",
            }
        )
    return rows
