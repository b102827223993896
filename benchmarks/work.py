"""The work every contestant does on a record: JSON → predict → evaluate → detect → learn → JSON."""

from __future__ import annotations

from collections.abc import Callable

import orjson
from river import metrics, utils
from river.base import Classifier
from river.drift import ADWIN

WINDOW = 1_000
MODEL_NAMES = ("lr", "hat", "arf", "lr_metrics")

Step = Callable[[bytes, int, int], bytes]


def make_model(name: str) -> Classifier:
    """Build one of the models by name, importing only what it needs.

    Raises
    ------
    ValueError
        If the name is none of `MODEL_NAMES`.
    """
    if name in ("lr", "lr_metrics"):
        from river import linear_model, preprocessing

        return preprocessing.StandardScaler() | linear_model.LogisticRegression()
    if name == "hat":
        from river import tree

        return tree.HoeffdingAdaptiveTreeClassifier(seed=1)
    if name == "arf":
        from river import forest

        return forest.ARFClassifier(n_models=10, seed=1)
    raise ValueError(f"model: got {name!r}, expected one of {', '.join(MODEL_NAMES)}")


def make_step(name: str) -> Step:
    """Return a fresh fold `step(payload, partition, offset) -> prediction record`.

    `lr_metrics` scores with `predict_proba_one` and adds rolling ROC AUC and log loss; the others call `predict_one`.

    Examples
    --------
    >>> step = make_step("lr")
    >>> step(b'{"id":"a000000","age":40,"label":true}', 0, 7)
    b'{"id":"a000000","position":"0@7","pipeline":"bench","model":"lr","version":1,"learned":0,"score":0.0,"prediction":false}'
    """
    return _make_step_with_metrics(name) if name.endswith("_metrics") else _make_plain_step(name)


def _make_plain_step(name: str) -> Step:
    model, accuracy, detector = make_model(name), utils.Rolling(metrics.Accuracy, window_size=WINDOW), ADWIN()
    learned = 0

    def step(payload: bytes, partition: int, offset: int) -> bytes:
        nonlocal learned
        features = orjson.loads(payload)
        event_id = features.pop("id")
        label = features.pop("label")
        prediction = model.predict_one(features) or False
        accuracy.update(label, prediction)
        detector.update(prediction != label)
        model.learn_one(features, label)
        output = _prediction_record(event_id, partition, offset, name, learned, float(prediction), prediction)
        learned += 1
        return output

    return step


def _make_step_with_metrics(name: str) -> Step:
    model, detector = make_model(name), ADWIN()
    accuracy = utils.Rolling(metrics.Accuracy, window_size=WINDOW)
    auc = utils.Rolling(metrics.ROCAUC, window_size=WINDOW)
    log_loss = utils.Rolling(metrics.LogLoss, window_size=WINDOW)
    learned = 0

    def step(payload: bytes, partition: int, offset: int) -> bytes:
        nonlocal learned
        features = orjson.loads(payload)
        event_id = features.pop("id")
        label = features.pop("label")
        scores = model.predict_proba_one(features)
        prediction = max(scores, key=scores.__getitem__) if scores else False
        score = scores.get(True, 0.0)
        accuracy.update(label, prediction)
        auc.update(label, score)
        log_loss.update(label, score)
        detector.update(prediction != label)
        model.learn_one(features, label)
        output = _prediction_record(event_id, partition, offset, name, learned, score, prediction)
        learned += 1
        return output

    return step


def _prediction_record(
    event_id: str, partition: int, offset: int, model: str, learned: int, score: float, prediction: bool
) -> bytes:
    return orjson.dumps(
        {
            "id": event_id,
            "position": f"{partition}@{offset}",
            "pipeline": "bench",
            "model": model,
            "version": 1,
            "learned": learned,
            "score": score,
            "prediction": prediction,
        }
    )


class Steps(dict[int, Step]):
    """One fold a partition, made when the partition's first record comes."""

    def __init__(self, model: str) -> None:
        super().__init__()
        self._model = model

    def __missing__(self, partition: int) -> Step:
        step = self[partition] = make_step(self._model)
        return step
