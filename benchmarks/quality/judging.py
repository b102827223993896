"""What the table has to show, row by row, and whether it does."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import mean, stdev
from typing import Any

from benchmarks.quality import policies, rivals
from benchmarks.quality.stopwatch import added, share_beyond

Result = dict[str, Any]
Say = Callable[[str, str, str, str, bool], None]
Stream = tuple[str, str]
_T95 = {1: 12.7, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26, 14: 2.14, 19: 2.09, 29: 2.05}
OURS = ("champion versions", "pool")
_CLOSE = 0.004
_RESETS = ("online", "reset on any flag", "reset on rising loss", "background challenger")
_PER = 10_000
#: Events behind a burst after which none of its champions may serve.
_AFTER = 500
_MOST_MS = 50
_TOLD = f"an oracle that hears of a change {rivals.LABELS_TO_TELL} labels late"
_CALM, _BEYOND, _DELAY, _OF_UNDELAYED = 1.15, 0.10, 1.2, 0.6


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and half the width of its 95 % interval."""
    if len(values) < 2:
        return mean(values), math.nan
    freedom = len(values) - 1
    t = next((t for limit, t in sorted(_T95.items()) if freedom <= limit), 1.96)
    return mean(values), t * stdev(values) / len(values) ** 0.5


def by_stream(results: Iterable[Result]) -> dict[Stream, list[Result]]:
    """Return games by world and base model."""
    groups: dict[Stream, list[Result]] = defaultdict(list)
    for result in results:
        groups[result["world"], result["base"]].append(result)
    return groups


def players(results: Sequence[Result]) -> set[str]:
    """Return who has played all the games they could."""
    oracles = {"perfect reset", "perfect rollback", "told rollback"}
    everybody = {name for r in results for name in r["accuracy"]}
    return {n for n in everybody if all(n in r["accuracy"] or (n in oracles and n in r["asked"]) for r in results)}


def gained(games: Sequence[Result], name: str, scores: str = "accuracy") -> float | None:
    """Return the share of the way from a perfect reset to a perfect rollback, over the games of a stream.

    It is that of means over the seeds: of a single game the way may be next to nothing, and the share of it anything.
    None where there is no way to go.
    """
    of = [r[scores] for r in games if {name, "perfect reset", "perfect rollback"} <= r.get(scores, {}).keys()]
    if not of:
        return None
    reset = mean(one["perfect reset"] for one in of)
    gap = mean(one["perfect rollback"] for one in of) - reset
    return (mean(one[name] for one in of) - reset) / gap if gap > _CLOSE else None


def requirements(results: list[Result]) -> list[tuple[str, str, str, str, bool]]:
    """Return row, policy, what is wanted, what was found, and whether that reaches; nothing of players left out."""
    rows: list[tuple[str, str, str, str, bool]] = []

    def say(row: str, name: str, wanted: str, found: str, reached: bool) -> None:
        rows.append((row, name, wanted, found, reached))

    played = players(results)
    rowed: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        rowed[result["row"]].append(result)
    _detection(say, rowed["abrupt"])
    for name in (name for name in OURS if name in played):
        _accuracy(say, name, rowed, played)
        _recurrence(say, name, rowed)
        _conduct(say, name, rowed, results)
        if "dummy" in played:
            _beats(say, name, "dummy", results)
        _real(say, name, rowed, played)
        if policies.OBSERVER in played:
            _costs(say, name, results)
    return rows


# ---------------------------------------------------------------------- how right


def _not_below(say: Say, row: str, name: str, other: str, by: float, of: list[Result]) -> None:
    if of and {name, other} <= players(of):
        m, half = interval([r["accuracy"][name] - r["accuracy"][other] for r in of])
        say(row, name, f"≥ {other} - {by:g}", f"{m:+.4f} ± {half:.4f}", m + (0.0 if math.isnan(half) else half) >= -by)


def _accuracy(say: Say, name: str, rowed: dict[str, list[Result]], played: set[str]) -> None:
    if still := rowed["stationary"]:
        share = mean(float(r["actions"][name] == 0) for r in still)
        say("stationary", name, "no action in 95 % of seeds", f"{share:.1%} of {len(still)}", share >= 0.95)
    for row, other, by in (
        ("stationary", "online", 0.001),
        ("abrupt", "reset on rising loss", 0.0),
        ("gradual", "online", 0.003),
        ("new concepts", "reset on rising loss", 0.005),
        ("bursts", "perfect reset", 0.0),
        ("flapping", "online", 0.0),
    ):
        _not_below(say, row, name, other, by, rowed[row])
    if waves := rowed["autocorrelated"]:
        alarms = mean(r["alarms"][name] / r["events"] * _PER for r in waves)
        say("autocorrelated", name, "≤ 1 false alarm in 10k, blocks auto", f"{alarms:.2f}", alarms <= 1)


