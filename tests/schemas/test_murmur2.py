"""Keys land where Java's clients put them."""

import hypothesis.strategies as st
import pytest
from aiokafka.partitioner import murmur2 as reference
from hypothesis import given

from schemas.murmur2 import home_partition, murmur2


@given(st.binary(max_size=64))
def test_hash_is_that_of_aiokafka(data: bytes) -> None:
    """An implementation that others use agrees on any bytes."""
    assert murmur2(data) == reference(data) & 0xFFFFFFFF


@pytest.mark.parametrize(
    ("data", "signed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_hash_is_that_of_apache_kafkas_own_tests(data: bytes, signed: int) -> None:
    """The values of ``UtilsTest.testMurmur2``."""
    assert murmur2(data) == signed & 0xFFFFFFFF


@given(st.binary(max_size=20), st.integers(1, 1000))
def test_home_partition_is_a_partition(key: bytes, partitions: int) -> None:
    """Within the range, and the only one where there is one."""
    assert 0 <= home_partition(key, partitions) < partitions
    assert home_partition(key, 1) == 0
