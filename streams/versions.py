"""Models as they were: frozen copies that answer and do not learn."""

from collections.abc import Callable, Collection
from typing import Any

from streams import pickling
from streams.label import TaskKind
from streams.learner import Learner

#: How the names of versions from elsewhere begin.
_IMPORTED = "i"


def imported_version(offset: int) -> str:
    """Return the version of a model from elsewhere: by the offset of its command, so that no two are called the same.

    Examples
    --------
    >>> imported_version(1042)
    'i1042'
    """
    return f"{_IMPORTED}{offset}"


class Frozen:
    """A version of a model as it was at one moment.

    Parameters
    ----------
    data
        The model, as `Learner.freeze` returns it.
    version
        The version it was taken of.
    learned
        Examples it had learned.
    offset
        Offset of the record at which it was taken.
    kind
        The task kind.
    classes
        Classes that a declaration brings along, see `Pipeline.classes`.
    model
        The model itself, where it is at hand and will be asked; else it is read from `data` when it is asked first.

    Examples
    --------
    >>> from river import naive_bayes
    >>> learner = Learner(naive_bayes.GaussianNB, "v1", "binary")
    >>> for a in (1.0, 2.0, 3.0):
    ...     learner.learn({"a": a}, a > 1.5)
    >>> frozen = Frozen(learner.freeze()[0], "v1", 3, 2, "binary")
    >>> learner.learn({"a": 2.9}, False)
    >>> frozen.name, frozen.predict({"a": 2.9})[0], frozen.thaw().predict_one({"a": 2.9})
    ('v1@3', True, True)
    """

    def __init__(
        self,
        data: bytes,
        version: str,
        learned: int,
        offset: int,
        kind: TaskKind,
        classes: Collection[Any] = (),
        model: Any = None,
    ) -> None:
        self.data = data
        self.version = version
        self.learned = learned
        self.offset = offset
        self.name = f"{version}@{learned}"
        #: Whether it is from elsewhere, and has not served here as it is.
        self.is_imported = version.startswith(_IMPORTED)
        self._kind = kind
        self._classes = classes
        self._answering = None if model is None else self._learner(lambda: model)

    def thaw(self) -> Any:
        """Return the model; each time another copy."""
        return pickling.loads(self.data, further=self._classes)

    def learner(self) -> Learner:
        """Return one that goes on from here, under the same version."""
        return self._learner(self.thaw)

    def grown(self, learner: Learner, offset: int) -> "Frozen":
        """Return what one of `learner` has become, frozen; nobody teaches it any more.

        Parameters
        ----------
        learner
            It.
        offset
            Offset of the newest event that it has learned.

        Raises
        ------
        NotPicklableError, RecursionError
            When the model cannot be written.
        """
        data, model = pickling.dumps(learner.model, further=self._classes), learner.model
        return Frozen(data, self.version, learner.learned, offset, self._kind, self._classes, model)

    def predict(self, x: dict[str, Any]) -> tuple[Any, Any]:
        """Score one event, as `Learner.predict` does."""
        if self._answering is None:
            self._answering = self._learner(self.thaw)
        return self._answering.predict(x)

    def _learner(self, model: Callable[[], Any]) -> Learner:
        return Learner(model, self.version, self._kind, learned=self.learned)
