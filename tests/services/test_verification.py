"""Predictions made again in memory: from snapshot or log, and not said to differ where either is missing."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import orjson
import pytest

from schemas import cloudevents as ce
from schemas.attempts import Attempts
from schemas.commands import Declare, Freeze, encode_command
from schemas.errors import SnapshotError
from schemas.events import DeadLetter, PredictionMade
from schemas.manifest import Manifest
from schemas.operators import EVERYBODY, Operators
from schemas.outgoing import OutgoingEncoder
from schemas.record import Headers, Record
from services.verification import Verification, verify
from services.verification.rebuilding import Rebuilder
from services.verification.search import Found, NotFound, PredictionSearch
from streams.orders import Orders
from streams.pipeline import Pipeline
from streams.snapshot import restore
from streams.takeover import Takeover
from streams.task import Task
from tests.streams.worker.declarations import small
from tests.streams.worker.memory_store import SIGNER, TRUSTED, Desk, MemoryStore

RAW, PREDICTIONS = "p.raw", "p.predictions"


class ListLogs:
    """Topics of one partition, or more, that are lists; what is before `low` was deleted."""

    def __init__(self, count: int = 1) -> None:
        self.records: dict[tuple[str, int], list[Record]] = {
            (topic, partition): [] for topic in (RAW, PREDICTIONS) for partition in range(count)
        }
        self.low: dict[tuple[str, int], int] = {}
        self.read = 0

    def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has."""
        return sum(1 for name, _ in self.records if name == topic)

    def topic_id(self, topic: str) -> str:
        """Return none."""
        return ""

    def extent(self, topic: str, partition: int) -> tuple[int, int]:
        """Return the first offset and the one after the last."""
        records = self.records[topic, partition]
        return self.low.get((topic, partition), 0), records[-1].offset + 2 if records else 0

    def between(self, topic: str, partition: int, start: int, end: int) -> Iterator[Record]:
        """Yield the records of a stretch that are still there."""
        low = self.low.get((topic, partition), 0)
        for record in self.records[topic, partition]:
            if max(start, low) <= record.offset < end:
                self.read += 1
                yield record


class Office:
    """A pipeline, a log of good events with gaps in its offsets, what a worker made of it, and its snapshots."""

    def __init__(self, pipeline: Pipeline, count: int = 300, skip: int | None = None) -> None:
        self.pipeline = pipeline
        self.logs = ListLogs()
        self.desk = Desk(pipeline)
        self.encode = OutgoingEncoder("p", pipeline.output_format).encode
        self.skip = skip
        self.work(count)

    @property
    def raw(self) -> list[Record]:
        """The input."""
        return self.logs.records[RAW, 0]

    @property
    def predictions(self) -> list[Record]:
        """The output."""
        return self.logs.records[PREDICTIONS, 0]

    def work(self, count: int, *, snapshot_every: int = 100) -> None:
        """Write events, have them scored, and take snapshots now and then."""
        start = len(self.raw)
        for number in range(start, start + count):
            if number and number % snapshot_every == 0:
                self.desk.take()
            value = orjson.dumps({"a": float(number % 7), "b": number % 3, "y": number % 2 == 0})
            headers = [("ce_id", b"e%d" % number)]
            self.step(Record(RAW, 0, 2 * number, 1_700_000_000_000 + number, b"k", value, headers))

    def step(self, record: Record) -> None:
        """Append a record to the log and have it stepped through."""
        self.raw.append(record)
        shard = self.desk.shard
        skips = self.skip is not None and record.offset == self.skip
        events = shard.task.skip(record) if skips else shard.task.step(record)
        shard.position = record.offset + 1
        for event in events:
            if not isinstance(event, DeadLetter):
                message = self.encode(event, record)
                offset = self.predictions[-1].offset + 3 if self.predictions else 0
                self.predictions.append(
                    Record(PREDICTIONS, 0, offset, record.timestamp_ms, message.key, message.value, message.headers)
                )

    def find(self, sought: str) -> Found | NotFound:
        """Look for a prediction."""
        return PredictionSearch("p", RAW, self.logs).find(sought)

    def verify(self, sought: str, pipeline: Pipeline | None = None, **further: Any) -> Verification:
        """Find a prediction and make it again."""
        found = self.find(sought)
        assert isinstance(found, Found)
        declared = pipeline or self.pipeline
        store, trusted = further.get("store", self.desk.store), further.get("trusted", TRUSTED)
        operators = further.get("operators", EVERYBODY)
        return verify(found, declared, Rebuilder(declared, self.logs, store, trusted, operators))

    def tamper(self, number: int, **fields: Any) -> None:
        """Change what the prediction of an event says."""
        record = self.predictions[number]
        changed = {**orjson.loads(record.value or b""), **fields}
        self.predictions[number] = msgspec.structs.replace(record, value=orjson.dumps(changed))

    def rewrite(self, change: Callable[[Manifest], Manifest]) -> None:
        """Change all manifests, and sign them again."""
        for number, (at, document) in enumerate(self.desk.store.documents):
            manifest = change(Manifest.from_document(TRUSTED.open(document)))
            self.desk.store.documents[number] = (at, SIGNER.seal(manifest.to_document()))