def _beats(say: Say, name: str, other: str, results: list[Result]) -> None:
    """On each stream, as far as its seeds can tell."""
    gaps: dict[Stream, tuple[float, float]] = {}
    for stream, games in by_stream(results).items():
        gaps[stream] = interval([r["accuracy"][name] - r["accuracy"][other] for r in games])
    below = [stream for stream, (m, half) in gaps.items() if m + (0.0 if math.isnan(half) else half) < 0]
    worst = min(gaps, key=lambda stream: gaps[stream][0])
    found = f"on {len(gaps) - len(below)} of {len(gaps)} streams, the least {gaps[worst][0]:+.4f} ({', '.join(worst)})"
    say("everywhere", name, f"≥ {other}", found, not below)


def _real(say: Say, name: str, rowed: dict[str, list[Result]], played: set[str]) -> None:
    for r in rowed["real"] + rowed["real delayed"]:
        by = 0.003 if r["row"] == "real" else 0.005
        _not_below(say, f"{r['world']}, {r['base']}", name, "online", by, [r])
    real = rowed["real"]
    if not real or not played >= {"online", *_RESETS}:
        return
    best = mean(max(r["accuracy"][n] for n in _RESETS) - r["accuracy"]["online"] for r in real)
    got = mean(r["accuracy"][name] - r["accuracy"]["online"] for r in real)
    say("real, all", name, f"half of {best:.4f} over online", f"{got:+.4f}", got >= best / 2)


# ---------------------------------------------------------------------- what comes back


def _shares(results: list[Result], name: str, scores: str = "accuracy") -> dict[Stream, float]:
    found = {stream: gained(games, name, scores) for stream, games in by_stream(results).items()}
    return {stream: share for stream, share in found.items() if share is not None}


def _recurrence(say: Say, name: str, rowed: dict[str, list[Result]]) -> None:
    for row, wanted, least in (
        ("recurring", 0.8 if name == "pool" else 0.6, 0.5),
        ("recurring gradual", 1 / 3, -math.inf),
    ):
        if not (means := _shares(rowed[row], name)):
            continue
        worst, average = min(means, key=means.__getitem__), mean(means.values())
        found = f"{average:.2f} of {len(means)} streams, the least {means[worst]:.2f} ({', '.join(worst)})"
        if (told := _shares(rowed[row], "told rollback")).keys() == means.keys():
            found += f"; {_TOLD} {mean(told.values()):.2f}, {told[worst]:.2f} there"
        each = "" if math.isinf(least) else f", each ≥ {least:g}"
        say(row, name, f"{wanted:.2f} of the gap{each}", found, average >= wanted and means[worst] >= least)
    back = [r for r in rowed["recurring"] if "perfect rollback" in r.get("returns", {})]
    if back:
        ratios = [r["returns"][name] - 1.5 * r["returns"]["perfect rollback"] - 0.03 for r in back]
        held = f"in {sum(ratio <= 0 for ratio in ratios)} of {len(ratios)} games"
        found = f"{held}; {mean(r['returns'][name] for r in back):.3f}, at the worst {max(ratios):+.3f} too much"
        say("1,000 after a return", name, "error ≤ 1.5 x perfect + .03", found, max(ratios) <= 0)
    _delayed(say, name, rowed)


def _delayed(say: Say, name: str, rowed: dict[str, list[Result]]) -> None:
    """Hold the share of the gap with late labels against the share without, stream by stream and over the same seeds.

    Nobody can know of a change before its first label: an oracle that hears of it soon after says what is to be had.
    The second figure leaves events before it out.
    """
    prompt = {(r["world"], r["base"], r["seed"]): r for r in rowed["recurring"]}
    by_delay: dict[str, list[tuple[Result, Result]]] = defaultdict(list)
    for r in rowed["delayed"]:
        world, _, delay = r["world"].partition(", ")
        if (twin := prompt.get((world, r["base"], r["seed"]))) is not None:
            by_delay[delay].append((r, twin))
    for delay, pairs in by_delay.items():
        late, without = [r for r, _ in pairs], _shares([twin for _, twin in pairs], name)
        for scores, row in (("accuracy", delay), ("informed", f"{delay}, from the first one on")):
            reached, told = _shares(late, name, scores), _shares(late, "told rollback", scores)
            twins = {stream: (stream[0].partition(", ")[0], stream[1]) for stream in reached}
            if both := [
                (stream, share, without[twins[stream]]) for stream, share in reached.items() if twins[stream] in without
            ]:
                streams, *columns = zip(*both, strict=True)
                got, full = (mean(column) for column in columns)
                found = f"{got:.2f} of {full:.2f}, {len(both)} streams"
                if all(stream in told for stream in streams):
                    found += f"; {_TOLD} {mean(told[stream] for stream in streams):.2f}"
                say(row, name, f"{_OF_UNDELAYED:.0%} of the gap's share without", found, got >= _OF_UNDELAYED * full)


