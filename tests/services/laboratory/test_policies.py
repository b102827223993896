"""Policies by name."""

import pytest

from riverrun import BackgroundChallenger, ChampionVersions, ObserveOnly, Pool, ResetOnDrift
from schemas.errors import ConfigurationError, DeclarationError
from services.laboratory.policies import parse_policy


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("observe-only", ObserveOnly()),
        ("reset-on-drift", ResetOnDrift()),
        ("background-challenger:min_learned=5", BackgroundChallenger(min_learned=5)),
        ("champion-versions", ChampionVersions()),
        ("pool:alpha=0.01:min-learned=40", Pool(alpha=0.01, min_learned=40)),
    ],
)
def test_policy_by_name_is_the_declared_one(text: str, policy: object) -> None:
    """With parameters, in dashes or underscores."""
    found = parse_policy(text)
    assert found == policy
    assert type(found) is type(policy)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Pool", "got 'Pool', expected declared, observe-only, reset-on-drift"),
        ("pool:alfa=1", "--policy pool: got 'alfa=1', expected one of alpha, change"),
        ("observe-only:x=1", "got 'x=1', expected nothing"),
        ("pool:versions=1.5", "--policy pool: versions: got '1.5', expected a whole number"),
        ("pool:alpha", "alpha: got '', expected a number"),
    ],
)
def test_policy_that_is_none_is_told_with_those_there_are(text: str, said: str) -> None:
    """What was got, what was expected."""
    with pytest.raises(ConfigurationError) as caught:
        parse_policy(text)
    assert said in str(caught.value)


def test_policy_out_of_range_names_the_parameter() -> None:
    """As the declaration would."""
    with pytest.raises(DeclarationError, match=r"pool\.alpha: got 2\.0"):
        parse_policy("pool:alpha=2")
