"""What the benchmark reads off riverrun's own metrics."""

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Message
from faust.types import TP
from prometheus_client import generate_latest

from benchmarks.legs import Legs, parse, quantile, since
from benchmarks.race import RaceError
from services.broker.ports import free_port
from streams.worker.batch import Batch
from streams.worker.timing import Timing


def test_percentiles_are_of_what_came_after_the_mark() -> None:
    """Of a real page of metrics: nine records of 3 ms to one of 0.3 s, after others that were slower."""
    timing = Timing()
    registry: Any = SimpleNamespace(collect=lambda: [timing.collect()])
    batch = Batch(TP("p.raw", 0), 1, 0, 1, [Message()], arrived=0.0)
    for _ in range(50):
        timing.note(batch, 5.0, 5.0, 5.0)
    before = parse(generate_latest(registry).decode())
    for waited in [0.003] * 90 + [0.3] * 10:
        timing.note(batch, waited, waited + 0.0015, waited + 0.0015)
    counts = since(before, parse(generate_latest(registry).decode()))
    assert 2 < quantile(counts["wait"], 0.5) <= 5
    assert 200 < quantile(counts["wait"], 0.99) <= 500
    assert 1 < quantile(counts["step"], 0.99) <= 2
    assert quantile(counts["send"], 0.99) == pytest.approx(0.099)
    assert quantile(counts["fetch"], 0.99) == 0.0


def test_worker_that_does_not_answer_is_no_row_of_figures() -> None:
    """What was not read at the mark must not pass for nothing."""
    legs = Legs(free_port())
    legs.mark()
    with pytest.raises(RaceError, match="no metrics"):
        legs.percentiles()
