"""Snapshots in two compacted topics: parts in chunks, and manifests that name the offsets of their chunks."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from typing import Any, TypeVar

from confluent_kafka import KafkaError, Message

from schemas import topics
from schemas.errors import BrokerError, MissingPartError, SnapshotError
from schemas.manifest import Part
from schemas.outgoing import Outgoing
from streams.worker.range_reader import RangeReader

_CHUNK_BYTES = 512 * 1024
_NEWEST = 16
_LOOKED_AT = 128
_NOTE = b"/note"

T = TypeVar("T")
Offsets = tuple[int | None, ...]
#: Hands messages to a producer; it calls back with the error, if any, and each message as it was stored.
Emit = Callable[[Sequence[Outgoing], Callable[[KafkaError | None, Message], None]], None]


class KafkaStore:
    """Keeps the snapshots of partition n in partition n of two topics.

    Keys are never used twice, so that compaction takes nothing away which a manifest names. It takes what was dropped.

    Parameters
    ----------
    pipeline
        Name of the pipeline.
    config
        Configuration of a consumer.
    emit
        Hands messages to the producer, within the transaction of the cycle where there are transactions.
    emit_now
        Hands messages to a producer, outside of any transaction, and waits until the broker has them.
    """

    def __init__(
        self,
        pipeline: str,
        config: Mapping[str, Any],
        emit: Emit,
        emit_now: Callable[[Sequence[Outgoing]], None],
    ) -> None:
        self._manifests, self._snapshots = topics.manifests(pipeline), topics.snapshots(pipeline)
        self._emit, self._emit_now = emit, emit_now
        self._config = config
        #: The writing that has stored something since the last manifest, by partition.
        self._writing: dict[int, str] = {}

    def put(self, partition: int, part: Part, data: bytes) -> "Future[tuple[int, ...]]":
        """Produce a part in chunks; the answer is their offsets, once the broker has them.

        An offset may stay unknown: where the answer to a request is lost, librdkafka takes the next one's for it. What
        cannot be found again is as good as not stored.
        """
        self._writing[partition] = part.writing
        chunks = [data[start : start + _CHUNK_BYTES] for start in range(0, len(data), _CHUNK_BYTES)]
        keys = [f"{_part_key(partition, part)}/{number}" for number in range(len(chunks))]

        def known(offsets: Sequence[int | None]) -> tuple[int, ...]:
            found = tuple(offset for offset in offsets if offset is not None)
            if len(found) < len(offsets):
                raise SnapshotError(f"{self._snapshots}[{partition}]: {part.name} is stored, but not known where")
            return found

        return _then(self._produce(self._snapshots, partition, dict(zip(keys, chunks, strict=True))), known)

    def seal(self, partition: int, position: int, document: bytes, parts: Collection[Part]) -> "Future[None]":
        """Produce a manifest; its parts are not looked for, as nothing but `drop` takes any away.

        Unless the topic was deleted and made anew: what is written last then stands before what was written long ago.
        """
        writing = self._writing.pop(partition, None)
        first = min((place for part in parts if part.writing == writing for place in part.places), default=None)
        before = [part for part in parts if part.writing != writing and part.places]
        beyond = [part.name for part in before if first is not None and max(part.places) >= first]
        if beyond:
            refused: Future[None] = Future()
            refused.set_exception(
                MissingPartError(
                    f"{self._snapshots}[{partition}] was made anew, {len(beyond)} of its {len(parts)} parts are not "
                    f"there any more, {beyond[0]} among them; all are stored anew with the next one"
                )
            )
            return refused
        return _then(self._produce(self._manifests, partition, {f"{partition}/{position}": document}), _nothing)

    def drop(self, partition: int, positions: Collection[int], parts: Collection[Part]) -> "Future[None]":
        """Produce tombstones."""
        chunks = {f"{_part_key(partition, part)}/{n}": None for part in parts for n in range(len(part.places))}
        self._produce(self._snapshots, partition, chunks)
        stored = self._produce(self._manifests, partition, {f"{partition}/{p}": None for p in positions})
        return _then(stored, _nothing)

    def _produce(self, topic: str, partition: int, values: Mapping[str, bytes | None]) -> "Future[Offsets]":
        """Produce values by key; the answer is their offsets, None where the broker has one and it is not known."""
        stored: Future[Offsets] = Future()
        offsets: dict[str, int | None] = {}

        def delivered(error: KafkaError | None, message: Message) -> None:
            if stored.done():
                return
            if error is not None:
                stored.set_exception(SnapshotError(f"{topic}[{partition}]: not stored: {error.str()}"))
                return
            offsets[message.key().decode()] = message.offset()
            if len(offsets) == len(values):
                stored.set_result(tuple(offsets[key] for key in values))

        if values:
            self._emit([Outgoing(topic, k.encode(), v, [], partition) for k, v in values.items()], delivered)
        else:
            stored.set_result(())
        return stored

    def get(self, partition: int, parts: Sequence[Part]) -> Iterator[bytes]:
        """Read the chunks of each part from where the manifest says they are."""
        with closing(RangeReader(self._config, self._snapshots, partition)) as reader:
            for part in parts:
                yield b"".join(self._chunk(reader, partition, part, place) for place in part.places)

    def _chunk(self, reader: RangeReader, partition: int, part: Part, place: int) -> bytes:
        message = reader.at(place)
        if message is None or not (message.key() or b"").startswith(_part_key(partition, part).encode()):
            raise SnapshotError(f"{self._snapshots}[{partition}]@{place}: no chunk of {part.name} there")
        value: bytes = message.value() or b""
        return value

    def manifests(self, partition: int) -> Iterator[bytes]:
        """Read backwards, in ever larger steps: the newest are found in the same time however many there are."""
        with closing(RangeReader(self._config, self._manifests, partition)) as reader:
            low, end = reader.extent()
            step, seen = _NEWEST, set[bytes]()
            while end > low:
                start = max(low, end - step)
                for message in reversed(list(reader.between(start, end))):
                    key, value = message.key() or b"", message.value()
                    if value and key not in seen and not key.endswith(_NOTE):
                        yield value
                    seen.add(key)  # what was dropped, or written again, is found here before what it replaces
                end, step = start, 4 * step

    def note(self, partition: int, document: bytes) -> None:
        """Produce a document to the topic of the manifests, at once."""
        key = f"{partition}".encode() + _NOTE
        try:
            self._emit_now([Outgoing(self._manifests, key, document, [], partition)])
        except BrokerError as error:
            raise SnapshotError(str(error)) from error

    def noted(self, partition: int) -> bytes | None:
        """Look for it among the newest records of that topic; one that is older has lost its meaning."""
        with closing(RangeReader(self._config, self._manifests, partition)) as reader:
            low, end = reader.extent()
            newest = list(reader.between(max(low, end - _LOOKED_AT), end)) if end > low else []
            found = [message.value() for message in newest if (message.key() or b"").endswith(_NOTE)]
        return found[-1] if found else None


def _part_key(partition: int, part: Part) -> str:
    return f"{partition}/{part.since}/{part.digest}/{part.writing}"


def _then(stored: "Future[Offsets]", answer: Callable[[Offsets], T]) -> "Future[T]":
    """Return what is made of the offsets, once they are there."""
    done: Future[T] = Future()

    def forward(stored: "Future[Offsets]") -> None:
        try:
            done.set_result(answer(stored.result()))
        except SnapshotError as error:
            done.set_exception(error)

    stored.add_done_callback(forward)
    return done


def _nothing(_: Offsets) -> None:
    """Return nothing: where a record stands is of no interest, when it is there."""
