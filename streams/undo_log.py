"""The way back from a `learn_one` that raised half way: a checkpoint, and what was learned since."""

import pickle
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from schemas.errors import ModelBrokenError

_FIRST_EXAMPLES = 250
_SMALL_BYTES = 64 * 1024
_SMALL_EXAMPLES = 1_000
_MAX_EXAMPLES = 20_000
_MAX_BYTES = 16 * 1024 * 1024
_encode, _decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder().decode


class Checkpoint(Protocol):
    """A model as it was at one moment, written down or about to be."""

    def size_bytes(self) -> int | None:
        """Return the number of bytes written, None while they are being written, 0 when it could not be done."""

    def load(self) -> Any:
        """Return the model, once it is written."""


class Pickled:
    """A checkpoint written on the spot.

    Pickling has a price beyond its time: it makes CPython give each object a dict of its own, and the model is slower
    for as long as it lives. Hence large models are handed to whoever can write them elsewhere.

    Parameters
    ----------
    model
        A River model.

    Examples
    --------
    >>> from river import naive_bayes
    >>> type(Pickled(naive_bayes.GaussianNB()).load()).__name__
    'GaussianNB'
    """

    def __init__(self, model: Any) -> None:
        try:
            self._data = pickle.dumps(model, pickle.HIGHEST_PROTOCOL)
        except RecursionError:
            self._data = b""  # a tree too deep, such as a regressor's splitter on a feature that only rises

    def size_bytes(self) -> int:
        """Return the size of the pickle, 0 when there is none."""
        return len(self._data)

    def load(self) -> Any:
        """Return the model as it was."""
        return pickle.loads(self._data)


class UndoLog:
    """A checkpoint of a model and what the model has learned since, bounded in examples and in bytes.

    Parameters
    ----------
    model
        A model that has learned nothing yet.
    checkpoint
        Takes the checkpoints of models larger than 64 KiB; it may return before the checkpoint is written.

    Examples
    --------
    >>> from river import stats
    >>> mean = stats.Mean()
    >>> undo = UndoLog(mean)
    >>> mean.update(1.0)
    >>> undo.note({"a": 1.0}, None, mean)
    >>> undo.restore(lambda mean, x, y: mean.update(x["a"])).get()
    1.0
    """

    def __init__(self, model: Any, checkpoint: Callable[[Any], Checkpoint] = Pickled) -> None:
        self._checkpoint = checkpoint
        self._base: Checkpoint | None = Pickled(model)
        self._next: Checkpoint | None = None
        self._next_at = 0
        # Encoded: a list of dicts and floats, all alive, would push everything else out of the processor's cache.
        self.examples: list[bytes] = []
        self._due = _FIRST_EXAMPLES

    def note(self, x: dict[str, Any], y: Any, model: Any) -> None:
        """Note an example that a model has learned."""
        self.examples.append(_encode((x, y)))
        if len(self.examples) >= self._due:
            self._turn(model)

    def _turn(self, model: Any) -> None:
        """Take the next checkpoint, or put the one that was taken before in the place of the last."""
        if self._next is None:
            small = self._base is not None and (self._base.size_bytes() or 0) < _SMALL_BYTES
            self._next, self._next_at = Pickled(model) if small else self._checkpoint(model), len(self.examples)
        size, longest = self._next.size_bytes(), self._longest()
        if size is None:
            self._due = len(self.examples) + _FIRST_EXAMPLES
        elif size:
            self._base, self._next = self._next, None
            del self.examples[: self._next_at]
            self._due = _SMALL_EXAMPLES if size < _SMALL_BYTES else longest
        else:
            self._give_up(longest)

    def _give_up(self, longest: int) -> None:
        """Go on with a longer log while there is room for it, and without a way back when there is none."""
        self._next = None
        if len(self.examples) >= longest:
            self._base, self.examples = None, []
        self._due = len(self.examples) + _SMALL_EXAMPLES

    def _longest(self) -> int:
        """Return how many examples may be kept, by the size of the newest."""
        return max(_FIRST_EXAMPLES, min(_MAX_EXAMPLES, _MAX_BYTES // len(self.examples[-1])))

    def restore(self, learn: Callable[[Any, Any, Any], object]) -> Any:
        """Return the model as it was after the last example that was noted.

        Parameters
        ----------
        learn
            Called with the model, features and label of each example since the checkpoint.

        Raises
        ------
        ModelBrokenError
            When the model could not be written down for too long.
        """
        if self._base is None:
            raise ModelBrokenError(
                "a model that raised cannot be put back: it is too deep or too large to pickle, and has been since "
                "more was learned than is kept. Mend the model in the declaration and start again."
            )
        model = self._base.load()
        for example in self.examples:
            x, y = _decode(example)
            learn(model, x, y)
        base = Pickled(model)
        if base.size_bytes():
            self._base, self._next, self.examples = base, None, []
            self._due = _FIRST_EXAMPLES
        return model
