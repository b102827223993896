"""Laws of the life cycle, held against what a reader sees; neither the task nor its fold is asked."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from schemas.commands import Import, RollBack
from tests.simulation.operators import CHANGES
from tests.simulation.oracle import Meaning
from tests.simulation.said import LETTER, LIFECYCLE, Said

_ARCHIVED = "model.archived"


class Foul(AssertionError):
    """A law of the life cycle is broken."""


class Referee:
    """Follows who serves, from the first champion on, by nothing but outputs.

    Each command is answered once. It is obeyed only where the champion that it expects serves, hence one at most of
    two that expect the same one and replace it; the other is told who serves. A champion changes by a command, or by
    evidence while nothing is pinned or frozen, and each prediction is of who serves. Frozen models learn nothing.

    Parameters
    ----------
    meanings
        What was written, by offset.
    """

    def __init__(self, meanings: Mapping[int, Meaning]) -> None:
        self.counts: Counter[str] = Counter()
        self._meanings = meanings
        self._serving, self._replaced = "v1", ""
        self._learns = self._acts = True
        self._learned: int | None = None
        self._taken: set[str] = set()
        #: The command just before, and whether it changed the champion.
        self._before: tuple[Any, bool] = (None, False)

    def check(self, said: Iterable[Said]) -> None:
        """Hold the laws.

        Parameters
        ----------
        said
            All that is said of the partition, each once; of one record in order, but for predictions, which come first.

        Raises
        ------
        Foul
            Where one is broken.
        """
        by_offset: dict[int, list[Said]] = {}
        for offset, *rest in said:
            by_offset.setdefault(offset, []).append(tuple(rest))
        for offset, meaning in self._meanings.items():
            self._record(offset, meaning, by_offset.get(offset, []))

    def _record(self, offset: int, meaning: Meaning, said: list[Said]) -> None:
        for words in said:
            if words[0] not in (LETTER, LIFECYCLE):
                self._predicted(offset, *words[-2:])
        events = [
            (words[1].removeprefix("riverrun."), orjson.loads(words[2])) for words in said if words[0] == LIFECYCLE
        ]
        answers = [(kind, event) for kind, event in events if kind.startswith("command.")]
        passed_over = any(words[0] == LETTER for words in said)
        wanted = int(meaning.kind == "command" and not passed_over)
        if len(answers) != wanted:
            raise Foul(f"{offset}: a {meaning.kind} is answered {len(answers)} times, expected {wanted}")
        for kind, event in answers:
            self._answered(offset, meaning, event, obeyed=kind == "command.obeyed")
        if answers and isinstance(meaning.order, Import):
            # Labels that are assumed at the command's record may change the champion there, too.
            archived = [event for kind, event in events if kind == _ARCHIVED and event["archived"].startswith("i")]
            self._imported(offset, meaning.order, answers[0], archived)
        changes = [event for kind, event in events if kind in ("model.promoted", "model.rolled-back")]
        if answers and self._is_obeyed_change(meaning, answers) and not changes:
            raise Foul(f"{offset}: {meaning.order} is obeyed, and nothing follows")
        for event in changes:
            self._changed(offset, event, answers)
        self._before = (meaning.order, bool(answers) and self._is_obeyed_change(meaning, answers))

    def _imported(self, offset: int, order: Import, answer: Any, archived: list[dict[str, Any]]) -> None:
        """Hold that a model with the declared features is kept under its name, and one with others is refused."""
        kind, event = answer
        self.counts["imports"] += kind == "command.obeyed"
        if kind == "command.obeyed":
            names = [event["archived"] for event in archived]
            if set(order.features) != {"a", "b"} or names != [f"i{offset}@{order.learned}"]:
                raise Foul(f"{offset}: an import with features {order.features} is obeyed, and {names} is archived")
        elif archived or event["reason"].startswith("model:"):
            raise Foul(f"{offset}: an import is refused, and got {archived or event['reason']}")

    def _is_obeyed_change(self, meaning: Meaning, answers: list[Any]) -> bool:
        return isinstance(meaning.order, CHANGES) and answers[0][0] == "command.obeyed"

    def _predicted(self, offset: int, learned: int, version: str) -> None:
        if version != self._serving:
            raise Foul(f"{offset}: {version} answers, but {self._serving} serves")
        if not self._learns and self._learned not in (None, learned):
            raise Foul(f"{offset}: {version} is frozen at {self._learned} examples, and has learned {learned}")
        self._learned = learned if not self._learns else None

    def _answered(self, offset: int, meaning: Meaning, event: dict[str, Any], *, obeyed: bool) -> None:
        """A command was obeyed or refused: hold that it had to be."""
        order, serving = meaning.order, self._serving
        self.counts["obeyed" if obeyed else "refused"] += 1
        if event["command"] != meaning.id:
            raise Foul(f"{offset}: the answer is to {event['command']}, expected {meaning.id}")
        reason = None if obeyed else event["reason"]
        if order is None or meaning.id in self._taken:
            if reason is None or (order is not None and "was taken before" not in reason):
                raise Foul(f"{offset}: {meaning.id} counts no more, and got {reason or 'obeyed'}")
            return
        if meaning.signed:
            self._taken.add(meaning.id)
        names = f"expected: got {order.expected!r}, but {serving} serves"
        outdated = order.expected not in ("", serving)
        if outdated != (reason or "").startswith(names):
            raise Foul(f"{offset}: {order} while {serving} serves got {reason or 'obeyed'}")
        rival, won = self._before
        if won and outdated and isinstance(order, CHANGES) and rival.expected == order.expected:
            self.counts["rivals"] += 1
        if obeyed and event["version"] != serving:
            raise Foul(f"{offset}: obeyed by {event['version']}, but {serving} serves")
        if obeyed:
            self._settle(event["order"])

    def _settle(self, order: str) -> None:
        if order == "freeze":
            self._learns, self._learned = False, None
        elif order == "pin":
            self._acts = False
        elif order == "resume":
            self._learns = self._acts = True

    def _changed(self, offset: int, event: dict[str, Any], answers: list[Any]) -> None:
        """Another model serves: hold that it may, and from whom it takes over."""
        by_command = event["reason"].endswith("/command.obeyed")
        at_once = by_command and bool(answers) and answers[0][1]["id"] == event["reason"]
        if not at_once and not (self._acts and (self._learns or by_command)):
            raise Foul(f"{offset}: {event['version']} takes over, while the champion is pinned or frozen")
        if event["replaced"] != self._serving or event["version"] == self._serving:
            raise Foul(f"{offset}: {event['version']} replaces {event['replaced']}, but {self._serving} serves")
        self.counts["changes"] += 1
        self.counts["by_evidence"] += not by_command
        if at_once:
            self._led_back(offset, event)
        self._replaced, self._serving, self._learned = self._serving, event["version"], None

    def _led_back(self, offset: int, event: dict[str, Any]) -> None:
        """Hold that a rollback to nobody in particular leads to who served before: who was just replaced is there."""
        order = self._meanings[offset].order
        if not isinstance(order, RollBack) or order.to:
            return
        self.counts["back"] += 1
        version = event["restored"].partition("@")[0]
        is_there = self._before[1] or self._replaced == "v1"
        if version == self._serving or (is_there and version != self._replaced):
            raise Foul(
                f"{offset}: back from {self._serving} to {event['restored']}, but {self._replaced} served before"
            )
