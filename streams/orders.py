"""What operators' commands make of the models of one partition."""

from schemas.commands import Freeze, Order, Pin, Promote, Resume, Retrain, RollBack
from schemas.events import LifecycleEvent
from streams.lifecycle import Lifecycle
from streams.moment import Moment


def obey(order: Order, lifecycle: Lifecycle, reason: str, moment: Moment) -> list[LifecycleEvent] | str:
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
            return lifecycle.install(name, reason, moment)
        case Retrain():
            lifecycle.retrain(reason)
        case Freeze():
            if not lifecycle.learns:
                return "the models are frozen already"
            lifecycle.learns = False
        case Pin():
            if not lifecycle.acts:
                return f"{serving} is pinned already"
            lifecycle.acts = False
        case Resume():
            if lifecycle.learns and lifecycle.acts:
                return "nothing is frozen or pinned"
            lifecycle.learns = lifecycle.acts = True
    return []
