"""Whether a contestant's predictions are complete, in order, and how good they are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from benchmarks.records import key_of

Output = tuple[int, bytes, bytes]
"""Partition, key and value of one output record."""


@dataclass(frozen=True)
class Verdict:
    """What the outputs of one run amount to.

    Attributes
    ----------
    complete
        Whether every input has a prediction.
    duplicates
        Outputs beyond the first for a record; at-least-once allows them, an undisturbed run has none.
    ordered
        Whether the outputs of each partition come in input order.
    accuracy
        Share of right predictions over all records, warm-up included.
    digest
        Hash over the predictions in input order: equal digests are equal prediction streams.
    """

    complete: bool
    duplicates: int
    ordered: bool
    accuracy: float
    digest: str


def judge(payloads: list[bytes], outputs: Iterable[Output]) -> Verdict:
    """Compare a run's outputs with its inputs."""
    index_of = {key_of(payload): index for index, payload in enumerate(payloads)}
    predictions: list[bool | None] = [None] * len(payloads)
    last_index: dict[int, int] = {}
    duplicates, ordered = 0, True
    for partition, key, value in outputs:
        index = index_of[key]
        if predictions[index] is not None:
            duplicates += 1
            continue
        ordered = ordered and index > last_index.get(partition, -1)
        last_index[partition] = index
        predictions[index] = bool(orjson.loads(value)["prediction"])
    labels = [payload.endswith(b"true}") for payload in payloads]
    right = sum(prediction is label for prediction, label in zip(predictions, labels, strict=True))
    return Verdict(
        complete=None not in predictions,
        duplicates=duplicates,
        ordered=ordered,
        accuracy=right / len(payloads),
        digest=hashlib.sha256(orjson.dumps(predictions)).hexdigest()[:16],
    )
