"""Whether a prediction can be made again: the same model, from snapshot and log, and the same answer."""

from typing import Any, Literal

import msgspec
import orjson
from msgspec import Struct

from schemas import cloudevents as ce
from schemas.avro import encode_avro
from schemas.events import PredictionMade
from schemas.record import Record
from services.verification.rebuilding import OutOfReach, Rebuilder, Rebuilt
from services.verification.search import Found, decode_prediction
from streams.pipeline import Pipeline

Outcome = Literal[
    "same", "differs", "older than the log", "another declaration", "another version", "no such prediction"
]


class Difference(Struct, frozen=True):
    """A field that was predicted otherwise than the model of that time predicts it.

    Parameters
    ----------
    field
        Its name.
    found, rebuilt
        What stands in the topic, and what was made again.
    """

    field: str
    found: Any
    rebuilt: Any


class Verification(Struct, frozen=True):
    """What became of an attempt to make a prediction again.

    Parameters
    ----------
    outcome
        ``same``: every field, to the last bit. ``differs``: not so, although nothing stands in the way of it.
        ``older than the log``: the model of that time cannot be rebuilt any more. ``another declaration``,
        ``another version``: what is here is not what made it, so nothing is to be said. ``no such prediction``:
        there is none to be compared.
    reason
        Why, in words; empty where there is nothing to add.
    differences
        The fields that differ.
    rebuilt
        What was made again; None where nothing was.
    remarks
        What has to be known to judge it.
    """

    outcome: Outcome
    reason: str = ""
    differences: tuple[Difference, ...] = ()
    rebuilt: Rebuilt | None = None
    remarks: tuple[str, ...] = ()


def verify(found: Found, pipeline: Pipeline, rebuilder: Rebuilder) -> Verification:
    """Make a prediction again and compare.

    Parameters
    ----------
    found
        The prediction.
    pipeline
        The declaration that is said to have made it.
    rebuilder
        Rebuilds the models of that declaration.
    """
    made_by = found.fields.get("declaration")
    if made_by != pipeline.declaration:
        return Verification(
            "another declaration",
            f"it was made by declaration {made_by}, and {pipeline.name} as it is here is {pipeline.declaration}: "
            "verify it with the declaration of that time",
        )
    rebuilt = rebuilder.rebuild(found.cause)
    remarks = tuple(rebuilder.remarks)
    if isinstance(rebuilt, OutOfReach):
        return Verification("older than the log", rebuilt.reason, remarks=remarks)
    differences = _differences(found, rebuilt)
    if not differences:
        return Verification("same", rebuilt=rebuilt, remarks=remarks)
    outcome, reason = _judge(rebuilder)
    return Verification(outcome, reason, differences, rebuilt, remarks)


def _judge(rebuilder: Rebuilder) -> tuple[Outcome, str]:
    """Return what a difference amounts to: it is held against the prediction only when there is no other reason."""
    if rebuilder.other_versions:
        return "another version", f"it was made with {rebuilder.other_versions}: only equal versions predict equally"
    if rebuilder.doubt:
        return "older than the log", rebuilder.doubt
    return "differs", ""


def _differences(found: Found, rebuilt: Rebuilt) -> tuple[Difference, ...]:
    if rebuilt.prediction is None:
        return (Difference("prediction", found.fields.get("prediction"), rebuilt.instead),)
    again = _as_written(rebuilt.prediction, found.record)
    return tuple(
        Difference(name, found.fields.get(name), value)
        for name, value in again.items()
        if name != "schema_version" and _exactly(found.fields.get(name)) != _exactly(value)
    )


def _as_written(prediction: PredictionMade, like: Record) -> dict[str, Any]:
    """Return the fields of a prediction after the way through the format of another one."""
    is_avro = ce.header(like.headers or [], "content-type") == ce.AVRO
    value = encode_avro(prediction) if is_avro else msgspec.json.encode(prediction)
    return decode_prediction(msgspec.structs.replace(like, value=value)) or {}


def _exactly(value: Any) -> bytes:
    """Return a value so that equal bytes are equal bits: 1, 1.0 and true are three, 0.0 and -0.0 are two."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