# ---------------------------------------------------------------------- what is done


def _conduct(say: Say, name: str, rowed: dict[str, list[Result]], results: list[Result]) -> None:
    if flapping := rowed["flapping"]:
        allowed = policies.POLICIES[name].actions
        most = max(_busiest([place for place, *_ in r["crowned"][name]]) for r in flapping)
        say("flapping", name, f"≤ {allowed} actions in any 10k", f"{most} at most", most <= allowed)
    if bursts := rowed["bursts"]:
        told = [burst_champions(r, name) for r in bursts]
        crowned, stayed, many = (sum(column) for column in zip(*told, strict=True))
        found = f"{stayed} of {many} bursts; {crowned} crowned in them"
        say("bursts", name, f"no champion of one {_AFTER} behind it", found, stayed == 0)
    slowest = max(results, key=lambda r: float(r["slowest_ms"][name]))
    took = slowest["slowest_ms"][name]
    found = f"{took:.0f} ms ({slowest['world']}, {slowest['base']})"
    say("everywhere", name, f"no step above {_MOST_MS} ms", found, took <= _MOST_MS)


def _busiest(places: list[int]) -> int:
    """Return how many of the places lie within the fullest 10,000 events."""
    return max((sum(first <= place < first + _PER for place in places) for first in places), default=0)


def burst_champions(result: Result, name: str) -> tuple[int, int, int]:
    """Return how many bursts had a champion of their own, in how many it stayed, and how many bursts there were.

    A burst's champion is one that had never served before, was crowned in it or in the 500 events behind it, and more
    than half of what it had learned by then were lies. (What learns beside the champion, learns each event: the last
    so many ones.) It stayed if nobody has replaced it 500 events behind the burst.
    """
    crowned = result["crowned"][name]
    had = stayed = 0
    for first, last in result["lies"]:
        here = [one for one in crowned if first <= one[0] <= last + _AFTER]
        of_lies = [one for one in here if one[2] and _lies_learned(one, first, last) > one[1] / 2]
        had += bool(of_lies)
        stayed += bool(of_lies) and of_lies[-1] is here[-1]
    return had, stayed, len(result["lies"])


def _lies_learned(crowned: Sequence[Any], first: int, last: int) -> int:
    place, learned = crowned[:2]
    return max(0, min(place, last) - max(place - learned + 1, first) + 1)


def _detection(say: Say, abrupt: list[Result]) -> None:
    delays = [r["detection"]["delay"] for r in abrupt if "detection" in r]
    both = [(d["task"], d["bare"]) for d in delays if d["task"] is not None and d["bare"] is not None]
    if not both:
        return
    ours, bare = (mean(column) for column in zip(*both, strict=True))
    missed = [sum(d[name] is None for d in delays) for name in ("task", "bare")]
    false = [sum(r["detection"]["false"][name] for r in abrupt if "detection" in r) for name in ("task", "bare")]
    found = (
        f"{ours:.0f} by {bare:.0f} in {len(both)} games; missed {missed[0]} by {missed[1]}; "
        f"false alarms {false[0]} by {false[1]}"
    )
    reached = ours <= _DELAY * bare and missed[0] <= missed[1]
    say("abrupt", policies.OBSERVER, f"delay ≤ {_DELAY} x bare ADWIN's", found, reached)


# ---------------------------------------------------------------------- what it costs


def _costs(say: Say, name: str, results: list[Result]) -> None:
    for base in sorted({r["base"] for r in results}, reverse=True):
        cost = added(r["costs"][name] for r in results if r["base"] == base)
        events, ours, observer = cost["calm"]
        if events:
            ratio = ours / max(1, observer)
            found = f"{ratio:.2f} over {events:,} events"
            say(f"calm, {base}", name, f"≤ {_CALM} x observe only's time", found, ratio <= _CALM)
        beyond = share_beyond(r["costs"][name] for r in results if r["base"] == base)
        if beyond is not None:
            say(f"shadows, {base}", name, f"≤ {_BEYOND:.0%} beyond their models'", f"{beyond:+.0%}", beyond <= _BEYOND)
