"""Where partitions stand, in one line however many there are."""

from collections.abc import Mapping

from faust.types import TP

from streams.worker.shard import Shard


def committed_places(positions: Mapping[TP, int]) -> str:
    """Return in words up to where partitions are committed.

    Parameters
    ----------
    positions
        The committed offset of each, of one topic.

    Examples
    --------
    >>> committed_places({TP("p.raw", 0): 3800, TP("p.raw", 1): 40})
    'p.raw[0] to 3800, p.raw[1] to 40'
    >>> committed_places({})
    'nothing'
    """
    return ", ".join(f"{tp.topic}[{tp.partition}] to {at}" for tp, at in sorted(positions.items())) or "nothing"


def assigned_places(shards: Mapping[TP, Shard]) -> str:
    """Return in words from where partitions are read, and how much of each is replayed.

    Parameters
    ----------
    shards
        Of the partitions of one topic, one or more.
    """
    replays = {tp: max(0, shard.emit_from - shard.position) for tp, shard in shards.items()}
    if len(shards) == 1:
        [(tp, shard)] = shards.items()
        return f"{tp.topic}[{tp.partition}] from {shard.position}, {replays[tp]:,} records to replay"
    places = (
        f"{tp.partition} from {shard.position}" + (f" ({replays[tp]:,} to replay)" if replays[tp] else "")
        for tp, shard in sorted(shards.items())
    )
    return f"{len(shards)} partitions of {next(iter(shards)).topic}: {', '.join(places)}"
