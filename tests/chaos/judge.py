"""The judge: what a pipeline has said, held against what its input demands."""

import itertools
from collections import Counter
from collections.abc import Iterable

import msgspec
from confluent_kafka import Message

from schemas import cloudevents as ce
from schemas.events import DeadLetter, PredictionMade
from schemas.record import Record
from services.backtest import Backtest
from streams.pipeline import Pipeline
from tests.chaos.reader import Place, Reader
from tests.streams.worker.kafka import Kafka, header

#: Everything the judge counts; each has to be zero.
COUNTS = ("duplicates", "losses", "disorder", "digests", "letters", "lifecycle", "reader")


class Expected(msgspec.Struct):
    """What the input demands of a partition: an undisturbed backtest of it."""

    answered: list[int]
    letters: list[int]
    lifecycle: list[str]
    digest: tuple[str, int]


def judge(kafka: Kafka, pipeline: Pipeline, reader: Reader) -> dict[str, int]:
    """Return the counts that have to be zero.

    ``duplicates`` answers and letters said again; ``losses`` events that are in the input and were not answered;
    ``disorder`` answers behind a later one of their partition; ``digests`` partitions whose predictions are not those
    of a backtest; ``letters`` dead letters too many or too few; ``lifecycle`` likewise; ``reader`` records that the
    concurrent reader was given twice, or that a reader who comes later does not find.
    """
    raw, predictions, lifecycle, dead_letters = (topic.name for topic in pipeline.topics[:4])
    counts = dict.fromkeys(COUNTS, 0)
    said = {topic: kafka.read(topic) for topic in (predictions, lifecycle, dead_letters)}
    expected = {p: _expected(pipeline, p, records) for p, records in kafka.records(raw).items()}
    digests = kafka.digests(pipeline)
    for partition, wanted in expected.items():
        answered = [_offset_of(message) for message in said[predictions].get(partition, ())]
        counts["duplicates"] += len(answered) - len(set(answered))
        counts["losses"] += len(set(wanted.answered) - set(answered))
        counts["disorder"] += sum(later <= earlier for earlier, later in itertools.pairwise(answered))
        counts["digests"] += digests[partition] != wanted.digest
    letters = Counter(
        (int(header(m, "riverrun_partition") or -1), int(header(m, "riverrun_offset") or -1))
        for m in _all(said[dead_letters])
    )
    counts["letters"] = _difference(letters, Counter((p, o) for p, e in expected.items() for o in e.letters))
    told = Counter((header(m, "ce_id") or b"").decode() for m in _all(said[lifecycle]))
    counts["lifecycle"] = _difference(told, Counter(id for e in expected.values() for id in e.lifecycle))
    counts["reader"] = _misread(reader, [m for messages in said.values() for m in _all(messages)])
    return counts


def _all(messages: dict[int, list[Message]]) -> Iterable[Message]:
    return (message for partition in messages.values() for message in partition)


def _offset_of(prediction: Message) -> int:
    """Return the offset of the event that a prediction answers."""
    return int((header(prediction, "ce_id") or b"").rpartition(b"-")[2])


def _expected(pipeline: Pipeline, partition: int, records: list[Record]) -> Expected:
    """Backtest a partition; the events that have to be answered are counted without it, too."""
    backtest = Backtest(pipeline, partition=partition, partitions=pipeline.partitions)
    answered, letters = [], []
    for record, events in backtest.run(records):
        answered += [record.offset for event in events if isinstance(event, PredictionMade)]
        letters += [record.offset for event in events if isinstance(event, DeadLetter)]
    is_label = [dict(r.headers or ()).get("ce_type") == ce.LABEL.encode() and r.offset not in letters for r in records]
    if len(records) != len(answered) + len(letters) + sum(is_label):
        raise RuntimeError(f"{pipeline.name}[{partition}]: the backtest has not answered each event of the input")
    digest = backtest.digest.hexdigest(), backtest.digest.count
    return Expected(answered, letters, [event.id for event in backtest.lifecycle], digest)


def _difference(got: Counter, wanted: Counter) -> int:
    return (got - wanted).total() + (wanted - got).total()


def _misread(reader: Reader, messages: list[Message]) -> int:
    places: list[Place] = [(m.topic(), m.partition(), m.offset()) for m in messages]
    reader.finish(places)
    return reader.repeated + len(reader.seen.keys() ^ set(places))
