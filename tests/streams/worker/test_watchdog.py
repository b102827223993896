"""The watchdog: its rule as a table, its thread with fakes, and what it says of a worker."""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from streams.worker.stall import Standing, Watch
from streams.worker.watchdog import Watchdog
from tests.streams.worker.kafka import until

TP0, TP1 = TP("p.raw", 0), TP("p.raw", 1)


def at(stepped: int, committed: int, end: int | None, position: int | None = None, tp: TP = TP0) -> Standing:
    """Return how far a partition is, between batches unless told otherwise."""
    return Standing(tp, stepped, stepped if position is None else position, committed, end)


#: Name → what is seen every thirty seconds, and the work that has stopped at the last of them; the limit is 60 s.
LOOKS: dict[str, tuple[list[list[Standing]], str | None]] = {
    "standby without partitions": ([[]] * 100, None),
    "idle": ([[at(300, 300, 300)]] * 100, None),
    "idle, the broker does not say": ([[at(300, 300, None)]] * 100, None),
    "the log ends before the position": ([[at(300, 300, 0)]] * 100, None),
    "in step": ([[at(n, n, n + 5)] for n in range(0, 1000, 10)], None),
    "long replay": ([[at(n, 5000, 5000)] for n in range(0, 1000, 10)], None),
    "slow model within one batch": ([[at(n, 0, 5000, position=0)] for n in range(1, 100)], None),
    "slow model, batch after batch": ([[at(n, 0, 5000, position=n // 4 * 4)] for n in range(1, 100)], None),
    "slow model in one partition": ([[at(9, 5, 9), at(n, 0, 5000, 0, TP1)] for n in range(1, 100)], None),
    "records wait, for a moment": ([[at(300, 300, 300)]] * 9 + [[at(300, 300, 400)]], None),
    "records wait, within the limit": ([[at(300, 300, 400)]] * 3, None),
    "nothing is fetched, lag grows": ([[at(300, 300, 400 + n)] for n in range(4)], "read p.raw[0]@300"),
    "nothing is fetched, lag stays": ([[at(300, 300, 400)]] * 4, "read p.raw[0]@300"),
    "nothing is fetched in a replay": ([[at(300, 5000, 5000)]] * 4, "read p.raw[0]@300"),
    "loop blocked in a batch": ([[at(310, 300, 400, position=305)]] * 4, "read p.raw[0]@310"),
    "loop blocked after the last batch": ([[at(310, 300, 310)]] * 4, "commit p.raw[0]@300"),
    "nothing is committed, records go on": ([[at(n, 300, 5000)] for n in range(301, 400)], "commit p.raw[0]@300"),
    "committed now and then": ([[at(n, n // 2 * 2, 5000)] for n in range(301, 400)], None),
    "one partition of two": ([[at(n, n, n, tp=TP1), at(300, 300, 400)] for n in range(4)], "read p.raw[0]@300"),
    "partition that goes and comes": ([[at(300, 300, 400)]] * 3 + [[]] + [[at(300, 300, 400)]] * 3, None),
    "broker gone, within its bounds": ([[at(310, 300, None)]] * 5, None),
    "broker gone, nobody ends the worker": ([[at(310, 300, None)]] * 6, "commit p.raw[0]@300"),
    "broker gone, records wait": ([[at(300, 300, 400)]] * 3 + [[at(300, 300, None)]] * 100, None),
    "broker back": ([[at(310, 300, None)]] * 5 + [[at(310, 300, 400)]] * 3, None),
    "broker back, nothing moves": ([[at(310, 300, None)]] * 5 + [[at(310, 300, 310)]] * 4, "commit p.raw[0]@300"),
}


@pytest.mark.parametrize("name", LOOKS)
def test_work_that_stands_still_is_found_and_nothing_else(name: str) -> None:
    """Only the last look finds something beyond its limit, or none does."""
    looks, expected = LOOKS[name]
    watch = Watch(limit_seconds=60.0)
    found = []
    for number, standings in enumerate(looks):
        stall = watch.look(30.0 * number, standings)
        late = stall is not None and stall.share > 1
        found.append(f"{stall.work} {stall.tp.topic}[{stall.tp.partition}]@{stall.at}" if late and stall else None)
    first = next((stall for stall in found if stall), None)
    assert first == expected
    assert found[-1] == expected


class Fakes:
    """An assignment, the ends of its logs, and the last resort."""

    def __init__(self) -> None:
        self.last_commit = time.monotonic()
        self.shard = SimpleNamespace(task=SimpleNamespace(next_offset=300), position=300, committed=300, ended=False)
        self.shards: dict[TP, Any] = {TP0: self.shard}
        self.waiting: dict[TP, int] = {}
        self.end_offset: int | None = 300
        self.raises: Exception | None = None
        self.armed: list[float] = []
        self.disarmed = False
        self.words: list[str] = []
        self.stepping = False
        self.forgiven = 0
        self.rebalances = 1

    def beyond(self, positions: dict[TP, int]) -> dict[TP, int]:
        """The ends of the logs."""
        if self.raises is not None:
            raise self.raises
        return {} if self.end_offset is None else dict.fromkeys(positions, self.end_offset)

    def arm(self, seconds: float) -> None:
        """Take note."""
        self.armed.append(seconds)

    def disarm(self) -> None:
        """Take note."""
        self.disarmed = True

    def end(self, words: str, last_act: Callable[[], object]) -> None:
        """Take note, and live on."""
        last_act()
        self.words.append(words)

    def forgive(self) -> None:
        """Count it."""
        self.forgiven += 1

    def watchdog(self, limit_seconds: float) -> Watchdog:
        """A watchdog that sees nothing else."""
        fakes: Any = self
        return Watchdog(fakes, fakes, limit_seconds, fakes)


def test_thread_ends_the_process_with_what_it_found() -> None:
    """Partition, offset, age, lag then and now, the last commit, and what sets the limit; not before the limit."""
    fakes = Fakes()
    watchdog = fakes.watchdog(0.5)
    watchdog.start()
    time.sleep(0.7)
    assert watchdog.report()["status"] == "ok"
    fakes.end_offset, began = 310, time.monotonic()
    until(lambda: watchdog.report()["status"] == "stalled", 5)
    assert time.monotonic() - began >= 0.25
    fakes.end_offset = 400
    until(lambda: fakes.words, 5)
    assert 0.5 <= time.monotonic() - began < 2
    watchdog.stop()
    watchdog.join(5)
    assert fakes.words[0].startswith("stalled: p.raw[0]@300: no record stepped through for 0.")
    assert "with records to read (100 now, 10 then); all that was done was committed 1." in fakes.words[0]
    assert fakes.words[0].endswith("RIVERRUN_STALL_LIMIT=0.5 is the time allowed")
    assert set(fakes.armed) == {1.0}
    assert fakes.disarmed


def test_worker_that_waits_where_another_declaration_begins_is_well() -> None:
    """It reads no further, whatever comes; what it has done has to be committed all the same."""
    fakes = Fakes()
    fakes.shard.ended, fakes.end_offset = True, 400
    watchdog = fakes.watchdog(0.2)
    watchdog.start()
    until(lambda: len(fakes.armed) > 25, 5)  # twice the limit
    assert (watchdog.report()["status"], fakes.words) == ("ok", [])
    fakes.shard.committed = 290
    until(lambda: fakes.words, 5)
    watchdog.stop()
    assert "nothing committed" in fakes.words[0]


@pytest.mark.parametrize("answered", [True, False])
def test_worker_whose_group_does_not_answer_says_so_once(
    answered: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And lives on: the one that it waits for may come back. A worker that was given nothing was answered."""
    monkeypatch.setattr("streams.worker.watchdog._JOIN_SECONDS", 0.1)
    fakes = Fakes()
    fakes.shards, fakes.rebalances = {}, int(answered)
    watchdog = fakes.watchdog(0.2)
    watchdog.start()
    until(lambda: len(fakes.armed) > 20, 5)
    watchdog.stop()
    told = [line.message.partition(":")[0] for line in caplog.records]
    assert told == ([] if answered else ["the group has not answered for 0.1 s"])
    assert fakes.words == []


@pytest.mark.parametrize("stepping", [True, False])
def test_record_is_to_blame_only_when_the_worker_hangs_within_a_step(stepping: bool) -> None:
    """A deaf consumer or a refused commit is no reason to pass over what stands next in the log."""
    fakes = Fakes()
    fakes.stepping, fakes.end_offset = stepping, 400
    watchdog = fakes.watchdog(0.2)
    watchdog.start()
    until(lambda: fakes.words, 5)
    watchdog.stop()
    assert (fakes.forgiven > 0) is not stepping


def test_ends_that_cannot_be_asked_are_unknown_and_the_thread_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """An error in the question is said, and looked past: the next answer counts."""
    fakes = Fakes()
    fakes.raises = RuntimeError("the oracle is silent")
    watchdog = fakes.watchdog(0.3)
    watchdog.start()
    until(lambda: "the oracle is silent" in caplog.text, 5)
    fakes.raises, fakes.end_offset = None, 400
    until(lambda: fakes.words, 5)
    watchdog.stop()


def test_report_tells_how_the_worker_is() -> None:
    """Age of the last commit and partitions; a watchdog that does not run finds nothing."""
    fakes = Fakes()
    fakes.shards = {TP1: fakes.shard, TP0: fakes.shard}
    fakes.last_commit -= 7
    report = fakes.watchdog(0.0).report()
    assert 7 <= report.pop("last_commit_age_seconds") < 8
    assert report == {"status": "ok", "partitions": [0, 1], "waiting": []}
