"""A world: workers and their broker, and a seeded choice of what happens next."""

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

from confluent_kafka import KafkaException
from faust.types import TP

from schemas.errors import BrokerError
from tests.simulation import reality
from tests.simulation.auditor import Auditor, Violation, position_of
from tests.simulation.broker import Broker
from tests.simulation.clock import CLOCK
from tests.simulation.group import SESSION_SECONDS, Group
from tests.simulation.models import Killed
from tests.simulation.plan import Plan
from tests.simulation.process import Process
from tests.simulation.stream import TOPIC

_DEEP = 3
_ROUNDS = 300


class World:
    """Everything that one seed decides.

    Parameters
    ----------
    seed
        The seed.
    trace
        Told what happens, if somebody wants to know.
    quarantine
        As `Plan` takes it.
    """

    def __init__(self, seed: int, trace: Callable[[str], None] | None = None, *, quarantine: bool = False) -> None:
        self.plan = Plan(seed, quarantine=quarantine)
        reality.begin(self.plan)
        self.rng = random.Random(seed)
        self.auditor = Auditor(self)
        self.broker = Broker(Group(TOPIC, self.plan.partitions), self.auditor)
        #: Who reads what others have written, and is never killed.
        self.bystander = SimpleNamespace(world=self, name="bystander", pause=lambda where: None)
        self.calm = False
        self.counts: Counter[str] = Counter()
        self.manifests_seen = 0
        self._places = random.Random(f"places {seed}")
        self._trace = trace
        self._depth = 0
        self._processes: list[Process | None] = [None] * self.plan.workers
        self._lives = [0] * self.plan.workers
        self._produced = [0] * self.plan.partitions
        self._damaged: set[TP] = set()
        self._shortened: set[TP] = set()
        actions = {name: (do, weight) for name, do, weight in self._actions()}
        self._doable = [do for do, _ in actions.values()]
        self._weights = [weight for _, weight in actions.values()]
        for name, message in (("plan", str(self.plan)), ("ends", str(self.auditor.ends))):
            self.say("%s: %s", name, message)

    def _actions(self) -> list[tuple[str, Callable[[], None], float]]:
        usual: list[tuple[str, Callable[[], None], float]] = [
            ("produce", self._produce, 6),
            ("tick", self._tick, 6),
            ("start", self._start_one, 5),
            ("poll", lambda: self._let_one("poll"), 20),
            ("work", lambda: self._let_one("work"), 20),
            ("commit", lambda: self._let_one("commit"), 20),
            ("leap", self._leap, self.plan.leaps),
        ]
        faults: list[tuple[str, Callable[[], None], float]] = [
            ("kill", self._kill, 1.5),
            ("stop", lambda: self._let_one("end"), 1.5),
            ("freeze", self._freeze, 3),
            ("glitch", self._glitch, 2),
            ("retention", self._shorten, 2),
            ("compaction", self._compact, 2),
            ("damage", self._damage, 4),
        ]
        return [*usual, *(fault for fault in faults if fault[0] in self.plan.with_faults)]

    def say(self, words: str, *arguments: Any) -> None:
        """Tell the trace."""
        if self._trace is not None:
            self._trace(f"{CLOCK.now:9.2f} {'  ' * self._depth}{words % arguments}")

    def loses_a_place(self) -> bool:
        """Tell whether nobody hears where something stands that was delivered: an answer was lost."""
        lost = not self.calm and self._places.random() < self.plan.unplaced
        self.counts["unplaced"] += lost
        return lost

    # ------------------------------------------------------------------ from beginning to end

    def run(self) -> None:
        """Let things happen, then let everything come to its end without faults, and look at what is left.

        Raises
        ------
        Violation
            When it is not what it has to be; likewise what the code under test raises.
        """
        for _ in range(self.plan.actions):
            self.act()
        self.say("calm")
        self.calm = True
        for tp in range(self.plan.partitions):
            self._append(tp, len(self.plan.streams[tp].records))
        self.pass_time(60.0)
        self._settle()
        self.auditor.check_end()
        for process in filter(None, self._processes):
            for tp, shard in process.assignment.shards.items():
                if shard.position == self.auditor.ends[tp]:
                    self.auditor.check_books(tp, shard.task)

    def act(self) -> None:
        """Let one thing happen."""
        self.counts["actions"] += 1
        self.rng.choices(self._doable, self._weights)[0]()

    def _settle(self) -> None:
        """Let all workers work until all is committed, and some rounds more, for snapshots."""
        left = 6
        for _ in range(_ROUNDS):
            for slot in range(self.plan.workers):
                self._start(slot)
                process = self._processes[slot]
                for verb in ("poll", "work", "commit"):
                    if process is not None and process.alive:
                        process.stopped = False
                        self.let(process, verb)
            lives = all(process is not None and process.alive for process in self._processes)
            self.pass_time(0.5 if lives else SESSION_SECONDS + 1.0)
            committed = self.broker.group.committed
            if all(committed.get(tp, 0) == end for tp, end in self.auditor.ends.items()):
                left -= 1
                if left == 0:
                    return
        raise Violation(f"after {_ROUNDS} rounds {self.broker.group.committed} is committed")

    # ------------------------------------------------------------------ processes

    def let(self, process: Process, verb: str) -> None:
        """Let a process do something; it may be killed, or fail."""
        process.busy = True
        self._depth += 1
        aborted = 0 if verb == "start" else process.assignment.aborted
        try:
            getattr(process, verb)()
        except Killed:
            process.alive = False
            self.say("%s: is dead", process)
            self.counts["crashes"] += 1
        except (BrokerError, KafkaException) as error:
            self._fail(process, error)
        finally:
            self._depth -= 1
            process.busy = False
            if verb != "start":
                self.counts["aborts"] += process.assignment.aborted - aborted

    def _fail(self, process: Process, error: Exception) -> None:
        """A worker that cannot go on says why, and ends in order."""
        self.say("%s: ends: %s", process, error)
        if "state lost" in str(error):
            raise Violation(f"{process}: {error}")
        self.counts["failures"] += 1
        with suppress(Killed, BrokerError, KafkaException):
            process.assignment.stop(error)
            process.end()
        process.alive = False

    def meanwhile(self, process: Process, where: str) -> None:
        """Between two steps of a process: it may be killed here, or others may do a lot."""
        if self.calm:
            return
        dice = self.rng.random()
        if dice < self.plan.crashes:
            self.say("%s: killed %s", process, where)
            process.alive = False
            raise Killed
        if dice < self.plan.crashes + self.plan.pauses and self._depth < _DEEP:
            process.stopped = self.rng.random() < 0.5
            self.say("%s: %s %s", process, "is stopped" if process.stopped else "is slow", where)
            for _ in range(self.rng.choice((1, 3, 10, 40))):
                self.act()
            self.say("%s: goes on", process)
            process.stopped = False

    def _free(self) -> list[Process]:
        return [p for p in self._processes if p is not None and p.alive and not p.busy and not p.stopped]

    def _let_one(self, verb: str) -> None:
        free = self._free()
        if free:
            process = self.rng.choice(free)
            if verb == "end":
                self.say("%s: is asked to stop", process)
            self.let(process, verb)

    def _start_one(self) -> None:
        self._start(self.rng.randrange(self.plan.workers))

    def _start(self, slot: int) -> None:
        process = self._processes[slot]
        if process is not None and (process.alive or process.busy):
            return
        self._lives[slot] += 1
        self._processes[slot] = process = Process(self, slot, self._lives[slot])
        self.say("%s: starts", process)
        self.let(process, "start")

    def _kill(self) -> None:
        free = self._free()
        if free:
            process = self.rng.choice(free)
            self.say("%s: killed between two steps", process)
            process.alive = False
            self.counts["crashes"] += 1

    def _freeze(self) -> None:
        """Stop a process, or let one that was stopped go on."""
        idle = [p for p in self._processes if p is not None and p.alive and not p.busy]
        if idle:
            process = self.rng.choice(idle)
            process.stopped = not process.stopped
            self.say("%s: %s", process, "is stopped" if process.stopped else "goes on")
            if process.stopped and self.rng.random() < 0.3 and self._depth < _DEEP:
                self._raise_zombie(process)

    def _raise_zombie(self, process: Process) -> None:
        """Let a stopped process go on when others have its partitions, and before it hears of that."""
        self._outlive(process)
        if process.alive and not process.busy:
            self.let(process, "work")
            if process.alive:
                self.let(process, "commit")

    def _outlive(self, process: Process) -> None:
        """Stop a process for longer than its session, and let others do a lot."""
        process.stopped = True
        self.say("%s: is stopped for long", process)
        self._depth += 1
        self.pass_time(SESSION_SECONDS + 1.0)
        for _ in range(40):
            self.act()
        self._depth -= 1
        process.stopped = False
        self.say("%s: goes on", process)

    def linger(self, process: Process) -> None:
        """Let a process miss the generation that it was about to join, now and then."""
        if not self.calm and "freeze" in self.plan.with_faults and self._depth < _DEEP and self.rng.random() < 0.2:
            self._outlive(process)
            if not process.alive:
                raise Killed

    def _glitch(self) -> None:
        """Have some call of a producer go wrong."""
        free = self._free()
        if not free:
            return
        process = self.rng.choice(free)
        if self.plan.exactly_once:
            call = self.rng.choice(("produce", "send_offsets", "commit"))
            how = self.rng.choice(("aborts", "retry", "lost", "silent")) if call != "produce" else "aborts"
            process.producer.glitch = (call, how)
        else:
            process.poller.consumer.glitches = self.rng.randint(1, 4)

    # ------------------------------------------------------------------ time and logs

    def pass_time(self, seconds: float) -> None:
        """Let time pass: whoever lives is heard of, whoever does not is put out some day."""
        CLOCK.now += seconds
        for process in self._processes:
            if process is not None and process.alive and not process.stopped:
                member = process.poller.consumer.member
                if member is not None:
                    member.heard_at = CLOCK.now
        self.broker.expire(CLOCK.now)

    def _tick(self) -> None:
        self.pass_time(self.rng.choice((0.05, 0.2, 0.5, 1.0)))

    def _leap(self) -> None:
        seconds = self.rng.choices((5.0, 16.0, 31.0, 400.0, 4000.0), (4, 4, 8, 1, 1))[0]
        self.say("%g seconds pass", seconds)
        self.pass_time(seconds)

    def _produce(self) -> None:
        self._append(self.rng.randrange(self.plan.partitions), self.rng.randint(1, 10))

    def _append(self, partition: int, count: int) -> None:
        stream, start = self.plan.streams[partition], self._produced[partition]
        log = self.broker.log(TOPIC, partition)
        for number in range(start, min(start + count, len(stream.records))):
            log.insert(stream.records[number], stream.gaps[number])
            self._produced[partition] += 1

    def _shorten(self) -> None:
        """Retention deletes the beginning of a log, not beyond the second newest snapshot."""
        tp = TP(TOPIC, self.rng.randrange(self.plan.partitions))
        positions, parts = self._snapshots(tp), self.broker.log("p.snapshots", tp.partition)
        if tp in self._damaged or len(positions) < 2 or parts.stable < parts.end:
            return
        low = self.rng.randint(0, positions[-2])
        self._shortened.add(tp)
        self.say("%s[%d] begins at %d now", *tp, low)
        self.broker.log(*tp).delete_below(low)

    def _snapshots(self, tp: TP) -> list[int]:
        """Return the positions of the snapshots that can be seen."""
        newest = {message.key(): message.value() for message in self.broker.log("p.manifests", tp.partition).read(0)}
        return sorted(position for key, value in newest.items() if value and (position := position_of(key)) is not None)

    def _compact(self) -> None:
        log = self.broker.log(self.rng.choice(("p.manifests", "p.snapshots")), self.rng.randrange(self.plan.partitions))
        self.say("%s[%d] is compacted", log.topic, log.partition)
        log.compact()

    def _damage(self) -> None:
        """Flip a bit of a manifest or chunk, or take it away, where the log can still restore everything."""
        tp = TP(TOPIC, self.rng.randrange(self.plan.partitions))
        log = self.broker.log(self.rng.choices(("p.manifests", "p.snapshots"), (1, 3))[0], tp.partition)
        messages = [message for message in log.read(0) if message.value()]
        if tp in self._shortened or not messages:
            return
        self._damaged.add(tp)
        message = self.rng.choice(messages[-6:])
        value: bytearray | None = bytearray(message.value() or b"")
        if value and self.rng.random() < 0.7:
            value[self.rng.randrange(len(value))] ^= 1 << self.rng.randrange(8)
        else:
            value = None
        self.say("%s[%d]@%d is damaged", log.topic, log.partition, message.offset())
        log.replace(message.offset(), None if value is None else bytes(value))

    def spoilt(self, tp: TP) -> bool:
        """Tell whether a snapshot of a partition was damaged."""
        return tp in self._damaged
