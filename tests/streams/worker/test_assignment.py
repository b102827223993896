"""Offsets and state, from assignment to release, with a journal in place of Kafka."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any

import msgspec
import orjson
import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from faust.types import TP

from schemas.errors import BrokerError, InvariantError
from schemas.events import DeadLetter, Event, PredictionMade
from schemas.record import Record
from streams.worker.alignment import Alignment
from streams.worker.assignment import Assignment
from streams.worker.batch import Batch
from streams.worker.delivery import AtLeastOnce, CycleAborted
from streams.worker.poller import Extent
from streams.worker.settings import Settings
from streams.worker.timing import LEGS
from tests.streams.worker.declarations import small

TP0, TP1 = TP("p.raw", 0), TP("p.raw", 1)


class Message:
    """A good event, or a bad one, as confluent-kafka would hand it over."""

    def __init__(self, offset: int, value: bytes | None = None) -> None:
        self._offset = offset
        self._value = orjson.dumps({"a": float(offset % 3), "b": 1, "y": offset % 2 == 0}) if value is None else value

    def offset(self) -> int:
        """The offset."""
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        """Kind and time."""
        return 1, 1_700_000_000_000 + self._offset

    def key(self) -> bytes | None:
        """No key."""
        return None

    def value(self) -> bytes:
        """The event."""
        return self._value

    def headers(self) -> None:
        """No headers."""


class Journal:
    """What was emitted, flushed and committed, in order; it stands for encoder, emitter and poller."""

    def __init__(self) -> None:
        self.entries: list[Any] = []
        self.answers: list[float] = []
        self.max_records = 500
        self.left = 1
        self.sent_now = 0
        self.flush_raises: Exception | None = None
        self.commit_raises: Exception | None = None
        self.refuses = False
        #: Commits that the broker has not answered; None when it answers at once.
        self.unanswered: list[Future[bool]] | None = None

    def encode(self, event: Event, record: Record) -> tuple[Event, Record]:
        """Leave an event as it is."""
        return event, record

    def emit(self, said: Iterable[tuple[Event, Record]], on_delivery: None = None) -> None:
        """Note the events by the offsets of their records."""
        for event, record in said:
            if isinstance(event, PredictionMade):
                self.answers.append(event.score)  # type: ignore[arg-type]
            self.entries.append(("dead letter" if isinstance(event, DeadLetter) else "emit", record.offset))

    def finish(self, batch: Batch) -> None:
        """Count it off."""
        self.left -= 1

    @property
    def idle(self) -> bool:
        """Whether nothing is left."""
        return self.left == 0

    def rejoin(self) -> None:
        """Note it."""
        self.entries.append("rejoin")

    def send_now(self) -> None:
        """Count it."""
        self.sent_now += 1

    def flush(self) -> None:
        """Note that all is acknowledged."""
        if self.flush_raises is not None:
            raise self.flush_raises
        self.entries.append("flush")

    def commit(self, offsets: list[TopicPartition]) -> "Future[bool]":
        """Note what is committed."""
        committed: Future[bool] = Future()
        if self.commit_raises is not None:
            committed.set_exception(self.commit_raises)
            return committed
        if not self.refuses:
            self.entries.append({offset.partition: offset.offset for offset in offsets})
        if self.unanswered is None:
            committed.set_result(not self.refuses)
        else:
            self.unanswered.append(committed)
        return committed

    @property
    def emitted(self) -> list[int]:
        """Offsets of the records of which something was emitted."""
        return [entry[1] for entry in self.entries if isinstance(entry, tuple)]

    @property
    def commits(self) -> list[dict[int, int]]:
        """What was committed."""
        return [entry for entry in self.entries if isinstance(entry, dict)]


class Desk:
    """An assignment with its journal."""

    def __init__(self, **settings: Any) -> None:
        self.journal = Journal()
        delivery = AtLeastOnce(self.journal)  # type: ignore[arg-type]
        made = Assignment(small("p"), 2, self.journal, delivery, Settings(**settings))  # type: ignore[arg-type]
        self.assignment = made
        self.assignment.use(self.journal)  # type: ignore[arg-type]
        self.epoch = 0

    def assign(self, committed: int = -1, low: int = 0, high: int = 1000, tp: TP = TP0) -> int:
        """Assign one partition; return from where it is to be read."""
        self.epoch += 1
        return self.assignment.assign([Extent(tp, committed, low, high)], self.epoch)[tp]

    def batch(self, start: int, stop: int, *, fetched_from: int | None = None, epoch: int | None = None) -> Batch:
        """Return a batch of the records from `start` up to `stop`."""
        messages: list[Any] = [Message(offset) for offset in range(start, stop)]
        fetched_from = start if fetched_from is None else fetched_from
        return Batch(TP0, self.epoch if epoch is None else epoch, fetched_from, stop, messages, 0.0)

    async def begin_commit(self) -> "tuple[asyncio.Task[bool], Future[bool]]":
        """Begin a commit that the broker does not answer; return who waits for it, and the answer to be given."""
        self.journal.unanswered = answers = []
        committing = asyncio.create_task(self.assignment.commit())
        await until(lambda: bool(answers))
        self.journal.unanswered = None
        return committing, answers[0]

    async def process(self, start: int, stop: int, **further: int) -> None:
        """Process a batch."""
        await self.assignment.process(self.batch(start, stop, **further))


async def until(is_so: Callable[[], bool]) -> None:
    """Let others work until something is so."""
    while not is_so():
        await asyncio.sleep(0)


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run a coroutine function."""
    asyncio.run(test())  # type: ignore[arg-type]