@pytest.fixture
def office() -> Office:
    """Return 300 events at the even offsets, snapshots at 199 and 399."""
    return Office(small("p"))


def base_of(verification: Verification) -> int | None:
    """Return the position of the snapshot that was used, None for the beginning of the log."""
    assert verification.rebuilt is not None
    snapshot = verification.rebuilt.snapshot
    return None if snapshot is None else snapshot.next


# ------------------------------------------------------------------ found


@pytest.mark.parametrize("number", [0, 1, 150, 298, 299])
@pytest.mark.parametrize("form", ["p.raw-0-{}", "p.raw[0]@{}", "0@{}"])
def test_find_by_position_takes_any_of_its_forms(office: Office, number: int, form: str) -> None:
    """The prediction's own id, the position as it is printed, and without the topic."""
    found = office.find(form.format(2 * number))
    assert isinstance(found, Found)
    assert (found.fields["id"], found.cause.offset, found.record.offset) == (f"e{number}", 2 * number, 3 * number)


def test_find_by_position_reads_little_of_a_large_topic() -> None:
    """A few short stretches, however the predictions are spread."""
    office = Office(small("p"), 300)
    first = office.predictions[0]
    causes = [*range(0, 10_000, 2), *range(100_000, 200_000), *range(10**9, 10**9 + 500_000, 100)]
    office.predictions[:] = [
        msgspec.structs.replace(first, offset=3 * n, headers=[("ce_id", b"p.raw-0-%d" % cause)])
        for n, cause in enumerate(causes)
    ]
    for cause in (0, 9_998, 100_000, 123_456, 199_999, 10**9 + 7_700, causes[-1]):
        office.logs.read = 0
        assert isinstance(office.find(f"0@{cause}"), Found)
        assert office.logs.read < 16 * 256
    for cause in (1, 50_000, 200_000, 10**9 + 1, 10**10):
        office.logs.read = 0
        assert isinstance(office.find(f"0@{cause}"), NotFound)
        assert office.logs.read < 16 * 256


@pytest.mark.parametrize("sought", ["e7", "p.predictions[0]@21"])
def test_find_by_event_id_and_by_own_position(office: Office, sought: str) -> None:
    """Both name one prediction."""
    found = office.find(sought)
    assert isinstance(found, Found)
    assert found.cause.offset == 14


def test_find_event_whose_id_is_another_position(office: Office) -> None:
    """A dead letter that was sent again is scored elsewhere, under its first position as id."""
    made = msgspec.json.decode(office.predictions[7].value or b"")
    value = msgspec.json.encode({**made, "id": "p.raw-0-13"})
    office.predictions[7] = msgspec.structs.replace(office.predictions[7], value=value)
    found = office.find("p.raw-0-13")
    assert isinstance(found, Found)
    assert found.cause.offset == 14
    assert isinstance(office.find("p.raw[0]@13"), NotFound)


def test_find_by_event_id_returns_the_newest_of_several(office: Office) -> None:
    """Twice in the topic, as after a worker that was killed between its output and its commit."""
    office.predictions.append(msgspec.structs.replace(office.predictions[7], offset=2000))
    found = office.find("e7")
    assert isinstance(found, Found)
    assert found.record.offset == 2000


def test_find_looks_through_all_partitions() -> None:
    """An event's id does not tell its partition."""
    office = Office(small("p"), 10)
    logs = ListLogs(3)
    logs.records[PREDICTIONS, 2] = office.predictions
    assert isinstance(PredictionSearch("p", RAW, logs).find("e3"), Found)


