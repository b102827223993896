"""What a leaf of River's Hoeffding trees votes, computed once for an answer and the lesson that follows."""

from collections.abc import Callable
from typing import Any

from river import base, forest, tree
from river.tree.nodes import hatc_nodes, htc_nodes
from river.tree.utils import do_naive_bayes_prediction

_Features = dict[str, Any]
#: By the identity of a leaf's splitters: these, the leaf's class counts and the features, and its vote.
_Votes = dict[int, tuple[Any, dict[Any, float], _Features, dict[Any, float]]]

#: Votes of the learner at work; None while none is.
_votes: _Votes | None = None


class LeafVotes:
    """Remembers the naive Bayes votes of a model's leaves from one lesson to the next.

    A tree asks the leaf of an event for its vote to answer, again at each branch on the way of the lesson, and twice
    more at the leaf: until that learns, they are all the same. A vote is used again for the same splitters, counts and
    features only, and a lesson forgets them all. ``python -m benchmarks.breakdown --model hat`` tells what that saves.

    River's leaves know nothing of it: the function that they call is ours, and River's own unless it is called within
    `asking` or `teaching`.

    Examples
    --------
    >>> model, votes = tree.HoeffdingTreeClassifier(), LeafVotes()
    >>> ask, teach = votes.asking(model.predict_proba_one), votes.teaching(model.learn_one)
    >>> teach({"a": 1.0}, True)
    >>> ask({"a": 1.0})
    {True: 1.0}
    """

    def __init__(self) -> None:
        self._votes: _Votes = {}

    def asking(self, ask: Callable[[_Features], Any]) -> Callable[[_Features], Any]:
        """Return a function that answers as `ask` does, with votes that are known."""
        votes = self._votes

        def answer(x: _Features) -> Any:
            global _votes
            _votes = votes
            try:
                return ask(x)
            finally:
                _votes = None

        return answer

    def teaching(self, teach: Callable[[_Features, Any], object]) -> Callable[[_Features, Any], None]:
        """Return a function that teaches as `teach` does, with votes that are known until then."""
        votes = self._votes

        def learn(x: _Features, y: Any) -> None:
            global _votes
            _votes = votes
            try:
                teach(x, y)
            finally:
                _votes = None
                votes.clear()

        return learn


def has_leaves(model: Any) -> bool:
    """Tell whether a model is a Hoeffding tree that classifies, many of them, or a wrapper of River's of one."""
    if isinstance(model, tree.HoeffdingTreeClassifier | forest.ARFClassifier):
        return True
    return isinstance(model, base.Wrapper) and has_leaves(model._wrapped_model)


def _vote(x: _Features, counts: dict[Any, float], splitters: Any) -> Any:
    votes = _votes
    if votes is None:
        return do_naive_bayes_prediction(x, counts, splitters)
    known = votes.get(id(splitters))
    if known is not None and known[0] is splitters and known[1] == counts and known[2] == x:
        return known[3].copy()
    vote = do_naive_bayes_prediction(x, counts, splitters)
    votes[id(splitters)] = splitters, dict(counts), dict(x), vote
    return vote.copy()


# LAST's leaves count an event before they ask, so they keep River's.
for _nodes in (htc_nodes, hatc_nodes):
    _nodes.do_naive_bayes_prediction = _vote