def test_commit_comes_after_all_outputs_are_acknowledged() -> None:
    """Emit, flush, commit: in this order, so that a crash in between repeats and never loses."""

    async def test() -> None:
        desk = Desk()
        desk.assign()
        await desk.process(0, 3)
        assert await desk.assignment.commit()
        assert desk.journal.entries == [("emit", 0), ("emit", 1), ("emit", 2), "flush", {0: 3}]

    run(test)


def test_commit_when_an_output_was_not_delivered_moves_no_offset() -> None:
    """What the broker has not acknowledged counts as never said."""

    async def test() -> None:
        desk = Desk()
        desk.assign()
        await desk.process(0, 3)
        desk.journal.flush_raises = BrokerError("p.predictions[0]: not delivered")
        with pytest.raises(BrokerError, match="not delivered"):
            await desk.assignment.commit()
        assert desk.journal.commits == []

    run(test)


def test_commit_takes_the_position_after_a_batch_and_not_a_count() -> None:
    """Offsets have gaps."""

    async def test() -> None:
        desk = Desk()
        desk.assign(committed=-1, low=0)
        gappy = Batch(TP0, desk.epoch, 0, 90, [Message(7), Message(80)], 0.0)  # type: ignore[list-item]
        await desk.assignment.process(gappy)
        await desk.assignment.process(desk.batch(95, 97, fetched_from=90))
        await desk.assignment.commit()
        assert desk.journal.commits == [{0: 97}]
        assert desk.journal.emitted == [7, 80, 95, 96]

    run(test)


