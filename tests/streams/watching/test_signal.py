"""A signal tells what has moved, once, and what stands still is calm however it wanders."""

import math
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from schemas.data_drift import MovedSignal
from schemas.errors import InvariantError
from streams.watching.signal import Signal

RATE = 1e-4
Draw = Callable[[random.Random], Any]


def told(kind: str, draws: list[Draw], *, size: int = 250, seed: int = 3) -> list[tuple[int, MovedSignal]]:
    """Return in which windows a signal says that it moved; each window is drawn in its own way."""
    rng, signal, found = random.Random(seed), Signal("a", kind, 20), []
    for i, draw in enumerate(draws):
        p = signal.take([draw(rng) for _ in range(size)], i * size)
        if p is not None and p <= RATE:
            found.append((i, signal.moved(p)))
        else:
            signal.accept()
    return found


def normal(mean: float = 0.0, deviation: float = 1.0, missing: float = 0.0) -> Draw:
    """Return a way to draw numbers."""
    return lambda rng: math.nan if rng.random() < missing else rng.gauss(mean, deviation)


def category(missing: float = 0.0, **shares: float) -> Draw:
    """Return a way to draw categories."""
    return lambda rng: None if rng.random() < missing else rng.choices([*shares], [*shares.values()])[0]


def skewed(scale: float) -> Draw:
    """Return a way to draw numbers with a tail that has no mean."""
    return lambda rng: scale * rng.paretovariate(0.9)


def rare(share: float) -> Draw:
    """Return a way to draw numbers that are hardly ever anything but 0."""
    return lambda rng: float(rng.random() < share)


MOVES: dict[str, tuple[str, Draw, Draw, str]] = {
    "location": ("number", normal(), normal(1.0), "location"),
    "spread": ("number", normal(), normal(0.0, 2.0), "spread"),
    "narrower": ("number", normal(), normal(0.0, 0.5), "spread"),
    "far": ("number", normal(), normal(100.0), "location"),
    "heavy tail": ("number", skewed(1.0), skewed(3.0), "location"),
    "whole numbers": ("number", lambda rng: rng.randrange(3), lambda rng: rng.randrange(1, 4), "location"),
    "constant": ("number", lambda rng: 7.0, lambda rng: 8.0, "location"),
    "seldom": ("number", rare(0.02), rare(0.4), "location"),
    "numbers missing": ("number", normal(missing=0.05), normal(missing=0.5), "missing"),
    "share": ("category", category(a=0.5, b=0.3, c=0.2), category(a=0.2, b=0.3, c=0.5), "a"),
    "new category": ("category", category(a=0.5, b=0.5), category(a=0.4, b=0.4, c=0.2), "(others)"),
    "categories missing": ("category", category(a=0.5, b=0.5), category(0.3, a=0.5, b=0.5), "missing"),
}


@pytest.mark.parametrize("name", MOVES)
def test_move_is_told_once_and_what_it_is(name: str) -> None:
    """In the first window that is of the new world, against a reference of the old one, and never again."""
    kind, before, after, what = MOVES[name]
    found = told(kind, [before] * 14 + [after] * 16)
    assert [(window, moved.what) for window, moved in found] == [(14, what)]
    [(_, moved)] = found
    assert (moved.name, moved.kind, moved.reference_offset) == ("a", kind, 0)


@pytest.mark.parametrize("name", MOVES)
def test_move_back_is_told_too(name: str) -> None:
    """What moved is held against its new world, once that has been gathered."""
    kind, before, after, _ = MOVES[name]
    assert [window for window, _ in told(kind, [before] * 14 + [after] * 16 + [before] * 4)] == [14, 30]


def test_move_says_from_what_to_what() -> None:
    """Mean and quantiles, or shares, and what is missing."""
    [(_, number)] = told("number", [normal()] * 12 + [normal(2.0, missing=0.2)])
    assert number.before == pytest.approx({"mean": 0.0, "q10": -1.28, "q50": 0.0, "q90": 1.28}, abs=0.15)
    assert number.after == pytest.approx({"mean": 2.0, "q10": 0.72, "q50": 2.0, "q90": 3.28}, abs=0.4)
    assert (number.missing_before, number.missing_after) == pytest.approx((0.0, 0.2), abs=0.06)
    [(_, shares)] = told("category", [category(a=0.5, b=0.5)] * 12 + [category(a=0.1, b=0.6, c=0.3)])
    assert [*shares.before] == [*shares.after] == ["a", "c", "b"]
    assert shares.before == pytest.approx({"a": 0.5, "c": 0.0, "b": 0.5}, abs=0.05)
    assert shares.after == pytest.approx({"a": 0.1, "c": 0.3, "b": 0.6}, abs=0.1)


@pytest.mark.parametrize("windows", [2, 8, 16])
@pytest.mark.parametrize("before", [10, 14, 40])
def test_slow_move_is_told_once(before: int, windows: int) -> None:
    """It is told while it goes on; the new reference waits until it is over."""
    rising = [normal(2.0 * (step + 1) / windows) for step in range(windows)]
    [(window, _)] = told("number", [normal()] * before + rising + [normal(2.0)] * 30)
    assert window < before + windows


def test_what_never_stands_still_gets_no_reference() -> None:
    """A clock among the features is no alarm a window."""
    rng, signal = random.Random(1), Signal("clock", "number", 20)
    for window in range(100):
        assert signal.take([1000.0 * window + i + rng.random() for i in range(100)], 100 * window) is None
    assert signal.is_gathering


def test_window_of_nothing_but_missing_values_raises_nothing() -> None:
    """Neither in the reference nor after it."""
    for kind, nothing, draw in (("number", math.nan, normal()), ("category", None, category(a=1.0))):
        assert told(kind, [lambda _, nothing=nothing: nothing] * 20) == []  # type: ignore[misc]
        [(_, moved)] = told(kind, [draw] * 12 + [lambda _, nothing=nothing: nothing])  # type: ignore[misc]
        assert (moved.what, moved.missing_after) == ("missing", 1.0)


def test_signal_that_did_not_move_cannot_say_so() -> None:
    """It would be held against nothing."""
    with pytest.raises(InvariantError, match="signal a: got no window"):
        Signal("a", "number", 20).moved(0.0)


def wandering(phi: float, seed: int) -> Iterator[float]:
    """Yield an AR(1) series whose values have variance 1."""
    rng = random.Random(f"{phi}/{seed}")
    value, fresh = rng.gauss(0, 1), (1 - phi * phi) ** 0.5
    while True:
        value = phi * value + fresh * rng.gauss(0, 1)
        yield value


@pytest.mark.parametrize("phi", [0.0, 0.9, 0.99])
def test_autocorrelated_signal_raises_an_alarm_as_seldom_as_said(phi: float) -> None:
    """P-values of windows of 1,000 records, every fourth looked at, are no smaller than they may be: 2,000 windows."""
    small = {0.1: 0, 0.01: 0, 0.001: 0}
    tests = 0
    for seed in range(40):
        series, signal = wandering(phi, seed), Signal("a", "number", 20)
        for window in range(50):
            p = signal.take([next(series) for _ in range(1000)][::4], window)
            signal.accept()
            if p is not None:
                tests += 1
                for level in small:
                    small[level] += p <= level
    assert tests > 1500
    for level, count in small.items():
        assert count <= level * tests + 3 * (level * tests) ** 0.5, level
