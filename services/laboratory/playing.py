"""Plays one combination: the task that a worker runs, over recorded data, with a pencil in hand."""

import hashlib
import math
import os
import platform
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from zlib import crc32

import msgspec

from schemas.errors import InvariantError, shown
from schemas.events import ChampionChanged, LifecycleEvent, ModelRetrained
from schemas.record import Record
from services.backtest import Backtest
from services.describing import describe_lifecycle
from services.laboratory.bins import Bins
from services.laboratory.features import FeatureBins
from services.laboratory.outcome import Job, Mark, Outcome
from services.laboratory.source import KeyCount
from services.loss_meter import LossMeter
from streams.accounting import OUTCOMES, REMARKS
from streams.label_join import Settled
from streams.pipeline import Pipeline
from streams.prequential import Prequential

_CHUNK = 500
_CHANGES = (ChampionChanged, ModelRetrained)
_MOST_MARKS = 500
_MOST_MODEL = 2_000
_MOST_LOSS = 1e30  # of a regression that diverges: sums stay finite


def mark_of(offset: int) -> int:
    """Return what stands for the event at an offset, 32 bits: for the same event in every combination.

    An event is known by its place, not by its id: one that brings no id is named after its pipeline's topic.

    Examples
    --------
    >>> mark_of(7) == mark_of(7) != mark_of(8)
    True
    """
    return crc32(offset.to_bytes(8, "big"))


class Player:
    """Folds the records of a job and keeps what a report needs; memory is bounded whatever their number.

    Parameters
    ----------
    job
        What to play.
    pipeline
        As it is played.
    """

    def __init__(self, job: Job, pipeline: Pipeline) -> None:
        place = job.combination
        first = job.source.first(place.partition)
        self.test = Backtest(
            pipeline, partition=place.partition, partitions=place.partitions, most_lifecycle=_MOST_MARKS
        )
        self.test.task.witness = lambda _, offset, settled: self._settled.append((offset, settled))
        self.features = FeatureBins(pipeline, first) if job.features else None
        self.meter = LossMeter(pipeline.kind, job.loss)
        self.curve = Bins(first, counts=[], sums=[], marks=[])
        self.cpu_seconds = 0.0
        self.champion_changes = 0
        self._settled: list[tuple[int, Settled]] = []
        self._records = hashlib.sha256()

    def play(self, records: Iterator[Record]) -> None:
        """Step through all records, a chunk at a time: only the steps are timed."""
        step, clock = self.test.task.step, time.thread_time
        while chunk := list(islice(records, _CHUNK)):
            began = clock()
            followed = [step(record) for record in chunk]
            self.cpu_seconds += clock() - began
            for record, events in zip(chunk, followed, strict=True):
                self._records.update(msgspec.json.encode([record.offset, record.key, record.value, record.headers]))
                self.test.keep(events)
                # A fresh model that is promoted is told as retrained, too: one change, of one version.
                self.champion_changes += len({event.version for event in events if isinstance(event, _CHANGES)})
                if self.features is not None:
                    self.features.add(record)
            self._measure()

    def _measure(self) -> None:
        for offset, settled in self._settled:
            loss = self.meter.of(settled)
            if loss is not None and math.isfinite(loss):
                self.curve.add(offset, min(loss, _MOST_LOSS), mark_of(offset))
        self._settled.clear()

    @property
    def records_digest(self) -> str:
        """Hash of all that was read, 16 hexadecimal digits."""
        return self._records.hexdigest()[:16]


def play(job: Job, tell: Callable[[float], None]) -> Outcome:
    """Return what comes of a job.

    Parameters
    ----------
    job
        What to play.
    tell
        Hears, often, which share of the records has been read.

    Raises
    ------
    RiverrunError
        When the pipeline cannot be declared, its model is broken, or the records cannot be read.
    InvariantError
        When the books do not balance.
    """
    place = job.combination
    pipeline = place.declare(scores=job.loss == "log")
    player, keys = Player(job, pipeline), KeyCount()
    began = time.perf_counter()
    player.play(job.source.records(pipeline.source_topic, place.partition, place.partitions, tell, keys))
    seconds = time.perf_counter() - began
    test, books = player.test, player.test.task.books
    if not books.balanced:
        raise InvariantError(f"books: got {books.read} records read, expected the sum of their outcomes {books.count}")
    return Outcome(
        place,
        name=pipeline.name,
        model_name=pipeline.model_name,
        policy_name=repr(pipeline.policy),
        model=shown(pipeline.model, _MOST_MODEL),
        declaration=pipeline.declaration,
        kind=pipeline.kind,
        loss=player.meter.name,
        records=books.read,
        labelled=sum(player.curve.counts),
        predictions=test.digest.count,
        keys=keys,
        digest=test.digest.hexdigest(),
        records_digest=player.records_digest,
        metrics=_finite(test.task.evaluation),
        outcomes={name: books.count[name] for name in OUTCOMES if books.count[name]},
        remarks={name: books.count[name] for name in REMARKS if books.count[name]},
        dead_letters=dict(test.dead_letters),
        first_dead_letter=next((f"offset {one.record.offset}: {one.reason}" for one in test.first_dead_letters), ""),
        marks=[_mark(event) for event in test.lifecycle],
        marks_dropped=test.lifecycle_dropped,
        champion_changes=player.champion_changes,
        curve=player.curve,
        features=player.features.curves() if player.features is not None else None,
        cpu_seconds=round(player.cpu_seconds, 6),
        seconds=round(seconds, 3),
        load=round(os.getloadavg()[0] / (os.cpu_count() or 1), 2),
        versions=_versions(),
    )


def _mark(event: LifecycleEvent) -> Mark:
    line = describe_lifecycle(event.type, msgspec.structs.asdict(event))
    return Mark(event.type.removeprefix("riverrun."), event.offset, event.time, line.split("  ", 3)[-1])


def _finite(evaluation: Prequential) -> dict[str, float | None]:
    """Return the value of each metric, None where it has none that JSON could hold."""
    values = evaluation.values
    return {name: values[name] if math.isfinite(values.get(name, math.nan)) else None for name in evaluation.names}


def _versions() -> str:
    said = [f"Python {platform.python_version()}"]
    for name in ("riverrun", "river"):
        try:
            said.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            said.append(f"{name} not installed")
    return ", ".join(said)
