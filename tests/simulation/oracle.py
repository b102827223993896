"""What has to come of a partition's log: dictionaries and a plain River loop, written without a look at the task."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from schemas.commands import Order

EXPIRED = object()


@dataclass
class Meaning:
    """What a record means.

    Parameters
    ----------
    kind
        ``event``, ``label``, ``command`` or ``bad``.
    id
        Of the event, also where a label names it.
    time_ms
        When it happened.
    x, key
        Features of an event, and the key of its record.
    y
        The label, None where there is none.
    stage
        Where a bad one fails.
    order
        What a command says; None where it says nothing that can be understood.
    signed
        Whether it is signed, and so counts once only.
    """

    kind: str
    id: str = ""
    time_ms: int = 0
    x: dict[str, Any] = field(default_factory=dict)
    key: bytes | None = None
    y: bool | None = None
    stage: str = ""
    order: Order | None = None
    signed: bool = False


class Single:
    """One model for all keys.

    Parameters
    ----------
    build
        Makes the model.
    """

    def __init__(self, build: Callable[[], Any]) -> None:
        self._model = build()
        self.evicted = 0

    def is_shared(self, key: bytes | None) -> bool:
        """Tell whether a key's own model is too young; there is none."""
        return False

    def of(self, key: bytes | None) -> Any:
        """Return who answers."""
        return self._model

    def learn(self, key: bytes | None, x: dict[str, Any], y: Any) -> None:
        """Learn."""
        self._model.learn_one(x, y)


class PerKey:
    """Models by key in a list, the one that has learned last at its end, and one for all.

    Parameters
    ----------
    build
        Makes a model.
    most, min_learned
        Longest list; examples from which on a model answers for its key.
    """

    def __init__(self, build: Callable[[], Any], most: int, min_learned: int) -> None:
        self._build, self._most, self._min_learned = build, most, min_learned
        self._all = build()
        self._kept: list[tuple[bytes | None, Any, int]] = []
        self.evicted = 0

    def is_shared(self, key: bytes | None) -> bool:
        """Tell whether the model of all answers, since a key's own is too young."""
        return all(its != key or learned < self._min_learned for its, _, learned in self._kept)

    def of(self, key: bytes | None) -> Any:
        """Return who answers."""
        known = [model for its, model, learned in self._kept if its == key and learned >= self._min_learned]
        return known[0] if known else self._all

    def learn(self, key: bytes | None, x: dict[str, Any], y: Any) -> None:
        """Learn, for the key and for all."""
        found = [(model, learned) for its, model, learned in self._kept if its == key]
        model, learned = found[0] if found else (self._build(), 0)
        model.learn_one(x, y)
        self._all.learn_one(x, y)
        self._kept = [*(one for one in self._kept if one[0] != key), (key, model, learned + 1)]
        if len(self._kept) > self._most:
            del self._kept[0]
            self.evicted += 1