def test_timing_is_of_records_that_say_something(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leg by leg from the oldest record's timestamp; what is only replayed tells nothing of today's latency."""
    clock = iter(range(100))
    monkeypatch.setattr("streams.worker.assignment.time.perf_counter", lambda: float(next(clock)))
    monkeypatch.setattr("streams.worker.timing.time.time", lambda: 1_700_000_060.0)

    async def test() -> None:
        desk = Desk()
        desk.assign(committed=3)
        await desk.process(0, 3)
        assert legs(desk) == {"fetch": (0, 0), "wait": (0, 0), "step": (0, 0), "send": (0, 0)}
        began = next(clock)
        batch = msgspec.structs.replace(desk.batch(3, 6), arrived=began - 4.0)
        await desk.assignment.process(batch)
        # The clock is asked when it begins, has stepped, has sent, and once more to find out when it was polled.
        fetched = round(3 * (60 - 8 - 0.003), 3)
        assert legs(desk) == {"fetch": (3, fetched), "wait": (3, 15), "step": (3, 3), "send": (3, 3)}

    run(test)


def legs(desk: Desk) -> dict[str, tuple[float, float]]:
    """Return number and sum of each leg's times, in milliseconds' precision."""
    samples = desk.assignment.timing.collect().samples
    values = {(sample.name[-4:], sample.labels["leg"]): round(sample.value, 3) for sample in samples}
    return {leg: (values["ount", leg], values["_sum", leg]) for leg in LEGS}


def test_work_counts_from_zero_without_replays_and_stays_when_the_partition_goes() -> None:
    """Prometheus takes a counter that falls for one that began anew, and one that begins high for work just done."""

    async def test() -> None:
        desk = Desk()
        desk.assign(committed=3)
        tally = desk.assignment.tally
        told: list[tuple[int, int, int]] = []

        def tell() -> None:
            done = tally.done[TP0]
            told.append((done["read"], done["scored"], done["dead_letter"]))

        tell()
        await desk.process(0, 2)
        tell()
        await desk.process(2, 5)
        tell()
        await desk.assignment.release()
        tell()
        assert desk.assign(committed=5) == 5
        await desk.process(5, 6)
        tell()
        await desk.assignment.lose()
        tell()
        assert desk.assign(committed=6) == 0
        await desk.process(0, 8)
        tell()
        assert [read for read, *_ in told] == [0, 0, 2, 2, 3, 3, 5]
        assert all(scored == read and letters == 0 for read, scored, letters in told)

    run(test)


def test_partition_that_other_topics_lack_waits_and_the_others_go_on() -> None:
    """It is not read, and stands there until it is assigned once more when they have it."""

    async def test() -> None:
        desk = Desk()
        counts = {"p.raw": 2, "p.predictions": 1}
        desk.assignment._alignment = Alignment("p.raw", 1, lambda: counts)
        extents = [Extent(TP0, -1, 0, 10), Extent(TP1, -1, 3, 10)]
        assert desk.assignment.assign(extents, 1) == {TP0: 0}
        assert desk.assignment.waiting == {TP1: 3}
        counts["p.predictions"] = 2
        assert desk.assignment.assign(extents, 2) == {TP0: 0, TP1: 3}
        assert desk.assignment.waiting == {}

    run(test)


def test_commit_without_progress_asks_nobody() -> None:
    """An idle worker writes nothing to the group, and its age of the last commit stays young."""

    async def test() -> None:
        desk = Desk()
        desk.assign()
        before = desk.assignment.last_commit
        assert not await desk.assignment.commit()
        await desk.process(0, 2)
        assert await desk.assignment.commit()
        assert not await desk.assignment.commit()
        assert desk.journal.commits == [{0: 2}]
        assert desk.assignment.last_commit > before

    run(test)


def test_commit_of_a_generation_that_is_over_is_tried_again() -> None:
    """A refusal in a rebalance is no error, and does not count as done."""

    async def test() -> None:
        desk = Desk()
        desk.assign()
        await desk.process(0, 2)
        desk.journal.refuses = True
        assert not await desk.assignment.commit()
        desk.journal.refuses = False
        assert await desk.assignment.commit()
        assert desk.journal.commits == [{0: 2}]

    run(test)


def test_records_are_stepped_through_while_a_commit_is_on_its_way() -> None:
    """Nobody waits for the broker's answer; what came meanwhile goes with the next commit."""

    async def test() -> None:
        desk = Desk()
        desk.assign()
        await desk.process(0, 2)
        committing, answer = await desk.begin_commit()
        await desk.process(2, 4)
        shard = desk.assignment.shards[TP0]
        assert (shard.position, shard.committed) == (4, 0)
        answer.set_result(True)
        assert await committing
        assert (shard.position, shard.committed) == (4, 2)
        assert await desk.assignment.commit()
        assert desk.journal.commits == [{0: 2}, {0: 4}]

    run(test)


def test_release_commits_all_whatever_is_on_its_way() -> None:
    """An answer that comes after a later commit's takes nothing back, neither here nor of what is parked."""

    async def test() -> None:
        desk = Desk()
        desk.assign()
        await desk.process(0, 2)
        committing, answer = await desk.begin_commit()
        await desk.process(2, 4)
        shard = desk.assignment.shards[TP0]
        await desk.assignment.release()
        answer.set_result(True)
        assert await committing
        assert desk.journal.commits == [{0: 2}, {0: 4}]
        assert shard.committed == 4
        assert desk.assign(committed=4) == 4
        assert desk.assignment.shards[TP0] is shard

    run(test)


def test_answer_for_partitions_that_are_gone_says_nothing_of_those_that_came() -> None:
    """The same partition, assigned anew meanwhile, stands where the log says."""

    async def test() -> None:
        desk = Desk()
        desk.assign()
        await desk.process(0, 4)
        committing, answer = await desk.begin_commit()
        await desk.assignment.lose()
        desk.assign(committed=2)
        answer.set_result(True)
        await committing
        assert desk.assignment.shards[TP0].committed == 2

    run(test)


def test_commit_that_is_not_allowed_is_an_error() -> None:
    """A group that we may not commit to is nothing that passes by itself."""

    async def test() -> None:
        desk = Desk()
        desk.assign()
        await desk.process(0, 2)
        desk.journal.commit_raises = KafkaException(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED))
        with pytest.raises(KafkaException):
            await desk.assignment.commit()

    run(test)


