"""Operators' commands: each does one thing at its place in the log, or says why not."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from river import linear_model, preprocessing

from riverrun import BackgroundChallenger, Label, ObserveOnly, Pipeline, Pool
from schemas import cloudevents as ce
from schemas.commands import Command, Freeze, Pin, Promote, Resume, Retrain, RollBack, decode_command, encode_command
from schemas.events import CommandObeyed, CommandRefused, ModelPromoted, ModelRetrained, ModelRolledBack
from schemas.operators import Operators, encode_signed
from schemas.signing import Signer, TrustedKeys
from streams.orders import Orders
from tests.streams.logs import TOPIC, Fold, Log
from tests.streams.test_contest import world

ORDERS: list[Command] = [
    Retrain(pipeline="p"),
    Promote(pipeline="p", model="v2"),
    RollBack(pipeline="p"),
    Freeze(pipeline="p"),
    Pin(pipeline="p"),
    Resume(pipeline="p"),
]


def declared(policy: Any) -> Pipeline:
    """Return a pipeline."""
    model = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    return Pipeline("p", features={"a": float, "b": float}, label=Label("y"), model=model, policy=policy)


class Operated(Fold):
    """A fold that operators write to."""

    def __init__(self, policy: Any, log: Log | None = None) -> None:
        self.log = log or world(0, length=1200)
        super().__init__(declared(policy), self.log.records)

    def order(self, command: Command) -> list[Any]:
        """Write a command into the log; return what is said of it."""
        headers = [("ce_id", b"c-1"), ("ce_type", ce.COMMAND.encode())]
        return self.step(self.log.raw(encode_command(command), headers=headers))

    def go_on(self, *concepts: int, length: int = 300, seed: int = 2) -> None:
        """Let more events come."""
        for record in world(*concepts, length=length, seed=seed).records:
            headers = [("ce_id", f"more{len(self.log.records)}".encode())]
            self.step(self.log.raw(record.value, headers=headers))


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: type(order).__name__)
def test_command_survives_its_encoding(order: Command) -> None:
    """And what is not in it is refused by name."""
    assert decode_command(encode_command(order)) == order
    body = msgspec.json.encode({**msgspec.json.decode(encode_command(order)), "wether": 1})
    assert "wether" in str(decode_command(body))


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: type(order).__name__)
def test_command_meant_for_another_champion_is_refused_and_changes_nothing(order: Any) -> None:
    """Compare and set: whoever orders has seen who serves."""
    fold, other = Operated(Pool()), Operated(Pool())
    [refused] = fold.order(msgspec.structs.replace(order, expected="v9"))
    assert isinstance(refused, CommandRefused)
    assert "'v9', but v1 serves" in refused.reason
    other.log.raw(b"{}")
    fold.go_on(1)
    other.go_on(1)
    assert [a[1:] for a in fold.answers] == [a[1:] for a in other.answers]


def test_promotion_and_return_by_command() -> None:
    """The challenger serves from the next record on; a rollback brings v1 back, which has gone on learning."""
    fold = Operated(Pool())
    challenger = fold.task.lifecycle.learners["contest-challenger"].version
    obeyed, retrained, promoted, *_ = fold.order(Promote(pipeline="p", model=challenger, who="ann", why="a try"))
    assert isinstance(obeyed, CommandObeyed)
    assert (obeyed.order, obeyed.version, obeyed.who, obeyed.why) == ("promote", "v1", "ann", "a try")
    assert isinstance(retrained, ModelRetrained)
    assert isinstance(promoted, ModelPromoted)
    assert (promoted.version, promoted.replaced, promoted.evidence, promoted.reason) == (challenger, "v1", 0, obeyed.id)
    fold.go_on(0, length=5)
    assert fold.predictions[-1].version == challenger
    learned = fold.task.lifecycle.learners["contest-steady"].learned
    _, back, *_ = fold.order(RollBack(pipeline="p", expected=challenger, to="v1"))
    assert isinstance(back, ModelRolledBack)
    assert (back.restored, back.version, back.learned) == ("v1", "v1", learned)


@pytest.mark.parametrize("between", [0, 300])
@pytest.mark.parametrize("order", ["promote", "retrain"])
def test_rollback_of_an_order_leads_to_the_very_model_that_served(order: str, between: int) -> None:
    """Not to a copy of it: the world has not changed, and it has gone on learning."""
    fold = Operated(Pool(milestone=50))
    if order == "retrain":
        fold.order(Retrain(pipeline="p"))
        while fold.task.lifecycle.champion.version == "v1":
            fold.go_on(0, length=50)
    else:
        fold.order(Promote(pipeline="p", model=fold.task.lifecycle.learners["contest-challenger"].version))
    fold.go_on(0, length=between)
    steady = fold.task.lifecycle.learners["contest-steady"]
    assert steady.version == "v1"
    told = fold.order(RollBack(pipeline="p"))
    assert [event.restored for event in told if isinstance(event, ModelRolledBack)] == ["v1"]
    assert fold.task.lifecycle.champion is steady


def test_rollback_of_a_rollback() -> None:
    """There and back again: each leads to who served before."""
    fold = Operated(Pool())
    fold.order(Promote(pipeline="p", model=fold.task.lifecycle.learners["contest-challenger"].version))
    served = []
    for _ in range(4):
        fold.order(RollBack(pipeline="p"))
        fold.go_on(0, length=3)
        served.append(fold.predictions[-1].version)
    assert len(set(served)) >= 2
    assert not any(isinstance(event, CommandRefused) for event in fold.lifecycle)


def test_rollback_never_leads_to_an_older_copy_of_the_champion() -> None:
    """The challenger serves, then v1, and the challenger again: back is v1, though a copy of the other is newer."""
    fold = Operated(Pool(milestone=5))
    challenger = fold.task.lifecycle.learners["contest-challenger"].version
    fold.order(Promote(pipeline="p", model=challenger))
    fold.go_on(0, length=300)
    fold.order(RollBack(pipeline="p", to="v1"))
    fold.order(Promote(pipeline="p", model=challenger))
    [_, back, *_] = fold.order(RollBack(pipeline="p"))
    assert (back.replaced, back.restored.partition("@")[0]) == (challenger, "v1")


def test_frozen_models_score_and_learn_nothing_until_they_may_again() -> None:
    """The champion answers the same to the same, whatever labels say; the books go on."""
    fold = Operated(Pool())
    [obeyed] = fold.order(Freeze(pipeline="p"))
    learned, champion = fold.learned, fold.task.lifecycle.champion
    before = champion.predict({"a": 1.0, "b": 1.0})
    fold.go_on(1, length=1200)
    assert (fold.learned, champion.predict({"a": 1.0, "b": 1.0})) == (learned, before)
    assert fold.task.lifecycle.champion is champion
    [again] = fold.order(Freeze(pipeline="p"))
    assert (type(obeyed), type(again)) == (CommandObeyed, CommandRefused)
    fold.order(Resume(pipeline="p"))
    fold.go_on(1, length=400)
    assert fold.task.lifecycle.champion is not champion


def test_pinned_champion_learns_and_stays() -> None:
    """Whatever the evidence; after `resume` evidence decides again."""
    fold = Operated(Pool())
    fold.order(Pin(pipeline="p"))
    learned = fold.learned
    fold.go_on(1, length=1000)
    assert fold.learned == learned + 1000
    assert {p.version for p in fold.predictions} == {"v1"}
    fold.order(Resume(pipeline="p"))
    fold.go_on(1, length=300)
    assert fold.task.lifecycle.champion.version != "v1"


@pytest.mark.parametrize("policy", [Pool(), BackgroundChallenger(min_learned=50)])
def test_retraining_by_command(policy: Any) -> None:
    """A fresh model learns beside the champion and takes over; the reason is the command."""
    fold = Operated(policy)
    [obeyed] = fold.order(Retrain(pipeline="p"))
    fold.go_on(0, length=250)
    [retrained] = [event for event in fold.lifecycle if isinstance(event, ModelRetrained)]
    assert (retrained.replaced, retrained.reason) == ("v1", obeyed.id)


def test_what_cannot_be_is_refused_with_what_can() -> None:
    """Unknown models, policies without versions, resuming what runs."""
    fold = Operated(Pool())
    for order, reason in [
        (Promote(pipeline="p", model="v77"), "got 'v77', expected one that is there: v"),
        (Promote(pipeline="p", model="v1"), "v1 serves already"),
        (RollBack(pipeline="p"), "nobody has served before v1"),
        (Resume(pipeline="p"), "nothing is frozen or pinned"),
    ]:
        [refused] = fold.order(order)
        assert isinstance(refused, CommandRefused)
        assert reason in refused.reason
    [refused] = Operated(ObserveOnly()).order(RollBack(pipeline="p"))
    assert "ObserveOnly keeps no other models" in refused.reason
    assert Operated(Pool()).order(Freeze(pipeline="q")) == []


def test_retraining_by_command_leaves_the_others_to_come_back_to() -> None:
    """The champion before goes on learning, and serves again when somebody wants it."""
    fold = Operated(Pool())
    [obeyed] = fold.order(Retrain(pipeline="p"))
    fold.go_on(0, length=250)
    [retrained] = [event for event in fold.lifecycle if isinstance(event, ModelRetrained)]
    assert (retrained.replaced, retrained.reason, retrained.learned) == ("v1", obeyed.id, 200)
    _, back, *_ = fold.order(RollBack(pipeline="p", to="v1"))
    assert isinstance(back, ModelRolledBack)
    assert (back.restored, back.version) == ("v1", "v1")


def test_retraining_by_command_where_nothing_else_acts() -> None:
    """Observe only: people decide, and the fresh model learns first there, too."""
    fold = Operated(ObserveOnly())
    fold.order(Retrain(pipeline="p"))
    fold.go_on(0, length=199)
    assert fold.predictions[-1].version == "v1"
    fold.go_on(0, length=2, seed=3)
    assert fold.predictions[-1].version == "v2"


KEY, STRANGER = (Signer(Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32)) for n in (1, 2))
OPERATORS = Operators(TrustedKeys([Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32).public_key()]))


class Signed(Operated):
    """A fold that obeys one operator."""

    def __init__(self, log: Log | None = None) -> None:
        super().__init__(Pool())
        self.task.orders = Orders(self.task.pipeline, self.task.lifecycle, self.task.books, OPERATORS)

    def write(self, body: bytes, id: str) -> Any:
        """Write the body of a command into the log; return the only thing that is said of it."""
        headers = [("ce_id", id.encode()), ("ce_type", ce.COMMAND.encode())]
        [event] = self.step(self.log.raw(body, headers=headers))
        return event

    def sign(self, id: str, *, signer: Signer = KEY, topic: str = TOPIC, partition: int = 0, issued: int = 1) -> bytes:
        """Return a signed command."""
        return encode_signed(Pin(pipeline="p"), signer, id, topic, partition, issued)


def test_signed_command_is_obeyed_and_anything_else_is_not() -> None:
    """Whatever is not as it was signed, for here, by a trusted operator, changes nothing."""
    fold = Signed()
    forged = {
        "not signed": encode_command(Pin(pipeline="p")),
        "is not trusted": fold.sign("c", signer=STRANGER),
        "does not fit": fold.sign("c").replace(b'"pin"', b'"pon"'),
        "signed for 'c2'": fold.sign("c2"),
        "signed for 'q.raw'": fold.sign("c", topic="q.raw"),
        "signed for 1": fold.sign("c", partition=1),
        "unknown field": KEY.seal({"kind": "manifest"}),
    }
    for words, body in forged.items():
        refused = fold.write(body, "c")
        assert isinstance(refused, CommandRefused)
        assert words in refused.reason
        assert (refused.order, refused.who, refused.why, refused.key) == ("", "", "", ""), "nobody can be believed"
    assert fold.task.lifecycle.acts
    obeyed = fold.write(fold.sign("c"), "c")
    assert isinstance(obeyed, CommandObeyed)
    assert obeyed.key == KEY.key_id
    assert not fold.task.lifecycle.acts
    again = fold.write(fold.sign("c3", issued=2), "c3")
    assert isinstance(again, CommandRefused)
    assert (again.order, again.key) == ("pin", KEY.key_id)


def test_commands_say_who_wanted_what_and_why_when_they_are_refused_too() -> None:
    """Whoever reads the log later has to know; where commands are not signed, nobody's key is told."""
    [refused] = Operated(Pool()).order(Freeze(pipeline="p", expected="v9", who="ann", why="a flood"))
    assert (refused.order, refused.who, refused.why, refused.key) == ("freeze", "ann", "a flood", "")


