"""A model from elsewhere becomes an archived version, or is refused with the reason."""

from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import Any

from river import base

from schemas.commands import Import
from schemas.errors import DeclarationError, ModelError, NotPicklableError
from schemas.events import LifecycleEvent
from streams import announcements, pickling
from streams.feature import Feature
from streams.foreign import settle, unpack
from streams.learner import Learner
from streams.lifecycle import Lifecycle
from streams.moment import Moment
from streams.pipeline import Pipeline
from streams.policy import ChampionVersions
from streams.versions import Frozen, imported_version

_LONGEST = 200


def take_in(order: Import, pipeline: Pipeline, lifecycle: Lifecycle, moment: Moment) -> list[LifecycleEvent] | str:
    """Keep a model among the archived versions of a partition.

    Parameters
    ----------
    order
        The command that brings it.
    pipeline
        The declaration.
    lifecycle
        Of the partition.
    moment
        The record of the command.

    Returns
    -------
    What is said of it, or the reason why it is refused: then nothing has changed.
    """
    admitted = admit(order, pipeline, moment.record.offset)
    if isinstance(admitted, str) or lifecycle.shadows.contest is None:
        return str(admitted)
    evicted = lifecycle.shadows.contest.past.archive.keep(admitted)
    return announcements.kept(partial(moment.common, pipeline=pipeline.name), admitted, evicted, order.origin)


def admit(order: Import, pipeline: Pipeline, offset: int) -> Frozen | str:
    """Return the version that a model would be, or the reason why it is refused.

    Parameters
    ----------
    order
        The command that brings it.
    pipeline
        The declaration.
    offset
        Of the command: part of the name, so that no two are called the same.

    Examples
    --------
    >>> from river import linear_model
    >>> from streams.foreign import pack
    >>> from streams.label import Label
    >>> from streams.policy import Pool
    >>> model = linear_model.LogisticRegression()
    >>> pipeline = Pipeline("p", features={"a": float}, label=Label("y"), model=model, policy=Pool())
    >>> bring = partial(Import, pipeline="p", model=pack(pickling.dumps(model)), learned=9, river=version("river"))
    >>> admit(bring(features=("a",)), pipeline, 42).name
    'i42@9'
    >>> admit(bring(features=("b",)), pipeline, 42)
    'features: got another set than the declared one: a missing, b too many'
    """
    refusal = _misfit(order, pipeline)
    if refusal:
        return refusal
    classes = pipeline.classes
    try:
        model = pickling.loads(unpack(order.model), further=classes)
        fresh = model.clone() if isinstance(model, base.Base) else model
        replace(pipeline, model=fresh, race=None)  # all that is held of a declared model; it may race, too
        settle(model)
        data = pickling.dumps(model, further=classes)  # as it will be in snapshots
        read = partial(pickling.loads, data, further=classes)
        asked = Learner(read, "(imported)", pipeline.kind, learned=order.learned)
        refusal = _foreign_answer(pipeline, *asked.predict(neutral(pipeline)))
    except NotPicklableError as error:
        refusal = f"model: {error}".replace("a snapshot", "the pickle")
    except DeclarationError as error:
        refusal = error.problem
    except ModelError as error:
        refusal = f"model: asked about zeros, {error}"
    except Exception as error:  # whatever a made-up state makes a model do
        refusal = f"model: it raised {error!r}"
    if refusal:
        return _short(refusal)
    return Frozen(data, imported_version(offset), order.learned, offset, pipeline.kind, classes)


def neutral(pipeline: Pipeline) -> dict[str, Any]:
    """Return the features of an event that says as little as possible: zeros, or what is nearest to them.

    Examples
    --------
    >>> from river import linear_model
    >>> from streams.label import Label
    >>> features = {"a": float, "b": Feature(int, ge=3), "c": Feature(str, categories=("x", "y")), "d": bool}
    >>> neutral(Pipeline("p", features=features, label=Label("y"), model=linear_model.LogisticRegression()))
    {'a': 0.0, 'b': 3, 'c': 'x', 'd': False}
    """
    return {name: _neutral(feature) for name, feature in pipeline.features.items()}


def _neutral(feature: Feature) -> Any:
    if feature.type is str:
        return feature.categories[0] if feature.categories else ""
    if feature.type is bool:
        return False
    low, high = feature.ge, feature.le
    nearest = low if low is not None and low > 0 else high if high is not None and high < 0 else 0
    return feature.type(nearest)


def _misfit(order: Import, pipeline: Pipeline) -> str:
    """Say why no model at all, or none of such a description, can be taken in; nothing when it can."""
    policy = pipeline.policy
    if not isinstance(policy, ChampionVersions):
        return f"{type(policy).__name__} keeps no other models; ChampionVersions and Pool do"
    if not policy.versions:
        return "policy.versions is 0: no version is kept"
    here = version("river")
    if order.river != here:
        return _short(f"river: got a model of River {order.river}, expected one of {here}: its objects change")
    declared, got = set(pipeline.features), set(order.features)
    if declared == got:
        return ""
    differing = {"missing": declared - got, "too many": got - declared}
    said = ", ".join(f"{_short(', '.join(sorted(names)))} {what}" for what, names in differing.items() if names)
    return f"features: got another set than the declared one: {said}"


def _foreign_answer(pipeline: Pipeline, prediction: Any, score: Any) -> str:
    """Say why an answer cannot be one of this pipeline, nothing when it can."""
    label = pipeline.label
    if label is None or pipeline.kind in ("regression", "anomaly"):
        return ""
    answers = [*(score or ()), *([] if prediction is None else [prediction])]
    for answer in answers:
        if type(answer) is not label.type:
            return f"model: it knows the class {answer!r}, expected a {label.type.__name__} as label {label.name} is"
    return ""


def _short(text: str) -> str:
    """Return a text that fits into an event, however much of it somebody else has written."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
