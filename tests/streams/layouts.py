"""What a snapshot looks like inside: names, types and nesting of all that is in its parts, but no values."""

import random
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

from river import naive_bayes

from riverrun import Drift, Feature, Label, Pipeline, Pool, Race, Watch
from schemas.manifest import FORMAT
from streams import pickling
from tests.streams.kept import Kept
from tests.streams.logs import Fold, Log

GOLDEN = Path(__file__).parent / "golden" / "layout.txt"
#: The longest tuple that is taken for a record: each of its places means something else.
_RECORD = 16


def pipeline() -> Pipeline:
    """Return one that has something of everything."""
    return Pipeline(
        "p",
        features={"a": Feature(float, nullable=True, missing="mean"), "b": float},
        label=Label("y", type=bool, ttl=timedelta(seconds=1)),
        model=naive_bayes.GaussianNB(),
        policy=Pool(milestone=100, versions=2, probation=200, change=20.0),
        race=Race([naive_bayes.BernoulliNB()], budget=1, rung=100),
        drift=Drift(blocks="auto"),
        watch=Watch(window=100),
    )


def layout() -> str:
    """Return the layout of snapshots of this version: of those taken at many places of a stormy log."""
    rng, log, owed = random.Random(5), Log(), list[bool]()
    for i in range(2400):
        x = {"a": rng.gauss(0, 1) if i % 50 else None, "b": rng.gauss(0, 1)}
        owed.append((x["b"] > 0) != (i // 600 % 2 == 1) != (rng.random() < 0.05))
        log.event(x, f"e{i}", time_ms=i)
        if i >= 40 and i % 30:
            log.label(f"e{i - 40}", owed[i - 40], time_ms=i)
    fold, lines = Fold(pipeline()), set[str]()
    for place, record in enumerate(log.records):
        fold.step(record)
        if place % 97 == 0 and place > 1200:
            kept = Kept()
            kept.take(fold.task)
            for part in kept.parts:
                name = _plain(part.name)
                if name == "state" or name.startswith(("pending", "held", "young", "old")):
                    lines |= _lines(name, pickling.loads(kept.data[part.digest], further=pipeline().classes))
                else:
                    lines.add(f"{name}: a model")
    return "\n".join([f"format {FORMAT}", *sorted(lines)]) + "\n"


def _plain(name: str) -> str:
    """Return a name without what differs from one version, offset or event to the next."""
    return re.sub(r"[0-9a-f]*\d[0-9a-f]*", "#", name)


def _lines(path: str, value: Any) -> set[str]:
    if isinstance(value, dict):
        inside = [_lines(f"{path}.{_plain(str(key))}", one) for key, one in value.items()]
    elif isinstance(value, tuple) and len(value) <= _RECORD:
        inside = [_lines(f"{path}({place})", one) for place, one in enumerate(value)]
    elif isinstance(value, (list, tuple, set, frozenset)):
        inside = [_lines(f"{path}[]", one) for one in value]
    elif value is None:
        return set()  # another place tells what it is when it is something
    else:
        kind = "number" if isinstance(value, (int, float)) else type(value).__name__
        return {f"{path}: {kind}"}
    return set().union(*inside)


if __name__ == "__main__":
    GOLDEN.write_text(layout(), encoding="utf-8")
