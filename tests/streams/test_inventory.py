"""What a life cycle's state tells of its models, held against the models themselves."""

import orjson
import pytest

from schemas.record import Record
from streams.inventory import ARCHIVED, models_in
from streams.policy import BackgroundChallenger, Pool
from streams.task import Task
from tests.streams.worker.declarations import small


@pytest.mark.parametrize("policy", [BackgroundChallenger(), Pool(milestone=50)], ids=["challenger", "pool"])
def test_inventory_after_each_stretch_is_who_is_there(policy: object) -> None:
    """Names, parts, counts and offsets are those of the learners and of the frozen copies."""
    task = Task(small("p", "nb", policy=policy))
    kinds = set()
    for offset in range(1_500):
        y = (offset % 7 > 3) == (offset < 700)
        value = orjson.dumps({"a": float(offset % 7), "b": offset % 3, "y": y})
        task.step(Record("p.raw", 0, offset, 1_700_000_000_000 + offset, None, value))
        if offset % 100:
            continue
        lifecycle = task.lifecycle
        found = models_in(lifecycle.snapshot())
        learn = {model.part: (model.name, model.learned) for model in found if model.offset is None}
        copies = {model.part: (model.name, model.learned, model.offset) for model in found if model.offset is not None}
        assert learn == {part: (one.version, one.learned) for part, one in lifecycle.learners.items()}
        assert copies == {part: (one.name, one.learned, one.offset) for part, one in lifecycle.frozen.items()}
        archive = (
            []
            if lifecycle.shadows.contest is None
            else [frozen.name for frozen in lifecycle.shadows.contest.past.archive]
        )
        assert sorted(model.name for model in found if model.role == ARCHIVED) == sorted(archive)
        kinds |= {model.role for model in found}
    assert {"champion", "challenger" if isinstance(policy, Pool) else "successor"} <= kinds
    assert isinstance(policy, Pool) == ({"archived", "milestone"} <= kinds)
