"""What the table has to show, row by row, and whether it does."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from statistics import mean, stdev
from typing import Any

Result = dict[str, Any]
_T95 = {1: 12.7, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26, 14: 2.14, 19: 2.09, 29: 2.05}
OURS = ("champion versions", "pool")
_CLOSE = 0.004
_RESETS = ("online", "reset on any flag", "reset on rising loss", "background challenger")


def interval(values: list[float]) -> tuple[float, float]:
    """Return the mean and half the width of its 95 % interval."""
    if len(values) < 2:
        return mean(values), math.nan
    freedom = len(values) - 1
    t = next((t for limit, t in sorted(_T95.items()) if freedom <= limit), 1.96)
    return mean(values), t * stdev(values) / len(values) ** 0.5


def gained(result: Result, name: str) -> float | None:
    """Return the share of the way from a perfect reset to a perfect rollback; None where there is no way to go."""
    scores = result["accuracy"]
    if "perfect reset" not in scores:
        return None
    gap = scores["perfect rollback"] - scores["perfect reset"]
    return (scores[name] - scores["perfect reset"]) / gap if gap > _CLOSE else None


def _less(results: Iterable[Result], name: str, other: str) -> list[float]:
    return [r["accuracy"][name] - r["accuracy"][other] for r in results]


def _share_still(results: list[Result], name: str) -> float:
    return mean(float(r["actions"][name] == 0) for r in results)


def requirements(results: list[Result]) -> list[tuple[str, str, str, str, bool]]:
    """Return row, policy, what is wanted, what was found, and whether that reaches; nothing of players left out."""
    rows: list[tuple[str, str, str, str, bool]] = []

    def say(row: str, name: str, wanted: str, found: str, reached: bool) -> None:
        rows.append((row, name, wanted, found, reached))

    def not_below(row: str, name: str, other: str, by: float, of: list[Result]) -> None:
        if of and {name, other} <= of[0]["accuracy"].keys():
            m, half = interval(_less(of, name, other))
            reached = m + (0.0 if math.isnan(half) else half) >= -by
            say(row, name, f"≥ {other} - {by:g}", f"{m:+.4f} ± {half:.4f}", reached)

    def of_row(row: str) -> list[Result]:
        return [r for r in results if r["row"] == row]

    played = results[0]["accuracy"].keys()
    for name in (name for name in OURS if name in played):
        if still := of_row("stationary"):
            share = _share_still(still, name)
            say("stationary", name, "no action in 95 % of seeds", f"{share:.1%} of {len(still)}", share >= 0.95)
            not_below("stationary", name, "online", 0.001, still)
        not_below("abrupt", name, "reset on rising loss", 0.0, of_row("abrupt"))
        _say_gained(say, "recurring", name, of_row("recurring"), 0.8 if name == "pool" else 0.6)
        _say_gained(say, "recurring gradual", name, of_row("recurring gradual"), 1 / 3)
        back = [r for r in of_row("recurring") if "returns" in r and "perfect rollback" in played]
        if back:
            ratios = [r["returns"][name] - 1.5 * r["returns"]["perfect rollback"] - 0.03 for r in back]
            held = f"in {sum(ratio <= 0 for ratio in ratios)} of {len(ratios)} games"
            found = f"{held}; {mean(r['returns'][name] for r in back):.3f}, at the worst {max(ratios):+.3f} too much"
            say("1,000 after a return", name, "error ≤ 1.5 x perfect + .03", found, max(ratios) <= 0)
        not_below("gradual", name, "online", 0.003, of_row("gradual"))
        not_below("new concepts", name, "reset on rising loss", 0.005, of_row("new concepts"))
        not_below("bursts", name, "perfect reset", 0.0, of_row("bursts"))
        not_below("flapping", name, "online", 0.0, of_row("flapping"))
        if waves := of_row("autocorrelated"):
            alarms = mean(r["alarms"][name] / r["events"] * 10_000 for r in waves)
            say("autocorrelated", name, "≤ 1 false alarm in 10k", f"{alarms:.2f}", alarms <= 1)
        for r in of_row("real") + of_row("real delayed"):
            by = 0.003 if r["row"] == "real" else 0.005
            not_below(f"{r['world']}, {r['base']}", name, "online", by, [r])
        if (real := of_row("real")) and played >= set(_RESETS):
            best = [max(r["accuracy"][n] for n in _RESETS) - r["accuracy"]["online"] for r in real]
            got = [r["accuracy"][name] - r["accuracy"]["online"] for r in real]
            say(
                "real, all",
                name,
                f"half of {mean(best):.4f} over online",
                f"{mean(got):+.4f}",
                mean(got) >= mean(best) / 2,
            )
        not_below("all", name, "dummy", 0.0, [r for r in results if r["row"] != "real delayed"])
    return rows


def _say_gained(say: Callable[..., None], row: str, name: str, results: list[Result], wanted: float) -> None:
    by_world: dict[tuple[str, str], list[float]] = {}
    for result in results:
        share = gained(result, name)
        if share is not None:
            by_world.setdefault((result["world"], result["base"]), []).append(share)
    if not by_world:
        return
    means = {world: mean(shares) for world, shares in by_world.items()}
    worst = min(means, key=means.__getitem__)
    average = mean(means.values())
    found = f"{average:.2f} of {len(means)} streams, the least {means[worst]:.2f} ({', '.join(worst)})"
    least = 0.5 if row == "recurring" else -math.inf
    say(row, name, f"{wanted:.2f} of the gap, each ≥ .5", found, average >= wanted and means[worst] >= least)
