"""What the topics of a pipeline need, given what stands on the broker: pure.

Nothing is ever deleted, no retention shortened and no size limit lowered, and the input topic never grows: its keys
would move to partitions whose models have not learned them. Nor is compaction taken from it: with ``delete`` its old
values would begin to vanish.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from schemas import topics as names
from schemas.topics import Topic
from streams.pipeline import Pipeline

Action = Literal["none", "create", "grow", "configure", "refuse"]

_AT_LEAST = ("retention.ms", "max.message.bytes")
_UNITS = ((86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1000, "second"))


@dataclass(frozen=True)
class Existing:
    """A topic as the broker has it: partitions and settings."""

    partitions: int
    config: Mapping[str, str]


@dataclass(frozen=True)
class TopicPlan:
    """What is to happen to one topic.

    Parameters
    ----------
    topic
        The topic as declared.
    partitions
        How many it is to have.
    existing
        What the broker has; None where there is no such topic.
    changes
        Settings that differ: name → (got, expected).
    grow
        Whether it needs more partitions, and may have them.
    refusal
        Why it cannot be made to fit, None where it can.
    remark
        What is worth knowing and needs nothing to be done.
    """

    topic: Topic
    partitions: int
    existing: Existing | None = None
    changes: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    grow: bool = False
    refusal: str | None = None
    remark: str | None = None

    @property
    def name(self) -> str:
        """Full name of the topic."""
        return self.topic.name

    @property
    def action(self) -> Action:
        """What comes first: a refusal, a creation, more partitions, other settings, or nothing."""
        if self.refusal is not None:
            return "refuse"
        if self.existing is None:
            return "create"
        return "grow" if self.grow else "configure" if self.changes else "none"

    @property
    def config(self) -> dict[str, str]:
        """The settings it is to have."""
        return {**self.topic.config, **{name: wanted for name, (_, wanted) in self.changes.items()}}


def plan(pipeline: Pipeline, existing: Mapping[str, Existing], *, partitions: int | None = None) -> list[TopicPlan]:
    """Return what each topic needs, the input topic first.

    Parameters
    ----------
    pipeline
        The declaration.
    existing
        What the broker has, by name; topics that are not there are absent.
    partitions
        Partitions of the input topic where it is made, in place of the declaration's.

    Examples
    --------
    >>> from river import anomaly
    >>> pipeline = Pipeline("p", features={"a": float}, label=None, model=anomaly.HalfSpaceTrees(seed=1))
    >>> [(topic.name, topic.action, topic.partitions) for topic in plan(pipeline, {}, partitions=2)][1:3]
    [('p.predictions', 'create', 2), ('p.lifecycle', 'create', 1)]
    """
    wanted = partitions or pipeline.partitions
    source = existing.get(pipeline.source_topic)
    outputs = max(wanted, source.partitions if source else 0)
    record_limit = int(source.config.get("max.message.bytes", 0)) if source else 0
    plans = []
    for topic in names.topic_table(
        pipeline.name, pipeline.source_topic, max_record_bytes=max(pipeline.max_record_bytes, record_limit)
    ):
        if topic.name == pipeline.source_topic:
            declared = next(one for one in pipeline.topics if one.name == topic.name)
            plans.append(_plan_source(pipeline, declared, wanted, source))
        else:
            count = 1 if topic.name == names.lifecycle(pipeline.name) else outputs
            plans.append(_plan_output(topic, count, existing.get(topic.name)))
    return plans


def _plan_source(pipeline: Pipeline, topic: Topic, wanted: int, source: Existing | None) -> TopicPlan:
    if source is None:
        return TopicPlan(topic, wanted)
    changes = _changes(topic, source)
    refusal = remark = None
    if source.partitions < wanted:
        refusal = (
            f"{topic.name}: got {source.partitions} partitions, expected {wanted}: not grown, since keys would move to "
            f"partitions whose models have not learned them. Declare partitions={source.partitions}, or name a new "
            "pipeline and send the records again."
        )
    elif source.partitions > wanted:
        remark = f"has {source.partitions} partitions, {wanted} declared: all of them are read"
    if "cleanup.policy" in changes:
        refusal = (
            f"{topic.name}: cleanup.policy: got {changes['cleanup.policy'][0]!r}, expected 'delete': compaction drops "
            "records that the model has learned from. Not changed, since with delete the old values vanish, which "
            "others may want: name another source, or set it by hand (kafka-configs.sh) where they may go."
        )
        changes = {}
    elif pipeline.source is not None and changes:
        remark = "settings left alone, since source= names another's topic: " + describe(changes)
        changes = {}
    return TopicPlan(topic, max(wanted, source.partitions), source, changes, refusal=refusal, remark=remark)


def _plan_output(topic: Topic, wanted: int, existing: Existing | None) -> TopicPlan:
    if existing is None:
        return TopicPlan(topic, wanted)
    grow = existing.partitions < wanted
    return TopicPlan(topic, max(wanted, existing.partitions), existing, _changes(topic, existing), grow=grow)


def _changes(topic: Topic, existing: Existing) -> dict[str, tuple[str, str]]:
    found = {}
    for name, wanted in topic.config.items():
        got = existing.config.get(name, "")
        enough = name in _AT_LEAST and got.lstrip("-").isdigit() and (int(got) >= int(wanted) or got == "-1")
        if got != wanted and not enough:
            found[name] = (got, wanted)
    return found


def describe(changes: Mapping[str, tuple[str, str]]) -> str:
    """Return changes in words.

    Examples
    --------
    >>> describe({"retention.ms": ("1", "2")})
    'retention.ms 1 → 2'
    """
    return ", ".join(f"{name} {got or '(unset)'} → {wanted}" for name, (got, wanted) in changes.items())


def replay_horizon(source: TopicPlan, *, applied: bool = False) -> str:
    """Return how far back the state of a model can be rebuilt: the retention of the input topic.

    Parameters
    ----------
    source
        The plan of that topic.
    applied
        What it will be once the plan is carried out, not what it is; of a topic that is not there the two are one.

    Examples
    --------
    >>> replay_horizon(TopicPlan(Topic("p.raw", "entity", "", {"retention.ms": "86400000"}), 1))
    '1 day'
    """
    config = {**source.config, **(source.existing.config if source.existing else {})}
    if applied:
        config |= {name: wanted for name, (_, wanted) in source.changes.items()}
    milliseconds, size = int(config.get("retention.ms", -1)), int(config.get("retention.bytes", -1))
    length, unit = next(((ms, unit) for ms, unit in _UNITS if milliseconds >= ms), _UNITS[-1])
    count = milliseconds / length
    horizon = "no end" if milliseconds < 0 else f"{count:g} {unit}{'' if count == 1 else 's'}"
    return horizon if size < 0 else f"{horizon}, at most {size:,} bytes a partition"
