"""Summaries over the rounds of a run: medians, ratios to the reference, a table and a file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import orjson
from rich.table import Table

RESULTS = Path(__file__).parent / "results"


@dataclass
class Entry:
    """All rounds of one contestant on one model and partition count.

    Attributes
    ----------
    rounds
        Figures by round; a round that failed is missing.
    failures
        Why rounds failed or were skipped.
    """

    contestant: str
    model: str
    partitions: int
    rounds: dict[int, dict[str, object]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def values(self, figure: str) -> list[float]:
        """Return one figure of every round."""
        return [float(figures[figure]) for figures in self.rounds.values()]

    def ratios(self, reference: Entry | None) -> list[float]:
        """Divide CPU by the reference's of the same round."""
        if reference is None:
            return []
        figure = "cpu_seconds_per_100k"
        shared = self.rounds.keys() & reference.rounds.keys()
        return [float(self.rounds[r][figure]) / float(reference.rounds[r][figure]) for r in sorted(shared)]

    def verdict(self, reference: Entry | None) -> str:
        """Say in a few words whether the outputs are what they should be."""
        if not self.rounds:
            return "; ".join(sorted(set(self.failures)))
        figures = list(self.rounds.values())
        words = ["complete" if all(f["complete"] for f in figures) else "INCOMPLETE"]
        words.append("in order" if all(f["ordered"] for f in figures) else "OUT OF ORDER")
        if repeated := sum(int(f["duplicates"]) for f in figures):
            words.append(f"{repeated} duplicates")
        if reference is not None and reference.rounds:
            expected = {f["digest"] for f in reference.rounds.values()}
            words.append("= reference" if {f["digest"] for f in figures} == expected else "≠ reference")
        if self.failures:
            words.append(f"{len(self.failures)} failed: {self.failures[0]}")
        return ", ".join(words)


def reference_of(entry: Entry, entries: Iterable[Entry]) -> Entry | None:
    """Find the reference's entry for the same model and partitions."""
    wanted = ("reference", entry.model, entry.partitions)
    return next((e for e in entries if (e.contestant, e.model, e.partitions) == wanted), None)


def render(entries: list[Entry], title: str) -> Table:
    """Lay the entries out as a table, one row each."""
    table = Table(title=title)
    table.add_column("contestant")
    table.add_column("model")
    for heading in ("partitions", "CPU s/100k", "x reference", "records/s", "peak MB", "accuracy"):
        table.add_column(heading, justify="right")
    table.add_column("outputs")
    for entry in entries:
        reference = reference_of(entry, entries)
        table.add_row(
            entry.contestant,
            entry.model,
            str(entry.partitions),
            _spread(entry.values("cpu_seconds_per_100k"), 2),
            _spread(entry.ratios(reference), 2),
            _middle(entry.values("records_per_second"), 0),
            _middle(entry.values("peak_rss_megabytes"), 0),
            _middle(entry.values("accuracy"), 4),
            entry.verdict(reference),
        )
    return table


def _middle(values: list[float], digits: int) -> str:
    return f"{median(values):,.{digits}f}" if values else "-"


def _spread(values: list[float], digits: int) -> str:
    if len(values) < 2:
        return _middle(values, digits)
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def save(name: str, content: dict[str, object]) -> Path:
    """Write `results/<name>.json` and return its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return path


def load(name: str) -> dict[str, object]:
    """Return what `save` wrote, nothing where it has not."""
    path = RESULTS / f"{name}.json"
    return orjson.loads(path.read_bytes()) if path.exists() else {}


def summary(entry: Entry, entries: list[Entry]) -> dict[str, object]:
    """Return an entry with its ratios and all its rounds, for the file."""
    reference = reference_of(entry, entries)
    return {
        **vars(entry),
        "rounds": [{"round": number, **figures} for number, figures in entry.rounds.items()],
        "ratios": entry.ratios(reference),
        "outputs": entry.verdict(reference),
    }
