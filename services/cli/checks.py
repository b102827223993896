"""What ``riverrun doctor`` looks at: each check says how it is, and what to do when it is wrong."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from schemas import cloudevents as ce
from schemas.errors import BrokerError, ConfigurationError, RiverrunError
from schemas.position import Position
from schemas.record import Record
from services.cli.partitioners import MURMUR2, Finding, find_partitioner
from services.cli.printing import counted
from services.topic_plan import TopicPlan, describe
from streams.label_join import OVERHEAD_BYTES

if TYPE_CHECKING:
    from streams.pipeline import Pipeline
    from streams.worker.conformance import Trial, Verdict

_SMALLEST_OUTPUT_BYTES = 64 * 1024
# Events that were sent in one go tell nothing of how many come in a day.
_SPAN_MS = 60_000
#: Share of the records of which dead letters are no cause for alarm.
_FEW_LETTERS = 0.1
#: A number of more digits is no offset.
_DIGITS = 20


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Parameters
    ----------
    name
        What.
    ok
        Whether it is as it should be.
    found
        How it is.
    advice
        What to do; empty when nothing is wrong.
    """

    name: str
    ok: bool
    found: str
    advice: str = ""


@dataclass(frozen=True)
class Progress:
    """Where a partition of the input topic stands: its first offset, its end, what the group has committed, and under
    which declaration, where that is known."""

    low: int
    high: int
    committed: int | None
    declaration: str = ""

    @property
    def lag(self) -> int:
        """Return how many offsets lie behind what was read: records, and markers of transactions."""
        return max(0, self.high - max(self.committed or 0, self.low))


def check_topics(plans: Iterable[TopicPlan]) -> Iterator[Check]:
    """Hold each topic against the plan."""
    for plan in plans:
        name = f"topic {plan.name}"
        if plan.refusal is not None:
            yield Check(name, False, "does not fit", plan.refusal)
        elif plan.existing is None:
            yield Check(name, False, "is missing", "riverrun topics apply makes it")
        elif plan.grow:
            found = f"has {counted(plan.existing.partitions, 'partition')}, expected {plan.partitions}"
            yield Check(name, False, found, "riverrun topics apply adds them; what the input has beyond these waits")
        elif plan.changes:
            yield Check(name, False, describe(plan.changes), "riverrun topics apply sets it")
        else:
            remark = f"; {plan.remark}" if plan.remark else ""
            yield Check(name, True, f"{counted(plan.existing.partitions, 'partition')}{remark}")


def check_sizes(pipeline: "Pipeline", plans: list[TopicPlan]) -> Iterator[Check]:
    """See that what comes in can be passed on, and what is refused be kept."""
    source, predictions, lifecycle, dead_letters = (
        int(plan.existing.config.get("max.message.bytes", 0)) if plan.existing else None for plan in plans[:4]
    )
    if source is not None and dead_letters is not None:
        found = f"raw takes {source} bytes, dead letters {dead_letters}"
        advice = f"set max.message.bytes of {plans[3].name} to {source + 64 * 1024}: riverrun topics apply"
        yield Check("sizes", dead_letters >= source, found, "" if dead_letters >= source else advice)
    for plan, limit in ((plans[1], predictions), (plans[2], lifecycle)):
        if limit is not None and limit < _SMALLEST_OUTPUT_BYTES:
            found = f"{plan.name} takes {limit} bytes, expected {_SMALLEST_OUTPUT_BYTES} or more"
            yield Check("sizes", False, found, f"raise its max.message.bytes: riverrun topics apply ({pipeline.name})")


