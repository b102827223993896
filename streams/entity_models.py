"""The models of one partition, one for each entity, and one that learns from all of them."""

import pickle
from collections import OrderedDict
from typing import Any

from streams import pickling
from streams.per_key import KEY, without_key


class EntityModels:
    """One River model for each key, at most so many, and a shared one for those that are new.

    Which entity goes where there are too many follows from the examples that were learned, and from nothing else: an
    answer changes nothing, so that copies, replays and the way back from an error all agree.

    Parameters
    ----------
    declared
        The model as declared, unlearned, its seeds filled in. Each entity gets a copy that shares nothing with it.
    most, min_learned
        As `PerKey` takes them.

    Raises
    ------
    NotPicklableError
        When the model holds something that could not go into a snapshot.

    Examples
    --------
    >>> from river import stats
    >>> models = EntityModels(stats.Mean(), most=2, min_learned=0)
    >>> for key, value in (("a", 1.0), ("b", 2.0), ("a", 3.0), ("c", 4.0)):
    ...     [mean], x = models.learning({"": key, "v": value})
    ...     mean.update(x["v"])
    >>> {key: mean.get() for key, mean in models.entities.items()}, models.evicted
    ({'a': 2.0, 'c': 4.0}, 1)
    """

    def __init__(self, declared: Any, most: int, min_learned: int) -> None:
        self.declared = declared
        self._most, self._min_learned = most, min_learned
        self._blank: bytes | None = _written(declared)
        #: Learns from every example; None where nobody is answered by it.
        self.shared = self._fresh() if min_learned else None
        #: Models by key, the one that has learned last at the end.
        self.entities: OrderedDict[str, Any] = OrderedDict()
        #: Examples that each of them has learned.
        self.learned: dict[str, int] = {}
        self.examples = self.evicted = 0

    def _fresh(self) -> Any:
        """Return an unlearned copy of the model: made quicker than River's `clone`, and as fast as the original."""
        if self._blank is None:
            self._blank = _written(self.declared)
        return pickle.loads(self._blank)

    def asks_shared(self, x: dict[str, Any]) -> bool:
        """Tell whether the shared model is the one that answers to an event; `x` has the key among its features."""
        return self.learned.get(x.get(KEY, ""), 0) < self._min_learned

    def answering(self, x: dict[str, Any]) -> tuple[Any, dict[str, Any], int]:
        """Return the model that answers to an event, the features it is to see, and how many examples it has learned.

        Parameters
        ----------
        x
            Features with the key among them, see `with_key`; left as they are.
        """
        key, own = without_key(x)
        learned = self.learned.get(key, 0)
        if learned < self._min_learned:
            return self.shared, own, self.examples
        # One that is not there is asked as a copy: a question must leave nothing behind.
        return self.entities[key] if learned else self._fresh(), own, learned

    def learning(self, x: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return the models that are to learn from an event, and the features they are to see; it counts as learned.

        Parameters
        ----------
        x
            Features with the key among them; left as they are.
        """
        key, own = without_key(x)
        entities = self.entities
        if key in entities:
            entities.move_to_end(key)
            self.learned[key] += 1
        else:
            if len(entities) >= self._most:
                oldest, _ = entities.popitem(last=False)
                del self.learned[oldest]
                self.evicted += 1
            entities[key] = self._fresh()
            self.learned[key] = 1
        self.examples += 1
        return [entities[key]] if self.shared is None else [entities[key], self.shared], own

    def __getstate__(self) -> Any:
        """Return the state without what copies are made from: a pickle that came from elsewhere is never trusted."""
        bounds = self._most, self._min_learned
        return self.declared, bounds, self.shared, self.entities, self.learned, self.examples, self.evicted

    def __setstate__(self, state: Any) -> None:
        """Become what `__getstate__` was taken of."""
        self.declared, bounds, self.shared, self.entities, self.learned, self.examples, self.evicted = state
        self._most, self._min_learned = bounds
        self._blank = None


def _written(model: Any) -> bytes:
    """Return a model as bytes whose copies are put together attribute by attribute, see `pickling`."""
    return pickling.dumps(model, further=pickling.globals_of(model))
