"""What a leaf of River's Hoeffding trees votes, computed once for an answer and the lesson that follows.

On import the function by which River's leaves vote is replaced, in this process, by one that does the same, and
remembers it while a learner is at work.
"""

from collections.abc import Callable
from typing import Any

from river import base, forest, tree
from river.tree.nodes import hatc_nodes, htc_nodes

_Features = dict[str, Any]
_Counts = dict[Any, float]
_Compute = Callable[[_Features, _Counts, Any], Any]


class LeafVotes:
    """Remembers the naive Bayes votes on one event of a model's leaves, until a lesson has been learned.

    An adaptive tree asks the leaf of an event for its vote to answer, again at each branch on the way of the lesson,
    and twice more at the leaf; other trees ask twice. Until the leaf learns, they are all the same. A vote is used
    again for the same leaf with the same counts and the same event, which nobody may have changed in between.
    ``python -m benchmarks.breakdown --model hat`` tells what that saves.

    Examples
    --------
    >>> model, votes = tree.HoeffdingTreeClassifier(), LeafVotes()
    >>> ask, teach = votes.asking(model.predict_proba_one), votes.teaching(model.learn_one)
    >>> teach({"a": 1.0}, True)
    >>> ask({"a": 1.0})
    {True: 1.0}
    """

    __slots__ = ("_event", "_known")

    def __init__(self) -> None:
        self._event: _Features | None = None
        #: Of each leaf that was asked: its splitters, which nobody else has, its counts, and its vote.
        self._known: list[tuple[Any, _Counts, Any]] = []

    def asking(self, ask: Callable[[_Features], Any]) -> Callable[[_Features], Any]:
        """Return a function that answers as `ask` does."""

        def answer(x: _Features) -> Any:
            global _at_work
            _at_work = self
            try:
                return ask(x)
            finally:
                _at_work = None

        return answer

    def teaching(self, teach: Callable[[_Features, Any], object]) -> Callable[[_Features, Any], None]:
        """Return a function that teaches as `teach` does."""

        def learn(x: _Features, y: Any) -> None:
            global _at_work
            _at_work = self
            try:
                teach(x, y)
            finally:
                _at_work = None
                self._event = None

        return learn

    def of(self, compute: _Compute, x: _Features, counts: _Counts, splitters: Any) -> Any:
        """Return a leaf's vote, computed if it is not known."""
        if x is not self._event:
            self._event = x
            self._known.clear()
        for asked, before, vote in self._known:
            if asked is splitters and before == counts:
                return vote.copy()
        vote = compute(x, counts, splitters)
        self._known.append((splitters, dict(counts), vote))
        return vote.copy()


#: Those of the learner that answers or learns; None while none does.
_at_work: LeafVotes | None = None


def has_leaves(model: Any) -> bool:
    """Tell whether a model's leaves vote more than once: a Hoeffding tree, a forest, or a wrapper of River's of one.

    Splitters must be River's own: others may answer by chance.
    """
    if isinstance(model, tree.HoeffdingTreeClassifier | forest.ARFClassifier):
        splitter = model.splitter
        own = splitter is None or type(splitter).__module__.startswith("river.")
        # LAST's leaves count an event before they ask.
        return own and model.leaf_prediction != "mc" and not isinstance(model, tree.LASTClassifier)
    return isinstance(model, base.Wrapper) and has_leaves(model._wrapped_model)


def _remembering(compute: _Compute) -> _Compute:
    def vote(x: _Features, counts: _Counts, splitters: Any) -> Any:
        votes = _at_work
        return compute(x, counts, splitters) if votes is None else votes.of(compute, x, counts, splitters)

    return vote


for _nodes in (htc_nodes, hatc_nodes):
    _nodes.do_naive_bayes_prediction = _remembering(_nodes.do_naive_bayes_prediction)