def check_progress(
    group: str, progress: Mapping[str, Progress], horizon: str, snapshots: Mapping[str, int] | None
) -> Iterator[Check]:
    """See how far the workers are, and whether a model could be rebuilt: from a snapshot, or from the whole log.

    Whether there are snapshots may not be known.
    """
    for where, at in progress.items():
        snapshot = None if snapshots is None else snapshots.get(where)
        if at.committed is None:
            yield Check(f"progress {where}", True, f"{at.low} to {at.high}, group {group} has committed nothing yet")
            continue
        behind = "" if snapshot is None else f", snapshot {max(0, at.committed - snapshot)} behind"
        found = f"{at.low} to {at.high}, committed {at.committed}, lag {at.lag}{behind}"
        if at.committed > at.high:
            advice = f"the topic was made anew: give the workers a new RIVERRUN_GROUP_ID, or delete group {group}"
            yield Check(f"progress {where}", False, found, advice)
        elif snapshots is not None and at.committed > at.low > 0 and (snapshot is None or snapshot < at.low):
            advice = (
                f"the log begins at {at.low}, and no snapshot stands there: a restarted worker cannot replay what its "
                "model has learned. Set "
                "RIVERRUN_ON_STATE_LOST=earliest to relearn from what is left, or =fresh for a new model, and a longer "
                f"retention.ms (now {horizon})"
            )
            yield Check(f"replay {where}", False, found, advice)
        else:
            yield Check(f"progress {where}", True, found)


def check_holds(pipeline: str, held: Mapping[int, Mapping[str, Mapping[str, Any]]]) -> Check:
    """Say which models an operator holds, since when and why: who forgets a freeze has a model that learns nothing."""
    if not held:
        return Check("models", True, "nothing is frozen or pinned")
    said = [
        f"[{partition}] {what} since {since['offset']} by {since['who'] or 'nobody who says so'}"
        + (f": {since['why']}" if since["why"] else "")
        for partition, holds in sorted(held.items())
        for what, since in sorted(holds.items())
    ]
    return Check("models", True, f"{'; '.join(said)}. riverrun models resume {pipeline} ends it")


def check_unread(error: RiverrunError) -> Check:
    """Say why it is not known what snapshots there are: this machine may have no keys, or the store be away."""
    if isinstance(error, ConfigurationError):
        return Check("snapshots", True, f"not known here: {error}")
    advice = "workers that start meanwhile end, and lose nothing: see to it that RIVERRUN_SNAPSHOT_STORE can be read"
    return Check("snapshots", False, str(error), advice)


def check_declarations(
    declaration: str, progress: Mapping[str, Progress], begins: Mapping[str, tuple[int, str]], path: str
) -> Iterator[Check]:
    """See that the declaration is the one under which the log is read.

    Parameters
    ----------
    declaration
        Digest of the one in the file.
    progress
        Where the partitions stand.
    begins
        Position and digest of declarations that begin where the newest snapshot was taken.
    path
        Import path of the file's.
    """
    for where, at in progress.items():
        position, successor = begins.get(where, (-1, ""))
        if successor and (at.committed or 0) <= position:
            if successor == declaration:
                continue  # handed over to this one, whose workers are about to start
            found = f"{successor} begins at {position}, and nobody has read on under it; {path} is {declaration}"
            advice = (
                "start the workers with that one; if it cannot read on, start those with the one before and "
                "RIVERRUN_ON_NEW_DECLARATION=relearn, which pass over it"
            )
            yield Check(f"declaration {where}", False, found, advice)
        elif at.declaration not in ("", declaration):
            found = f"read under {at.declaration}; {path} is {declaration}"
            advice = f"riverrun deploy {path} has it take over, or give doctor the one that the workers have"
            yield Check(f"declaration {where}", False, found, advice)


def check_untold(group: str, why: str) -> Check:
    """Say that the broker does not tell how far a group is."""
    advice = (
        f"ask again in a minute; if that stays so, see that this user may read the topic and describe group {group}, "
        "and that the broker has its topic __consumer_offsets"
    )
    return Check("progress", False, f"the broker does not tell how far group {group} is: {why}", advice)


