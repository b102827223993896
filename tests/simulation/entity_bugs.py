"""Bugs planted where each key has a model."""

from typing import Any

from streams.entity_models import EntityModels
from streams.label_join import LabelJoin
from streams.per_key import KEY
from tests.simulation.lifecycle_bugs import Patches


def wrong_entity_goes() -> Patches:
    """The entity goes that came first, however lately it has learned."""
    learning = EntityModels.learning

    def learn(self: Any, x: dict[str, Any]) -> Any:
        order = list(self.entities)
        taught = learning(self, x)
        for key in [key for key in order if key in self.entities][::-1]:
            self.entities.move_to_end(key, last=False)
        return taught

    return [(EntityModels, "learning", learn)]


def entity_order_unsaved() -> Patches:
    """A restored state has the entities in the order of their keys."""
    put = EntityModels.__setstate__

    def forget(self: Any, state: Any) -> None:
        put(self, state)
        for key in sorted(self.entities):
            self.entities.move_to_end(key)

    return [(EntityModels, "__setstate__", forget)]


def shared_prototype() -> Patches:
    """All entities have one model."""
    return [(EntityModels, "_fresh", lambda self: self.declared)]


def key_lost_while_waiting() -> Patches:
    """An event that waits for its label forgets whose it is."""
    waiting = LabelJoin.waiting

    def forget(self: Any, *arguments: Any) -> Any:
        asked = waiting(self, *arguments)
        if asked is not None:
            asked.x.pop(KEY, None)
        return asked

    return [(LabelJoin, "waiting", forget)]


def questions_count() -> Patches:
    """Who is asked about has shown a sign of life: a replay from a snapshot of models alone knows nothing of it."""
    answering = EntityModels.answering

    def touch(self: Any, x: dict[str, Any]) -> Any:
        if x.get(KEY, "") in self.entities:
            self.entities.move_to_end(x.get(KEY, ""))
        return answering(self, x)

    return [(EntityModels, "answering", touch)]


def own_answers_counted_as_shared() -> Patches:
    """An entity's first answer of its own is put down to the shared model."""

    def asks_shared(self: Any, x: dict[str, Any]) -> bool:
        return bool(self.learned.get(x.get(KEY, ""), 0) <= self._min_learned)

    return [(EntityModels, "asks_shared", asks_shared)]


ENTITY_BUGS = (
    wrong_entity_goes,
    entity_order_unsaved,
    shared_prototype,
    key_lost_while_waiting,
    questions_count,
    own_answers_counted_as_shared,
)
