"""Policies by the names they have on a command line: ``pool``, ``champion-versions:alpha=0.01``."""

import dataclasses
import re
from typing import Any

from schemas.errors import ConfigurationError
from streams.policy import BackgroundChallenger, ChampionVersions, ObserveOnly, Policy, Pool, ResetOnDrift

#: The name that stands for the policy a pipeline declares itself.
DECLARED = "declared"


def _kebab(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()


#: Class by name, the names made from those of the classes.
POLICIES: dict[str, Any] = {
    _kebab(kind.__name__): kind for kind in (ObserveOnly, ResetOnDrift, BackgroundChallenger, ChampionVersions, Pool)
}


def parse_policy(text: str) -> Policy:
    """Return the policy that a name with parameters stands for.

    Parameters
    ----------
    text
        ``NAME`` or ``NAME:PARAMETER=VALUE:…``.

    Raises
    ------
    ConfigurationError
        When there is no such policy or parameter, or the value is no number; the known ones are named.
    DeclarationError
        When the value is out of its range.

    Examples
    --------
    >>> parse_policy("pool:alpha=0.01:versions=3").versions
    3
    >>> parse_policy("pol")
    Traceback (most recent call last):
    ...
    schemas.errors.ConfigurationError: --policy: got 'pol', expected declared, observe-only, reset-on-drift, \
background-challenger, champion-versions or pool
    """
    name, *parameters = text.split(":")
    if name not in POLICIES:
        *most, last = (DECLARED, *POLICIES)
        raise ConfigurationError(f"--policy: got {name!r}, expected {', '.join(most)} or {last}")
    kind = POLICIES[name]
    known = {field.name: field.type for field in dataclasses.fields(kind)}
    values: dict[str, Any] = {}
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        key = key.replace("-", "_")
        if key not in known:
            expected = f"one of {', '.join(known)}" if known else "nothing: it takes no parameters"
            raise ConfigurationError(f"--policy {name}: got {parameter!r}, expected {expected}")
        values[key] = _number(f"--policy {name}: {key}", value, known[key])
    policy: Policy = kind(**values)
    policy.check(name)
    return policy


def _number(field: str, text: str, kind: Any) -> int | float:
    try:
        return int(text) if kind is int else float(text)
    except ValueError:
        expected = "a whole number" if kind is int else "a number"
        raise ConfigurationError(f"{field}: got {text!r}, expected {expected}") from None