def test_rollback_never_leads_to_who_has_not_served() -> None:
    """A challenger is for `promote`."""
    fold = Operated(Pool())
    challenger = fold.task.lifecycle.learners["contest-challenger"].version
    [refused] = fold.order(RollBack(pipeline="p", to=challenger))
    assert isinstance(refused, CommandRefused)
    assert f"to: {challenger} has not served here" in refused.reason


@pytest.mark.parametrize("later", [Pin(pipeline="p"), Freeze(pipeline="p"), Promote(pipeline="p", model="v4")])
def test_later_order_goes_before_a_retraining(later: Any) -> None:
    """What was ordered first does not replace, when all is as it was again, who serves by then."""
    fold = Operated(Pool())
    assert isinstance(fold.order(Retrain(pipeline="p"))[0], CommandObeyed)
    assert isinstance(fold.order(later)[0], CommandObeyed)
    if not isinstance(later, Promote):
        fold.order(Resume(pipeline="p"))
    served = fold.task.lifecycle.champion.version
    fold.go_on(0, length=300)
    assert fold.predictions[-1].version == served


def test_nothing_is_retrained_that_could_not_take_over() -> None:
    """It would wait for `resume`, which is for something else, and replace whoever serves by then."""
    fold = Operated(Pool())
    for hold, words in ((Freeze(pipeline="p"), "frozen"), (Pin(pipeline="p"), "v1 is pinned")):
        fold.order(hold)
        [refused] = fold.order(Retrain(pipeline="p"))
        assert isinstance(refused, CommandRefused)
        assert words in refused.reason
        fold.order(Resume(pipeline="p"))
    assert isinstance(fold.order(Retrain(pipeline="p"))[0], CommandObeyed)


