"""The way back from a `learn_one` that raised half way: a checkpoint, and what was learned since."""

import pickle
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from schemas.errors import ModelBrokenError

_MAX_BYTES = 16 * 1024 * 1024
_LARGE_MODEL_BYTES = 64 * 1024
_EXAMPLE_BYTES = 100
_encode, _decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder().decode


class Checkpoint(Protocol):
    """A model as it was at one moment, written down or about to be."""

    def size_bytes(self) -> int | None:
        """Return the number of bytes written, None while they are being written, 0 when it could not be done."""

    def load(self) -> Any:
        """Return the model, once it is written; every time another copy."""


class Pickled:
    """A checkpoint written on the spot.

    Pickling has a price beyond its time: it makes CPython (before 3.13) give each object a dict of its own, and the
    model is slower for as long as it lives. Hence a worker has it done by a forked child.

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
    """What a model has learned since it was fresh, or since its last checkpoint.

    The next checkpoint is due at 16 MiB, some 70,000 examples of nine features, and at a quarter of it when the model
    is large. The longer the log, the rarer are checkpoints, each of which makes the process slower for a moment, and
    the longer is the way back.

    Parameters
    ----------
    fresh
        Makes the model as it was before it learned anything; the same one every time.
    checkpoint
        Takes a checkpoint; it may return before the checkpoint is written.

    Examples
    --------
    >>> from river import stats
    >>> undo, mean = UndoLog(stats.Mean), stats.Mean()
    >>> mean.update(1.0)
    >>> undo.note({"a": 1.0}, None, mean)
    >>> undo.restore(lambda mean, x, y: mean.update(x["a"])).get()
    1.0
    """

    def __init__(self, fresh: Callable[[], Any], checkpoint: Callable[[Any], Checkpoint] = Pickled) -> None:
        self._checkpoint = checkpoint
        self._load: Callable[[], Any] | None = fresh
        self._next: Checkpoint | None = None
        self._next_at = 0
        # Encoded: a list of dicts and floats, all alive, would push everything else out of the processor's cache.
        self.examples: list[bytes] = []
        self._room_bytes = _MAX_BYTES // 4

    def note(self, x: dict[str, Any], y: Any, model: Any) -> None:
        """Note an example that a model has learned."""
        example = _encode((x, y))
        self.examples.append(example)
        self._room_bytes -= len(example) + _EXAMPLE_BYTES
        if self._room_bytes < 0:
            self._turn(model)

    def _turn(self, model: Any) -> None:
        """Take the next checkpoint, or put the one that was taken before in the place of the last."""
        if self._next is None:
            self._next, self._next_at = self._checkpoint(model), len(self.examples)
        size = self._next.size_bytes()
        if size is None:
            self._room_bytes = _MAX_BYTES // 16  # it is being written: look again a little later
            return
        self._load = self._next.load if size else None
        del self.examples[: self._next_at]
        self._next = None
        # A large model is a slow one, and its way back is kept shorter.
        self._room_bytes = _MAX_BYTES if 0 < size < _LARGE_MODEL_BYTES else _MAX_BYTES // 4

    def restore(self, learn: Callable[[Any, Any, Any], object]) -> Any:
        """Return the model as it was after the last example that was noted.

        Parameters
        ----------
        learn
            Called with the model, features and label of each example since the checkpoint.

        Raises
        ------
        ModelBrokenError
            When the model could not be written down the last time.
        """
        if self._load is None:
            raise ModelBrokenError(
                "a model that raised cannot be put back: it is too deep or too large to pickle, and has been since "
                "more was learned than is kept. Mend the model in the declaration and start again."
            )
        model = self._load()
        for example in self.examples:
            x, y = _decode(example)
            learn(model, x, y)
        return model
