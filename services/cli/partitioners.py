"""Which partitioner put keys where they are."""

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from schemas.murmur2 import home_partition

_MASK = 0xFFFFFFFF
MURMUR2 = "murmur2"


def crc32_partition(key: bytes, partitions: int) -> int:
    """Return the partition librdkafka's default, ``consistent_random``, gives a key.

    Examples
    --------
    >>> crc32_partition(b"foobar", 12)
    5
    """
    return zlib.crc32(key) % partitions


def fnv1a_partition(key: bytes, partitions: int) -> int:
    """Return the partition that librdkafka's ``fnv1a``, and Sarama's default, give a key.

    Examples
    --------
    >>> fnv1a_partition(b"foobar", 12)
    0
    """
    h = 0x811C9DC5
    for byte in key:
        h = ((h ^ byte) * 0x01000193) & _MASK
    return (h if h < 0x80000000 else (1 << 32) - h) % partitions


PARTITIONERS: dict[str, tuple[Callable[[bytes, int], int], str]] = {
    MURMUR2: (home_partition, "Java's default"),
    "crc32": (crc32_partition, "librdkafka's default"),
    "fnv1a": (fnv1a_partition, "Sarama's default"),
}


@dataclass(frozen=True)
class Finding:
    """What a sample of keys says about its producers.

    Parameters
    ----------
    keys
        Distinct pairs of key and partition in the sample.
    shares
        Share of these each partitioner explains, in [0, 1].
    """

    keys: int
    shares: dict[str, float]

    @property
    def partitioner(self) -> str | None:
        """The one that explains all, murmur2 first; None when none does."""
        return next((name for name, share in self.shares.items() if share == 1.0), None)

    def __str__(self) -> str:
        name = self.partitioner
        if name is not None:
            return f"{name} ({PARTITIONERS[name][1]}), by {self.keys} keys"
        told = ", ".join(f"{name} {share:.0%}" for name, share in self.shares.items())
        return f"no single partitioner: of {self.keys} keys {told}"


def find_partitioner(placed: Iterable[tuple[bytes, int]], partitions: int) -> Finding:
    """Tell which partitioner explains where keys are.

    Parameters
    ----------
    placed
        Key and partition of records.
    partitions
        How many the topic has.

    Examples
    --------
    >>> finding = find_partitioner([(b"foobar", 5), (b"foobar", 5)], 12)
    >>> finding.partitioner, finding.keys
    ('crc32', 1)
    """
    distinct = set(placed)
    shares = {
        name: sum(partition_of(key, partitions) == place for key, place in distinct) / max(1, len(distinct))
        for name, (partition_of, _) in PARTITIONERS.items()
    }
    return Finding(len(distinct), shares)
