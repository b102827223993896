"""Looks at everything that becomes durable, and at what is left in the end, and compares it with the oracle."""

from collections import Counter
from typing import Any

import orjson
from faust.types import TP

from streams.snapshot import identity_of
from streams.task import Task
from streams.worker.recovery import Recovery
from streams.worker.stores.kafka import KafkaStore
from tests.simulation.fold import Fold, record_of
from tests.simulation.log import Message, Transaction
from tests.simulation.oracle import Oracle
from tests.simulation.referee import Foul, Referee
from tests.simulation.said import LETTER, LIFECYCLE, Said, partition_of, said_by, said_in
from tests.simulation.stream import TOPIC

#: What is said, and where.
_KINDS = {"predictions": "p.predictions", "dead letters": "p.dead-letters", "lifecycle events": "p.lifecycle"}
_PIECES = ("p.manifests", "p.snapshots")
#: So many records are stepped through to see whether a snapshot is of its position.
_PROBE = 12


class Violation(AssertionError):
    """Something happened that must not happen."""


class Auditor:
    """The books of the oracle, and what has to agree with them.

    Parameters
    ----------
    world
        What is looked at.
    """

    def __init__(self, world: Any) -> None:
        self._world = world
        plan = world.plan
        self._commanded = plan.commanded
        self._exactly_once = plan.exactly_once
        self.oracles: dict[TP, Oracle | Fold] = {
            TP(TOPIC, partition): plan.books(stream) for partition, stream in enumerate(plan.streams)
        }
        self.records = {
            TP(TOPIC, number): [record_of(message) for message in stream.records]
            for number, stream in enumerate(plan.streams)
        }
        self.ends = {tp: records[-1].offset + 1 if records else 0 for tp, records in self.records.items()}
        self._learners: dict[tuple[int, TP], Any] = {}
        self._skips: dict[TP, set[int]] = {tp: set() for tp in self.oracles}
        self.snapshots_checked = 0

    # ------------------------------------------------------------------ at each commit

    def appended(self, message: Message) -> None:
        """Look at a record outside of transactions."""
        if message.topic() == "p.manifests" and position_of(message.key()) is None:
            return
        if self._exactly_once:
            raise Violation(f"{message.topic()}[{message.partition()}]: a record outside of transactions")
        if message.topic() == "p.manifests":
            self._check_manifest(message)

    def offsets_committed(self, offsets: dict[TP, int], within: Transaction | None) -> None:
        """Look at positions that are about to be committed, and what goes with them."""
        group = self._world.broker.group
        for tp, position in offsets.items():
            before = group.committed.get(tp, 0)
            if position < before:
                raise Violation(f"{_name(tp)}: committed {position} after {before}")
            if within is None:
                continue
            got = [
                said
                for message in within.messages
                if (said := self._said(message)) and partition_of(message) == tp.partition
            ]
            self._pass_over(tp, {said[0] for said in got if said[-1] == "quarantine"} - self._skips[tp])
            expected = self._expected(tp, before, position)
            if got != expected:
                raise Violation(_difference(f"{_name(tp)}: with positions {before} to {position}", got, expected))
            if within.member is not None:
                learner = self._learners.setdefault((within.member.generation, tp), within.member.member)
                if learner is not within.member.member and learner.instance is None:
                    raise Violation(f"{_name(tp)}: two learners in generation {within.member.generation}")
        if within is not None:
            strange = {partition_of(m) for m in within.messages if self._said(m) or m.topic() in _PIECES}
            strange -= {tp.partition for tp in offsets}
            if strange:
                raise Violation(f"outputs or snapshots of {strange} with positions of others")

    def _pass_over(self, tp: TP, offsets: set[int]) -> None:
        """From now on these records are passed over by everybody, and in every replay."""
        if offsets:
            self._skips[tp] |= offsets
            self._world.counts["skips"] += len(offsets)
            self.oracles[tp] = self._world.plan.books(self._world.plan.streams[tp.partition], self._skips[tp])

    def committed(self, transaction: Transaction) -> None:
        """Look at the manifests of a transaction that was committed."""
        for message in transaction.messages:
            if message.topic() == "p.manifests":
                self._check_manifest(message)

    def _check_manifest(self, message: Message) -> None:
        if message.value() is None:
            return
        tp = TP(TOPIC, message.partition())
        position = position_of(message.key())
        assert position is not None
        committed = self._world.broker.group.committed.get(tp, 0)
        if position > committed:
            raise Violation(f"{_name(tp)}: a manifest of {position}, committed is {committed}")
        self._world.manifests_seen += 1
        if self._world.rng.random() < 0.2:
            self.check_snapshots(tp)

    def check_snapshots(self, tp: TP) -> None:
        """Hold that the newest snapshot that a reader can see is the state at its position."""
        world, plan = self._world, self._world.plan
        log, parts = (world.broker.log(topic, tp.partition) for topic in ("p.manifests", "p.snapshots"))
        if world.spoilt(tp) or parts.stable < parts.end:
            return  # behind an open transaction a part cannot be read yet
        newest: dict[bytes | None, Message] = {message.key(): message for message in log.read(0)}
        positions = [p for k, m in newest.items() if m.value() and (p := position_of(k)) is not None]
        if not positions:
            return
        committed = world.broker.group.committed.get(tp, 0)
        store = KafkaStore("p", {"process": world.bystander}, _keep_nothing, _keep_nothing)
        recovery = Recovery(store, plan.trusted)
        identity = identity_of(plan.pipeline, tp.partition, plan.partitions)
        found = recovery.recover(lambda: Task(plan.pipeline, tp.partition, plan.partitions), identity, 0, committed)
        self.snapshots_checked += 1
        if found.task is None or found.manifest is None or found.manifest.next != max(positions):
            raise Violation(f"{_name(tp)}: the snapshot at {max(positions)} cannot be restored")
        self._check_task(found.task, found.manifest.next, tp)

    def _check_task(self, task: Task, position: int, tp: TP) -> None:
        """Hold that a task answers from a position on as the oracle does."""
        following = [record for record in self.records[tp] if record.offset >= position][:_PROBE]
        for record in following:
            if record.offset not in self.oracles[tp].said:
                return  # nobody has come through this one
            skip = record.offset in self._skips[tp]
            events = (task.skip if skip else task.step)(record)
            got = said_by(events, lifecycle=self._commanded)
            if got != self.oracles[tp].said[record.offset]:
                expected = self.oracles[tp].said[record.offset]
                raise Violation(_difference(f"{_name(tp)}: restored at {position}, {record.position}", got, expected))

    def look_at(self, process: Any) -> None:
        """Hold that the books of a process balance."""
        for tp, shard in process.assignment.shards.items():
            if not shard.task.books.balanced:
                raise Violation(f"{process}: books of {_name(tp)} do not balance: {shard.task.books.count}")

    def _expected(self, tp: TP, start: int, end: int) -> list[tuple[Any, ...]]:
        said = self.oracles[tp].said
        return [(offset, *answer) for offset in said if start <= offset < end for answer in said[offset]]

    # ------------------------------------------------------------------ in the end

    def check_end(self) -> None:
        """Hold that everything was said once, in order, and that all was committed."""
        for tp, end in self.ends.items():
            committed = self._world.broker.group.committed.get(tp, 0)
            if committed != end:
                raise Violation(f"{_name(tp)}: committed {committed} in the end, expected {end}")
            got = self._read_outputs(tp)
            for kind, topic in _KINDS.items():
                said = got[topic]
                wanted = [words for words in self._expected(tp, 0, end) if _kind(words) == kind]
                if said != wanted:
                    raise Violation(_difference(f"{_name(tp)}: all {kind}", said, wanted))
            if self._commanded:
                self._check_laws(tp, [words for said in got.values() for words in said])
            self.check_snapshots(tp)

    def _read_outputs(self, tp: TP) -> dict[str, list[Said]]:
        """Return what a reader sees of a partition, by topic."""
        read: dict[str, list[Said]] = {}
        for topic in _KINDS.values():
            log = self._world.broker.log(topic, 0 if topic == "p.lifecycle" else tp.partition)
            messages = [message for message in log.read(0) if partition_of(message) == tp.partition]
            said = [words for message in messages if (words := self._said(message))]
            if not self._exactly_once:
                said = sorted(dict.fromkeys(said), key=lambda s: s[0])  # said again, with the same answer
            read[topic] = said
        return read

    def _said(self, message: Message) -> Said | None:
        return said_in(message, lifecycle=self._commanded)

    def _check_laws(self, tp: TP, said: list[Said]) -> None:
        """Hold that all is scored that has to be, whoever serves, and the laws of the life cycle."""
        stream = self._world.plan.streams[tp.partition]
        oracle = self._world.plan.oracle(stream, self._skips[tp])
        scored = [words[:2] for words in said if _kind(words) == "predictions"]
        wanted = [(offset, words[0]) for offset, told in oracle.said.items() for words in told if words[0] != LETTER]
        if scored != wanted:
            raise Violation(_difference(f"{_name(tp)}: all that is scored", scored, wanted))
        referee = Referee(stream.meanings)
        try:
            referee.check(said)
        except Foul as error:
            raise Violation(f"{_name(tp)}: {error}") from error
        self._world.counts += referee.counts

    def check_books(self, tp: TP, task: Task) -> None:
        """Hold that a task that has seen everything counted as the oracle did."""
        counts = Counter({name: count for name, count in task.books.count.items() if count})
        expected = Counter({name: n for name, n in self.oracles[tp].counts.items() if n and name != "read"})
        for remark in ("loss_fell", "alarm_suppressed"):
            del counts[remark], expected[remark]
        if counts != expected or task.books.read != self.oracles[tp].counts["read"]:
            raise Violation(f"{_name(tp)}: books {dict(counts)}, expected {dict(expected)}")


def _kind(said: Said) -> str:
    return {LETTER: "dead letters", LIFECYCLE: "lifecycle events"}.get(said[1], "predictions")


def _keep_nothing(*_: Any) -> None:
    raise AssertionError("a bystander keeps nothing")


def position_of(key: bytes | None) -> int | None:
    """Return the position in the key of a manifest, None when it is the key of another thing."""
    position = (key or b"").decode().partition("/")[2]
    return int(position) if position.isdigit() else None


def _name(tp: TP) -> str:
    return f"{tp.topic}[{tp.partition}]"


def _difference(where: str, got: list[Any], expected: list[Any]) -> str:
    """Say where two lists begin to differ."""
    place = next(
        (n for n, (a, b) in enumerate(zip(got, expected, strict=False)) if a != b), min(len(got), len(expected))
    )
    show = [orjson.dumps(said[place : place + 2]).decode() for said in (got, expected)]
    return (
        f"{where}: {len(got)} outputs, expected {len(expected)}; from number {place}: got {show[0]}, expected {show[1]}"
    )