def check_workers(group: str, members: int, waiting: int, pipeline: str) -> Check:
    """See that somebody works off the records that wait."""
    if members:
        return Check("workers", True, f"{counted(members, 'member')} in group {group}")
    if not waiting:
        return Check("workers", True, f"group {group} has no members, and nothing is unread")
    advice = (
        f"riverrun run {pipeline} starts a worker; its RIVERRUN_GROUP_ID, if it has one, belongs into doctor's, too"
    )
    found = f"group {group} has no members, and {counted(waiting, 'offset')} {'is' if waiting == 1 else 'are'} unread"
    return Check("workers", False, found, advice)


def check_label_memory(pipeline: "Pipeline", records: Iterable[Record]) -> Iterator[Check]:
    """See whether the events of a time to live, at the rate of the newest ones, fit the memory they may take."""
    label = pipeline.label
    if label is None or label.ttl is None:
        return
    times: dict[int, list[int]] = defaultdict(list)
    sizes: list[int] = []
    for record in records:
        if kind_of(record) == "events":
            times[record.partition].append(_event_time(record))
            sizes.append(len(record.value or b"") + OVERHEAD_BYTES)
    spans = {partition: max(found) - min(found) for partition, found in times.items()}
    rates = [(len(times[partition]) - 1) / span for partition, span in spans.items() if span >= _SPAN_MS]
    if not rates:
        yield Check("label memory", True, "the newest events are of less than a minute: too short to tell a rate")
        return
    waiting = max(rates) * label.ttl.total_seconds() * 1000
    needed, bound = waiting * sum(sizes) / len(sizes), pipeline.max_pending_bytes
    fits = needed <= bound
    found = (
        f"at the rate of the newest events {waiting:,.0f} wait {_span(label.ttl)} for their labels: about "
        f"{needed / 2**20:,.0f} MiB a partition, and {bound / 2**20:,.0f} MiB may be taken"
    )
    advice = "the oldest are evicted unlearned: raise max_pending_bytes, shorten the label's ttl, or add partitions"
    yield Check("label memory", fits, found, "" if fits else advice)


def _span(time: timedelta) -> str:
    """Return a time in the largest unit of which it has a whole number, and two or more.

    Examples
    --------
    >>> _span(timedelta(days=30)), _span(timedelta(hours=36)), _span(timedelta(days=1)), _span(timedelta(seconds=0.5))
    ('30 days', '36 h', '24 h', '0.5 s')
    """
    seconds = time.total_seconds()
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length and seconds % length == 0:
            return f"{seconds // length:g} {unit}"
    return f"{seconds:g} s"


def _event_time(record: Record) -> int:
    """Return the time of an event in milliseconds: its own, or Kafka's."""
    try:
        text = ce.header(record.headers or [], "ce_time")
        return record.timestamp_ms if text is None else ce.parse_time(text)
    except ValueError:
        return record.timestamp_ms


def check_partitioners(records: Iterable[Record], partitions: int, source: str) -> Iterator[Check]:
    """Tell by which partitioner events and labels came to where they are, so that labels meet their events."""
    placed: dict[str, set[tuple[bytes, int]]] = defaultdict(set)
    keyless: dict[str, int] = defaultdict(int)
    for record in records:
        kind = kind_of(record)
        if kind is None:
            continue
        if record.key:
            placed[kind].add((record.key, record.partition))
        else:
            keyless[kind] += 1
    if partitions == 1:
        yield Check("partitioners", True, f"{source} has one partition: all labels meet their events")
        return
    for kind, count in keyless.items():
        if kind == "labels" or placed["labels"]:
            found = f"{count} in the sample have no key"
            yield Check(f"keys of {kind}", False, found, "give events and labels the same key: they meet by partition")
    findings = {kind: find_partitioner(pairs, partitions) for kind, pairs in sorted(placed.items()) if pairs}
    if not findings:
        yield Check("partitioners", True, f"no keys in the newest records of {source}: nothing to tell them by")
    for kind, finding in findings.items():
        advice = _advice(kind, finding, findings)
        yield Check(f"partitioner of {kind}", not advice, str(finding), advice)