class Oracle:
    """Folds the meanings of one partition's records.

    Parameters
    ----------
    models
        Fresh ones, by key.
    ttl_ms
        How long events wait for labels, None when labels come with them.
    assumed
        What is learned when no label came, None for nothing.
    refuses
        Tells at which features the model raises.
    """

    def __init__(self, models: Single | PerKey, ttl_ms: int | None, assumed: bool | None, refuses: Any) -> None:
        self.counts: Counter[str] = Counter()
        #: What is said of the record at an offset, in order.
        self.said: dict[int, list[tuple[Any, ...]]] = {}
        self._models, self._ttl_ms, self._assumed, self._refuses = models, ttl_ms, assumed, refuses
        self._learned = 0
        self._watermark = 0
        self._b: list[float] = []
        self._waiting: dict[str, tuple[int, dict[str, Any], bytes | None]] = {}
        self._early: dict[str, tuple[int, bool]] = {}
        self._known: dict[str, Any] = {}
        self._supposed: set[str] = set()

    def fold(self, offset: int, record: Meaning) -> None:
        """Take the next record."""
        self.counts["read"] += 1
        now = max(self._watermark, record.time_ms)
        said = {"event": self._event, "label": self._label}.get(record.kind, self._other)(record, now)
        self.said[offset] = [("letter", record.stage or "learn")] if said is None else said
        if said is None:
            self.counts["dead_letter"] += 1
            return
        if record.kind != "command":  # whose time is the operator's
            self._watermark = now
            self._expire(now)

    def pass_over(self, offset: int) -> None:
        """Workers have died at the next record."""
        self.counts["read"] += 1
        self.counts["skipped"] += 1
        self.said[offset] = [("letter", "quarantine")]

    def _event(self, record: Meaning, now: int) -> list[tuple[Any, ...]] | None:
        if record.id in self._known or record.id in self._waiting:
            if record.y is not None and self._ttl_ms is not None and not self._is_known(record.id, record.y):
                return self._label(record, now)  # the row has been filled in
            self.counts["duplicate_event"] += 1
            return []
        x = self._filled(record.x)
        early = self._early.get(record.id)
        y = early[1] if record.y is None and early else record.y
        if y is not None and self._raises(x):
            return None
        scores = self._models.of(record.key).predict_proba_one(x)
        answer = max(scores, key=scores.get, default=None)
        self.counts["shared_answered"] += self._models.is_shared(record.key)
        said = (record.id, answer, scores.get(True, 0.0) if scores else None, self._learned, "v1")
        if y is not None:
            self._learn(record.id, x, record.key, y)
        elif self._ttl_ms is None:
            self._known[record.id] = EXPIRED
        else:
            self._waiting[record.id] = (now + self._ttl_ms, x, record.key)
        if early:
            del self._early[record.id]
            self.counts["label_held"] -= 1
            again = "label_duplicate" if record.y == early[1] else "label_corrected"
            self.counts["label_early" if record.y is None else again] += 1
        if record.x["b"] is not None:
            self._b.append(record.x["b"])
        self.counts["scored"] += 1
        return [said]

    def _is_known(self, id: str, y: Any) -> bool:
        """Tell whether a label came for an event, or was rightly assumed."""
        known = self._known.get(id, EXPIRED)
        return known is not EXPIRED and (id not in self._supposed or known == y)

    def _label(self, record: Meaning, now: int) -> list[tuple[Any, ...]] | None:
        id, y = record.id, record.y
        deadline, x, key = self._waiting.get(id, (0, {}, None))
        if deadline > now:
            if self._raises(x):
                return None
            self._learn(id, x, key, y)
            del self._waiting[id]
            self.counts["label_joined"] += 1
            return []
        if id in self._waiting:
            self._expire(now)
        if id in self._known:
            known = self._known[id]
            self.counts[
                "label_late" if known is EXPIRED else "label_duplicate" if known == y else "label_corrected"
            ] += 1
            if known is not EXPIRED and known != y:
                self._known[id] = y
                self._supposed.discard(id)
        elif id in self._early:
            deadline, known = self._early[id]
            self.counts["label_duplicate" if known == y else "label_corrected"] += 1
            self._early[id] = (deadline, bool(y))
        else:
            self._early[id] = (now + (self._ttl_ms or 0), bool(y))
            self.counts["label_held"] += 1
        return []

    def _other(self, record: Meaning, now: int) -> list[tuple[Any, ...]] | None:
        if record.kind == "bad":
            return None
        self.counts["command_refused"] += 1
        return []

    def _expire(self, now: int) -> None:
        for id, (deadline, x, key) in list(self._waiting.items()):
            if deadline <= now:
                del self._waiting[id]
                if self._assumed is None or self._raises(x):
                    self.counts["expired"] += 1
                    self._known[id] = EXPIRED
                else:
                    self._learn(id, x, key, self._assumed)
                    self._supposed.add(id)
                    self.counts["assumed"] += 1
        for id, (deadline, _) in list(self._early.items()):
            if deadline <= now:
                del self._early[id]
                self.counts["label_held"] -= 1
                self.counts["label_orphan"] += 1

    def _learn(self, id: str, x: dict[str, Any], key: bytes | None, y: Any) -> None:
        evicted = self._models.evicted
        self._models.learn(key, x, y)
        self.counts["entity_evicted"] += self._models.evicted - evicted
        self._learned += 1
        self._known[id] = y

    def _raises(self, x: dict[str, Any]) -> bool:
        raises = bool(self._refuses(x))
        self.counts["model_error"] += raises
        return raises

    def _filled(self, x: dict[str, Any]) -> dict[str, Any]:
        b = x["b"]
        if b is None and self._b:
            total = 0.0
            for value in self._b:
                total += value
            b = total / len(self._b)
        return {"a": x["a"]} if b is None else {"a": x["a"], "b": b}