@pytest.mark.parametrize(
    ("sought", "said", "is_gone"),
    [
        ("e1000", "p.predictions holds none of an event 'e1000'", False),
        ("0@51", "p.raw[0]@51 has none: it was not scored yet, or is a label", False),
        ("0@100000", "p.raw[0]@100000 has none", False),
        ("7@1", "p.raw has 1 partitions, counted from 0", False),
        ("p.predictions[0]@22", "there is none at p.predictions[0]@22", False),
        ("0@10", "begins with that of p.raw[0]@20", True),
        ("p.predictions[0]@3", "p.predictions[0] begins at 30", True),
        ("other.raw[0]@1", "an event 'other.raw[0]@1'", False),
    ],
)
def test_find_nothing_says_why(office: Office, sought: str, said: str, is_gone: bool) -> None:
    """What was deleted is told from what never was."""
    if is_gone:
        office.logs.low[PREDICTIONS, 0] = 30
    missing = office.find(sought)
    assert isinstance(missing, NotFound)
    assert said in missing.reason
    assert missing.is_gone is is_gone


def test_find_passes_over_what_is_no_prediction(office: Office) -> None:
    """Somebody else wrote to the topic."""
    for number in range(100, 200):
        office.predictions[number] = Record(PREDICTIONS, 0, 3 * number, 0, None, b"\xff", [("ce_id", b"\xff")])
    assert isinstance(office.find("0@160"), Found)
    assert isinstance(office.find("0@300"), NotFound)


# ------------------------------------------------------------------ made again