def test_replay_restores_the_state_and_repeats_no_output() -> None:
    """State comes from the log's begin, events from the committed offset on, and they are those of one run."""

    async def test() -> None:
        whole = Desk()
        whole.assign()
        await whole.process(0, 20)
        desk = Desk()
        assert desk.assign(committed=8) == 0
        await desk.process(0, 5)
        await desk.process(5, 20)
        assert desk.journal.emitted == list(range(8, 20))
        assert desk.journal.answers == whole.journal.answers[8:]
        assert desk.assignment.replayed == 8

    run(test)


def test_replay_is_not_committed_again() -> None:
    """The group's offset never goes back, however far the replay has come."""

    async def test() -> None:
        desk = Desk()
        desk.assign(committed=8)
        await desk.process(0, 5)
        assert not await desk.assignment.commit()
        await desk.process(5, 9)
        assert await desk.assignment.commit()
        assert desk.journal.commits == [{0: 9}]

    run(test)


def test_batch_that_does_not_follow_breaks_a_promise() -> None:
    """A hole between two batches stops the worker, and nothing is stepped through."""

    async def test() -> None:
        desk = Desk()
        desk.assign()
        await desk.process(0, 3)
        with pytest.raises(InvariantError, match=r"p\.raw\[0\]: got a batch fetched from 5, expected one from 3"):
            await desk.process(5, 7)
        assert desk.journal.emitted == [0, 1, 2]

    run(test)


def test_batch_of_an_assignment_that_is_over_is_worth_nothing() -> None:
    """It is neither stepped through nor an error."""

    async def test() -> None:
        desk = Desk()
        desk.assign()
        old = desk.batch(0, 3)
        await desk.assignment.release()
        await desk.assignment.process(old)
        desk.assign()
        await desk.assignment.process(old)
        assert desk.journal.emitted == []

    run(test)


