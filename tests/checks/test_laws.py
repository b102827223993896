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


def test_recipes_in_a_process_with_another_hash_seed_give_the_same_digests() -> None:
    """Declarations and predictions do not depend on the process, nor on the order of Python's own sets."""
    other = subprocess.Popen(
        [sys.executable, "-m", "tests.checks.recipes"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    here = {
        name: [recipe.pipeline().declaration, Fold(recipe.pipeline(), recipe.log().records).digest]
        for name, recipe in RECIPES.items()
    }
    there, _ = other.communicate(timeout=60)
    assert other.returncode == 0
    assert json.loads(there) == here


def test_recipes_cover_what_a_log_can_have() -> None:
    """Some recipe meets each outcome a label can have, and some champion is replaced: laws that hold of nothing don't."""
    outcomes: set[str] = set()
    retrained = 0
    for recipe in RECIPES.values():
        fold = Fold(recipe.pipeline(), recipe.log().records)
        outcomes |= set(fold.counts)
        retrained += any(isinstance(event, ModelRetrained) for event in fold.lifecycle)
    assert outcomes > {"scored", "label_joined", "label_early", "duplicate_event", "label_duplicate", "label_corrected"}
    assert outcomes > {"expired", "assumed", "label_late"}
    assert retrained >= 3
