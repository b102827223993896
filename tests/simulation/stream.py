"""What producers write to the input topic: events and labels of all kinds, bad records, gaps between offsets."""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson

from schemas import cloudevents as ce
from schemas.commands import Order, encode_command
from schemas.operators import encode_signed
from schemas.record import Headers
from tests.simulation.clock import BEGIN
from tests.simulation.fold import Fold
from tests.simulation.log import Message
from tests.simulation.operators import command
from tests.simulation.oracle import Meaning
from tests.simulation.seals import SIGNER

TOPIC = "p.raw"
#: Share of the moments at which operators command, where there are any.
_COMMANDS = 0.15
_BAD = (
    (b'{"a": NaN, "b": 1.0}', "validate"),
    (b'{"a": 1.0, "b": Infinity, "y": true}', "validate"),
    (b'{"b": 1.0}', "validate"),
    (b"{", "decode"),
    (b'{"a": 1.0, "a": 2.0, "b": 1.0}', "decode"),
    (b"", "decode"),
    (None, "envelope"),
)


class Stream:
    """Makes the records of one partition, with what they mean.

    Parameters
    ----------
    partition
        Its number.
    ttl_ms
        How long events wait for labels, None when labels come with them.
    seed
        Of everything.
    fold
        Fresh; what operators look at before they command. None where there are no operators.
    keys
        Of the events, at home in the partition.
    """

    def __init__(
        self,
        partition: int,
        ttl_ms: int | None,
        seed: str,
        fold: Fold | None = None,
        keys: Sequence[bytes | None] = (None,),
    ) -> None:
        self.fold = fold
        self.records: list[Message] = []
        self.meanings: dict[int, Meaning] = {}
        self.gaps: list[int] = []
        self._rng = random.Random(seed)
        self._keys, self._dealer = keys, random.Random(f"keys {seed}")
        self._partition, self._ttl_ms = partition, ttl_ms
        self._now = round(BEGIN * 1000)
        self._offset = 0
        self._labels = self._rng.choice((0.1, 0.4))
        self._events = 0
        self._owed: list[str] = []
        self._said: list[tuple[str, bool]] = []
        self._commanded: list[tuple[bytes, Meaning]] = []

    def extend(self, count: int) -> None:
        """Make some more records."""
        while len(self.records) < count:
            self._now += self._rng.choice((0, 40, 150, 400, 900))
            if self.fold is not None and self._rng.random() < _COMMANDS:
                self._command(self.fold)
                continue
            dice = self._rng.random()
            if dice < 0.08:
                self._bad()
            elif dice < 0.1:
                self._record(b"{}", Meaning("command"), ce.COMMAND)
            elif dice < 0.16 and self._said:
                self._again()
            elif dice < 0.16 + self._labels and self._owed:
                self._label(self._owed.pop(self._rng.randrange(len(self._owed))))
            else:
                self._event()

    def _event(self) -> None:
        rng = self._rng
        if self._events and rng.random() < 0.06:
            id = f"e{rng.randrange(self._events)}"
        else:
            id = f"e{self._events}"
            self._events += 1
            if self._ttl_ms is not None:
                self._owed.append(id)
                if rng.random() < 0.08:
                    self._label(self._owed.pop())
        if rng.random() < 0.1:
            id = ""  # the position will be its id
        x = {"a": rng.gauss(0.0, 1.3), "b": None if rng.random() < 0.2 else rng.gauss(0.0, 1.0)}
        y = x["a"] > 0 if self._ttl_ms is None or rng.random() < 0.15 else None  # type: ignore[operator]
        if self._ttl_ms is None and rng.random() < 0.1:
            y = None
        value: dict[str, Any] = x if y is None else {**x, "y": y}
        self._record(orjson.dumps(value), Meaning("event", id, x=x, key=self._dealer.choice(self._keys), y=y))

    def _label(self, id: str) -> None:
        y = self._rng.random() < 0.5
        self._said.append((id, y))
        self._record(orjson.dumps({"id": id, "y": y}), Meaning("label", id, y=y), ce.LABEL)

    def _again(self) -> None:
        """Say a label again, or contradict it."""
        id, y = self._rng.choice(self._said)
        if self._rng.random() < 0.5:
            y = not y
        self._record(orjson.dumps({"id": id, "y": y}), Meaning("label", id, y=y), ce.LABEL)

    def _command(self, fold: Fold) -> None:
        """Operators command, or somebody writes one of their commands once more."""
        if self._commanded and self._rng.random() < 0.1:
            value, meaning = self._rng.choice(self._commanded)
            self._record(value, replace(meaning), ce.COMMAND)
            return
        for order in command(self._rng, fold.task.lifecycle):
            self._order(order)

    def _order(self, order: Order) -> None:
        id, value, signed = f"c{len(self.records)}", encode_command(order), self._rng.random() < 0.2
        if signed:
            value = encode_signed(order, SIGNER, id, TOPIC, self._partition, self._now)
        meaning = Meaning("command", id, order=order, signed=signed)
        self._commanded.append((value, meaning))
        self._record(value, replace(meaning), ce.COMMAND)

    def _bad(self) -> None:
        value, stage = self._rng.choice(_BAD)
        self._record(value, Meaning("bad", stage=stage))

    def _record(self, value: bytes | None, meaning: Meaning, kind: str | None = None) -> None:
        headers: Headers = [] if kind is None else [("ce_type", kind.encode())]
        if meaning.kind in ("event", "command"):
            if meaning.id:
                headers.append(("ce_id", meaning.id.encode()))
            else:
                meaning.id = f"{TOPIC}-{self._partition}-{self._offset}"
        meaning.time_ms = self._now
        place = TOPIC, self._partition, self._offset
        self.records.append(Message(*place, meaning.key, value, headers or None, self._now))
        self.meanings[self._offset] = meaning
        if self.fold is not None:
            self.fold.take(self.records[-1])
        gap = self._rng.choice((0, 0, 0, 0, 0, 1, 1, 3))
        self.gaps.append(gap)
        self._offset += 1 + gap