def test_release_commits_and_the_task_goes_on_where_nobody_has_moved() -> None:
    """After a clean release the state in memory equals the log up to the committed offset: no replay."""

    async def test() -> None:
        desk = Desk()
        desk.assign()
        await desk.process(0, 4)
        task = desk.assignment.shards[TP0].task
        await desk.assignment.release()
        assert desk.journal.commits == [{0: 4}]
        assert desk.assign(committed=4) == 4
        assert desk.assignment.shards[TP0].task is task
        await desk.process(4, 6)
        assert desk.journal.emitted == [0, 1, 2, 3, 4, 5]

    run(test)


@pytest.mark.parametrize("committed", [3, 5, -1])
def test_release_the_task_is_dropped_where_the_offset_has_moved(committed: int) -> None:
    """Somebody else has worked on the partition, or set it back: only the log knows the state."""

    async def test() -> None:
        desk = Desk()
        desk.assign()
        await desk.process(0, 4)
        task = desk.assignment.shards[TP0].task
        await desk.assignment.release()
        assert desk.assign(committed=committed) == 0
        assert desk.assignment.shards[TP0].task is not task

    run(test)


def test_release_with_a_refused_commit_drops_the_task() -> None:
    """The position was not committed, so the next owner begins before it; when that is us, we replay."""

    async def test() -> None:
        desk = Desk()
        desk.assign()
        await desk.process(0, 4)
        desk.journal.refuses = True
        await desk.assignment.release()
        assert desk.assign(committed=-1) == 0
        desk.journal.refuses = False
        await desk.process(0, 4)
        assert desk.journal.emitted == [0, 1, 2, 3] * 2, "said again, with the same ids"
        assert desk.journal.answers[:4] == desk.journal.answers[4:]

    run(test)


def test_lost_partition_leaves_nothing_behind() -> None:
    """Others own it already: no commit, no state, even if the offset stands where we were."""

    async def test() -> None:
        desk = Desk()
        desk.assign()
        await desk.process(0, 4)
        await desk.assignment.lose()
        await desk.assignment.commit()
        assert desk.journal.commits == []
        assert desk.assign(committed=4) == 0

    run(test)


def test_task_of_another_partition_is_never_used() -> None:
    """Parked tasks are found by their partition, and forgotten after one assignment without it."""

    async def test() -> None:
        desk = Desk()
        desk.assign()
        await desk.process(0, 4)
        await desk.assignment.release()
        assert desk.assign(committed=4, tp=TP1) == 0
        await desk.assignment.release()
        assert desk.assign(committed=4) == 0

    run(test)


def test_partitions_of_an_assignment_are_told_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """Those that are read, and those that are another declaration's: eight lines at each rebalance hide the others."""
    caplog.set_level("INFO", "riverrun.worker")
    desk = Desk()
    extents = [Extent(TP("p.raw", n), committed, 0, 9) for n, committed in enumerate((-1, 4))]
    desk.assignment.assign(extents, 1)
    assert caplog.messages == ["assigned 2 partitions of p.raw: 0 from 0, 1 from 0 (4 to replay)"]
    caplog.clear()
    others = [Extent(TP("p.raw", n), committed, 0, 9, "other") for n, committed in enumerate((3, 4))]
    desk.assignment.assign(others, 2)
    [told] = caplog.messages
    assert told.startswith(
        "2 partitions of p.raw are left alone: 0 up to 3, 1 up to 4 were read under declaration other"
    )
    caplog.clear()
    desk.assignment.assign(others[1:], 3)
    [told] = caplog.messages
    assert told.startswith("p.raw[1] is left alone: up to 4 it was read under declaration other, and no snapshot")


def test_stop_commits_nothing_any_more() -> None:
    """After a broken promise neither records nor offsets move."""

    async def test() -> None:
        desk = Desk()
        desk.assign()
        await desk.process(0, 4)
        desk.assignment.stop(BrokerError("gone"))
        await desk.process(4, 6)
        assert not await desk.assignment.commit()
        await desk.assignment.release()
        assert desk.journal.emitted == [0, 1, 2, 3]
        assert desk.journal.commits == []

    run(test)