@pytest.mark.parametrize(("number", "base"), [(0, None), (50, None), (100, 199), (150, 199), (299, 399)])
def test_verify_same_from_the_newest_snapshot_before_it(office: Office, number: int, base: int | None) -> None:
    """Or from the beginning of the log; of later snapshots nothing is used."""
    verification = office.verify(f"e{number}")
    assert (verification.outcome, verification.differences, verification.remarks) == ("same", (), ())
    assert base_of(verification) == base
    assert verification.rebuilt is not None
    assert verification.rebuilt.replayed == number + 1 - (0 if base is None else (base + 1) // 2)


def test_verify_takes_avro_as_well() -> None:
    """The fields go through the format that they came in."""
    assert Office(small("p", output_format="avro")).verify("e120").outcome == "same"


@pytest.mark.parametrize(
    "tampered",
    [{"score": 0.5}, {"prediction": None}, {"version": "v9"}, {"learned": 3}, {"id": "e120 "}, {"prediction": 1}],
    ids=str,
)
def test_verify_tampered_prediction_differs(office: Office, tampered: dict[str, Any]) -> None:
    """Each field counts, and its type."""
    office.tamper(120, **tampered)
    verification = office.verify("0@240")
    assert verification.outcome == "differs"
    assert [difference.field for difference in verification.differences] == list(tampered)


def test_verify_last_bit_of_the_score_differs(office: Office) -> None:
    """No tolerance."""
    found = office.find("e120")
    assert isinstance(found, Found)
    score = found.fields["score"]
    office.tamper(120, score=msgspec.json.decode(msgspec.json.encode(score + 2**-53)))
    [difference] = office.verify("e120").differences
    assert (difference.field, difference.rebuilt) == ("score", score)


def test_verify_without_a_prediction_there_differs(office: Office) -> None:
    """Somebody made a prediction up for a record that is none."""
    made_up = msgspec.structs.replace(office.predictions[-1], offset=2000)
    headers = [(name, b"p.raw-0-241" if name == "ce_id" else value) for name, value in made_up.headers or []]
    office.predictions.append(msgspec.structs.replace(made_up, headers=headers))
    verification = office.verify("p.predictions[0]@2000")
    assert verification.outcome == "differs"
    assert "the log has no record there" in verification.differences[0].rebuilt


# ------------------------------------------------------------------ out of reach


def test_verify_cut_log_without_snapshot_is_older_than_the_log(office: Office) -> None:
    """It is not said to differ, whatever it says."""
    office.tamper(50, score=0.9)
    office.logs.low[RAW, 0] = 60
    verification = office.verify("e50")
    assert (verification.outcome, verification.rebuilt) == ("older than the log", None)
    assert "p.raw[0] begins at 60, and no snapshot of a position from there to 100" in verification.reason


def test_verify_cut_log_with_snapshot_is_same(office: Office) -> None:
    """The snapshot needs no record before it."""
    office.logs.low[RAW, 0] = 199
    verification = office.verify("e150")
    assert (verification.outcome, base_of(verification)) == ("same", 199)
    office.logs.low[RAW, 0] = 201
    assert office.verify("e150").outcome == "older than the log"


@pytest.mark.parametrize(("low", "count"), [(400, 300), (0, 50)])
def test_verify_record_that_is_gone_is_older_than_the_log(office: Office, low: int, count: int) -> None:
    """Deleted, or the topic was made anew and is shorter now."""
    office.logs.low[RAW, 0] = low
    del office.raw[count:]
    verification = office.verify("e120")
    assert verification.outcome == "older than the log"
    assert "p.raw[0]@240 itself is gone" in verification.reason


def test_verify_log_cut_while_it_is_read_is_not_held_against_the_prediction(office: Office) -> None:
    """The replay would have a gap."""

    class Vanishing(ListLogs):
        def between(self, topic: str, partition: int, start: int, end: int) -> Iterator[Record]:
            if topic == RAW:
                self.low[RAW, 0] = 20
            return super().between(topic, partition, start, end)

    logs = Vanishing()
    logs.records = office.logs.records
    office.logs = logs
    verification = office.verify("e50")
    assert verification.outcome == "older than the log"
    assert "cut off while it was read" in verification.reason


def test_verify_worker_that_began_anew_leaves_a_doubt(office: Office) -> None:
    """The state was lost behind the snapshot: what is rebuilt from it is another model than was at work."""
    office.tamper(150, score=0.9)
    office.logs.low[RAW, 0] = 10
    assert office.verify("e150").outcome == "differs"
    office.rewrite(lambda m: msgspec.structs.replace(m, parent=None))
    verification = office.verify("e150")
    assert verification.outcome == "older than the log"
    assert "between the snapshot at 199 and the next that is kept, at 399" in verification.reason


# ------------------------------------------------------------------ what is believed


def test_verify_another_declaration_names_both(office: Office) -> None:
    """And rebuilds nothing."""
    other = small("p", model="nb")
    verification = office.verify("e120", other)
    assert (verification.outcome, verification.rebuilt) == ("another declaration", None)
    assert office.pipeline.declaration in verification.reason
    assert other.declaration in verification.reason


def test_verify_difference_under_another_version_is_none(office: Office) -> None:
    """A snapshot tells what was at work; when the prediction is the same, it does not matter."""
    office.rewrite(lambda m: msgspec.structs.replace(m, python="3.8.0"))
    assert office.verify("e120").outcome == "same"
    office.tamper(120, score=0.9)
    verification = office.verify("e120")
    assert verification.outcome == "another version"
    assert "Python 3.8.0, here" in verification.reason


def test_verify_snapshots_that_cannot_be_believed_leave_the_log(office: Office) -> None:
    """A stranger signed them; parts of them are broken; the store does not answer; there are no keys."""
    assert base_of(office.verify("e150", trusted=None)) is None
    assert base_of(office.verify("e150", store=None)) is None

    class Silent(MemoryStore):
        def manifests(self, partition: int) -> Any:
            raise SnapshotError("nothing came in 30 s")

    silent = office.verify("e150", store=Silent())
    assert (silent.outcome, silent.remarks) == ("same", ("no snapshots: nothing came in 30 s",))
    office.desk.store.documents = [(at, document[:-9]) for at, document in office.desk.store.documents]
    strange = office.verify("e150")
    assert (strange.outcome, base_of(strange)) == ("same", None)
    assert "2 snapshots are not believed" in strange.remarks[0]


def test_verify_broken_part_takes_the_snapshot_before(office: Office) -> None:
    """As a worker does that recovers."""
    newest = Manifest.from_document(TRUSTED.open(office.desk.store.documents[-1][1]))
    champion = next(part for part in newest.parts if part.name == "champion")
    office.desk.store.parts[champion.digest] = b""
    verification = office.verify("e250")
    assert (verification.outcome, base_of(verification)) == ("same", 199)


@pytest.mark.parametrize("told_by", ["snapshot", "note"])
def test_verify_passes_over_what_the_worker_passed_over(told_by: str) -> None:
    """Workers had died at a record: the models after it have not learned it."""
    office = Office(small("p"), 90, skip=100)
    office.work(5)
    skips = (100,)
    if told_by == "snapshot":
        office.desk.shard.skips = skips
        office.desk.take()
    else:
        office.desk.store.note(0, SIGNER.seal(Attempts("p", RAW, 0, skips=skips).to_document()))
    assert office.verify("e80").outcome == "same"
    assert office.verify("e80", store=None).outcome == "differs"


# ------------------------------------------------------------------ declarations that follow one another


def declare(pipeline: Pipeline, offset: int) -> Record:
    """Return the command with which a declaration begins."""
    body = encode_command(Declare("p", pipeline.declaration, pipeline.declared))
    return Record(RAW, 0, offset, 1_700_000_000_500, b"0", body, [("ce_type", ce.COMMAND.encode()), ("ce_id", b"c")])


@pytest.fixture
def changed() -> tuple[Office, Pipeline]:
    """Return a log that another declaration has taken over, from a snapshot at 299, and that declaration."""
    office, new = Office(small("p"), 150), small("p", max_pending_bytes=123_456)
    office.desk.take()
    kept = Manifest.from_document(TRUSTED.open(office.desk.store.documents[-1][1]))
    task = Task(new, crosses_declarations=False)
    takeover = Takeover.between(office.pipeline.declaration, kept.declared, new.declared)
    restore(task, {part.name: office.desk.store.parts[part.digest] for part in kept.parts}, takeover)
    office.desk.shard.task = task
    office.step(declare(new, 300))
    office.work(40, snapshot_every=1000)
    return office, new


def test_verify_without_the_keys_of_operators_does_not_say_that_an_answer_differs() -> None:
    """A stranger's command, which the worker refused, is obeyed then: that explains any difference."""
    office, strict = Office(small("p"), 100), Operators(TRUSTED)
    office.desk.shard.task.orders = Orders(
        office.pipeline, office.desk.shard.task.lifecycle, office.desk.shard.task.books, strict
    )
    headers: Headers = [("ce_type", ce.COMMAND.encode()), ("ce_id", b"c")]
    body = encode_command(Freeze(pipeline="p"))
    office.step(Record(RAW, 0, 200, 1_700_000_000_500, b"0", body, headers))
    office.work(60, snapshot_every=1000)
    sought = f"e{len(office.raw) - 1}"
    assert office.verify(sought, store=None, operators=strict).outcome == "same"
    assert office.verify(sought, store=None).outcome == "differs"
    doubtful = office.verify(sought, store=None, operators=None)
    assert doubtful.outcome == "older than the log"
    assert "it is not known whose are" in doubtful.reason


def test_verify_begins_with_the_state_that_a_declaration_took_over(changed: tuple[Office, Pipeline]) -> None:
    """It is in the last snapshot under the declaration before."""
    office, new = changed
    verification = office.verify("e170", new)
    assert (verification.outcome, base_of(verification)) == ("same", 299)
    assert office.verify("e149").outcome == "same"
    assert office.verify("e170").outcome == "another declaration"


def test_verify_without_the_state_that_was_taken_over_never_differs(changed: tuple[Office, Pipeline]) -> None:
    """The beginning of the log is no beginning of this declaration."""
    office, new = changed
    last = office.raw[-1].offset
    office.tamper(-1, score=0.9)
    assert office.verify(f"0@{last}", new).outcome == "differs"
    verification = office.verify(f"0@{last}", new, store=None)
    assert verification.outcome == "older than the log"
    assert f"declaration {new.declaration} began at p.raw[0]@300" in verification.reason


def test_verify_across_another_declaration_may_be_same_and_never_differs(office: Office) -> None:
    """A worker that was told to relearn goes on there; another one would have begun with another state."""
    office.step(declare(small("p", model="nb"), 600))
    office.work(20, snapshot_every=1000)
    assert office.verify("e310").outcome == "same"
    office.tamper(-1, score=0.9)
    verification = office.verify(f"0@{office.raw[-1].offset}")
    assert verification.outcome == "older than the log"
    assert "began at p.raw[0]@600, and no later snapshot can be used" in verification.reason


def test_rebuilt_prediction_is_the_tasks(office: Office) -> None:
    """What is reported is what a worker would have said."""
    rebuilt = office.verify("e120").rebuilt
    assert rebuilt is not None
    assert isinstance(rebuilt.prediction, PredictionMade)
    assert rebuilt.prediction.id == "e120"
