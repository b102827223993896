"""What all trials have found, as a table and as JSON."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson
from msgspec import to_builtins
from rich.table import Table

from tests.chaos.trial import Trial


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the sample below or at which a share of them lies.

    Examples
    --------
    >>> percentile([3.0, 1.0, 2.0], 0.5), percentile([3.0, 1.0, 2.0], 0.95)
    (2.0, 3.0)
    """
    return sorted(samples)[max(0, math.ceil(share * len(samples)) - 1)]


def rows(trials: Iterable[Trial]) -> list[dict[str, Any]]:
    """Return one row for each case of each kind."""
    by_case: dict[tuple[str, str], list[Trial]] = {}
    for trial in trials:
        by_case.setdefault((trial.kind, trial.case), []).append(trial)
    return [_row(kind, case, of_case) for (kind, case), of_case in by_case.items()]


def _row(kind: str, case: str, trials: list[Trial]) -> dict[str, Any]:
    counts: dict[str, int] = {}
    samples: dict[str, list[float]] = {}
    for trial in trials:
        for name, count in trial.findings.counts.items():
            counts[name] = counts.get(name, 0) + count
        for name, found in trial.findings.figures.items():
            samples.setdefault(name, []).extend(found)
    return {
        "kind": kind,
        "case": case,
        "trials": len(trials),
        "shocks": sum(trial.findings.shocks for trial in trials),
        "held": sum(trial.held for trial in trials),
        "counts": counts,
        "figures": {name: _spread(found) for name, found in samples.items() if found},
        "seconds": round(sum(trial.seconds for trial in trials), 1),
    }


def _spread(samples: list[float]) -> dict[str, float]:
    shares = {"p50": 0.5, "p95": 0.95, "max": 1.0}
    return {name: round(percentile(samples, share), 2) for name, share in shares.items()}


def render(trials: Iterable[Trial]) -> Table:
    """Return the table: what had to be zero, and what was measured."""
    table = Table(title="riverrun, exactly once, on Apache Kafka", title_justify="left")
    for name in ("trial", "case"):
        table.add_column(name)
    for name in ("trials", "shocks", "held"):
        table.add_column(name, justify="right")
    for name in ("has to be zero", "p50 / p95 / max"):
        table.add_column(name)
    for row in rows(trials):
        table.add_row(
            row["kind"],
            row["case"],
            *(str(row[name]) for name in ("trials", "shocks", "held")),
            _zeros(row["counts"]),
            "\n".join(_figure(name, spread) for name, spread in row["figures"].items()),
            style=None if row["held"] == row["trials"] else "red",
        )
    return table


def _zeros(counts: dict[str, int]) -> str:
    """Return what is not zero, else that all is."""
    wrong = [f"{name} {count}" for name, count in counts.items() if count]
    return ", ".join(wrong) or (f"all {len(counts)} are" if counts else "(no answer)")


def _figure(name: str, spread: dict[str, float]) -> str:
    noun, _, unit = name.rpartition("_")
    words = noun.replace("_", " ") if unit == "seconds" else name.replace("_", " ")
    return f"{words} {spread['p50']:g} / {spread['p95']:g} / {spread['max']:g}{' s' if unit == 'seconds' else ''}"


def save(trials: list[Trial], path: Path) -> None:
    """Write all trials and the rows of the table as JSON."""
    document = {"rows": rows(trials), "trials": to_builtins(trials, enc_hook=str)}
    path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
