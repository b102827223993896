"""Murmur2 as Java's producer computes it: which partition a key belongs to, without asking a producer."""

from __future__ import annotations

_MULTIPLIER = 0x5BD1E995
_MASK = 0xFFFFFFFF
_SEED = 0x9747B28C


def murmur2(data: bytes) -> int:
    """Hash `data` to 32 unsigned bits (Appleby's MurmurHash2 with Kafka's seed).

    Examples
    --------
    >>> murmur2(b"21") - 2**32
    -973932308
    """
    length = len(data)
    digest = _SEED ^ length
    whole = length & ~3
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * _MULTIPLIER & _MASK
        word = (word ^ word >> 24) * _MULTIPLIER & _MASK
        digest = digest * _MULTIPLIER & _MASK ^ word
    if length > whole:
        digest = (digest ^ int.from_bytes(data[whole:], "little")) * _MULTIPLIER & _MASK
    digest = (digest ^ digest >> 13) * _MULTIPLIER & _MASK
    return digest ^ digest >> 15


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition Java's default partitioner (librdkafka: `murmur2_random`) gives a key.

    Examples
    --------
    >>> [partition_of(key, 4) for key in (b"a000000", b"a000001", b"a000002")]
    [0, 3, 2]
    """
    return (murmur2(key) & 0x7FFFFFFF) % partitions
