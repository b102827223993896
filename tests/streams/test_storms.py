"""In any storm a task that is restored again and again is the undisturbed one, and no event is told twice."""

import random
from collections import Counter

import pytest

from tests.streams.kept import Kept
from tests.streams.logs import Fold
from tests.streams.storms import Storm
from tests.streams.test_snapshot import visible


@pytest.mark.parametrize("seed", range(16))
def test_restored_task_says_what_the_undisturbed_one_says(seed: int) -> None:
    """At each record, and it has the same attributes in the end; ids are given once; nothing waits to be told."""
    storm, rng = Storm(seed), random.Random(-1 - seed)
    straight, resumed, kept = Fold(storm.pipeline), Fold(storm.pipeline), Kept()
    often, ids = rng.choice([0.01, 0.05, 0.2]), Counter[str]()
    for record in storm.records(900, straight.task):
        told = straight.step(record)
        assert resumed.step(record) == told
        ids.update(event.id for event in told if hasattr(event, "id"))
        assert not straight.task.lifecycle.shadows.has_kept
        if rng.random() < often:
            kept.take(resumed.task)
            resumed.task = kept.restored(storm.pipeline)
    assert max(ids.values()) == 1
    # What a model is before it has learned is pickled when it is asked for first.
    ended, expected = ({k: v for k, v in visible(f.task) if "_blank" not in k} for f in (resumed, straight))
    assert ended == expected
