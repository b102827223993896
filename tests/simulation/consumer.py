"""A consumer with confluent-kafka's interface, of a member of the group or of somebody who reads single stretches."""

from collections.abc import Callable
from typing import Any

from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException, TopicPartition
from faust.types import TP

from tests.simulation.broker import Broker, failure
from tests.simulation.clock import CLOCK
from tests.simulation.group import Member, Metadata
from tests.simulation.log import Message

_Callback = Callable[["Consumer", list[TopicPartition]], None]


class Consumer:
    """Reads committed records.

    Parameters
    ----------
    config
        Names the process that it belongs to.
    logger
        Not used.
    """

    def __init__(self, config: dict[str, Any], logger: Any = None) -> None:
        self._process = config["process"]
        self._rng = self._process.world.rng
        self._broker: Broker = self._process.world.broker
        self._group = self._broker.group
        self._callbacks: dict[str, _Callback] = {}
        self._positions: dict[TP, int] = {}
        self._fetched: list[Message] = []
        self._leaving = False
        self._generation = -1
        self._on_commit = config.get("on_commit", lambda *_: None)
        #: Commits that are on their way, and answers to them that were not heard yet.
        self._sent: list[tuple[list[TopicPartition], Metadata]] = []
        self._answers: list[tuple[KafkaError | None, list[TopicPartition]]] = []
        #: So many of the next commits are refused.
        self.glitches = 0
        self.member: Member | None = None
        #: What was assigned and not taken away yet.
        self.owned: list[TP] | None = None

    # ------------------------------------------------------------------ the group

    def subscribe(self, topics: list[str], **callbacks: _Callback) -> None:
        """Become a member at the next poll."""
        self._callbacks = callbacks

    def unsubscribe(self) -> None:
        """Give everything up at the next poll."""
        self._leaving = True

    def _attend(self) -> bool:
        """Do what the group wants; tell whether it was anything."""
        group, member = self._group, self.member
        if member is None:
            self.member = group.join(self._process.name, self._process.instance, CLOCK.now)
            return True
        if self._leaving:
            self._leaving = False
            self._give_up("on_revoke")
            self._leave(member)
            return True
        if member not in group.members:
            if any(other.instance == member.instance for other in group.members if member.instance):
                raise failure(KafkaError.FENCED_INSTANCE_ID, fatal=True)
            self._give_up("on_lost")
            self.member = None
            return True
        if group.preparing_since is not None:
            if member.joined:
                return True
            self._give_up("on_revoke")
            self._process.pause("between revocation and join")
            self._process.world.linger(self._process)
            if member in group.members:
                group.rejoin(member)
            return True
        if self._generation != group.generation or self.owned is None:
            if self.owned is not None:  # one generation was missed: put out and back again in no time
                self._give_up("on_revoke")
            self._generation, self.owned = member.generation, member.partitions
            self._process.world.say(
                "%s: generation %d, assigned %s", self._process, self._generation, _names(self.owned)
            )
            self._callbacks["on_assign"](self, [TopicPartition(*tp) for tp in self.owned])
            return True
        return False

    def _give_up(self, callback: str) -> None:
        if self.owned is None:
            return
        tps, self.owned = self.owned, None
        self._process.world.counts[callback] += 1
        self._process.world.say("%s: %s %s", self._process, callback, _names(tps))
        self._callbacks[callback](self, [TopicPartition(*tp) for tp in tps])
        self._arrive()  # whoever gives partitions up waits for its commits

    def _leave(self, member: Member) -> None:
        self._group.leave(member, CLOCK.now)
        self.member = None

    def close(self) -> None:
        """Leave, unless membership is static."""
        if self.member is None:
            return
        member = self.member
        self._give_up("on_revoke" if member in self._group.members else "on_lost")
        if member.instance is None:
            self._leave(member)
        self._hear()

    def consumer_group_metadata(self) -> Metadata:
        """Return member and generation as they are now."""
        assert self.member is not None
        return Metadata(self.member)

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        """Return committed offsets, once no open transaction holds any."""
        tps = [TP(p.topic, p.partition) for p in partitions]
        while self._broker.unstable(tps):
            self._process.world.pass_time(1.0)
        self._process.pause("while it asks for offsets")
        found = self._group.committed
        return [TopicPartition(*tp, found.get(tp, OFFSET_INVALID)) for tp in tps]

    def commit(self, offsets: list[TopicPartition], asynchronous: bool) -> list[TopicPartition] | None:
        """Commit offsets outside of transactions."""
        self._process.pause("before it commits offsets")
        if self.member is None and asynchronous:
            self._answers.append((KafkaError(KafkaError.UNKNOWN_MEMBER_ID), offsets))
            return None
        if self.member is None:
            raise failure(KafkaError.UNKNOWN_MEMBER_ID)
        self._sent.append((offsets, Metadata(self.member)))
        if asynchronous and self._rng.random() < 0.5:
            return None  # it is on its way
        self._arrive()
        if asynchronous:
            return None
        error, offsets = self._answers.pop()
        if error is not None:
            raise KafkaException(error)
        self._process.pause("after it has committed offsets")
        return offsets

    def _arrive(self) -> None:
        """Let the broker have the commits that are on their way, in their order; answers come with a poll."""
        for offsets, metadata in self._sent:
            refusal = self._group.refusal(metadata)
            if refusal is None and self._group.preparing_since is not None and metadata.member.joined:
                refusal = KafkaError.REBALANCE_IN_PROGRESS
            if self.glitches:
                self.glitches -= 1
                refusal = KafkaError.COORDINATOR_LOAD_IN_PROGRESS
            if refusal is None:
                self._broker.commit_offsets({TP(o.topic, o.partition): o.offset for o in offsets})
            self._answers.append((None if refusal is None else KafkaError(refusal), offsets))
        self._sent.clear()

    def _hear(self) -> None:
        """Tell of the commits that were answered."""
        while self._answers:
            self._on_commit(*self._answers.pop(0))

    # ------------------------------------------------------------------ records

    def pause(self, partitions: list[TopicPartition]) -> None:
        """Fetch no more of these."""
        for partition in partitions:
            self._positions.pop(TP(partition.topic, partition.partition), None)

    def assign(self, partitions: list[TopicPartition]) -> None:
        """Read from these positions."""
        self._positions = {TP(p.topic, p.partition): p.offset for p in partitions}
        self._fetched = []

    def unassign(self) -> None:
        """Read nothing."""
        self.assign([])

    def get_watermark_offsets(self, partition: TopicPartition, timeout: float) -> tuple[int, int]:
        """Return the first offset and the last stable one."""
        log = self._broker.log(partition.topic, partition.partition)
        return log.low, log.stable

    def poll(self, timeout: float) -> Message | None:
        """Tell of commits, attend to the group, then return the next record."""
        if self._rng.random() < 0.7:
            self._arrive()
        self._hear()
        if self._callbacks and self._attend():
            return None
        if not self._callbacks:
            return self._next_of_stretch()
        if not self._fetched:
            self._fetch()
        return self._fetched.pop(0) if self._fetched else None

    def consume(self, count: int, timeout: float) -> list[Message]:
        """Return what else was fetched."""
        taken, self._fetched = self._fetched[:count], self._fetched[count:]
        return taken

    def _fetch(self) -> None:
        """Fetch some records of some partitions, in any order of partitions."""
        tps = list(self._positions)
        self._rng.shuffle(tps)
        for tp in tps:
            log = self._broker.log(*tp)
            if self._positions[tp] < log.low:
                error = KafkaError(KafkaError.OFFSET_OUT_OF_RANGE)
                self._fetched.append(Message(*tp, -1, error=error))
                continue
            messages = log.read(self._positions[tp], self._rng.randint(0, 12) if not self._process.world.calm else 50)
            if messages:
                self._positions[tp] = messages[-1].offset() + 1
                self._fetched += messages

    def _next_of_stretch(self) -> Message:
        """Return the next record of the one partition that is read, or that there is none."""
        [(tp, position)] = self._positions.items()
        log = self._broker.log(*tp)
        self._process.pause("while it reads a snapshot")
        messages = log.read(position, 1)
        if not messages:
            return Message(*tp, log.stable, error=KafkaError(KafkaError._PARTITION_EOF))
        self._positions[tp] = messages[0].offset() + 1
        return messages[0]


def _names(tps: list[TP]) -> str:
    return ", ".join(f"{tp.topic}[{tp.partition}]" for tp in tps) or "nothing"
