"""The consumer group: members, generations, an eager rebalance, and committed offsets."""

from typing import Any

from confluent_kafka import KafkaError
from faust.types import TP

SESSION_SECONDS = 30.0
REBALANCE_SECONDS = 300.0


class Member:
    """A member as the coordinator knows it; it is also what stands for a consumer's group metadata."""

    def __init__(self, name: str, instance: str | None, now: float) -> None:
        self.name, self.instance = name, instance
        self.heard_at = now
        self.joined = False
        self.generation = -1
        self.partitions: list[TP] = []


class Metadata:
    """Member and generation, as they were when somebody asked."""

    def __init__(self, member: Member) -> None:
        self.member, self.generation = member, member.generation


class Group:
    """One group that reads one topic.

    Parameters
    ----------
    topic
        Its name.
    partitions
        How many it has.
    """

    def __init__(self, topic: str, partitions: int) -> None:
        self.tps = [TP(topic, partition) for partition in range(partitions)]
        self.committed: dict[TP, int] = {}
        self.generation = 0
        self.members: list[Member] = []
        #: Since when the members are asked to join again, None when nobody is.
        self.preparing_since: float | None = None
        self.rebalances = 0

    def join(self, name: str, instance: str | None, now: float) -> Member:
        """Return a new member; one with the instance of another takes its place, without a rebalance."""
        member = Member(name, instance, now)
        for number, other in enumerate(self.members):
            if instance is not None and other.instance == instance:
                member.joined, member.generation, member.partitions = True, other.generation, other.partitions
                self.members[number] = member
                self.complete_if_all_joined()
                return member
        self.members.append(member)
        self._prepare(now)
        member.joined = True
        self.complete_if_all_joined()
        return member

    def leave(self, member: Member, now: float) -> None:
        """Take a member out."""
        if member in self.members:
            self.members.remove(member)
            self._prepare(now)
            self.complete_if_all_joined()

    def rejoin(self, member: Member) -> None:
        """A member has given up its partitions and waits for others."""
        member.joined = True
        self.complete_if_all_joined()

    def _prepare(self, now: float) -> None:
        if self.preparing_since is None:
            self.preparing_since = now
            for member in self.members:
                member.joined = False

    def complete_if_all_joined(self) -> None:
        """Begin a new generation once everybody has joined."""
        if self.preparing_since is None or not all(member.joined for member in self.members):
            return
        self.preparing_since = None
        self.generation += 1
        self.rebalances += 1
        count = len(self.members)
        for number, member in enumerate(sorted(self.members, key=lambda m: m.name)):
            member.generation = self.generation
            start, stop = (len(self.tps) * n // count for n in (number, number + 1))
            member.partitions = self.tps[start:stop]

    def expire(self, now: float) -> None:
        """Put out who was not heard of in time, or did not join in time."""
        late = self.preparing_since is not None and now - self.preparing_since > REBALANCE_SECONDS
        for member in list(self.members):
            if now - member.heard_at > SESSION_SECONDS or (late and not member.joined):
                self.leave(member, now)

    def refusal(self, metadata: Metadata | None) -> int | None:
        """Return the code of the error that a commit under such metadata gets, None when it is taken."""
        if metadata is None:
            return None  # a commit that names no generation is not fenced
        member: Any = metadata.member
        if member not in self.members:
            usurped = any(m.instance == member.instance for m in self.members if member.instance)
            return int(KafkaError.FENCED_INSTANCE_ID if usurped else KafkaError.UNKNOWN_MEMBER_ID)
        if metadata.generation != self.generation:
            return int(KafkaError.ILLEGAL_GENERATION)
        return None
