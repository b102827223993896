"""Which snapshots are kept: the newest two, and ever fewer of the older ones."""

from collections.abc import Iterable, Sequence

from schemas.manifest import Manifest, Part

_HOUR_MS = 3_600_000
_NEWEST = 2
_HOURS = 24
_DAYS = 7


def outlived(manifests: Iterable[Manifest], now_ms: int) -> list[Manifest]:
    """Return the snapshots that need not be kept.

    Kept are the newest two, the newest of each of the last 24 hours, and the newest of each of the last 7 days: with
    them old predictions can be computed again without replaying the log from its start.

    Parameters
    ----------
    manifests
        The snapshots of one partition.
    now_ms
        The present, milliseconds since 1970.
    """
    newest_first = sorted(manifests, key=lambda manifest: -manifest.next)
    rungs: set[tuple[int, int]] = set()
    gone = []
    for number, manifest in enumerate(newest_first):
        stands_on = {
            (unit, manifest.time // unit)
            for unit, count in ((_HOUR_MS, _HOURS), (24 * _HOUR_MS, _DAYS))
            if now_ms // unit - manifest.time // unit < count
        }
        if number >= _NEWEST and stands_on <= rungs:
            gone.append(manifest)
        rungs |= stands_on
    return gone


def orphans(gone: Sequence[Manifest], manifests: Iterable[Manifest]) -> list[Part]:
    """Return the parts that only those of the snapshots name which are gone."""
    positions = {manifest.next for manifest in gone}
    outliving = {part.digest for manifest in manifests if manifest.next not in positions for part in manifest.parts}
    return list({part for manifest in gone for part in manifest.parts if part.digest not in outliving})
