"""Every law for every recipe, and every recipe in other processes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.events import ModelRetrained
from tests.checks.laws import LAWS
from tests.checks.recipes import RECIPES, Recipe
from tests.streams.logs import Fold

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_recipe_keeps_the_law(recipe: Recipe, law: Callable[[Recipe], None]) -> None:
    """The law's own docstring says what is held."""
    law(recipe)


@pytest.mark.slow
def test_recipes_in_other_processes_of_one_hash_seed_give_the_same_digests() -> None:
    """Nothing of the process counts but the order of string sets, which the CLI fixes; most models know none."""
    others = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.checks.recipes"],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [other.communicate(timeout=120)[0] for other in others]
    assert [other.returncode for other in others] == [0, 0]
    here = {
        name: [recipe.pipeline().declaration, Fold(recipe.pipeline(), recipe.log().records).digest]
        for name, recipe in RECIPES.items()
    }
    fixed = json.loads(said[0])
    assert fixed == json.loads(said[1])
    assert {name: fixed[name] for name in here} == here


def test_recipes_cover_what_a_log_can_have() -> None:
    """Some recipe meets each outcome a label can have, and some champion is replaced."""
    outcomes: set[str] = set()
    retrained = 0
    for recipe in RECIPES.values():
        fold = Fold(recipe.pipeline(), recipe.log().records)
        outcomes |= set(fold.counts)
        retrained += any(isinstance(event, ModelRetrained) for event in fold.lifecycle)
    assert outcomes > {"scored", "label_joined", "label_early", "duplicate_event", "label_duplicate", "label_corrected"}
    assert outcomes > {"expired", "assumed", "label_late"}
    assert retrained >= 3
