"""Other models that are declared, and race with the champion."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from schemas.errors import DeclarationError


@dataclass(frozen=True)
class Race:
    """Models that are scored and taught beside the champion; one takes over when it is better, by evidence.

    Every model answers an event before it learns its label, and is compared with the champion on those events only. The
    one that loses goes on racing. Where a drift is detected, those that have left enter again, unlearned: what is best
    may be another one now.

    Parameters
    ----------
    models
        River models of the pipeline's task kind, as many as you like; ``river.utils.expand_param_grid`` makes them
        of a grid of parameters.
    budget
        How many of them answer and learn per event, on average: at most as many as there are, None for all. Those that
        race take turns, and while there are more than the budget the worse half leaves after each rung (successive
        halving). Raising it brings the answer sooner, and costs processor time and memory.
    alpha
        Probability that a model that is no better ever takes over from a champion, all of them together; the evidence
        may be looked at after every label. Raising it is quicker and errs more.
    rung
        Labelled events that have been the turn of each of them before the worse half leaves. Raising it makes it
        more certain that the best one stays.

    References
    ----------
    Jamieson, Talwalkar: Non-stochastic best arm identification and hyperparameter optimization, AISTATS 2016
    (successive halving). Wu et al.: ChaCha for online AutoML, ICML 2021 (few live challengers of a champion at a
    time). Waudby-Smith, Ramdas: Estimating means of bounded random variables by betting, JRSS B 86 (2024) (the
    evidence).

    Examples
    --------
    >>> from river import linear_model, optim, utils
    >>> grid = {"optimizer": [(optim.SGD, {"lr": [0.1, 0.01]}), (optim.Adam, {"lr": [0.1, 0.01, 0.001]})]}
    >>> race = Race(utils.expand_param_grid(linear_model.LogisticRegression(), grid), budget=2)
    >>> len(race.models)
    5
    """

    models: Sequence[Any]
    budget: float | None = None
    alpha: float = 0.05
    rung: int = 500

    def check(self, field: str = "race") -> None:
        """Raise `DeclarationError` unless the arguments fit together; the pipeline looks at the models."""
        if not isinstance(self.models, (list, tuple)) or not self.models:
            raise DeclarationError(f"{field}.models", self.models, "a list of at least one River model")
        budget, most = self.budget, len(self.models)
        is_number = isinstance(budget, (int, float)) and not isinstance(budget, bool)
        if budget is not None and not (is_number and 0 < budget <= most):
            raise DeclarationError(f"{field}.budget", budget, f"a number above 0, at most {most}, or None for all")
        if not isinstance(self.alpha, (int, float)) or not 0 < self.alpha < 1:
            raise DeclarationError(f"{field}.alpha", self.alpha, "a number between 0 and 1")
        if not isinstance(self.rung, int) or isinstance(self.rung, bool) or self.rung < 1:
            raise DeclarationError(f"{field}.rung", self.rung, "a whole number, 1 or more")
