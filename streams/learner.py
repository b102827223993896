"""A model with its version: it scores, it learns, and when it raises it is as if the record had never come."""

from collections.abc import Callable, Collection
from typing import Any

from schemas.errors import ModelError
from streams import pickling, verbs
from streams.entity_models import EntityModels
from streams.label import TaskKind
from streams.leaf_votes import LeafVotes, has_leaves
from streams.per_key import KEY, without_key
from streams.undo_log import Checkpoint, Pickled, UndoLog

#: So many model errors of one kind in a row are not the data's fault: the model is broken.
MODEL_ERRORS_IN_A_ROW = 10


class Learner:
    """One version of a model.

    Parameters
    ----------
    fresh
        Makes the River model this version begins with; the same one every time.
    version
        Such as ``v1``.
    kind
        The task kind: it decides which of River's verbs are used.
    checkpoint
        Writes the model down for the undo log.
    learned
        Number of examples that the model of `fresh` has learned: more than 0 after a restore.

    Examples
    --------
    >>> from river import naive_bayes
    >>> learner = Learner(naive_bayes.GaussianNB, "v1", "binary")
    >>> learner.predict({"a": 1.0})
    (None, {})
    >>> for a in (1.0, 2.0, 3.0):
    ...     learner.learn({"a": a}, a > 1.5)
    >>> learner.predict({"a": 2.9})[0], learner.learned
    (True, 3)
    """

    def __init__(
        self,
        fresh: Callable[[], Any],
        version: str,
        kind: TaskKind,
        checkpoint: Callable[[Any], Checkpoint] = Pickled,
        *,
        learned: int = 0,
    ) -> None:
        self.version = version
        self.learned = learned
        self._kind = kind
        self._undo = UndoLog(fresh, checkpoint)
        self._adopt(fresh())

    def _adopt(self, model: Any) -> None:
        """Take a model and look up once which of its methods answer."""
        self.model = model
        declared = verbs.example_of(model)
        self._class_name = type(declared).__name__
        #: Class name of the model, of its last step for a River pipeline.
        self.model_name = type(verbs.last_step(declared)).__name__
        self._knows_keys = isinstance(model, EntityModels)
        self._teaching = verbs.teaching(model)
        self._learn_one = self._teaching(model)
        self._answer = verbs.answering(model, self._kind)(model)
        last = verbs.last_step(declared)
        if self._kind in ("binary", "multiclass") and has_leaves(last):
            votes = LeafVotes()
            self._learn_one = votes.teaching(self._learn_one)
            if last is declared:  # what stands before it may change an event between answer and lesson
                self._answer = votes.asking(self._answer)

    @property
    def name(self) -> str:
        """What it goes by among models: its version."""
        return self.version

    @property
    def evicted(self) -> int:
        """Number of entities whose model had to make room, 0 where there are none."""
        return self.model.evicted if self._knows_keys else 0

    def asks_shared(self, x: dict[str, Any]) -> bool:
        """Tell whether an event is answered by the model that entities share: its own has learned too little."""
        return self._knows_keys and self.model.asks_shared(x)

    def predict(self, x: dict[str, Any]) -> tuple[Any, Any]:
        """Score one event.

        Returns
        -------
        prediction
            A class, a number, or None when the model cannot say yet.
        score
            Class probabilities (classification), anomaly score (anomaly), None where the model gives none.

        Raises
        ------
        ModelError
            When the model raises or answers with NaN or infinity.
        """
        if KEY in x and not self._knows_keys:
            x = without_key(x)[1]  # it is of a declaration without `model_per`
        try:
            prediction, score, sound = self._answer(x)
        except Exception as error:
            raise ModelError(f"{self._class_name} {self.version} raised {error!r:.200}") from error
        if sound:
            return prediction, score
        if self.learned == 0:
            # Min-max scalers, for one, make NaN until they have learned: such a model cannot say anything yet.
            return None, None
        answer = prediction, score
        raise ModelError(f"{self._class_name} {self.version} answered {answer!r:.200}, expected finite numbers")

    def learn(self, x: dict[str, Any], y: Any) -> None:
        """Learn one example.

        Raises
        ------
        ModelError
            When the model raises; it is then what it was before.
        """
        if KEY in x and not self._knows_keys:
            x = without_key(x)[1]
        try:
            self._learn_one(x, y)
        except Exception as error:
            self._adopt(self._undo.restore(lambda model, x, y: self._teaching(model)(x, y)))
            raise ModelError(f"{self._class_name} {self.version} raised {error!r:.200}", "learn") from error
        self.learned += 1
        self._undo.note(x, y, self.model)

    def freeze(self, classes: Collection[Any] = ()) -> tuple[bytes, Any]:
        """Return the model as it is, written down, and itself.

        What goes on learning is the model read back: equal to the last bit, and as quick as it was, which one that has
        been written is not (`streams.pickling`).

        Parameters
        ----------
        classes
            Classes beside River's that may be in it, see `Pipeline.classes`.

        Returns
        -------
        data
            A pickle.
        model
            What was written. Nobody teaches it any more.

        Raises
        ------
        NotPicklableError, RecursionError
            When the model cannot be written: it is what it was.
        """
        written = self.model
        data = pickling.dumps(written, further=classes)
        self._adopt(pickling.loads(data, further=classes))
        return data, written
