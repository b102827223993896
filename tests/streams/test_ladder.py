"""The ladder of snapshots: the newest two, one an hour, one a day."""

import random
from itertools import pairwise

from schemas.manifest import Identity, Manifest, Part
from streams.ladder import orphans, outlived

HOUR = 3_600_000
NOW = 1_000 * 24 * HOUR
IDENTITY = Identity("p", "d", "p.raw", 0, 1, "0.26.1")


def manifest(position: int, age_ms: int, *digests: str) -> Manifest:
    """Return a manifest of some age that names parts."""
    return Manifest(IDENTITY, position, tuple(Part("x", d, 1, 0, 0) for d in digests), NOW - age_ms, "", "")


def kept_ages(ages: list[int]) -> list[int]:
    """Return the ages, in milliseconds, of those that are kept."""
    manifests = [manifest(NOW - age, age) for age in ages]
    gone = {m.next for m in outlived(manifests, NOW)}
    return sorted(NOW - m.time for m in manifests if m.next not in gone)


def test_month_of_snapshots_every_half_a_minute_leaves_some_thirty() -> None:
    """Two of now, one of each of 24 hours, one of each of 7 days, and no older one."""
    ages = kept_ages(list(range(0, 30 * 24 * HOUR, 30_000)))
    assert ages[:2] == [0, 30_000]
    assert 24 + 5 <= len(ages) <= 2 + 24 + 7
    assert max(ages) < 7 * 24 * HOUR
    assert all(b - a <= HOUR for a, b in pairwise(ages) if b < 22 * HOUR)


def test_swept_again_and_again_keeps_what_one_sweep_keeps() -> None:
    """What a sweep keeps does not depend on the sweeps before it."""
    rng = random.Random(0)
    ages = sorted(rng.randrange(9 * 24 * HOUR) for _ in range(500))
    once = kept_ages(ages)
    assert kept_ages(once) == once


def test_newest_two_are_kept_however_old() -> None:
    """After a month of silence there is something to recover from."""
    assert kept_ages([40 * 24 * HOUR, 41 * 24 * HOUR, 42 * 24 * HOUR]) == [40 * 24 * HOUR, 41 * 24 * HOUR]


def test_part_is_an_orphan_when_no_kept_snapshot_names_it() -> None:
    """By its bytes: a part that was stored again under another position is the same."""
    old, middle, new = manifest(1, 0, "a", "b"), manifest(2, 0, "b", "c"), manifest(3, 0, "c")
    assert {part.digest for part in orphans([old], [old, middle, new])} == {"a"}
    assert {part.digest for part in orphans([old, middle], [old, middle, new])} == {"a", "b"}