def kind_of(record: Record) -> str | None:
    """Return ``events`` or ``labels``; None for commands and what cannot be told."""
    try:
        kind = ce.header(record.headers or [], "ce_type")
    except UnicodeDecodeError:
        return None
    return {None: "events", ce.EVENT: "events", ce.LABEL: "labels"}.get(kind)


def _advice(kind: str, finding: Finding, findings: Mapping[str, Finding]) -> str:
    """Return what to do about a partitioner, nothing when labels meet their events."""
    if finding.partitioner == MURMUR2 or (kind == "events" and "labels" not in findings):
        return ""
    name = finding.partitioner
    by = {"crc32": "by crc32 (librdkafka's default)", "fnv1a": "by fnv1a (Sarama's default)"}.get(name or "")
    origin = f"a producer that partitions {by}" if by else "producers that partition in different ways"
    return f"{kind} come from {origin}; set partitioner=murmur2_random there, or send them through riverrun bridge"


def check_dead_letters(records: Iterable[Record], letters: Iterable[Record], pipeline: str) -> Check:
    """See how many of the newest records could not be used, and why most of them.

    Parameters
    ----------
    records
        The newest of the input topic that were read.
    letters
        The newest dead letters.
    pipeline
        Import path, for the advice.
    """
    newest = {record.position for record in records}
    # A letter may stand there twice, after a replay for example.
    reasons = [why for position, why in dict(map(_read_letter, letters)).items() if position in newest]
    found = f"{len(reasons):,} of the newest {counted(len(newest), 'record')}"
    if reasons:
        # What was got is another with each record: the field and the stage tell the fault.
        [(fault, _)] = Counter(why.partition(" got ")[0] for why in reasons).most_common(1)
        found += f"; most frequent: {next(why for why in reasons if why.startswith(fault)):.200}"
    if len(reasons) <= _FEW_LETTERS * len(newest):
        return Check("dead letters", True, found)
    advice = (
        f"riverrun tail dead-letters {pipeline} shows them; mend the producer, or the declaration and deploy it, then "
        f"riverrun resend {pipeline} sends them again"
    )
    return Check("dead letters", False, found, advice)


def _read_letter(letter: Record) -> tuple[Position, str]:
    """Return which record a dead letter is about, and stage and reason."""
    said = {name: (value or b"").decode("utf-8", "replace") for name, value in letter.headers or ()}
    topic, partition, offset, stage, reason = (
        said.get(f"riverrun_{name}", "") for name in ("topic", "partition", "offset", "stage", "reason")
    )
    numbers = (int(number) if number.isdecimal() and len(number) < _DIGITS else -1 for number in (partition, offset))
    return Position(topic, *numbers), f"{stage}: {reason}"


def check_broker(error: BrokerError | None, servers: str) -> Check:
    """Say whether Kafka answers."""
    if error is None:
        return Check("broker", True, f"{servers} answers")
    return Check("broker", False, "does not answer", str(error))


def check_trial(trial: "Trial") -> Check:
    """Say how one check of the broker's transactions went."""
    advice = (
        "exactly_once needs it: on this broker run workers with RIVERRUN_PROCESSING_GUARANTEE=at_least_once, or mend "
        "it and probe again"
    )
    return Check(f"probe {trial.name}", trial.passed, trial.found, "" if trial.passed else advice)


def check_verdict(verdict: "Verdict", topic: str) -> Check:
    """Say where the verdict is kept, and what workers make of it."""
    follows = "refuse to start" if verdict.failures else "start without a warning"
    return Check(
        "probe verdict", True, f"kept in {topic} for cluster {verdict.cluster}: exactly_once workers {follows}"
    )


def check_unprobed(error: BrokerError) -> Check:
    """Say why there is no verdict."""
    return Check("probe verdict", False, "none was kept", str(error))
