"""A snapshot of a task: its state in parts, of which only the changed ones are written, and the way back."""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from importlib.metadata import version
from itertools import chain, islice
from typing import Any, BinaryIO

import msgspec
from msgspec import Struct

from schemas.errors import SnapshotError
from schemas.manifest import Identity, Part
from streams import pickling
from streams.label_join import SEGMENT, Entry, PendingLabels, Settled
from streams.pipeline import Pipeline
from streams.takeover import Takeover
from streams.task import Task

#: Name of a part, number of its entries, and its bytes: None when the part of that name that is stored is still good.
_Taken = tuple[str, int, bytes | None]
_TRAILER_BYTES = 8
_OPEN = "open"
#: What begins anew when one of these fields is declared anew.
_BEGINS_ANEW = {
    "evaluation": {"metrics"},
    "loss": {"drift"},
    "preprocessor": {"features"},
}
#: What changes no answer: a state may be of another declaration of it, or of none.
_MAY_BE_NEW = {"watcher"}


class Dump(Struct, frozen=True):
    """The contents of a file that `write` has written.

    Parameters
    ----------
    parts
        All parts of the snapshot.
    starts
        Where in the file the bytes of a part begin, by digest; what is stored already is not in the file.
    """

    parts: list[Part]
    starts: dict[str, int]


def identity_of(pipeline: Pipeline, partition: int, partitions: int, topic_id: str = "") -> Identity:
    """Return whose state a task of a pipeline holds."""
    name, declaration, topic = pipeline.name, pipeline.declaration, pipeline.source_topic
    return Identity(name, declaration, topic, partition, partitions, version("river"), topic_id=topic_id)


def write(task: Task, stored: Collection[Part], file: BinaryIO) -> None:
    """Write what has changed of a task since its last snapshot, and an index of all.

    Parameters
    ----------
    task
        The task; it must not step meanwhile.
    stored
        Parts of the last snapshot.
    file
        Where to.

    Raises
    ------
    SnapshotError
        When the model holds something that could not be loaded again.
    """
    by_name = {part.name: part for part in stored}
    by_digest = {part.digest: part for part in stored}
    parts: list[Part] = []
    starts: dict[str, int] = {}
    for name, entries, data in _take(task, by_name):
        if data is None:
            parts.append(by_name[name])
            continue
        digest = hashlib.sha256(data).hexdigest()
        if digest not in by_digest:
            starts[digest] = file.tell()
            file.write(data)
            by_digest[digest] = Part(name, digest, len(data), entries, task.next_offset)
        parts.append(msgspec.structs.replace(by_digest[digest], name=name, entries=entries))
    index = msgspec.msgpack.encode(Dump(parts, starts))
    file.write(index + len(index).to_bytes(_TRAILER_BYTES, "big"))


def read_index(file: BinaryIO) -> Dump:
    """Return what stands in a file that `write` has written."""
    end = file.seek(-_TRAILER_BYTES, 2)
    size = int.from_bytes(file.read(_TRAILER_BYTES), "big")
    file.seek(end - size)
    return msgspec.msgpack.decode(file.read(size), type=Dump)


def restore(task: Task, parts: Mapping[str, bytes], takeover: Takeover | None = None) -> None:
    """Give a fresh task the state that a snapshot was taken of.

    Parameters
    ----------
    task
        A task of the same partition.
    parts
        Bytes by name; their digests have been checked.
    takeover
        What differs, when the snapshot was taken under the declaration before: the models and the labels that wait
        stay as they are, drift detection and metrics begin anew where they were declared anew. New metrics know none of
        the answers before, so that no correction of one reaches them.

    Raises
    ------
    SnapshotError
        When a part is missing, or holds a class that is not on the list, or the task kind is another.
    """
    changed = set(takeover.changed) if takeover is not None else set()
    if "kind" in changed:
        raise SnapshotError("the task kind is another: that is another pipeline, which needs another name")
    classes = task.pipeline.classes

    def written(name: str) -> bytes:
        if name not in parts:
            raise SnapshotError(f"no part {name}")
        return parts[name]

    def load(name: str) -> Any:
        return pickling.loads(written(name), further=classes)

    def load_segments(prefix: str) -> Iterator[Any]:
        numbers = [name.removeprefix(prefix) for name in parts if name.startswith(prefix)]
        return (load(prefix + number) for number in sorted(numbers, key=lambda n: (n == _OPEN, n.zfill(20))))

    anew = {name for name, fields in _BEGINS_ANEW.items() if changed & fields}
    state = load("state")
    task.next_offset, task.predict_errors, task.learn_errors = state["task"]
    if takeover is not None and takeover.renews_model:
        task.predict_errors = task.learn_errors = 0  # of a model that is declared no more
    for name, noun in _nouns(task).items():
        if name not in anew:
            noun.restore(state.get(name) if name in _MAY_BE_NEW else state[name])
    task.lifecycle.restore(state["lifecycle"], load, written, changed=changed)
    task.orders.takeover = takeover
    join = task.join
    for labels, prefix in ((join.pending, "pending-"), (join.held, "held-")):
        added, alive = state[prefix]
        labels.restore(chain.from_iterable(_alive(entries, alive) for entries in load_segments(prefix)), added)
    settled = _settled_unevaluated if "evaluation" in anew else _settled
    young, old = ({k: settled(v) for run in load_segments(p) for k, v in run} for p in ("young-", "old-"))
    join.settled.restore(young, old)