def test_signed_command_counts_once_however_often_it_is_written_down() -> None:
    """Refused ones, too; forgotten ones are told by their age."""
    fold = Signed()
    first = fold.sign("c0", issued=10)
    assert isinstance(fold.write(first, "c0"), CommandObeyed)
    assert "taken before" in fold.write(first, "c0").reason
    for number in range(1, 1001):
        assert "is pinned already" in fold.write(fold.sign(f"c{number}", issued=10 + number), f"c{number}").reason
    assert "forgotten by now" in fold.write(first, "c0").reason
    assert "taken before" in fold.write(fold.sign("c1", issued=11), "c1").reason
    assert isinstance(fold.write(fold.sign("late", issued=11), "late"), CommandRefused)


def test_memory_of_commands_survives_a_snapshot() -> None:
    """What was said before a restart is not obeyed after it."""
    fold = Signed()
    body = fold.sign("c")
    fold.write(body, "c")
    kept = Orders(fold.task.pipeline, fold.task.lifecycle, fold.task.books, OPERATORS)
    kept.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(fold.task.orders.snapshot())))
    fold.task.orders = kept
    assert "taken before" in fold.write(body, "c").reason


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: type(order).__name__)
def test_command_is_not_what_time_it_is(order: Command) -> None:
    """The log may be of last year, and operators command today: nobody who waits for a label loses it by that."""
    label = Label("y", type=bool, ttl=timedelta(minutes=30), on_expiry=False)
    model = linear_model.LogisticRegression()
    log = Log()
    log.event({"a": 1.0}, "e0", time_ms=1_000)
    log.raw(encode_command(order), headers=[("ce_id", b"c"), ("ce_type", ce.COMMAND.encode())], time_ms=3_600_000)
    fold = Fold(Pipeline("p", features={"a": float}, label=label, model=model), log.records)
    assert fold.task.clock.watermark_ms == 1_000
    fold.step(log.label("e0", True, time_ms=2_000))
    assert (fold.counts.get("label_joined"), fold.counts.get("assumed")) == (1, None)