def test_bad_record_moves_the_offset_like_a_good_one() -> None:
    """A dead letter is an output too: acknowledged, then committed."""

    async def test() -> None:
        desk = Desk()
        desk.assign()
        messages: list[Any] = [Message(0), Message(1, b"{"), Message(2)]
        await desk.assignment.process(Batch(TP0, desk.epoch, 0, 3, messages, 0.0))
        await desk.assignment.commit()
        assert desk.journal.entries == [("emit", 0), ("dead letter", 1), ("emit", 2), "flush", {0: 3}]

    run(test)


def test_first_start_on_a_log_that_begins_late_is_no_loss() -> None:
    """Without a committed offset nothing was ever learned: begin where the log begins."""
    desk = Desk()
    assert desk.assign(committed=-1, low=50) == 50
    assert desk.assignment.shards[TP0].task.next_offset == 50


@pytest.mark.parametrize("committed", [30, 50, 80])
def test_lost_history_stops_the_worker_unless_told_otherwise(committed: int) -> None:
    """The model has learned from records that are gone; that is said, whatever is left behind the offset."""
    desk = Desk()
    with pytest.raises(BrokerError, match=r"p\.raw\[0\]: state lost: the log begins at 50.*=earliest.*=fresh"):
        desk.assign(committed=committed, low=50)


@pytest.mark.parametrize(
    ("choice", "committed", "start", "first_said"),
    [("fresh", 80, 80, 80), ("earliest", 80, 50, 80), ("fresh", 30, 50, 50), ("earliest", 30, 50, 50)],
)
def test_lost_history_goes_on_as_told(choice: str, committed: int, start: int, first_said: int) -> None:
    """Fresh: a new model from the committed offset. Earliest: relearn what is left, in silence up to there."""

    async def test() -> None:
        desk = Desk(on_state_lost=choice)
        assert desk.assign(committed=committed, low=50) == start
        await desk.process(start, 85)
        assert desk.journal.emitted == list(range(first_said, 85))
        await desk.assignment.commit()
        assert desk.journal.commits == [{0: 85}]

    run(test)


def test_outputs_are_sent_at_once_when_nothing_else_waits() -> None:
    """They gather for the producer's linger while there is more to do, and do not keep a reader waiting for it else."""
    desk = Desk()

    async def test() -> None:
        desk.assign()
        desk.journal.left = 2
        await desk.process(0, 5)
        assert desk.journal.sent_now == 0
        await desk.process(5, 6)
        assert desk.journal.sent_now == 1

    run(test)


def test_batch_size_follows_the_cost_of_a_record() -> None:
    """Slow models get smaller batches, within bounds, so that the worker stays responsive."""
    desk = Desk(batch_seconds=0.05, batch_records=400)
    adapt = desk.assignment._adapt
    sizes = []
    for records, seconds in ((500, 0.5), (500, 5.0), (500, 0.001)):
        adapt(records, seconds)
        sizes.append(desk.journal.max_records)
    assert sizes == [50, 16, 400]


class Doubtful(AtLeastOnce):
    """A delivery whose cycles are aborted when it is told so."""

    def __init__(self, journal: Any) -> None:
        super().__init__(journal)
        self._journal = journal
        self.aborts = False

    async def commit(self, positions: Mapping[TP, int], poller: Any) -> Awaitable[bool]:
        """Commit, or have to abort."""
        if self.aborts:
            raise CycleAborted("no")
        return await super().commit(positions, poller)

    async def abort(self, seconds: float = 0.0) -> None:
        """Note it."""
        self._journal.entries.append("abort")


def doubtful() -> tuple[Desk, Doubtful]:
    """Return a desk with a doubtful delivery."""
    desk = Desk()
    delivery = Doubtful(desk.journal)
    desk.assignment._delivery = delivery
    return desk, delivery


