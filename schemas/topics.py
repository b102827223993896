"""The table of topics: what stands where, under which key, for how long."""

from dataclasses import dataclass, field

_DAY_MS = 86_400_000
_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Topic:
    """One topic of a pipeline.

    Parameters
    ----------
    name
        Full name, such as ``flights.raw``.
    key
        What its records are keyed by.
    holds
        What it holds, in words.
    config
        Kafka's topic settings.
    """

    name: str
    key: str
    holds: str
    config: dict[str, str] = field(default_factory=dict)


def raw(pipeline: str) -> str:
    """Return the name of the input topic of a pipeline that declares no other ``source``."""
    return f"{pipeline}.raw"


def predictions(pipeline: str) -> str:
    """Return the name of the topic of predictions."""
    return f"{pipeline}.predictions"


def lifecycle(pipeline: str) -> str:
    """Return the name of the topic of lifecycle events."""
    return f"{pipeline}.lifecycle"


def dead_letters(pipeline: str) -> str:
    """Return the name of the topic of dead letters."""
    return f"{pipeline}.dead-letters"


def manifests(pipeline: str) -> str:
    """Return the name of the topic of the manifests of snapshots."""
    return f"{pipeline}.manifests"


def snapshots(pipeline: str) -> str:
    """Return the name of the topic of the parts of snapshots."""
    return f"{pipeline}.snapshots"


def topic_table(pipeline: str, source: str, *, max_record_bytes: int = _MEBIBYTE) -> list[Topic]:
    """Return the topics a pipeline needs.

    Parameters
    ----------
    pipeline
        Name of the pipeline.
    source
        Name of its input topic.
    max_record_bytes
        Largest record the input topic takes. Dead letters get some more, for their headers.

    Examples
    --------
    >>> [topic.name for topic in topic_table("flights", "flights.raw")]
    ['flights.raw', 'flights.predictions', 'flights.lifecycle', 'flights.dead-letters', 'flights.manifests', \
'flights.snapshots']
    """

    def config(days: int, max_bytes: int = _MEBIBYTE) -> dict[str, str]:
        return {
            "cleanup.policy": "delete",
            "retention.ms": str(days * _DAY_MS),
            "max.message.bytes": str(max_bytes),
            "message.timestamp.type": "CreateTime",
        }

    def compacted(segment_mib: int) -> dict[str, str]:
        # Compaction never touches the segment that is written to: small ones, so that what was dropped goes soon.
        return {
            "cleanup.policy": "compact",
            "segment.bytes": str(segment_mib * _MEBIBYTE),
            "segment.ms": str(_DAY_MS // 24),
            "min.cleanable.dirty.ratio": "0.3",
            "max.message.bytes": str(_MEBIBYTE),
        }

    return [
        Topic(source, "entity", "events, labels, commands: the learning log", config(30, max_record_bytes)),
        Topic(predictions(pipeline), "entity", "one prediction per scored event", config(7)),
        Topic(lifecycle(pipeline), "partition", "drift and what was done about it", config(365)),
        Topic(
            dead_letters(pipeline),
            "original key",
            "original bytes and the reason, in headers",
            config(30, max_record_bytes + 64 * 1024),
        ),
        Topic(manifests(pipeline), "partition and position", "what each snapshot consists of", compacted(8)),
        Topic(snapshots(pipeline), "part and chunk", "the state of the tasks, in parts", compacted(64)),
    ]
