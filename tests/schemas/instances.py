"""One fixed instance of each event class, whose bytes are checked in.

``python -m tests.schemas.instances`` writes the golden files anew: a change there is a change of the contract.
"""

from pathlib import Path
from typing import Any

import msgspec

from schemas.avro import encode_avro
from schemas.data_drift import MovedSignal
from schemas.events import (
    ActionSuppressed,
    CommandObeyed,
    CommandRefused,
    DataDrifted,
    DeclarationChanged,
    DriftCleared,
    DriftDetected,
    DriftWarned,
    LifecycleEvent,
    ModelArchived,
    ModelPromoted,
    ModelRetired,
    ModelRetrained,
    ModelRolledBack,
    PredictionMade,
)

GOLDEN = Path(__file__).parent / "golden"

_MADE = {
    "model": "LogisticRegression",
    "version": "v3",
    "learned": 1042,
    "source": "flights.raw",
    "partition": 3,
    "offset": 2**40,
    "pipeline": "flights",
    "declaration": "0123456789ab",
}
_COMMON = {"pipeline": "flights", "partition": 3, "offset": 1042, "time": 1357017300000}
_CHANGE = {
    "segment": "UA",
    "version": "v1",
    "signal": "loss",
    "before": 0.1,
    "after": 0.30000000000000004,
    "change_offset": 1000,
    "width": 96,
    "delta": 0.002,
}

_EVIDENCE: dict[str, Any] = {
    "evidence": 57.5,
    "change": 1e12,
    "since": 1000,
    "events": 24,
    "loss": 0.125,
    "replaced_loss": 0.5,
}

INSTANCES: dict[str, PredictionMade | LifecycleEvent] = {
    "prediction-binary": PredictionMade(id="UA-1", prediction=True, score=0.1, **_MADE),
    "prediction-multiclass": PredictionMade(
        id="Zürich", prediction="läte", score={"läte": 0.75, "on time": 0.25}, flags=("time-leap",), **_MADE
    ),
    "prediction-number-class": PredictionMade(id="c", prediction=-7, score={"-7": 1.0}, **_MADE),
    "prediction-regression": PredictionMade(id="r", prediction=1e-300, score=None, **_MADE),
    "prediction-unknown": PredictionMade(id="n", prediction=None, score=None, **_MADE),
    "drift-warned": DriftWarned(id="flights.raw-3-1042/drift.warned", **_CHANGE, **_COMMON),
    "drift-detected": DriftDetected(id="flights.raw-3-1042/drift.detected", **_CHANGE, **_COMMON),
    "drift-cleared": DriftCleared(
        id="flights.raw-3-1042/drift.cleared", version="v1", warning="flights.raw-3-9/drift.warned", **_COMMON
    ),
    "data-drifted": DataDrifted(
        id="flights.raw-3-1042/drift.data",
        version="v1",
        moved=(
            MovedSignal(
                name="temp",
                kind="number",
                what="location",
                q=1e-9,
                before={"mean": 10.5, "q10": 2.0, "q50": 10.0, "q90": 20.25},
                after={"mean": 18.5, "q10": 9.0, "q50": 18.0, "q90": 29.0},
                missing_before=0.0,
                missing_after=0.125,
                reference_offset=16,
            ),
            MovedSignal(
                name="prediction",
                kind="prediction:category",
                what="läte",
                q=0.005,
                before={"läte": 0.25, "on time": 0.75},
                after={"läte": 0.5, "on time": 0.5},
                missing_before=0.0,
                missing_after=0.0,
                reference_offset=0,
            ),
        ),
        count=2,
        watched=12,
        window_offset=900,
        window_end=999,
        next_offset=1000,
        rate=0.01,
        **_COMMON,
    ),
    "model-retrained": ModelRetrained(
        id="flights.raw-3-1042/model.retrained",
        version="v2",
        replaced="v1",
        learned=200,
        reason="flights.raw-3-900/drift.detected",
        **_COMMON,
    ),
    "model-promoted": ModelPromoted(
        id="flights.raw-3-1042/model.promoted",
        version="v2",
        replaced="v1",
        learned=200,
        reason="",
        imported="",
        **_EVIDENCE,
        **_COMMON,
    ),
    "model-rolled-back": ModelRolledBack(
        id="flights.raw-3-1042/model.rolled-back",
        version="v5",
        replaced="v4",
        learned=1500,
        reason="flights.raw-3-900/drift.detected",
        restored="v1@1500",
        **_EVIDENCE,
        **_COMMON,
    ),
    "model-archived": ModelArchived(
        id="flights.raw-3-1042/model.archived", archived="v1@1500", version="v1", learned=1500, until=990, **_COMMON
    ),
    "model-imported": ModelArchived(
        id="flights.raw-3-1042/model.archived",
        archived="i1042@1500",
        version="i1042",
        learned=1500,
        until=1042,
        origin="flights.raw[0] v7, sha256 0123456789ab",
        **_COMMON,
    ),
    "model-retired": ModelRetired(
        id="flights.raw-3-1042/model.retired", retired="v1@1500", reason="not wanted for the longest time", **_COMMON
    ),
    "action-suppressed": ActionSuppressed(
        id="flights.raw-3-1042/action.suppressed",
        version="v1",
        held="v2",
        reason="no change",
        evidence=57.5,
        change=2.5,
        since=901,
        events=88,
        loss=0.25,
        held_loss=0.125,
        **_COMMON,
    ),
    "declaration-changed": DeclarationChanged(
        id="flights.raw-3-1042/declaration.changed",
        declaration="0123456789ab",
        replaced="ba9876543210",
        changed=("drift", "model"),
        version="v1",
        challenger="v2",
        command="c-1",
        **_COMMON,
    ),
    "command-obeyed": CommandObeyed(
        id="flights.raw-3-1042/command.obeyed",
        command="c-1",
        order="rollback",
        version="v4",
        who="ann",
        why="v4 answers late",
        key="139e3940e64b5491",
        **_COMMON,
    ),
    "command-refused": CommandRefused(
        id="flights.raw-3-1042/command.refused",
        command="c-1",
        reason="nothing is frozen or pinned",
        order="resume",
        who="ann",
        why="",
        key="139e3940e64b5491",
        **_COMMON,
    ),
}

if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, event in INSTANCES.items():
        (GOLDEN / f"{name}.json").write_bytes(msgspec.json.encode(event))
        (GOLDEN / f"{name}.avro").write_bytes(encode_avro(event))