def _nouns(task: Task) -> dict[str, Any]:
    """Return what has a small state of its own, by name."""
    nouns = {
        "books": task.books,
        "clock": task.clock,
        "preprocessor": task.preprocessor,
        "evaluation": task.evaluation,
        "loss": task.loss,
        "orders": task.orders,
    }
    return nouns if task.watcher is None else {**nouns, "watcher": task.watcher}


def _take(task: Task, stored: Mapping[str, Part]) -> Iterator[_Taken]:
    """Yield the parts of a task."""
    classes = task.pipeline.classes
    for role, learner in task.lifecycle.learners.items():
        yield role, 0, pickling.dumps(learner.model, further=classes)
    for name, frozen in task.lifecycle.frozen.items():
        yield name, 0, None if name in stored else frozen.data
    state = {name: noun.snapshot() for name, noun in _nouns(task).items()}
    state["task"] = task.next_offset, task.predict_errors, task.learn_errors
    state["lifecycle"] = task.lifecycle.snapshot()
    join = task.join
    for labels, prefix, kept in ((join.pending, "pending-", stored), (join.held, "held-", {})):
        alive: dict[int, bytes] = {}
        yield from _label_parts(labels, prefix, kept, alive)
        state[prefix] = labels.added, alive
    yield from _settled_parts(join.settled.young, "young-")
    yield from _settled_parts(join.settled.old, "old-")
    yield "state", 0, pickling.dumps(state, further=classes)


def _label_parts(
    labels: PendingLabels, prefix: str, stored: Mapping[str, Part], alive: dict[int, bytes]
) -> Iterator[_Taken]:
    """Yield segments of waiting labels; of one that is stored already, note which entries still wait.

    To a full segment nothing is added any more, only removed, so it is written again when half of it is gone.
    """
    full = labels.added // SEGMENT
    for number, entries in labels.segments():
        name = f"{prefix}{number if number < full else _OPEN}"
        part = stored.get(name)
        if number < full and part is not None and part.entries <= 2 * len(entries):
            alive[number] = _bits(entries)
            yield name, part.entries, None
        else:
            yield name, len(entries), pickling.dumps(entries)


def _bits(entries: list[Entry]) -> bytes:
    """Return a bit for each place in a segment: whether its entry is there."""
    bits = bytearray(SEGMENT // 8)
    for number, *_ in entries:
        bits[number % SEGMENT >> 3] |= 1 << (number & 7)
    return bytes(bits)


def _alive(entries: list[Entry], alive: Mapping[int, bytes]) -> list[Entry]:
    """Return those entries of a segment that still wait."""
    bits = alive.get(entries[0][0] // SEGMENT)
    return entries if bits is None else [e for e in entries if bits[e[0] % SEGMENT >> 3] >> (e[0] & 7) & 1]


def _settled_parts(settled: Mapping[str, Any], prefix: str) -> Iterator[_Taken]:
    items = iter(settled.items())
    number = 0
    while run := list(islice(items, SEGMENT)):
        plain = [(k, msgspec.structs.astuple(v) if isinstance(v, Settled) else v) for k, v in run]
        yield f"{prefix}{number}", len(run), pickling.dumps(plain)
        number += 1


def _settled(plain: Any) -> Any:
    return Settled(*plain) if isinstance(plain, tuple) else plain


def _settled_unevaluated(plain: Any) -> Any:
    known = _settled(plain)
    return msgspec.structs.replace(known, number=None) if isinstance(known, Settled) else known