class Aborting:
    """Snapshots, a piece of which cannot be emitted any more."""

    def __init__(self) -> None:
        self.aborted: list[bool] = []

    def advance(self, *_: Any) -> None:
        """Meet a transaction that has to be aborted."""
        raise CycleAborted("no")

    def forget(self, *, aborted: bool = False) -> None:
        """Note why."""
        self.aborted.append(aborted)


def test_cycle_that_a_snapshot_finds_aborted_is_done_again() -> None:
    """Pieces of a snapshot go out within the cycle, too: what has to be aborted is found there as well."""
    desk, _ = doubtful()
    snapshots = Aborting()
    desk.assignment._snapshots = snapshots  # type: ignore[assignment]

    async def test() -> None:
        desk.assign()
        await desk.process(0, 5)
        assert not await desk.assignment.commit()
        assert desk.journal.entries[-2:] == ["abort", "rejoin"]
        assert desk.assignment.shards == {}
        assert snapshots.aborted[0], "it is told before it is told that the partitions go"

    run(test)


def test_aborted_cycle_drops_all_state_and_asks_for_the_partitions_anew() -> None:
    """What is in memory is worth nothing; what was read under the assignment is left alone."""
    desk, delivery = doubtful()

    async def test() -> None:
        desk.assign()
        await desk.process(0, 5)
        delivery.aborts = True
        assert not await desk.assignment.commit()
        assert desk.journal.entries[-2:] == ["abort", "rejoin"]
        assert desk.assignment.shards == {}
        await desk.process(5, 9)
        assert desk.journal.emitted == [0, 1, 2, 3, 4]
        delivery.aborts = False
        assert desk.assign() == 0
        await desk.process(0, 5)
        assert await desk.assignment.commit()
        assert desk.journal.emitted == [0, 1, 2, 3, 4] * 2
        assert desk.journal.commits == [{0: 5}]

    run(test)


def test_cycle_that_aborts_at_the_end_is_not_said_to_be_done_again(caplog: pytest.LogCaptureFixture) -> None:
    """The worker ends: the topic may be gone, and this worker does nothing again."""
    desk, _ = doubtful()

    async def test() -> None:
        desk.assign()
        await desk.process(0, 5)
        desk.assignment.stop(BrokerError("gone"))
        await desk.assignment._drop(CycleAborted("no"))

    run(test)
    assert caplog.messages == []
    assert desk.journal.entries[-1] == "abort"


def test_aborted_cycle_in_a_release_parks_nothing() -> None:
    """The group takes the partitions away in any case, so nobody has to ask."""
    desk, delivery = doubtful()

    async def test() -> None:
        desk.assign()
        await desk.process(0, 5)
        delivery.aborts = True
        await desk.assignment.release()
        assert desk.journal.entries[-1] == "abort"
        assert desk.assign(committed=5) == 0, "state is restored from the log"

    run(test)


def test_release_with_nothing_to_commit_leaves_no_transaction_open() -> None:
    """Pieces of a snapshot may be in it; left alone, the broker would end it, and fence the worker."""
    desk, _ = doubtful()

    async def test() -> None:
        desk.assign(committed=5)
        await desk.assignment.release()
        assert desk.journal.entries == ["abort"]
        assert desk.assign(committed=0) == 0

    run(test)


def test_aborts_in_a_row_end_the_worker() -> None:
    """What stands in the way does not pass by itself; a commit in between begins the count anew."""
    desk, delivery = doubtful()

    async def cycle(aborts: bool) -> None:
        delivery.aborts = aborts
        desk.assign()
        await desk.process(0, 5)
        await desk.assignment.commit()

    async def test() -> None:
        for aborts in (True, True, True, True, False, True, True, True, True):
            await cycle(aborts)
        with pytest.raises(BrokerError, match="5 transactions in a row aborted, the last: no"):
            await cycle(True)

    run(test)
