"""Outcomes held against each other."""

import pytest
from msgspec.structs import replace

from schemas.errors import ConfigurationError
from services.laboratory.bins import Bins
from services.laboratory.combination import Combination
from services.laboratory.comparison import compare, titles
from services.laboratory.interval import BATCHES, Interval, batches, interval
from services.laboratory.outcome import Mark, Outcome


def outcome(policy: str, sums: list[float], *, partition: int = 0, marks: list[int] | None = None) -> Outcome:
    """Return an outcome with ten events a bin and these sums of their losses."""
    curve = Bins(counts=[10] * len(sums), sums=sums, marks=marks or list(range(len(sums))))
    return Outcome(
        Combination("a.py:p", policy=policy, partition=partition, partitions=2),
        name="p",
        loss="zero-one loss",
        predictions=100,
        labelled=10 * len(sums),
        records_digest="r",
        curve=curve,
        cpu_seconds=0.001,
        versions="1",
    )


WAVE = [float(i % 5) for i in range(100)]


def test_difference_is_taken_pair_by_pair() -> None:
    """What both find hard cancels out: a constant advantage has no spread, whatever the losses do."""
    found = compare([outcome("pool", WAVE), outcome("observe-only", [s + 1 for s in WAVE])])
    pool, observe = found.entries
    assert (pool.title, observe.title, found.baseline) == ("pool", "observe-only", 0)
    assert pool.difference is None
    assert observe.difference == Interval(0.1, pytest.approx(0.1), pytest.approx(0.1))
    assert observe.difference.is_decided
    assert (observe.micros, observe.ratio) == (10.0, 1.0)


def test_difference_of_partitions_is_that_of_all_their_events() -> None:
    """Twenty batches each, none of which joins two partitions."""
    first = [outcome("pool", WAVE, partition=0), outcome("pool", WAVE[:50], partition=1)]
    other = [outcome("declared", [2.0] * 100, partition=0), outcome("declared", [3.0] * 50, partition=1)]
    [_, entry] = compare([*first, *other]).entries
    rests = [[2.0 - s for s in WAVE], [3.0 - s for s in WAVE[:50]]]
    assert entry.difference == interval([batches([10] * len(rest), rest, BATCHES) for rest in rests])
    assert (entry.title, len(entry.runs)) == ("declared policy", 2)


def test_events_that_only_one_answered_are_left_out_and_told() -> None:
    """A bin with other events says nothing of a difference."""
    marks = [*range(99), 7]
    found = compare([outcome("pool", WAVE), outcome("declared", [*WAVE[:99], 10.0], marks=marks)])
    entry = found.entries[1]
    assert entry.difference is not None
    assert (entry.difference.mean, entry.unpaired) == (0.0, 10)
    assert "10 labelled events" in found.remarks[0]


def test_bins_of_two_widths_are_made_alike() -> None:
    """The finer gives way."""
    coarse = outcome("declared", WAVE)
    coarse.curve = coarse.curve.coarser(1)
    entry = compare([outcome("pool", WAVE), coarse]).entries[1]
    assert entry.difference is not None
    assert (entry.difference.mean, entry.unpaired) == (0.0, 0)


def test_what_cannot_be_compared_is_told() -> None:
    """Other records, other versions, another loss, a loaded machine, and failures."""
    good = outcome("pool", WAVE)
    others = [
        replace(outcome("declared", WAVE), records_digest="s", versions="2"),
        replace(outcome("observe-only", WAVE), loss="absolute error", load=1.5),
        Outcome(Combination("a.py:p", policy="reset-on-drift"), error="no"),
    ]
    found = compare([good, *others])
    assert [entry.difference is None for entry in found.entries] == [True, False, True, True]
    assert found.entries[3].error == "no"
    for said in ("1 of 4", "same records", "versions differ: 1; 2", "not measured alike", "beyond its cores"):
        assert any(said in remark for remark in found.remarks), said


def test_remarks_that_say_the_same_are_one() -> None:
    """With the combinations that they are about, and the range of what they count."""
    others = [
        outcome(policy, [*WAVE[:-bins], *[9.0] * bins], marks=[*range(100 - bins), *[7] * bins])
        for policy, bins in (("declared", 1), ("observe-only", 3))
    ]
    silent = [replace(outcome(f"pool:versions={n}", []), predictions=0, records=20) for n in (2, 3)]
    assert compare([outcome("pool", WAVE), *others]).remarks == [
        "2 combinations (declared policy, observe-only): 10 to 30 labelled events lie in stretches in which they and "
        "pool did not answer the same events; they are left out of the differences.",
    ]
    said = "2 combinations (pool:versions=2, pool:versions=3): got 20 records and no event among them that could be"
    assert compare([outcome("pool", WAVE), *silent]).remarks[0].startswith(said)


def test_dead_letters_are_told_with_the_first_of_them() -> None:
    """Whoever compares policies over a file of a wrong form would see nothing but fewer predictions."""
    broken = replace(outcome("pool", WAVE), dead_letters={"decode": 1, "validate": 2}, first_dead_letter="offset 7: no")
    assert compare([broken, outcome("declared", WAVE)]).remarks == [
        "pool: could not use 3 of the records, the first at offset 7: no."
    ]


def test_best_is_that_of_the_lowest_loss_where_losses_are_measured_alike() -> None:
    """All of equal ones; none where there is nothing to compare."""
    good, same, worse = (outcome(policy, WAVE) for policy in ("pool", "declared", "observe-only"))
    worse.curve = Bins(counts=[10] * 100, sums=[5.0] * 100, marks=list(range(100)))
    assert [entry.title for entry in compare([worse, good, same]).best] == ["pool", "declared policy"]
    assert compare([good]).best == []
    assert compare([good, same]).best == []
    assert compare([good, replace(worse, loss="absolute error")]).best == []


def test_failed_baseline_leaves_losses_without_differences() -> None:
    """The others are shown all the same."""
    failed = Outcome(Combination("a.py:p", policy="pool"), error="no")
    entry = compare([failed, outcome("declared", WAVE)]).entries[1]
    assert (entry.loss is not None, entry.difference, entry.ratio) == (True, None, None)


def test_baseline_is_found_by_title_or_refused() -> None:
    """The titles are named."""
    outcomes = [outcome("pool", WAVE), outcome("declared", WAVE)]
    assert compare(outcomes, "declared policy").baseline == 1
    with pytest.raises(ConfigurationError, match="got 'nix', expected one of 'pool', 'declared policy'"):
        compare(outcomes, "nix")


def test_counts_of_an_entry_are_those_of_its_runs() -> None:
    """Drifts and changes of the champion."""
    runs = [outcome("pool", WAVE, partition=p) for p in range(2)]
    runs[1].marks = [Mark("drift.detected", 5, 0, ""), Mark("drift.warned", 4, 0, "")]
    runs[0].champion_changes = 3
    [entry] = compare(runs).entries
    assert (entry.drifts, entry.champion_changes) == (1, 3)


def test_titles_name_files_where_names_are_the_same() -> None:
    """Two pipelines called alike."""
    assert titles([Combination("x/a.py:p"), Combination("x/b.py:p")]) == ["a.py:p", "b.py:p"]
    assert titles([Combination("x/a.py:p")]) == ["p"]
    models = [Combination("a.py:p", model) for model in ("declared", "m.py:tree", "n.py:tree")]
    assert titles(models) == ["declared model", "m.py:tree", "n.py:tree"]
    both = [Combination(path, policy=policy) for path in ("a.py:p", "a.py:q") for policy in ("pool", "declared")]
    assert titles(both) == ["p / pool", "p / declared policy", "q / pool", "q / declared policy"]
