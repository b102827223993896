"""A combination: a declared pipeline, with another model or policy in place of its own, for one partition."""

import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from msgspec import Struct
from river import base, metrics

from schemas.errors import ConfigurationError, shown
from services.laboratory.policies import DECLARED, parse_policy
from services.loading import load_module, load_pipeline, named, split_path
from streams.declaration import digest
from streams.pipeline import Pipeline
from streams.policy import ObserveOnly
from streams.prequential import metric_name, wants_score
from streams.race import Race
from streams.verbs import tells_probabilities

_PLACE = re.compile(r"(.+)\[(\d+)\]")


class Combination(Struct, frozen=True):
    """What is played, by the names it has on the command line, so that any process can make it.

    Parameters
    ----------
    pipeline
        Import path of the declaration.
    model
        Import path of a River model that takes the place of the declared one, ``NAME[3]`` of one in a list;
        ``"declared"`` leaves it.
    policy
        As `parse_policy` takes it; ``"declared"`` leaves it.
    partition, partitions
        Which partition, of how many.
    """

    pipeline: str
    model: str = DECLARED
    policy: str = DECLARED
    partition: int = 0
    partitions: int = 1

    def declare(self, *, scores: bool = False) -> Pipeline:
        """Return the pipeline as it is played.

        Parameters
        ----------
        scores
            Whether probabilities have to be kept until the label comes: a metric that wants them is added where none
            does. Metrics are no part of what can change an answer.

        Raises
        ------
        ConfigurationError
            When a name stands for nothing that fits, no classes have scores, the model tells none, or a policy would
            have to compare losses where no labels come.
        DeclarationError
            When model or policy do not go with the pipeline.
        """
        declared = _found(self.pipeline)
        if not isinstance(declared, Pipeline):
            declared = load_pipeline(self.pipeline)  # which says what is there
        changes: dict[str, Any] = {}
        if self.model != DECLARED:
            changes["model"] = load_model(self.model)
            changes |= _without_itself(changes["model"], declared.race)
        if self.policy != DECLARED:
            changes["policy"] = parse_policy(self.policy)
            if declared.label is None and not isinstance(changes["policy"], ObserveOnly):
                found = f"{declared.name}, which declares no label"
                expected = "observe-only: without labels there is nothing to be better at"
                raise ConfigurationError(f"--policy {self.policy}: got {found}, expected {expected}")
        if scores and declared.kind not in ("binary", "multiclass"):
            found = f"{declared.name}, a task of kind {declared.kind}"
            raise ConfigurationError(f"--loss log: got {found}, expected classes: leave the option out")
        played = replace(declared, **changes) if changes else declared
        if scores and not tells_probabilities(played.model, played.kind):
            found = f"{played.model_name}, which tells no probabilities"
            raise ConfigurationError(f"--loss log: got {found}, expected a classifier with predict_proba_one")
        if scores and not any(wants_score(metric) for metric in played.metrics or ()):
            added = metrics.LogLoss() if played.kind == "binary" else metrics.CrossEntropy()
            if metric_name(added) not in {metric_name(metric) for metric in played.metrics or ()}:
                return replace(played, metrics=[*(played.metrics or ()), added])
        return played


def _without_itself(model: Any, race: Race | None) -> dict[str, Any]:
    """Return a race without the model that takes the place of the declared one: none races with itself."""
    if race is None or not any(digest(one) == digest(model) for one in race.models):
        return {}
    others = [one for one in race.models if digest(one) != digest(model)]
    budget = race.budget if race.budget is None or not others else min(race.budget, len(others))
    return {"race": replace(race, models=others, budget=budget) if others else None}


@lru_cache(maxsize=256)
def _module(place: str) -> ModuleType:
    """Import a file once: pickle finds functions by their module, of which there must not be two."""
    return load_module(place)


def _found(path: str) -> object:
    """Return what an import path names; ``NAME[3]`` is a place in a list."""
    within = _PLACE.fullmatch(path)
    if within:
        return _placed(path, _found(within[1]), int(within[2]))
    place, _ = split_path(path)
    if not place:
        return load_pipeline(path)  # which says that a name is missing
    file = str(Path(place).resolve()) if place.endswith(".py") and Path(place).is_file() else place
    return named(_module(file), path)


def _placed(path: str, models: object, place: int) -> object:
    if not isinstance(models, (list, tuple)):
        raise ConfigurationError(f"{path}: got {shown(models)}, expected a list of models")
    if place >= len(models):
        raise ConfigurationError(f"{path}: got a list of {len(models)} models, expected a place below {len(models)}")
    return models[place]


def load_model(path: str) -> Any:
    """Return the River model an import path names.

    Raises
    ------
    ConfigurationError
        When nothing of that name is there, or it is no model.
    """
    found = _found(path)
    if isinstance(found, type) or not isinstance(found, base.Base):
        raise ConfigurationError(
            f"--model {path}: got {shown(found)}, expected a River model, a list of them, or a Pipeline"
        )
    return found


def _members(path: str) -> list[str]:
    """Return the paths of all that a list holds; of anything else its own."""
    found = _found(path)
    if not isinstance(found, (list, tuple)):
        return [path]
    if not found:
        raise ConfigurationError(f"--model {path}: got an empty list, expected at least one River model")
    return [f"{path}[{place}]" for place in range(len(found))]


def spread(path: str) -> list[str]:
    """Return the import paths that ``FILE.py:NAME,NAME`` stands for, files by their absolute paths.

    Examples
    --------
    >>> spread("declared:a,b")
    ['declared:a', 'declared:b']
    """
    place, _, names = path.rpartition(":")
    if place.endswith(".py"):
        place = str(Path(place).absolute())
    return [f"{place}:{name.strip()}" for name in names.split(",")] if place else [path]


def combine(
    pipelines: list[str], models: list[str], policies: list[str], partitions: list[int], of: int
) -> list[Combination]:
    """Return all combinations, the declared one of the first pipeline first.

    Parameters
    ----------
    pipelines
        Import paths; each is played with its own model.
    models
        Import paths of models, played in every pipeline, and of whole pipelines, which are added to `pipelines`; of
        lists, too, as `river.utils.expand_param_grid` makes them.
    policies
        As `parse_policy` takes them; none means the declared one.
    partitions, of
        Which partitions, of how many.

    Raises
    ------
    ConfigurationError
        When a name stands for nothing, or is given twice.
    """
    pipelines = list(pipelines)
    swapped: list[str] = []
    for path in pipelines:
        if not isinstance(_found(path), Pipeline):
            load_pipeline(path)  # which says what is there
    for path in [member for given in models for member in _members(given)]:
        is_whole = isinstance(_found(path), Pipeline)
        if not is_whole:
            load_model(path)
        (pipelines if is_whole else swapped).append(path)
    for policy in policies:
        if policy != DECLARED:
            parse_policy(policy)
    for option, names in (("PIPELINE", pipelines), ("--model", swapped), ("--policy", policies)):
        for i, name in enumerate(names):
            if name in names[:i]:
                raise ConfigurationError(f"{option}: got {name!r} twice")
    return [
        Combination(pipeline, model, policy, partition, of)
        for pipeline in pipelines
        for model in (DECLARED, *swapped)
        for policy in policies or [DECLARED]
        for partition in partitions
    ]
