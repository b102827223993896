"""Outcomes held against one of them, on the same events."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from schemas.errors import ConfigurationError
from services.laboratory.bins import Bins
from services.laboratory.combination import Combination
from services.laboratory.interval import Interval, batches, interval
from services.laboratory.outcome import Outcome

_DRIFT = "drift.detected"
#: Combinations that a remark names.
_MOST_NAMES = 8


class Entry(Struct):
    """One combination over all its partitions, as a row of the table.

    Parameters
    ----------
    title
        What tells it from the others.
    pipeline, model, policy
        Names it was given.
    runs
        Outcomes by partition.
    loss
        Mean loss and its interval; None where nothing was labelled, or a run failed.
    difference
        Of the mean losses on the events that both answered, this one's less the baseline's; negative is better.
    unpaired
        Labelled events in stretches of the log in which the two did not answer the same events.
    ratio
        Processor time a prediction, by the baseline's.
    """

    title: str
    pipeline: str
    model: str
    policy: str
    runs: list[Outcome]
    loss: Interval | None = None
    difference: Interval | None = None
    unpaired: int = 0
    ratio: float | None = None

    @property
    def error(self) -> str:
        """What went wrong, empty when nothing did."""
        told = [(run.combination.partition, run.error) for run in self.runs if run.error]
        if len(self.runs) == 1:
            return told[0][1] if told else ""
        return "; ".join(f"partition {partition}: {error}" for partition, error in told)

    @property
    def micros(self) -> float | None:
        """Microseconds of processor time a prediction."""
        predictions = sum(run.predictions for run in self.runs)
        return 1e6 * sum(run.cpu_seconds for run in self.runs) / predictions if predictions else None

    @property
    def is_silent(self) -> bool:
        """Whether no prediction was made."""
        return not any(run.predictions for run in self.runs)

    @property
    def champion_changes(self) -> int:
        """How often another version took over, as `riverrun history` tells it."""
        return sum(run.champion_changes for run in self.runs)

    @property
    def drifts(self) -> int:
        """How often drift was detected, among the lifecycle events that were kept."""
        return sum(mark.type == _DRIFT for run in self.runs for mark in run.marks)


class Comparison(Struct):
    """All entries, and what one should know before believing them.

    Parameters
    ----------
    entries
        In the order in which they were asked for.
    baseline
        Place of the one that the others are held against.
    remarks
        What does not fit together, or is missing.
    asked
        How many were asked for; more than there are entries after an interruption.
    """

    entries: list[Entry]
    baseline: int
    remarks: list[str]
    asked: int

    @property
    def best(self) -> list[Entry]:
        """Entries of the lowest mean loss; none where all are alike, or not measured alike."""
        entries = [entry for entry in self.entries if entry.loss is not None]
        losses = {entry.loss.mean for entry in entries if entry.loss is not None}
        if len(losses) < 2 or len({run.loss for entry in entries for run in entry.runs}) > 1:
            return []
        return [entry for entry in entries if entry.loss is not None and entry.loss.mean == min(losses)]


def titles(combinations: Sequence[Combination]) -> list[str]:
    """Return for each combination what tells it from the others.

    Examples
    --------
    >>> titles([Combination("a.py:p", policy=policy) for policy in ("observe-only", "pool")])
    ['observe-only', 'pool']
    >>> titles([Combination("a.py:p"), Combination("a.py:p", "m.py:tree")])
    ['declared model', 'tree']
    """
    pipelines = {one.pipeline for one in combinations}
    columns = [
        _short([one.pipeline for one in combinations]),
        _short(["declared model" if one.model == "declared" else one.model for one in combinations]),
        ["declared policy" if one.policy == "declared" else one.policy for one in combinations],
    ]
    told = [column for column in columns if len(set(column)) > 1]
    if not told:
        return [one.pipeline.rpartition(":")[2] for one in combinations]
    if len(pipelines) > 1 and columns[0] not in told:
        told = [columns[0], *told]
    return [" / ".join(parts) for parts in zip(*told, strict=True)]


def _short(paths: Sequence[str]) -> list[str]:
    """Return the names at the end of import paths, with their files where names alone would not do."""
    names = [path.rpartition(":")[2] for path in paths]
    if len(set(names)) == len(set(paths)):
        return names
    places = [Path(path.rpartition(":")[0]).name for path in paths]
    return [f"{place}:{name}" if place else name for place, name in zip(places, names, strict=True)]


def compare(
    outcomes: Sequence[Outcome], baseline: str | None = None, asked: Sequence[Combination] | None = None
) -> Comparison:
    """Return the entries that outcomes make, held against the first or the one that is named.

    Parameters
    ----------
    outcomes
        One of each combination, partitions of an entry side by side.
    baseline
        Title of an entry.
    asked
        All combinations that were asked for, where not all have been played: titles are told by them, and entries are
        those that have been played in all their partitions. None where that is all of them.

    Raises
    ------
    ConfigurationError
        When there is no such entry.
    """
    groups: dict[tuple[str, str, str], list[Outcome]] = {}
    asked = [outcome.combination for outcome in outcomes] if asked is None else asked
    wanted = Counter(_key(one) for one in asked)
    for outcome in outcomes:
        groups.setdefault(_key(outcome.combination), []).append(outcome)
    names = titles([Combination(*key) for key in wanted])
    title = names[find_baseline(names, baseline)]
    entries = [
        Entry(name, *key, groups[key])
        for name, key in zip(names, wanted, strict=True)
        if len(groups.get(key, ())) == wanted[key]
    ]
    place = next((number for number, entry in enumerate(entries) if entry.title == title), 0)
    for entry in entries:
        if not entry.error:
            entry.loss = interval([batches(run.curve.counts, run.curve.sums) for run in entry.runs])
    remarks = _interruption(entries, len(wanted), title)
    if entries:
        _hold(entries, entries[place])
        remarks += _remarks(entries, entries[place])
    return Comparison(entries, place, remarks, len(wanted))


def _key(one: Combination) -> tuple[str, str, str]:
    """Return what the partitions of an entry have in common."""
    return one.pipeline, one.model, one.policy


def _hold(entries: Sequence[Entry], against: Entry) -> None:
    """Hold all entries against one of them."""
    for entry in entries:
        if entry is not against and not entry.error and not against.error:
            entry.difference, entry.unpaired = _difference(entry, against)
        if entry.micros and against.micros and not entry.error and not against.error:
            entry.ratio = entry.micros / against.micros


def _interruption(entries: Sequence[Entry], asked: int, baseline: str) -> list[str]:
    """Tell how many of those that were asked for are missing, and whether the baseline is one of them."""
    if len(entries) == asked:
        return []
    remarks = [f"Interrupted: {len(entries)} of {asked} combinations were played."]
    if entries and baseline not in [entry.title for entry in entries]:
        remarks.append(f"The baseline {baseline} is not among them: differences are to {entries[0].title}.")
    return remarks


def find_baseline(names: Sequence[str], wanted: str | None) -> int:
    """Return the place of the entry that the others are held against.

    Raises
    ------
    ConfigurationError
        When there is no entry of that title.
    """
    if wanted is None:
        return 0
    if wanted not in names:
        raise ConfigurationError(f"--baseline: got {wanted!r}, expected one of {', '.join(map(repr, names))}")
    return names.index(wanted)


def _difference(entry: Entry, against: Entry) -> tuple[Interval | None, int]:
    strata, unpaired = [], 0
    for run, other in zip(entry.runs, against.runs, strict=True):
        if run.loss != other.loss:
            return None, 0
        counts, sums, left_out = paired(run.curve, other.curve)
        strata.append(batches(counts, sums))
        unpaired += left_out
    return interval(strata), unpaired


def paired(curve: Bins, other: Bins) -> tuple[list[int], list[float], int]:
    """Return counts and differences of the sums over the bins in which both hold the same events, and how many others.

    Examples
    --------
    >>> one = Bins(counts=[2, 1], sums=[1.0, 1.0], marks=[7, 8])
    >>> paired(one, Bins(counts=[2, 1], sums=[2.0, 0.0], marks=[7, 9]))
    ([2, 0], [-1.0, 0.0], 1)
    """
    shift = max(curve.shift, other.shift)
    a, b = curve.coarser(shift), other.coarser(shift)
    size = max(len(a.counts), len(b.counts))
    for bins in (a, b):
        missing = size - len(bins.counts)
        bins.counts += [0] * missing
        bins.sums += [0.0] * missing
        bins.marks += [0] * missing
    same = [a.counts[i] == b.counts[i] and a.marks[i] == b.marks[i] for i in range(size)]
    counts = [a.counts[i] if same[i] else 0 for i in range(size)]
    sums = [a.sums[i] - b.sums[i] if same[i] else 0.0 for i in range(size)]
    return counts, sums, sum(max(a.counts[i], b.counts[i]) for i in range(size) if not same[i])


def _remarks(entries: Sequence[Entry], against: Entry) -> list[str]:
    played = [run for entry in entries for run in entry.runs if not run.error]
    remarks = []
    if any(entry.error for entry in entries):
        failed = sum(bool(entry.error) for entry in entries)
        remarks.append(f"{failed} of {len(entries)} combinations failed.")
    digests: dict[int, set[str]] = {}
    for run in played:
        digests.setdefault(run.combination.partition, set()).add(run.records_digest)
    if any(len(found) > 1 for found in digests.values()):
        remarks.append("The combinations did not read the same records: the differences say nothing.")
    if len({run.versions for run in played}) > 1:
        remarks.append(f"The versions differ: {'; '.join(sorted({run.versions for run in played}))}.")
    if len({run.loss for run in played}) > 1:
        remarks.append("The losses are not measured alike: only those that are can be compared.")
    if silent := [entry for entry in entries if not entry.error and entry.is_silent]:
        records = _range([sum(run.records for run in entry.runs) for entry in silent])
        remarks.append(f"{_who(silent)}: got {records} records and no event among them that could be scored.")
    if refused := [entry for entry in entries if any(run.dead_letters for run in entry.runs)]:
        records = _range([sum(sum(run.dead_letters.values()) for run in entry.runs) for entry in refused])
        first = next(run.first_dead_letter for run in refused[0].runs if run.dead_letters)
        remarks.append(f"{_who(refused)}: could not use {records} of the records, the first at {first}.")
    if unpaired := [entry for entry in entries if entry.unpaired]:
        which, those = ("it", "the difference") if len(unpaired) == 1 else ("they", "the differences")
        count = _range([entry.unpaired for entry in unpaired])
        remarks.append(
            f"{_who(unpaired)}: {count} labelled events lie in stretches in which {which} and {against.title} did not "
            f"answer the same events; they are left out of {those}."
        )
    if correlated := [entry for entry in entries if entry.difference is not None and entry.difference.correlated]:
        those = "interval of its difference is" if len(correlated) == 1 else "intervals of their differences are"
        remarks.append(f"{_who(correlated)}: even the batches go together, so the {those} too narrow.")
    if any(run.load > 1 for run in played):
        remarks.append("The machine was loaded beyond its cores: processor times are larger than they would be alone.")
    return remarks


def _who(entries: Sequence[Entry]) -> str:
    """Return whom a remark is about; of many the first few."""
    names = [entry.title for entry in entries]
    if len(names) == 1:
        return names[0]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"{len(names)} combinations ({', '.join(names[:_MOST_NAMES])}{more})"


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"
