"""What is asked of one process, and what it answers: plain values, so that both can travel as JSON."""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from services.laboratory.bins import Bins
from services.laboratory.combination import Combination
from services.laboratory.features import Features
from services.laboratory.source import FileSource, KeyCount, TopicSource

LossForm = Literal["zero_one", "log"]


class Job(Struct, frozen=True):
    """A combination to be played.

    Parameters
    ----------
    combination
        What.
    source
        Over which records.
    loss
        How a class's loss is measured: 0/1, or the clipped log loss.
    hash_seed
        ``PYTHONHASHSEED`` of the process: some River models follow the order of sets of strings.
    features
        Whether to watch the features, too.
    """

    combination: Combination
    source: FileSource | TopicSource
    loss: LossForm = "zero_one"
    hash_seed: str = "0"
    features: bool = False


class Mark(Struct, frozen=True):
    """A lifecycle event, in short.

    Parameters
    ----------
    type
        Such as ``drift.detected``.
    offset, time
        The record at which it happened.
    text
        What is said of it, in one line.
    """

    type: str
    offset: int
    time: int
    text: str


class Outcome(Struct):
    """What came of a combination.

    Parameters
    ----------
    combination
        What was played.
    error
        Why it could not be played to the end; empty when it was.
    name, model_name, policy_name
        Of the pipeline, its model and its policy, as they were played.
    model
        The model in one line, with its parameters.
    declaration
        Digest of what was played.
    kind
        Task kind.
    loss
        Name of the loss, and its unit.
    records, labelled, predictions
        Numbers of each.
    keys
        Of all lines, those of other partitions too, where the key is a field.
    digest, records_digest
        Of the sequence of predictions, as `riverrun backtest` tells it; and of the records.
    metrics
        At the end, by name; None for what is no number.
    outcomes, remarks, dead_letters
        The books, and dead letters by stage.
    first_dead_letter
        Where the first of them is, and why; empty where there is none.
    marks, marks_dropped
        Lifecycle events, and how many more there were.
    champion_changes
        How often another version took over, as `riverrun history` tells it.
    curve
        The loss by offset of the events.
    features
        What became of the features, where it was asked for.
    cpu_seconds
        Processor time of the thread in `Task.step`.
    seconds
        From the first record to the last, with reading.
    load
        Load average of the machine at the end, by its number of cores.
    versions
        Of Python, riverrun and River.
    """

    combination: Combination
    error: str = ""
    name: str = ""
    model_name: str = ""
    policy_name: str = ""
    model: str = ""
    declaration: str = ""
    kind: str = ""
    loss: str = ""
    records: int = 0
    labelled: int = 0
    predictions: int = 0
    keys: KeyCount = msgspec.field(default_factory=KeyCount)
    digest: str = ""
    records_digest: str = ""
    metrics: dict[str, float | None] = {}
    outcomes: dict[str, int] = {}
    remarks: dict[str, int] = {}
    dead_letters: dict[str, int] = {}
    first_dead_letter: str = ""
    marks: list[Mark] = []
    marks_dropped: int = 0
    champion_changes: int = 0
    curve: Bins = msgspec.field(default_factory=Bins)
    features: Features | None = None
    cpu_seconds: float = 0.0
    seconds: float = 0.0
    load: float = 0.0
    versions: str = ""

    @property
    def micros(self) -> float | None:
        """Microseconds of processor time a prediction."""
        return 1e6 * self.cpu_seconds / self.predictions if self.predictions else None


def encode(value: Any) -> bytes:
    """Return a `Job` or an `Outcome` as one line of JSON, without its end."""
    return msgspec.json.encode(value)


def decode_job(line: bytes) -> Job:
    """Return the `Job` that a line holds."""
    return msgspec.json.decode(line, type=Job)


def decode_outcome(line: bytes) -> Outcome:
    """Return the `Outcome` that a line holds."""
    return msgspec.json.decode(line, type=Outcome)
