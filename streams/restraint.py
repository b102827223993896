"""Why a better model does not take over at once: a world that stands still, earlier mistakes, and a budget."""

from typing import Any

import msgspec

from streams.policy import ChampionVersions
from streams.verdict import Role, Verdict

_PER = 10_000
#: So many times the evidence is needed each time that a version has returned in place of its own copy.
_HARDER = 4.0
#: What is harder than this is out of reach: evidence has a bound.
_MOST = 20
#: Who has shown already what it can: it needs no change of the world to come back.
_KNOWN: tuple[Role, ...] = ("steady", "previous")


class Restraint:
    """What is asked of a better model beside its advantage.

    Parameters
    ----------
    policy
        The declaration.

    Examples
    --------
    Two actions in 10,000 labelled events, and no more; the last one for a model that has served before:

    >>> restraint = Restraint(ChampionVersions(actions=2))
    >>> restraint.note("challenger", "v2", 100, by_evidence=True)
    >>> restraint.may_act(200, is_new=True), restraint.may_act(200, is_new=False)
    (False, True)
    >>> restraint.note("version", "v1@50", 200, by_evidence=True)
    >>> restraint.may_act(10_099, is_new=False), restraint.may_act(10_100, is_new=False)
    (False, True)
    """

    def __init__(self, policy: ChampionVersions) -> None:
        self._policy = policy
        #: Labelled events at which the champion was replaced.
        self._actions: list[int] = []
        #: Replacements that probation took back, less those that held since.
        self._setbacks = 0
        #: Who has taken over, and how many times again, one after the other.
        self._serves, self._again = "", 0
        #: What was held back already, and why.
        self._held: set[str] = set()

    def suffices(self, evidence: float, role: Role, name: str) -> bool:
        """Tell whether there is enough evidence, as an e-value, that one of a role and a name is better."""
        harder = 1.0
        if role not in _KNOWN:
            harder *= 2.0 ** min(_MOST, self._setbacks)
        if name == self._serves:
            # A frozen model that its own copy has become worse than. Where a world changes slowly that goes on and on.
            harder *= _HARDER ** min(_MOST, self._again)
        return evidence * self._policy.alpha >= harder

    def weigh(self, best: Verdict, change: float | None, fits_again: float, now: int) -> Verdict:
        """Return a verdict with what else has to be said.

        Parameters
        ----------
        best
            Who is better.
        change
            The evidence that the world has changed, as an e-value; None while it is too early to tell.
        fits_again
            The evidence that its own world is back.
        now
            Number of labelled events.
        """
        # Whoever has just been crowned has no reference yet; nor has the first champion, which may learn in peace.
        is_open = bool(self._actions) if change is None else change >= self._policy.change
        held = ""
        if not (best.role in _KNOWN or is_open or fits_again >= self._policy.change):
            held = "no change"
        elif not self.may_act(now, is_new=not best.has_served):
            held = "budget"
        return msgspec.structs.replace(best, change=max(change or 0.0, fits_again), held=held)

    def may_act(self, now: int, *, is_new: bool) -> bool:
        """Tell whether the budget of actions allows one more.

        Its last one is for a model that has served before: else a new one that learned from a broken upstream, and took
        over with the last, could not be replaced for thousands of events.
        """
        self._actions = [at for at in self._actions if at > now - _PER]
        allowed = self._policy.actions
        return len(self._actions) < (allowed - 1 if is_new and allowed > 1 else allowed)

    def is_news(self, verdict: Verdict) -> bool:
        """Tell whether a held verdict is heard of for the first time."""
        key = f"{verdict.model.name}/{verdict.held}"
        if key in self._held:
            return False
        self._held.add(key)
        return True

    def note(self, role: Role, name: str, now: int, *, by_evidence: bool) -> None:
        """Note that one has taken over, by evidence or because an operator has said so."""
        self._setbacks += role in _KNOWN and by_evidence
        self._again = self._again + by_evidence if name == self._serves else 0
        self._serves = name
        self._actions.append(now)
        self._held.clear()

    def relax(self) -> None:
        """Note that the probation of a champion has ended, and nobody has taken its place."""
        self._setbacks = max(0, self._setbacks - 1)

    def snapshot(self) -> Any:
        """Return the state."""
        return self._actions, self._setbacks, self._serves, self._again, sorted(self._held)

    def restore(self, state: Any) -> None:
        """Become what `snapshot` was taken of."""
        self._actions, self._setbacks, self._serves, self._again, held = state
        self._held = set(held)
