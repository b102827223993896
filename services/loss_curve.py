"""How wrong the answers were before and after a change: predictions held against the labels that are within reach."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from schemas import topics
from schemas.errors import SnapshotError
from services.verification.logs import Logs
from services.verification.search import decode_prediction
from streams.decoding import Decoder, Example, LabelArrival
from streams.feature import OTHER
from streams.pipeline import Pipeline

#: At most so many offsets of the input, and of the predictions, are read.
REACH = 20_000
_BINS = 20
_MARGIN, _LARGEST_MARGIN = 500, 8_000


class Bin(Struct, frozen=True):
    """A stretch of the input.

    Parameters
    ----------
    start, end
        Offset of its first record, and the one after its last.
    predictions
        Answers to its events that were read.
    labelled
        How many of them have a label within reach.
    loss
        Mean loss of these, None without any.
    versions
        Who answered.
    """

    start: int
    end: int
    predictions: int
    labelled: int
    loss: float | None
    versions: list[str]


class LossCurve(Struct, frozen=True):
    """Losses around a change.

    Parameters
    ----------
    loss
        Which: ``zero-one`` for classes, ``absolute`` for numbers.
    bins
        Stretches of equal length; one of them begins behind the change point.
    before, after
        Mean loss of the labelled answers before and after the change point, None without any.
    remark
        What cannot be said, empty where nothing is missing.
    segment
        The part of the stream whose answers these are, empty for all of it.
    """

    loss: str
    bins: list[Bin]
    before: float | None
    after: float | None
    remark: str = ""
    segment: str = ""


class _Answer(Struct, frozen=True):
    """An answer, and how wrong it was; None where that is not known."""

    offset: int
    version: str
    loss: float | None


def window(change: int, seen: int) -> tuple[int, int]:
    """Return the offsets between which a curve is drawn: from before the change to behind where it was seen.

    Parameters
    ----------
    change
        Offset of the last event before the change.
    seen
        Offset of the record at which it was seen.

    Examples
    --------
    >>> window(1000, 1200), window(100, 9000)
    ((501, 1701), (0, 17001))
    """
    margin = min(max(_MARGIN, seen - change), _LARGEST_MARGIN)
    start = max(0, change + 1 - margin)
    return start, min(seen + 1 + margin, start + REACH)


def loss_curve(pipeline: Pipeline, logs: Logs, drift: dict[str, Any], change: int) -> LossCurve:
    """Return the losses around a drift.

    Labels are joined by id, the first of each; a label that came after its time to live counts here.

    Parameters
    ----------
    pipeline
        The declaration, which tells where in a record the label is.
    logs
        The topics; at most `REACH` offsets are read of each.
    drift
        The event; of one with a segment only that segment's answers are looked at, unless it is that
        of all the others.
    change
        Offset of the last event before the change.
    """
    partition = drift["partition"]
    # Which events the others are, beside those with a detector of their own, only the task knows.
    segment = "" if drift.get("segment", "") == OTHER else drift.get("segment", "")
    kind = "absolute" if pipeline.kind == "regression" else "zero-one"
    start, end = window(change, drift["offset"])
    try:
        low, high = logs.extent(pipeline.source_topic, partition)
        if low > change + 1:
            gone = f"labels cannot be read: {pipeline.source_topic}[{partition}] begins at {low}, behind the change"
            return LossCurve(kind, [], None, None, gone)
        start, end = max(start, low), min(end, high)
        examples, labels = _known(pipeline, logs, partition, start, min(high, start + REACH))
        answers = list(_answers(pipeline, logs, partition, (start, end), examples, labels, segment))
    except SnapshotError as error:
        return LossCurve(kind, [], None, None, f"labels cannot be read: {error}")
    before, after = (_mean(a for a in answers if (a.offset > change) == behind) for behind in (False, True))
    return LossCurve(kind, _bins(answers, start, end, change), before, after, _remark(answers, drift, end), segment)


def _remark(answers: list[_Answer], drift: dict[str, Any], end: int) -> str:
    labelled = sum(answer.loss is not None for answer in answers)
    if not answers:
        return "no predictions of these offsets can be read: they are older than their topic, or of another segment"
    remarks = []
    if labelled < len(answers):
        remarks.append(f"of {len(answers)} predictions {labelled} have an answer and a label within {REACH} offsets")
    if drift["offset"] >= end:
        remarks.append(f"the change was seen at {drift['offset']}, further behind it than is read")
    return "; ".join(remarks)


def _known(
    pipeline: Pipeline, logs: Logs, partition: int, start: int, end: int
) -> tuple[dict[int, Example], dict[str, Any]]:
    """Return the events of a stretch by offset, and its labels by id."""
    decode = Decoder(pipeline).decode
    examples: dict[int, Example] = {}
    labels: dict[str, Any] = {}
    for record in logs.between(pipeline.source_topic, partition, start, end):
        decoded = decode(record)
        if isinstance(decoded, Example):
            examples[record.offset] = decoded
            if decoded.y is not None:
                labels.setdefault(decoded.id, decoded.y)
        elif isinstance(decoded, LabelArrival):
            labels.setdefault(decoded.id, decoded.y)
    return examples, labels


def _answers(
    pipeline: Pipeline,
    logs: Logs,
    partition: int,
    between: tuple[int, int],
    examples: dict[int, Example],
    labels: dict[str, Any],
    segment: str,
) -> Iterator[_Answer]:
    """Yield the answers to the events between two offsets."""
    start, end = between
    topic = topics.predictions(pipeline.name)
    low, high = logs.extent(topic, partition)
    first = _first_at_or_after(logs, topic, partition, start, low, high)
    for record in logs.between(topic, partition, first, min(high, first + REACH)):
        made = decode_prediction(record)
        if made is None or made.get("source") != pipeline.source_topic or made["offset"] < start:
            continue
        if made["offset"] >= end:
            return
        y = labels.get(made["id"])
        if not segment or _segment_of(pipeline, examples.get(made["offset"]), y) == segment:
            yield _Answer(made["offset"], made["version"], _loss(pipeline, made["prediction"], y))


def _first_at_or_after(logs: Logs, topic: str, partition: int, offset: int, low: int, high: int) -> int:
    """Bisect for the first prediction of an event that is not before an offset; they stand in their events' order."""
    while high - low > 1:
        middle = (low + high) // 2
        made = next((m for r in logs.between(topic, partition, middle, high) if (m := decode_prediction(r))), None)
        if made is None or made["offset"] >= offset:
            high = middle
        else:
            low = middle
    return low


