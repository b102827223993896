"""Java's default partitioner, which all our producers use."""

_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Hash bytes as ``org.apache.kafka.common.utils.Utils.murmur2`` does.

    Parameters
    ----------
    data
        The bytes of the key.

    Returns
    -------
    The hash as an unsigned 32-bit number.

    Examples
    --------
    >>> murmur2(b"foobar")
    3504634814

    References
    ----------
    Austin Appleby, MurmurHash2 (2008), with the seed 0x9747b28c that Kafka chose.
    """
    length = len(data)
    m = 0x5BD1E995
    h = (0x9747B28C ^ length) & _MASK
    tail = length & ~3
    for i in range(0, tail, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & _MASK
        k ^= k >> 24
        h = (h * m & _MASK) ^ (k * m & _MASK)
    if length & 3:
        h = (h ^ int.from_bytes(data[tail:], "little")) * m & _MASK
    h ^= h >> 13
    h = h * m & _MASK
    return h ^ (h >> 15)


def home_partition(key: bytes, partitions: int) -> int:
    """Return the partition in which Java's default partitioner puts a key.

    Examples
    --------
    >>> home_partition(b"foobar", 12)
    6
    """
    return (murmur2(key) & 0x7FFFFFFF) % partitions
