"""Where a combination's records come from: a file, or a stretch of a topic. Described by values, so it can travel."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from schemas.lines import parse_line, records_of
from schemas.murmur2 import home_partition
from schemas.record import Record

Tell = Callable[[float], None]


class KeyCount(Struct):
    """Counts the bare events of a file whose key is a field, in all partitions.

    Parameters
    ----------
    events
        How many there are.
    keyless
        How many of them have no such field.
    """

    events: int = 0
    keyless: int = 0


class FileSource(Struct, frozen=True, tag="file"):
    """A file of JSON lines that every process can open.

    Parameters
    ----------
    path
        Absolute.
    key_field
        Field of a bare event that is its key; with it, a partition gets only the records whose home it is.
    """

    path: str
    key_field: str | None = None

    def first(self, partition: int) -> int:
        """Return the offset at which a partition begins."""
        return 0

    def records(self, topic: str, partition: int, partitions: int, tell: Tell, keys: KeyCount) -> Iterator[Record]:
        """Yield the records of a partition; `tell` hears which share of the file has been read, `keys` counts."""
        path = Path(self.path)
        size = path.stat().st_size or 1

        def lines(file: Iterable[bytes]) -> Iterator[bytes]:
            read = 0
            for line in file:
                read += len(line)
                tell(read / size)
                yield line

        with path.open("rb") as file:
            yield from partition_records(lines(file), topic, self.key_field, partition, partitions, keys)


class TopicSource(Struct, frozen=True, tag="topic"):
    """Stretches of a topic's partitions, committed records only. Each process reads for itself.

    Parameters
    ----------
    servers
        Bootstrap servers; further settings come from each process's environment.
    topic
        Its name.
    ranges
        First offset, and the one after the last, by partition: fixed, so that all read the same.
    """

    servers: str
    topic: str
    ranges: dict[int, tuple[int, int]]

    def first(self, partition: int) -> int:
        """Return the offset at which a partition begins."""
        return self.ranges[partition][0]

    def records(self, topic: str, partition: int, partitions: int, tell: Tell, keys: KeyCount) -> Iterator[Record]:
        """Yield the records of a partition; `tell` hears which share of the stretch has been read."""
        from services.verification.logs import KafkaLogs
        from streams.worker.settings import load_settings

        start, end = self.ranges[partition]
        logs = KafkaLogs(load_settings(bootstrap_servers=self.servers))
        try:
            for record in logs.between(self.topic, partition, start, end):
                tell((record.offset + 1 - start) / (end - start))
                yield record
        finally:
            logs.close()


Source = FileSource | TopicSource


def partition_records(
    lines: Iterable[bytes],
    topic: str,
    key_field: str | None,
    partition: int,
    partitions: int,
    keys: KeyCount | None = None,
) -> Iterator[Record]:
    """Yield the records that lines hold; with a key field, those at home in a partition, at the offsets they get there.

    A bare event without a key is at home in partition 0: a producer puts it anywhere, but only once. What comes as a
    CloudEvent without one, such as a command, is for all of them.

    Parameters
    ----------
    lines
        As `schemas.lines.records_of` takes them.
    topic
        Where they stand.
    key_field
        Field of a bare event that is its key; None takes all lines.
    partition, partitions
        Which partition, of how many.
    keys
        Counts the lines whose key is a field.

    Examples
    --------
    >>> lines = [b'{"k": "a"}', b'{"k": "d"}', b'{"id": "a"}']
    >>> [[r.key for r in partition_records(lines, "p.raw", "k", number, 2)] for number in range(2)]
    [[b'a', None], [b'd']]
    """
    records = records_of(lines, topic, partition=partition)
    if key_field is None:
        yield from records
        return
    offset = 0
    for record in records:
        key = record.key
        if record.headers is None and record.value is not None:
            try:
                key = parse_line(record.value, key_field=key_field).key
            except ValueError:
                key = None
            else:
                if keys is not None:
                    keys.events += 1
                    keys.keyless += key is None
        # Labels and commands without a key are for all partitions, an event is in one of them.
        elsewhere = partition if record.headers else 0
        home = elsewhere if key is None else home_partition(key, partitions)
        if home == partition:
            yield replace(record, key=key, offset=offset)
            offset += 1