def _segment_of(pipeline: Pipeline, example: Example | None, y: Any) -> str | None:
    """Return the segment of an event as the declaration has it; None where that cannot be known."""
    by = pipeline.drift.by
    value = y if by == "class" else example and example.x.get(by or "")
    return None if value is None else str(value)


def _loss(pipeline: Pipeline, prediction: Any, y: Any) -> float | None:
    if prediction is None or y is None:
        return None
    if pipeline.kind == "regression":
        return float(abs(prediction - y))
    return float(prediction != y)


def _mean(answers: Iterator[_Answer]) -> float | None:
    losses = [answer.loss for answer in answers if answer.loss is not None]
    return sum(losses) / len(losses) if losses else None


def _bins(answers: list[_Answer], start: int, end: int, change: int) -> list[Bin]:
    """Sum answers up in stretches of equal length, one of which begins behind the change."""
    width = max(1, -(-(end - start) // _BINS))
    by_number: dict[int, list[_Answer]] = {}
    for answer in answers:
        by_number.setdefault((answer.offset - change - 1) // width, []).append(answer)
    return [_bin(by_number[number], change + 1 + number * width, width) for number in sorted(by_number)]


def _bin(answers: list[_Answer], start: int, width: int) -> Bin:
    labelled = sum(answer.loss is not None for answer in answers)
    versions = list(dict.fromkeys(answer.version for answer in answers))
    return Bin(start, start + width, len(answers), labelled, _mean(iter(answers)), versions)
