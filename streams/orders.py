"""What operators' commands make of a partition: each is obeyed or refused at its place, and answered by an event."""

from typing import Any

from schemas.commands import Declare, Freeze, Import, Order, Pin, Promote, Resume, Retrain, RollBack
from schemas.errors import DeclarationEnded
from schemas.events import CommandObeyed, CommandRefused, DeclarationChanged, Event, LifecycleEvent
from schemas.operators import EVERYBODY, Operators, SignedCommand
from schemas.record import Record
from streams.accounting import Books
from streams.decoding import Command
from streams.imports import take_in
from streams.lifecycle import Lifecycle
from streams.moment import Moment
from streams.pipeline import Pipeline
from streams.takeover import Takeover

_Wanted = Order | Declare

#: Commands whose ids are remembered; older ones are told by the time at which they were issued.
_REMEMBERED = 1000
#: How the reason begins where another declaration is refused.
OTHER_DECLARATION = "this is a run of declaration"


class Orders:
    """The commands that one partition is given.

    Parameters
    ----------
    pipeline
        The declaration.
    lifecycle
        Of the partition.
    books
        Where it is counted what becomes of them.
    operators
        Those whose commands are obeyed.
    crosses_declarations
        Whether to go on where the log says that another declaration begins.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        lifecycle: Lifecycle,
        books: Books,
        operators: Operators = EVERYBODY,
        *,
        crosses_declarations: bool = True,
    ) -> None:
        self.crosses_declarations = crosses_declarations
        #: The declaration before this one and what differs, until the command is read that says so.
        self.takeover: Takeover | None = None
        self._pipeline = pipeline
        self._name, self._declaration = pipeline.name, pipeline.declaration
        self._lifecycle = lifecycle
        self._count = books.count
        self._operators = operators
        self._taken: dict[str, int] = {}
        self._forgotten = 0

    def snapshot(self) -> Any:
        """Return the state."""
        return self._taken, self._forgotten

    def restore(self, state: Any) -> None:
        """Become what `snapshot` was taken of."""
        self._taken, self._forgotten = state

    def step(self, record: Record, command: Command) -> list[Event]:
        """Obey the command of a record, or refuse it.

        Raises
        ------
        DeclarationEnded
            Where another declaration begins; nothing of the record has been taken in.
        """
        signed = self._operators.read(command.body, command.id, record.topic, record.partition)
        if isinstance(signed, str):
            return self._refuse(record, command, signed)
        order = signed.command
        repeated = self.repeated(signed)
        if repeated:
            return self._refuse(record, command, repeated, order)
        if order.pipeline != self._name:
            self._count["command_other"] += 1
            return []
        if not isinstance(order, Declare):
            answer = self._manage(record, command, order)
        elif order.declaration == self._declaration:
            answer = self._begin(record, command, order)
        elif self.crosses_declarations:
            answer = self._refuse(record, command, f"{OTHER_DECLARATION} {self._declaration}", order)
        else:
            raise DeclarationEnded(order.declaration)
        self._remember(signed)
        return answer

    def repeated(self, signed: SignedCommand) -> str:
        """Say why a command counts no more, nothing when it does: somebody may have written it down and again."""
        if signed.id in self._taken:
            return f"command {signed.id} was taken before: issue another one"
        if 0 < signed.issued <= self._forgotten:
            return f"command {signed.id} was issued before others that are forgotten by now: issue another one"
        return ""

    def _remember(self, signed: SignedCommand) -> None:
        if not signed.issued:
            return  # not signed: who may write it again may write another one as well
        self._taken[signed.id] = signed.issued
        if len(self._taken) > _REMEMBERED:
            oldest = min(self._taken, key=self._taken.__getitem__)
            self._forgotten = max(self._forgotten, self._taken.pop(oldest))

    def _begin(self, record: Record, command: Command, order: Declare) -> list[Event]:
        """This declaration begins here."""
        takeover, self.takeover = self.takeover or Takeover(self._declaration), None
        challenger = ""
        if takeover.renews_model:
            reason = f"{record.position.event_id}/declaration.changed"
            challenger = self._lifecycle.renew(reason, record.offset, at_once=order.fresh)
        self._count["command_obeyed"] += 1
        changed = DeclarationChanged(
            **self._said_of(record, command, "declaration.changed"),
            declaration=self._declaration,
            replaced=takeover.replaced,
            changed=takeover.changed,
            version=self._lifecycle.champion.version,
            challenger=challenger,
        )
        return [changed]

    def _manage(self, record: Record, command: Command, order: Order) -> list[Event]:
        """A command about the models."""
        said, version = self._said_of(record, command, "command.obeyed"), self._lifecycle.champion.version
        followed = obey(order, self._lifecycle, said["id"], Moment(record, command.time_ms), self._pipeline)
        if isinstance(followed, str):
            return self._refuse(record, command, followed, order)
        self._count["command_obeyed"] += 1
        return [CommandObeyed(**said, version=version, **self._wanted(command, order)), *followed]

    def _refuse(self, record: Record, command: Command, reason: str, order: _Wanted | None = None) -> list[Event]:
        self._count["command_refused"] += 1
        said = self._said_of(record, command, "command.refused")
        return [CommandRefused(**said, reason=reason, **self._wanted(command, order))]

    def _wanted(self, command: Command, order: _Wanted | None) -> dict[str, Any]:
        """Return what an order says of itself, and whose key has signed it: nothing where it cannot be believed."""
        if order is None:
            return {"order": "", "who": "", "why": "", "key": ""}
        key = self._operators.key_of(command.body)
        return {"order": str(order.__struct_config__.tag), "who": order.who, "why": order.why, "key": key}

    def _said_of(self, record: Record, command: Command, kind: str) -> dict[str, Any]:
        """Return the fields of what is said of a command."""
        return {
            "id": f"{record.position.event_id}/{kind}",
            "pipeline": self._name,
            "partition": record.partition,
            "offset": record.offset,
            "time": command.time_ms,
            "command": command.id,
        }


def obey(
    order: Order, lifecycle: Lifecycle, reason: str, moment: Moment, pipeline: Pipeline
) -> list[LifecycleEvent] | str:
    """Do what a command says.

    Parameters
    ----------
    order
        The command.
    lifecycle
        Of the partition.
    reason
        Id of the event that will tell that it was obeyed.
    moment
        The record of the command.
    pipeline
        The declaration.

    Returns
    -------
    What is said of it beside that, or the reason why the command is refused: then nothing has changed.
    """
    serving = lifecycle.champion.version
    if order.expected and order.expected != serving:
        return f"expected: got {order.expected!r}, but {serving} serves: look again, and say what is to happen to it"
    match order:
        case Promote(model=name):
            return lifecycle.install(name, reason, moment)
        case RollBack(to=name):
            return lifecycle.install(name, reason, moment, again=True)
        case Import():
            return take_in(order, pipeline, lifecycle, moment)
        case Retrain():
            if not lifecycle.learns:
                return "the models are frozen, and a fresh one would learn nothing: resume first"
            if not lifecycle.acts:
                return f"{serving} is pinned, and no fresh one could take over: resume first"
            successor = lifecycle.successor
            if successor is not None and successor.origin == "declaration":
                declared = f"{successor.learner.version} of the new declaration"
                if successor.cannot_learn:
                    return f"{declared} cannot learn, its last {successor.failed} lessons failed: declare a mended one"
                return f"{declared} is learning, and takes over: wait for it"
            lifecycle.retrain(reason)
        case Freeze():
            if not lifecycle.learns:
                return "the models are frozen already"
            lifecycle.learns = False
            lifecycle.give_up_retraining()
        case Pin():
            if not lifecycle.acts:
                return f"{serving} is pinned already"
            lifecycle.acts = False
            lifecycle.give_up_retraining()
        case Resume():
            if lifecycle.learns and lifecycle.acts:
                return "nothing is frozen or pinned"
            lifecycle.learns = lifecycle.acts = True
    return []
